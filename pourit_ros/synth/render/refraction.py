# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Rays through a body of liquid: Snell, Fresnel, Beer-Lambert."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..scene.meshes import Mesh, vertex_normals

# Off the surface a ray came from, m: beyond float32's rounding at one metre.
STEP_OFF = 2e-5


@dataclass(frozen=True, eq=False)
class Hits:
    """Where rays meet a mesh.

    `found` (N,), `distance` (N,) m along unit rays, inf where not found, smooth unit `normal`
    (N, 3) as wound (outwards for a closed mesh); `triangle` (N,): index, 0 where not found, and
    `weights` (N, 3) of its corners.
    """

    found: NDArray[np.bool_]
    distance: NDArray[np.float32]
    normal: NDArray[np.float32]
    triangle: NDArray[np.intp]
    weights: NDArray[np.float32]

    def __getitem__(self, chosen: NDArray[np.bool_]) -> Hits:
        """The hits of some rays."""
        return Hits(
            self.found[chosen],
            self.distance[chosen],
            self.normal[chosen],
            self.triangle[chosen],
            self.weights[chosen],
        )


class MeshTracer:
    """Rays against one mesh, by Open3D's Embree, on one thread."""

    def __init__(self, mesh: Mesh) -> None:
        """Build the acceleration structure."""
        import open3d as o3d

        self._triangles = np.ascontiguousarray(mesh.triangles, np.uint32)
        self._normals = vertex_normals(mesh).astype(np.float32)
        self._scene = o3d.t.geometry.RaycastingScene(nthreads=1)
        # Open3D's stubs know no numpy arrays.
        tensor: Any = o3d.core.Tensor
        self._tensor = tensor
        self._scene.add_triangles(
            tensor(mesh.vertices.astype(np.float32)), tensor(self._triangles)
        )

    def hit(self, origin: NDArray[np.float32], direction: NDArray[np.float32]) -> Hits:
        """Cast rays (N, 3), (N, 3) unit; the first hit of each."""
        answer = self._cast(origin, direction)
        distance = answer['t_hit'].numpy()
        found = np.isfinite(distance)
        triangle = np.where(found, answer['primitive_ids'].numpy(), 0).astype(np.intp)
        u, v = answer['primitive_uvs'].numpy().T
        weights = np.column_stack([1 - u - v, u, v])
        normal = interpolated(self._normals, self._triangles[triangle], weights)
        normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-20
        return Hits(found, distance, normal, triangle, weights)

    def distance(
        self, origin: NDArray[np.float32], direction: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Distance (N,) m to the first hit, inf where there is none."""
        return self._cast(origin, direction)['t_hit'].numpy()

    def blocked(
        self, origin: NDArray[np.float32], direction: NDArray[np.float32]
    ) -> NDArray[np.bool_]:
        """Whether anything is hit (N,): faster than `distance`."""
        return self._scene.test_occlusions(self._rays(origin, direction), nthreads=1).numpy()

    def _cast(self, origin: NDArray[np.float32], direction: NDArray[np.float32]) -> dict[str, Any]:
        return self._scene.cast_rays(self._rays(origin, direction), nthreads=1)

    def _rays(self, origin: NDArray[np.float32], direction: NDArray[np.float32]) -> Any:
        rays = np.concatenate([origin, direction], axis=1)
        return self._tensor(np.ascontiguousarray(rays, np.float32))


def interpolated(
    values: NDArray[np.float32], corners: NDArray[np.integer], weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Values (V, C) of vertices at places in triangles: `corners`, `weights` (N, 3)."""
    a, b, c = weights.T[..., None]
    return a * values[corners[:, 0]] + b * values[corners[:, 1]] + c * values[corners[:, 2]]


def facing(normal: NDArray[np.float32], direction: NDArray[np.float32]) -> NDArray[np.float32]:
    """Normals (N, 3) turned against the rays."""
    return np.where((normal * direction).sum(axis=1, keepdims=True) > 0, -normal, normal)


def reflect(direction: NDArray[np.float32], normal: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mirror unit directions (N, 3) at surfaces of unit normals (N, 3)."""
    return direction - 2 * (direction * normal).sum(axis=1, keepdims=True) * normal


def refract(
    direction: NDArray[np.float32], normal: NDArray[np.float32], ratio: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Refract unit directions (N, 3) at unit normals (N, 3) that face them.

    `ratio`: index before / index behind. Returns directions (N, 3) and the reflected share (N,)
    by Fresnel's equations for unpolarised light; 1 under total internal reflection.
    """
    cosine = np.clip(-(direction * normal).sum(axis=1, keepdims=True), 0, 1)
    squared = 1 - ratio**2 * (1 - cosine**2)
    inner = np.sqrt(np.maximum(squared, 0))
    bent = ratio * direction + (ratio * cosine - inner) * normal
    across = (ratio * cosine - inner) / (ratio * cosine + inner + 1e-9)
    along = (cosine - ratio * inner) / (cosine + ratio * inner + 1e-9)
    reflected = np.where(squared < 0, 1, 0.5 * (across**2 + along**2))
    return bent.astype(np.float32), reflected[:, 0].astype(np.float32)
