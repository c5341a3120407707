# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Engines that make the items of a data set by index.

Engines can be pickled, and make the same item for the same index in every process. `recipe`:
what the items depend on besides; `make`: writes one into a folder, whole or not at all; `made`:
indices of a folder's complete items; `inputs`: files that they are made from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ... import __version__
from ...errors import InputError
from ..render.composite import composite, label_stream
from ..render.labels import SceneLabels, in_air, label, label_still, mid_exposure
from ..render.pathtrace import SPP, PathTracer, render_backdrop
from ..scene.description import Assets, SceneDescription
from ..scene.meshes import Mesh
from ..scene.parts import STREAM, still_parts
from ..scene.random import random_scene
from ..scene.strata import STRATA, USUAL, Mixture
from ..scene.stream import Stream
from ..scene.twins import moved_twin
from .backdrops import StillScene, load_backdrop, make_still, picture_size, save_backdrop
from .pairs import take_pair
from .photos import find_photos, load_photo
from .records import PairRecord, stem_of, write_pair, written

BACKDROP = '.npz'
# Streams within one exposure that moved less than this, px, are sharp.
STILL = 0.7
INSTANTS = 3
# Sigma, px, of what lens and denoiser do to the backdrop.
SOFTNESS = (0.45, 0.75)
# Coverage (px) below which another stream is drawn: nothing of it could be seen.
LEAST = 12.0
ATTEMPTS = 8
# So that the attempts for one number never meet the numbers of other pairs.
STRIDE = 100_000


