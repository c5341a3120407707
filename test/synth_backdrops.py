# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Flatly coloured backdrops of real scenes: everything but the path tracer."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pourit_ros.synth.render.labels import label_still
from pourit_ros.synth.scene.parts import INSTANCES, still_parts
from pourit_ros.synth.scene.random import random_scene
from pourit_ros.synth.scene.strata import Mixture
from pourit_ros.synth.sets.backdrops import StillScene, make_still, save_backdrop


def flat_still(
    index: int,
    size: int,
    split: str = 'train',
    poured_from: str | None = None,
    stratum: str = 'general',
) -> StillScene:
    mixture = Mixture.parse(stratum)
    scene = random_scene(0, index, split, size=size, poured_from=poured_from, mixture=mixture)
    labels = label_still(scene, still_parts(scene))
    colors = np.random.default_rng(index).uniform(0.05, 0.8, (len(INSTANCES), 3))
    height, width = labels.instances.shape
    v, u = np.mgrid[:height, :width] / size
    shade = 0.7 + 0.3 * np.sin(9 * u + 7 * v)[..., None]
    return make_still(scene, (colors[labels.instances] * shade).astype(np.float32), labels)


def save_backdrops(folder: Path, count: int, size: int, split: str = 'train') -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f'{index:06d}.npz' for index in range(count)]
    for index, path in enumerate(paths):
        save_backdrop(path, flat_still(index, size, split))
    return paths
