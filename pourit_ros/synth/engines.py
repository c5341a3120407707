# SPDX-License-Identifier: Apache-2.0
"""What makes items of a data set by number; see `dataset.Engine`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from .composite import composite, label_stream
from .description import Assets, SceneDescription
from .labels import SceneLabels, in_air, label, mid_exposure
from .meshes import Mesh
from .pairs import take_pair
from .parts import STREAM
from .pathtrace import SPP, PathTracer, render_background
from .photos import find_photos, load_photo
from .plates import Backdrop, PlateError, load_plate, make_backdrop, save_plate
from .random_scenes import random_scene
from .records import PairRecord, stem_of, write_pair, written
from .stream import Stream

PLATE = '.npz'
# Streams within one exposure that moved less than this, px, are sharp.
STILL = 0.7
INSTANTS = 3
# Sigma, px, of what lens and denoiser do to the background.
SOFTNESS = (0.45, 0.75)
# Coverage (px) below which another stream is drawn: nothing of it could be seen.
LEAST = 12.0
ATTEMPTS = 8
# So that the attempts for one number never meet the numbers of other pairs.
STRIDE = 100_000


@dataclass(frozen=True)
class CompositeEngine:
    """Ray-traced streams over plates: pair `i` lies on plate i mod P, with its own stream.

    `plates`: files of `find_plates`; `source`, `target`: containers of photographed ones.
    """

    plates: tuple[Path, ...]
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
            'plates': len(self.plates),
            'version': __version__,
        }

    def made(self, folder: Path) -> set[int]:
        """Numbers of the complete pairs."""
        return {int(stem) for stem in written(folder)}

    def make(self, folder: Path, index: int) -> None:
        """Make one pair and write it."""
        write_pair(folder, stem_of(index), self.pair(index))

    def pair(self, index: int) -> PairRecord:
        """Make one pair."""
        turn, which = divmod(index, len(self.plates))
        backdrop = self._backdrop(self.plates[which])
        for attempt in range(ATTEMPTS):
            variant = turn + 1 + attempt * STRIDE
            # The set's seed: several sets may use the same plates.
            scene = backdrop.varied(variant + self.seed * ATTEMPTS * STRIDE)
            # Its own camera noise, lest all pairs on one plate share it.
            camera = replace(scene.camera, seed=(scene.camera.seed + variant) % (1 << 31))
            scene = replace(scene, camera=camera)
            streams = _streams(scene)
            if streams is None:
                continue
            labels = _labels(scene, backdrop, streams[len(streams) // 2])
            if labels.visible.sum() >= LEAST:
                break
        else:
            raise RuntimeError(f'no visible stream in {ATTEMPTS} attempts')
        meta = {
            'engine': 'composite',
            'set_seed': self.seed,
            'plate': self.plates[which].name,
            'variant': variant,
        }
        rng = np.random.default_rng((scene.camera.seed, 2))
        positive = composite(
            backdrop.plate, streams, scene.liquid, float(rng.uniform(*SOFTNESS)), rng
        )
        return take_pair(scene, positive, backdrop.plate.radiance, labels, meta)

    def _backdrop(self, path: Path) -> Backdrop:
        if path.suffix != PLATE:
            return load_photo(path, self.seed, self.split, self.size, self.source, self.target)
        backdrop = load_plate(path)
        split, width = backdrop.scene.split, backdrop.plate.camera.width
        if split != self.split:
            raise PlateError(f'{path}: is a background of split {split}, not {self.split}')
        if width != self.size:
            raise PlateError(f'{path}: is {width} px wide, --size asks for {self.size}')
        return backdrop


@dataclass(frozen=True)
class PathtraceEngine:
    """Path-traced pairs: pair `i` is scene `i`, or where no stream is seen, another of its own.

    `poured_from`: the kind of source in all of them, None: as drawn.
    """

    seed: int
    split: str
    size: int
    assets: Assets
    poured_from: str | None = None
    spp: int = SPP

    def recipe(self) -> dict[str, Any]:
        """What a set depends on."""
        return _recipe(self, 'pathtrace')

    def made(self, folder: Path) -> set[int]:
        """Numbers of the complete pairs."""
        return {int(stem) for stem in written(folder)}

    def make(self, folder: Path, index: int) -> None:
        """Make one pair and write it."""
        write_pair(folder, stem_of(index), self.pair(index))

    def pair(self, index: int) -> PairRecord:
        """Make one pair."""
        for attempt in range(ATTEMPTS):
            number = index + attempt * STRIDE
            scene = random_scene(
                self.seed, number, self.split, self.assets, self.size, self.poured_from
            )
            labels = label(scene)
            if labels.visible.sum() >= LEAST:
                break
        else:
            raise RuntimeError(f'no visible stream in {ATTEMPTS} attempts')
        tracer = PathTracer(scene)
        positive, negative = (tracer.render(wet, self.spp) for wet in (True, False))
        return take_pair(
            scene, positive, negative, labels, {'engine': 'pathtrace', 'spp': self.spp}
        )


@dataclass(frozen=True)
class BackgroundEngine:
    """Path-traced plates for CompositeEngine: background `i` is scene `i` without its stream.

    `poured_from`: the kind of source in all of them, None: as drawn.
    """

    seed: int
    split: str
    size: int
    assets: Assets
    poured_from: str | None = None
    spp: int = SPP

    def recipe(self) -> dict[str, Any]:
        """What a set depends on."""
        return _recipe(self, 'background')

    def made(self, folder: Path) -> set[int]:
        """Numbers of the complete plates."""
        return {int(file.stem) for file in folder.glob(f'[0-9]*{PLATE}')}

    def make(self, folder: Path, index: int) -> None:
        """Make one plate and write it."""
        scene = random_scene(
            self.seed, index, self.split, self.assets, self.size, self.poured_from
        )
        background = render_background(scene, self.spp)
        backdrop = make_backdrop(scene, background.radiance, background.labels)
        save_plate(folder / f'{stem_of(index)}{PLATE}', backdrop)


def _recipe(engine: PathtraceEngine | BackgroundEngine, name: str) -> dict[str, Any]:
    only = {'poured_from': engine.poured_from} if engine.poured_from else {}
    return only | {
        'engine': name,
        'seed': engine.seed,
        'split': engine.split,
        'size': engine.size,
        'spp': engine.spp,
        'environment_maps': [file.name for file in engine.assets.hdri],
        'version': __version__,
    }


def find_plates(folder: Path) -> list[Path]:
    """Backgrounds of `BackgroundEngine` in a folder, else its photos; raises PlateError."""
    if not folder.is_dir():
        raise PlateError(f'{folder}: no such folder')
    found = sorted(folder.glob(f'[0-9]*{PLATE}')) or find_photos(folder)
    if not found:
        raise PlateError(
            f'{folder}: holds no backgrounds; pourit synth --engine background makes some'
        )
    return found


def _streams(scene: SceneDescription) -> list[Mesh] | None:
    """The stream in the optical frame at times within the exposure, None when there is none."""
    flow, camera = scene.flow, scene.camera
    T_cam_base = camera.T_base_cam.inverse()
    distance = T_cam_base.apply(flow.exit_point)[2]
    fall = np.sqrt(max(flow.exit_point[2] - flow.end_height, 0) * 2 * 9.81)
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


def _labels(scene: SceneDescription, backdrop: Backdrop, stream: Mesh) -> SceneLabels:
    T_base_cam = scene.camera.T_base_cam
    seen = label_stream(backdrop.plate, stream, lambda p: in_air(scene, T_base_cam.apply(p)))
    still = backdrop.labels
    wet = np.isfinite(seen.depth)
    depth = np.where(wet, seen.depth, still.depth)
    milky = scene.liquid.milkiness >= 0.5
    return SceneLabels(
        instances=np.where(wet, np.uint8(STREAM), still.instances),
        depth=depth,
        opaque=np.where(wet, depth, still.opaque) if milky else still.opaque,
        visible=seen.visible,
        air=seen.air,
        through=seen.through,
        still=still,
    )
