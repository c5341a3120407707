# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Exact labels of a scene: instances, depth, coverage of the stream, and the truth in numbers.

Open3D casts the rays (Embree in its robust mode): it is already a dependency, keeps the identity
of meshes, and needs no compilation, unlike the path tracer's own ray queries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...geometry import PinholeCamera, Pose
from ..scene.description import ContainerDescription, SceneDescription
from ..scene.parts import STREAM, Part, still_parts, stream_part
from ..scene.stream import Stream

# Sub-pixels along each side of a pixel that count towards coverage.
SAMPLES = 4
# The stream's first millimetres lie on the lip (see `random_scenes`): in the air it is beyond.
ON_LIP = 0.004


@dataclass(frozen=True, eq=False)
class StillLabels:
    """Labels (H, W) of the scene without its stream, at pixel centres.

    `instances` uint8: index into `parts.INSTANCES`; `depth` m along z of the first surface and
    `opaque` of the first that is not clear, inf where there is none.
    """

    instances: NDArray[np.uint8]
    depth: NDArray[np.float32]
    opaque: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class SceneLabels:
    """Labels (H, W) of the scene with its stream, mid-exposure; `still`: the same without it.

    `instances`, `depth`, `opaque` as in StillLabels. Coverage 0..1 by 4x4 sub-pixels: `visible`:
    the stream is the first thing seen; `air`: that part of it between lip and target's rim;
    `through`: seen directly or through clear walls and clear liquid.
    """

    instances: NDArray[np.uint8]
    depth: NDArray[np.float32]
    opaque: NDArray[np.float32]
    visible: NDArray[np.float32]
    air: NDArray[np.float32]
    through: NDArray[np.float32]
    still: StillLabels


