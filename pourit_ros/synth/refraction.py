# SPDX-License-Identifier: Apache-2.0
"""Rays through a body of liquid: Snell, Fresnel, Beer-Lambert."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .meshes import Mesh

# Off the surface a ray came from, m: beyond float32's rounding at one metre.
STEP_OFF = 2e-5


@dataclass(frozen=True, eq=False)
class Hits:
    """Where rays meet a mesh: `found` (N,), `distance` (N,) m along unit rays, inf where not
    found, smooth unit `normal` (N, 3) as wound (outwards for a closed mesh).
    """

    found: NDArray[np.bool_]
    distance: NDArray[np.float32]
    normal: NDArray[np.float32]


class MeshTracer:
    """Embree over one mesh."""

    def __init__(self, mesh: Mesh) -> None:
        """Build the acceleration structure. Needs the extra `synth` (embreex)."""
        from embreex.mesh_construction import TriangleMesh
        from embreex.rtcore_scene import EmbreeScene

        self._vertices = np.ascontiguousarray(mesh.vertices, np.float32)
        self._triangles = np.ascontiguousarray(mesh.triangles, np.int32)
        self._normals = _vertex_normals(self._vertices, self._triangles)
        self._scene = EmbreeScene()
        # Embree only borrows the buffers: the attribute keeps them alive.
        self._geometry = TriangleMesh(self._scene, self._vertices, self._triangles)

    def hit(self, origin: NDArray[np.float32], direction: NDArray[np.float32]) -> Hits:
        """Cast rays (N, 3), (N, 3) unit; the first hit of each."""
        answer = self._cast(origin, direction)
        found = answer['primID'] >= 0
        corner = self._triangles[np.where(found, answer['primID'], 0)]
        u, v = answer['u'][:, None], answer['v'][:, None]
        normal = (
            (1 - u - v) * self._normals[corner[:, 0]]
            + u * self._normals[corner[:, 1]]
            + v * self._normals[corner[:, 2]]
        )
        normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-20
        return Hits(found, _distance(answer), normal.astype(np.float32))

    def distance(
        self, origin: NDArray[np.float32], direction: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Distance (N,) m to the first hit, inf where there is none."""
        return _distance(self._cast(origin, direction))

    def _cast(
        self, origin: NDArray[np.float32], direction: NDArray[np.float32]
    ) -> dict[str, NDArray]:
        return self._scene.run(
            np.ascontiguousarray(origin, np.float32),
            np.ascontiguousarray(direction, np.float32),
            query='INTERSECT',
            output=True,
        )


def _distance(answer: dict[str, NDArray]) -> NDArray[np.float32]:
    return np.where(answer['primID'] >= 0, answer['tfar'], np.inf).astype(np.float32)


def _vertex_normals(
    vertices: NDArray[np.float32], triangles: NDArray[np.int32]
) -> NDArray[np.float32]:
    a, b, c = vertices[triangles].transpose(1, 0, 2)
    face = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for axis in range(3):
        for corner in range(3):
            normals[:, axis] += np.bincount(
                triangles[:, corner], face[:, axis], len(vertices)
            ).astype(np.float32)
    return normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-20)


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
