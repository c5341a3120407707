# SPDX-License-Identifier: Apache-2.0
"""Flatly coloured backgrounds of real scenes: everything but the path tracer."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pourit_ros.synth.labels import label_still
from pourit_ros.synth.parts import INSTANCES, still_parts
from pourit_ros.synth.plates import Backdrop, make_backdrop, save_plate
from pourit_ros.synth.random_scenes import random_scene


def flat_backdrop(
    index: int, size: int, split: str = 'train', poured_from: str | None = None
) -> Backdrop:
    scene = random_scene(0, index, split, size=size, poured_from=poured_from)
    labels = label_still(scene, still_parts(scene))
    colors = np.random.default_rng(index).uniform(0.05, 0.8, (len(INSTANCES), 3))
    v, u = np.mgrid[:size, :size] / size
    shade = 0.7 + 0.3 * np.sin(9 * u + 7 * v)[..., None]
    return make_backdrop(scene, (colors[labels.instances] * shade).astype(np.float32), labels)


def save_plates(folder: Path, count: int, size: int, split: str = 'train') -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f'{index:06d}.npz' for index in range(count)]
    for index, path in enumerate(paths):
        save_plate(path, flat_backdrop(index, size, split))
    return paths