class Caster:
    """Casts rays from one camera at parts in the base frame and finds the nearest hits."""

    def __init__(self, parts: Sequence[Part], T_base_cam: Pose, camera: PinholeCamera) -> None:
        import open3d as o3d

        self._scene = o3d.t.geometry.RaycastingScene(nthreads=1)
        # Open3D's stubs know no numpy arrays.
        tensor: Any = o3d.core.Tensor
        self._tensor = tensor
        self._camera = camera
        # In the camera's own frame, where float32 is exact to a few micrometres.
        inverse = T_base_cam.inverse()
        for part in parts:
            vertices = inverse.apply(part.mesh.vertices).astype(np.float32)
            self._scene.add_triangles(
                self._tensor(np.ascontiguousarray(vertices)),
                self._tensor(np.ascontiguousarray(part.mesh.triangles, dtype=np.uint32)),
            )
        self._count = len(parts)

    def cast(self, pixels: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Index of the part (N,), −1: none, and depth along z (N,) m, inf, at pixels (N, 2)."""
        if not self._count:
            return np.full(len(pixels), -1), np.full(len(pixels), np.inf, np.float32)
        # Rays have z = 1, so their parameter is the depth along z.
        rays = np.zeros((len(pixels), 6), np.float32)
        rays[:, 3:] = self._camera.rays(pixels)
        answer = self._scene.cast_rays(self._tensor(rays), nthreads=1)
        depth = answer['t_hit'].numpy()
        part = answer['geometry_ids'].numpy().astype(np.int64)
        return np.where(np.isfinite(depth), part, -1), depth


class _StillCaster:
    """Rays at still parts: at all of them, and on through the clear ones."""

    def __init__(self, parts: Sequence[Part], T_base_cam: Pose, camera: PinholeCamera) -> None:
        self._all = Caster(parts, T_base_cam, camera)
        self._opaque = Caster([p for p in parts if not p.clear], T_base_cam, camera)
        self._clear = np.array([*(p.clear for p in parts), False])

    def cast(
        self, pixels: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
        """Part (N,), -1: none, its depth (N,) m, and depth of the first opaque one, inf: none."""
        part, depth = self._all.cast(pixels)
        opaque, through = depth.copy(), self._clear[part]
        if through.any():
            _, opaque[through] = self._opaque.cast(pixels[through])
        return part, depth, opaque


def mid_exposure(scene: SceneDescription) -> float:
    """The time of the labels, s."""
    return scene.time + 0.5 * scene.camera.exposure_time


def in_air(scene: SceneDescription, points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether points (N, 3) of the stream, base frame, are past the lip and above the rim."""
    flow = scene.flow
    on_lip = 0.0 if scene.source.shape.kind == 'tap' else ON_LIP
    past = (points - flow.exit_point) @ (flow.exit_velocity / flow.speed) > on_lip
    T = scene.target.T_base_container
    above = (points - scene.target.model.mouth_in(T)) @ scene.target.model.axis_in(T) > 0
    return past & above


def label_still(scene: SceneDescription, parts: Sequence[Part]) -> StillLabels:
    """Labels of still parts (see `still_parts`)."""
    camera, T = scene.camera.model, scene.camera.T_base_cam
    return _label_still(camera, parts, _StillCaster(parts, T, camera))


def _label_still(
    camera: PinholeCamera, parts: Sequence[Part], caster: _StillCaster
) -> StillLabels:
    shape = (camera.height, camera.width)
    part, depth, opaque = caster.cast(sub_pixels(0, 0, camera.width, camera.height, 1))
    instances = np.array([*(p.instance for p in parts), 0], np.uint8)[part]
    return StillLabels(instances.reshape(shape), depth.reshape(shape), opaque.reshape(shape))


def label(scene: SceneDescription) -> SceneLabels:
    """All labels of a scene, exact for its meshes."""
    return label_parts(scene, still_parts(scene), stream_part(scene, mid_exposure(scene)))


def label_parts(
    scene: SceneDescription, parts: Sequence[Part], stream: Part | None
) -> SceneLabels:
    """All labels of still parts and the stream mid-exposure, None where there is none."""
    camera, T = scene.camera.model, scene.camera.T_base_cam
    caster = _StillCaster(parts, T, camera)
    still = _label_still(camera, parts, caster)
    instances, depth, opaque = still.instances.copy(), still.depth.copy(), still.opaque.copy()
    visible, air, through = (np.zeros(depth.shape, np.float32) for _ in range(3))
    answer = SceneLabels(instances, depth, opaque, visible, air, through, still)
    box = None if stream is None else stream_box(scene, stream)
    if stream is None or box is None:
        return answer
    x0, y0, x1, y1 = box
    window, size = (slice(y0, y1), slice(x0, x1)), (y1 - y0, x1 - x0)
    liquid = Caster([stream], T, camera)

    z = liquid.cast(sub_pixels(x0, y0, x1, y1, 1))[1].reshape(size)
    wet = z < depth[window]
    instances[window][wet] = STREAM
    depth[window][wet] = z[wet]
    if not stream.clear:
        opaque[window] = np.minimum(opaque[window], z)

    fine = sub_pixels(x0, y0, x1, y1, SAMPLES)
    hit, z = liquid.cast(fine)
    at = hit == 0
    pixels, z = fine[at], z[at]
    _, first, behind = caster.cast(pixels)
    airborne = (z < first) & in_air(scene, T.apply(camera.rays(pixels) * z[:, None]))
    for target, what in ((visible, z < first), (air, airborne), (through, z < behind)):
        seen = np.zeros(len(fine), np.float32)
        seen[at] = what
        target[window] = seen.reshape(size[0], SAMPLES, size[1], SAMPLES).mean(axis=(1, 3))
    return answer


def stream_box(scene: SceneDescription, stream: Part) -> tuple[int, int, int, int] | None:
    """Pixels x0, y0, x1, y1 (exclusive) that the stream may cover; None outside the image."""
    camera = scene.camera.model
    points = scene.camera.T_base_cam.inverse().apply(stream.mesh.vertices)
    pixels = camera.project(points[points[:, 2] > 0.01])
    x0, y0 = np.maximum(np.floor(pixels.min(axis=0)).astype(int), 0)
    limit = [camera.width, camera.height]
    x1, y1 = np.minimum(np.ceil(pixels.max(axis=0)).astype(int) + 1, limit)
    return (int(x0), int(y0), int(x1), int(y1)) if x1 > x0 and y1 > y0 else None


def truth(scene: SceneDescription) -> dict[str, Any]:
    """The truth of the scene mid-exposure, as JSON values; base frame, SI units.

    `landing_point` is where the centre line crosses the target's rim plane, None while no liquid
    is there.
    """
    time = mid_exposure(scene)
    T = scene.target.T_base_container
    landing = Stream(scene.flow).landing_point(
        time, scene.target.model.mouth_in(T), scene.target.model.axis_in(T)
    )
    flow = scene.flow
    camera = scene.camera.model
    return {
        'seed': scene.seed,
        'index': scene.index,
        'split': scene.split,
        'stratum': scene.stratum,
        'time': time,
        'intrinsics': camera.matrix.tolist(),
        'size': [camera.width, camera.height],
        'T_base_cam': scene.camera.T_base_cam.matrix.tolist(),
        'sensor': scene.camera.sensor,
        'exposure_time': scene.camera.exposure_time,
        'source': _container_truth(scene.source),
        'target': _container_truth(scene.target),
        'liquid': {
            'name': scene.liquid.name,
            'absorption': list(scene.liquid.absorption),
            'milkiness': scene.liquid.milkiness,
            'ior': scene.liquid.ior,
        },
        'flow': {
            'rate_ml_s': flow.rate_ml_s,
            'exit_point': flow.exit_point.tolist(),
            'exit_velocity': flow.exit_velocity.tolist(),
            'start': flow.start,
            'stop': flow.stop,
            'style': flow.style,
            'air': flow.air,
            'seed': flow.seed,
        },
        'landing_point': None if landing is None else landing.tolist(),
        'table': scene.table.texture,
        'room': scene.environment.hdr.stem if scene.environment.hdr else 'drawn',
        'holder': scene.holder,
        'props': [p.kind for p in scene.props],
    }


def _container_truth(container: ContainerDescription) -> dict[str, Any]:
    T = container.T_base_container
    return {
        'kind': container.shape.kind,
        'shape_id': container.shape_id,
        'material': container.material.kind,
        'T_base_container': T.matrix.tolist(),
        'axis': container.model.axis_in(T).tolist(),
        'mouth': container.model.mouth_in(T).tolist(),
        'rim_radius': container.model.rim_radius,
        'level': container.level,
        'foam': container.foam,
    }


def sub_pixels(x0: int, y0: int, x1: int, y1: int, samples: int) -> NDArray[np.float64]:
    """Places (N, 2) of a regular sub-pixel grid, row by row; pixel centres lie at integers."""
    offset = (np.arange(samples) + 0.5) / samples - 0.5
    x = (np.arange(x0, x1)[:, None] + offset).reshape(-1)
    y = (np.arange(y0, y1)[:, None] + offset).reshape(-1)
    v, u = np.meshgrid(y, x, indexing='ij')
    return np.column_stack([u.reshape(-1), v.reshape(-1)])
