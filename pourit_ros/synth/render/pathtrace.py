# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Path-traced images of scenes, by Mitsuba 3 and denoised by Open Image Denoise.

Dielectrics are nested: a glass holding liquid is glass against air above the liquid's level and
glass against liquid below it. Refracted light through the stream needs more samples than the
rest, so both twins get EXTRA times as many in the stream's box, so that noise does not give them
away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..scene.description import SceneDescription
from ..scene.parts import Part, still_parts, stream_part
from .labels import StillLabels, label_still, mid_exposure, stream_box
from .mitsuba_scene import emitters_of, integrator, load_mitsuba, mesh_of, sensor_of

SPP = 8
EXTRA = 3
SUBFRAMES = 3
# Faster pixels than this within the exposure are blurred, px.
BLURRED = 0.7
# About the stream's own box: what it refracts, shades and mirrors, as a share of the picture.
MARGIN = 0.03
GRID = 8
# Rays in flight at once: memory for larger pictures.
LANES = 1 << 21
# Single samples beyond this are fireflies that the denoiser would smear.
BRIGHTEST = 40.0

Radiance = NDArray[np.float32]
Channels = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class TracedBackdrop:
    """A scene without its stream: `radiance` (H, W, 3) linear RGB, and its labels."""

    radiance: Radiance
    labels: StillLabels


class PathTracer:
    """One scene, whose still meshes are built once for all its images."""

    def __init__(self, scene: SceneDescription) -> None:
        load_mitsuba()
        self.scene = scene
        self.parts = still_parts(scene)
        self._still = {f'part{k}': mesh_of(p, f'part{k}') for k, p in enumerate(self.parts)}
        self._still |= emitters_of(scene.environment)
        middle = stream_part(scene, mid_exposure(scene))
        self._box = None if middle is None else _widened(scene, middle)

    def render(self, with_stream: bool, spp: int = SPP) -> Radiance:
        """Radiance (H, W, 3), linear RGB, denoised.

        `spp`: samples per pixel outside the stream's box; inside, EXTRA times as many are added.
        Deterministic for given arguments.
        """
        times = _instants(self.scene) if with_stream else [mid_exposure(self.scene)]
        total: Channels | None = None
        for k, time in enumerate(times):
            stream = stream_part(self.scene, time) if with_stream else None
            # Different noise in the twins, as in two photographs.
            seed = 4 * k + 2 * with_stream + 8 * (self.scene.index % (1 << 24))
            picture = self._pass(stream, max(1, round(spp / len(times))), seed)
            total = picture if total is None else total + picture
        assert total is not None
        return _denoised(total / len(times))

    def _pass(self, stream: Part | None, spp: int, seed: int) -> Channels:
        mi = load_mitsuba()
        camera, T = self.scene.camera.model, self.scene.camera.T_base_cam
        contents: dict[str, Any] = {'type': 'scene', **self._still, 'integrator': integrator()}
        contents['whole'] = sensor_of(camera, T)
        if stream is not None:
            contents['stream'] = mesh_of(stream, 'stream')
        if self._box is not None:
            contents['part'] = sensor_of(camera, T, self._box)
        scene = mi.load_dict(contents)
        picture = _sampled(scene, 0, spp, seed, camera.width * camera.height)
        if self._box is not None:
            x0, y0, x1, y1 = self._box
            extra = _sampled(scene, 1, EXTRA * spp, seed + 1, (x1 - x0) * (y1 - y0))
            window = picture[y0:y1, x0:x1]
            picture[y0:y1, x0:x1] = (window + EXTRA * extra) / (1 + EXTRA)
        return picture


def render_backdrop(scene: SceneDescription, spp: int = SPP) -> TracedBackdrop:
    """The scene without its stream and its labels, for composites; raises InputError."""
    tracer = PathTracer(scene)
    return TracedBackdrop(tracer.render(False, spp), label_still(scene, tracer.parts))


def _instants(scene: SceneDescription) -> list[float]:
    """Times within the exposure whose mean image is motion-blurred; one for a short exposure."""
    camera, flow = scene.camera, scene.flow
    distance = float(camera.T_base_cam.inverse().apply(flow.exit_point)[2])
    speed = flow.speed + flow.fall_speed
    moved = camera.exposure_time * speed * camera.model.fx / distance
    count = SUBFRAMES if moved > BLURRED else 1
    share = (np.arange(count) + 0.5) / count
    return [scene.time + float(s) * camera.exposure_time for s in share]


def _widened(scene: SceneDescription, stream: Part) -> tuple[int, int, int, int] | None:
    box = stream_box(scene, stream)
    if box is None:
        return None
    x0, y0, x1, y1 = box
    width, height = scene.camera.model.width, scene.camera.model.height
    margin = round(MARGIN * width)
    x0, y0 = (max(0, v - margin) // GRID * GRID for v in (x0, y0))
    x1, y1 = (-(-(v + margin) // GRID) * GRID for v in (x1, y1))
    return x0, y0, min(x1, width), min(y1, height)


def _sampled(scene: Any, sensor: int, spp: int, seed: int, pixels: int) -> Channels:
    """Mean of `spp` samples, in passes that fit into memory: radiance, albedo, normal (9)."""
    mi = load_mitsuba()
    passes = -(-spp * pixels // LANES)
    each = -(-spp // passes)
    total: Channels = np.zeros(0, np.float32)
    for k in range(passes):
        picture = np.array(mi.render(scene, sensor=sensor, spp=each, seed=seed * 64 + k))
        np.nan_to_num(picture, copy=False, nan=0.0, posinf=BRIGHTEST, neginf=0.0)
        np.clip(picture[..., :3], 0, BRIGHTEST, out=picture[..., :3])
        total = picture if k == 0 else total + picture
    return total / passes


def _denoised(picture: Channels) -> Radiance:
    import pyoidn

    color, albedo, normal = (
        np.ascontiguousarray(picture[..., k : k + 3], np.float32) for k in (0, 3, 6)
    )
    answer = pyoidn.denoise(color, albedo=np.clip(albedo, 0, 1), normal=normal, hdr=True)
    return np.maximum(np.asarray(answer, dtype=np.float32), 0)
