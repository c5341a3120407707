# SPDX-License-Identifier: Apache-2.0
"""Ray-cast pictures with exact depth and masks, by Open3D's ray caster (Embree)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..geometry import PinholeCamera, Pose
from .meshes import Mesh

Albedo = Callable[[NDArray[np.float64]], NDArray[np.float64]]
Environment = Callable[[NDArray[np.float64]], NDArray[np.float64]]

SUPERSAMPLING = 2


@dataclass(frozen=True, eq=False)
class Surface:
    """An opaque mesh of the base frame: `albedo` maps points (N, 3) to linear RGB (N, 3).

    `gloss`: strength of its mirror-like reflection, 0..1.
    """

    mesh: Mesh
    albedo: Albedo
    gloss: float = 0.0


@dataclass(frozen=True, eq=False)
class Liquid:
    """The stream: `absorption` (3,) 1/m of its colour, `milky` 0 (clear) .. 1 (opaque `color`)."""

    mesh: Mesh
    absorption: NDArray[np.float64]
    milky: float
    color: NDArray[np.float64]
    thickness: float


@dataclass(frozen=True, eq=False)
class Render:
    """`color` (H, W, 3) linear RGB; `depth`, `depth_behind` (H, W) m along z, with the stream and
    without it; `coverage` (H, W) 0..1 of the visible stream above `above` (see `render`).
    """

    color: NDArray[np.float64]
    depth: NDArray[np.float64]
    depth_behind: NDArray[np.float64]
    coverage: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Hits:
    t: NDArray[np.float64]
    normal: NDArray[np.float64]
    identity: NDArray[np.int64]


class _Caster:
    def __init__(self, meshes: Sequence[Mesh]) -> None:
        import open3d as o3d

        self.scene = o3d.t.geometry.RaycastingScene(nthreads=0)
        # Open3D's stubs know no numpy arrays.
        tensor: Any = o3d.core.Tensor
        self.tensor = tensor
        for mesh in meshes:
            self.scene.add_triangles(
                tensor(mesh.vertices.astype(np.float32)), tensor(mesh.triangles.astype(np.uint32))
            )

    def _rays(
        self, origin: NDArray[np.float64], direction: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        origin = np.broadcast_to(origin, direction.shape)
        return np.concatenate([origin, direction], axis=-1).astype(np.float32)

    def cast(self, origin: NDArray[np.float64], direction: NDArray[np.float64]) -> _Hits:
        answer = self.scene.cast_rays(self.tensor(self._rays(origin, direction)))
        normal = answer['primitive_normals'].numpy().astype(float)
        # Towards the viewer, whichever way the triangle was wound.
        normal *= -np.sign((normal * direction).sum(axis=-1, keepdims=True))
        return _Hits(
            answer['t_hit'].numpy().astype(float),
            normal,
            answer['geometry_ids'].numpy().astype(np.int64),
        )

    def blocked(
        self, origin: NDArray[np.float64], direction: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        rays = self.tensor(self._rays(origin, direction))
        return self.scene.test_occlusions(rays, tnear=1e-3).numpy()


def render(
    surfaces: Sequence[Surface],
    liquid: Liquid | None,
    camera: PinholeCamera,
    T_base_cam: Pose,
    environment: Environment,
    light: NDArray[np.float64],
    above: float,
    rng: np.random.Generator,
) -> Render:
    """Ray-cast the scene as the camera sees it.

    `environment` maps directions (N, 3) to linear RGB (N, 3); `light` (3,): unit vector towards
    the key light; `above`: height (m) of the target's rim, below which the stream is no longer in
    the air and not in `coverage`.
    """
    k = SUPERSAMPLING
    fine = camera.resize(camera.width * k, camera.height * k)
    v, u = np.mgrid[: fine.height, : fine.width]
    direction = T_base_cam.rotate(fine.rays(np.column_stack([u.ravel(), v.ravel()])))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    eye = T_base_cam.translation
    forward = T_base_cam.rotation[:, 2]

    caster = _Caster([s.mesh for s in surfaces])
    hits = caster.cast(eye, direction)
    color = _shade(surfaces, caster, hits, eye, direction, environment, light, rng)
    depth_behind = hits.t * (direction @ forward)
    depth, coverage = depth_behind.copy(), np.zeros(len(direction))
    image = color.reshape(fine.height, fine.width, 3)
    if liquid is not None and len(liquid.mesh.triangles):
        wet = _Caster([liquid.mesh]).cast(eye, direction)
        seen = wet.t < hits.t
        image = image.copy()
        image[seen.reshape(image.shape[:2])] = _liquid_color(
            liquid, wet, seen, direction, T_base_cam, fine, image, environment, light
        )
        depth[seen] = (wet.t * (direction @ forward))[seen]
        height = eye[2] + wet.t * direction[:, 2]
        coverage[seen & (np.where(seen, height, -np.inf) > above)] = 1.0
    size = (camera.width, camera.height)
    shape = (fine.height, fine.width)
    return Render(
        cv2.resize(image, size, interpolation=cv2.INTER_AREA),
        # Depth is not averaged across edges: one sample a pixel.
        depth.reshape(shape)[k // 2 :: k, k // 2 :: k],
        depth_behind.reshape(shape)[k // 2 :: k, k // 2 :: k],
        cv2.resize(coverage.reshape(shape), size, interpolation=cv2.INTER_AREA),
    )


def _shade(
    surfaces: Sequence[Surface],
    caster: _Caster,
    hits: _Hits,
    eye: NDArray[np.float64],
    direction: NDArray[np.float64],
    environment: Environment,
    light: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    found = np.isfinite(hits.t)
    color = np.zeros_like(direction)
    color[~found] = environment(direction[~found])
    points = eye + hits.t[:, None] * direction
    # A soft shadow: one jittered ray a sample, averaged by the supersampling.
    spread = light + 0.06 * rng.standard_normal((int(found.sum()), 3))
    spread /= np.linalg.norm(spread, axis=1, keepdims=True)
    shadow = np.zeros(len(direction))
    shadow[found] = caster.blocked(points[found] + 1e-4 * hits.normal[found], spread)
    for identity, surface in enumerate(surfaces):
        here = found & (hits.identity == identity)
        if not here.any():
            continue
        normal, d = hits.normal[here], direction[here]
        lambert = np.clip(normal @ light, 0, None) * (1 - 0.85 * shadow[here])
        sky = 0.55 + 0.25 * normal[:, 2]
        color[here] = surface.albedo(points[here]) * (0.75 * lambert + 0.5 * sky)[:, None]
        if surface.gloss:
            mirror = d - 2 * (d * normal).sum(axis=1, keepdims=True) * normal
            grazing = (1 - np.abs((d * normal).sum(axis=1, keepdims=True))) ** 4
            color[here] += surface.gloss * (0.15 + 0.85 * grazing) * environment(mirror)
    return color


def _liquid_color(
    liquid: Liquid,
    wet: _Hits,
    seen: NDArray[np.bool_],
    direction: NDArray[np.float64],
    T_base_cam: Pose,
    camera: PinholeCamera,
    image: NDArray[np.float64],
    environment: Environment,
    light: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Refraction of the picture behind, absorption, Fresnel reflection and glints."""
    normal, d = wet.normal[seen], direction[seen]
    cosine = np.clip(-(normal * d).sum(axis=1), 0, 1)
    # A thin cylinder of water is a strong lens: it flips what is behind it, sideways.
    side = T_base_cam.inverse().rotate(normal)[:, :2]
    reach = camera.fx * liquid.thickness / np.clip(wet.t[seen], 0.2, None) * 6.0
    v, u = np.divmod(np.nonzero(seen)[0], camera.width)
    map_x = (u - reach * side[:, 0]).astype(np.float32)[:, None]
    map_y = (v - 0.5 * reach * side[:, 1]).astype(np.float32)[:, None]
    behind = cv2.remap(
        image.astype(np.float32), map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )[:, 0]
    path = liquid.thickness * np.sqrt(cosine)[:, None]
    clear = behind * np.exp(-liquid.absorption * path)
    diffuse = liquid.color * (0.45 + 0.55 * np.clip(normal @ light, 0, 1))[:, None]
    body = (1 - liquid.milky) * clear + liquid.milky * diffuse
    fresnel = (0.02 + 0.98 * (1 - cosine) ** 5)[:, None]
    mirror = d - 2 * (d * normal).sum(axis=1, keepdims=True) * normal
    glint = np.clip(mirror @ light, 0, 1) ** 60
    return (1 - fresnel) * body + fresnel * environment(mirror) + 0.9 * glint[:, None]