@dataclass(frozen=True)
class CompositeEngine:
    """Ray-traced streams over backdrops: pair `i` uses backdrop i mod P, with its own stream.

    `backdrops`: files of `find_backdrops`; `source`, `target`: containers of photographed ones.
    """

    backdrops: tuple[Path, ...]
    seed: int
    split: str
    size: int
    source: str = 'pourit_bottle'
    target: str = 'cup'

    def recipe(self) -> dict[str, Any]:
        """What a set depends on."""
        return {
            'engine': 'composite',
            'seed': self.seed,
            'split': self.split,
            'size': self.size,
            'backdrops': len(self.backdrops),
            'version': __version__,
        }

    def inputs(self) -> tuple[Path, ...]:
        """The backdrops."""
        return self.backdrops

    def made(self, folder: Path) -> set[int]:
        """Numbers of the complete pairs."""
        return {int(stem) for stem in written(folder)}

    def make(self, folder: Path, index: int) -> None:
        """Make one pair and write it."""
        write_pair(folder, stem_of(index), self.pair(index))

    def pair(self, index: int) -> PairRecord:
        """Make one pair."""
        turn, which = divmod(index, len(self.backdrops))
        still = self._still(self.backdrops[which])
        for attempt in range(ATTEMPTS):
            variant = turn + 1 + attempt * STRIDE
            # The set's seed: several sets may use the same backdrops.
            scene = still.varied(variant + self.seed * ATTEMPTS * STRIDE)
            # Its own camera noise, lest all pairs on one backdrop share it.
            camera = replace(scene.camera, seed=(scene.camera.seed + variant) % (1 << 31))
            scene = replace(scene, camera=camera)
            streams = _streams(scene)
            if streams is None:
                continue
            labels = _labels(scene, still, streams[len(streams) // 2])
            if labels.visible.sum() >= LEAST:
                break
        else:
            raise RuntimeError(f'no visible stream in {ATTEMPTS} attempts')
        meta = {
            'engine': 'composite',
            'set_seed': self.seed,
            'backdrop': self.backdrops[which].name,
            'variant': variant,
            'moved': [],
        }
        rng = np.random.default_rng((scene.camera.seed, 2))
        positive = composite(
            still.backdrop, streams, scene.falling_liquid, float(rng.uniform(*SOFTNESS)), rng
        )
        return take_pair(scene, positive, still.backdrop.radiance, labels, meta)

    def _still(self, path: Path) -> StillScene:
        if path.suffix != BACKDROP:
            return load_photo(path, self.seed, self.split, self.size, self.source, self.target)
        still = load_backdrop(path)
        split, width = still.scene.split, picture_size(still.backdrop.camera)
        if split != self.split:
            raise InputError(f'{path}: is a backdrop of split {split}, not {self.split}')
        if width != self.size:
            raise InputError(f'{path}: is {width} px wide, but --size is {self.size}')
        return still


@dataclass(frozen=True)
class _SceneEngine:
    """Path tracing of random scenes, by index.

    `poured_from`: the kind of source in all of them, None: as drawn.
    """

    seed: int
    split: str
    size: int
    assets: Assets
    poured_from: str | None = None
    spp: int = SPP
    mixture: Mixture = USUAL

    name: ClassVar[str]

    def recipe(self) -> dict[str, Any]:
        """What a set depends on."""
        only: dict[str, Any] = {'poured_from': self.poured_from} if self.poured_from else {}
        if self.mixture != USUAL:
            only['strata'] = dict(self.mixture.weights)
        return only | {
            'engine': self.name,
            'seed': self.seed,
            'split': self.split,
            'size': self.size,
            'spp': self.spp,
            'environment_maps': [file.name for file in self.assets.hdri],
            'version': __version__,
        }

    def inputs(self) -> tuple[Path, ...]:
        """The environment maps."""
        return self.assets.hdri

    def scene(self, number: int) -> SceneDescription:
        """Draw a scene."""
        return random_scene(
            self.seed, number, self.split, self.assets, self.size, self.poured_from, self.mixture
        )


@dataclass(frozen=True)
class PathtraceEngine(_SceneEngine):
    """Path-traced pairs: pair `i` is scene `i`, or a substitute if no stream is visible."""

    name = 'pathtrace'

    def made(self, folder: Path) -> set[int]:
        """Numbers of the complete pairs."""
        return {int(stem) for stem in written(folder)}

    def make(self, folder: Path, index: int) -> None:
        """Make one pair and write it."""
        write_pair(folder, stem_of(index), self.pair(index))

    def pair(self, index: int) -> PairRecord:
        """Make one pair."""
        for attempt in range(ATTEMPTS):
            scene = self.scene(index + attempt * STRIDE)
            labels = label(scene)
            if labels.visible.sum() >= LEAST:
                break
        else:
            raise RuntimeError(f'no visible stream in {ATTEMPTS} attempts')
        tracer = PathTracer(scene)
        moved: tuple[str, ...] = ()
        positive = tracer.render(True, self.spp)
        if STRATA[scene.stratum].moved:
            twin, moved = moved_twin(scene)
            labels = replace(labels, still=label_still(twin, still_parts(twin)))
            tracer = PathTracer(twin)
        negative = tracer.render(False, self.spp)
        meta = {'engine': self.name, 'spp': self.spp, 'moved': list(moved)}
        return take_pair(scene, positive, negative, labels, meta)


@dataclass(frozen=True)
class BackdropEngine(_SceneEngine):
    """Path-traced backdrops for CompositeEngine: backdrop `i` is scene `i` without its stream."""

    name = 'backdrop'

    def made(self, folder: Path) -> set[int]:
        """Numbers of the complete backdrops."""
        return {int(file.stem) for file in folder.glob(f'[0-9]*{BACKDROP}')}

    def make(self, folder: Path, index: int) -> None:
        """Make one backdrop and write it."""
        scene = self.scene(index)
        backdrop = render_backdrop(scene, self.spp)
        still = make_still(scene, backdrop.radiance, backdrop.labels)
        save_backdrop(folder / f'{stem_of(index)}{BACKDROP}', still)


def find_backdrops(folder: Path) -> list[Path]:
    """Backdrops of `BackdropEngine` in a folder, otherwise its photos; raises InputError."""
    if not folder.is_dir():
        raise InputError(f'{folder}: no such folder')
    found = sorted(folder.glob(f'[0-9]*{BACKDROP}')) or find_photos(folder)
    if not found:
        raise InputError(
            f'{folder}: holds no backdrops; make some with pourit synth --engine backdrop'
        )
    return found


def _streams(scene: SceneDescription) -> list[Mesh] | None:
    """The stream in the optical frame at times within the exposure; None if there is none."""
    flow, camera = scene.flow, scene.camera
    T_cam_base = camera.T_base_cam.inverse()
    distance = T_cam_base.apply(flow.exit_point)[2]
    fall = flow.fall_speed
    moved = camera.exposure_time * (flow.speed + fall) * camera.model.fx / distance
    count = INSTANTS if moved > STILL else 1
    stream = Stream(flow)
    middle = mid_exposure(scene)
    times = middle + camera.exposure_time * ((np.arange(count) + 0.5) / count - 0.5)
    surfaces = [stream.surface(float(t)) for t in times]
    if surfaces[count // 2] is None:
        return None
    return [
        (s or surfaces[count // 2]).mesh.moved(T_cam_base)  # type: ignore[union-attr]
        for s in surfaces
    ]


def _labels(scene: SceneDescription, still: StillScene, stream: Mesh) -> SceneLabels:
    T_base_cam = scene.camera.T_base_cam
    seen = label_stream(still.backdrop, stream, lambda p: in_air(scene, T_base_cam.apply(p)))
    dry = still.labels
    wet = np.isfinite(seen.depth)
    depth = np.where(wet, seen.depth, dry.depth)
    milky = scene.falling_liquid.milkiness >= 0.5
    return SceneLabels(
        instances=np.where(wet, np.uint8(STREAM), dry.instances),
        depth=depth,
        opaque=np.where(wet, depth, dry.opaque) if milky else dry.opaque,
        visible=seen.visible,
        air=seen.air,
        through=seen.through,
        still=dry,
    )
