# SPDX-License-Identifier: Apache-2.0
"""Triangle meshes of containers and streams."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..geometry import Pose


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles: `vertices` (V, 3) m and `triangles` (T, 3) indices."""

    vertices: NDArray[np.float64]
    triangles: NDArray[np.int64]

    def moved(self, pose: Pose) -> Mesh:
        """The mesh mapped into another frame."""
        return Mesh(pose.apply(self.vertices), self.triangles)


def lathe(profile: ArrayLike, segments: int = 64) -> Mesh:
    """Turn a profile (N, 2) of (radius, height) m about the z axis."""
    profile = np.asarray(profile, dtype=float)
    angle = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    ring = np.column_stack([np.cos(angle), np.sin(angle)])
    rings = [np.column_stack([r * ring, np.full(segments, h)]) for r, h in profile]
    return _joined(np.concatenate(rings), len(profile), segments)


def tube(
    centre: NDArray[np.float64],
    side: NDArray[np.float64],
    half_width: NDArray[np.float64],
    half_depth: NDArray[np.float64],
    segments: int = 24,
) -> Mesh:
    """Sweep an ellipse along `centre` (N, 3).

    `side` (N, 3): unit direction of the ellipse's `half_width` (N,) m; `half_depth` (N,) m is
    across both it and the centre line.
    """
    tangent = np.gradient(centre, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    wide = side - (side * tangent).sum(axis=1, keepdims=True) * tangent
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    deep = np.cross(tangent, wide)
    angle = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    rings = (
        centre[:, None]
        + (half_width[:, None] * np.cos(angle))[..., None] * wide[:, None]
        + (half_depth[:, None] * np.sin(angle))[..., None] * deep[:, None]
    )
    return _joined(rings.reshape(-1, 3), len(centre), segments)


def quad(corner: ArrayLike, edge_u: ArrayLike, edge_v: ArrayLike) -> Mesh:
    """A parallelogram spanned by two edges from a corner."""
    c, u, v = (np.asarray(a, dtype=float) for a in (corner, edge_u, edge_v))
    return Mesh(np.array([c, c + u, c + u + v, c + v]), np.array([[0, 1, 2], [0, 2, 3]]))


def box(centre: ArrayLike, size: ArrayLike) -> Mesh:
    """An axis-aligned box."""
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    triangles = [t for a, b, c, d in faces for t in ((a, b, c), (a, c, d))]
    vertices = np.asarray(centre, dtype=float) + 0.5 * signs * np.asarray(size, dtype=float)
    return Mesh(vertices, np.array(triangles))


def _joined(vertices: NDArray[np.float64], rings: int, segments: int) -> Mesh:
    i, k = np.meshgrid(np.arange(rings - 1), np.arange(segments), indexing='ij')
    a = (i * segments + k).ravel()
    b = (i * segments + (k + 1) % segments).ravel()
    c, d = a + segments, b + segments
    return Mesh(vertices, np.concatenate([np.column_stack([a, b, d]), np.column_stack([a, d, c])]))
