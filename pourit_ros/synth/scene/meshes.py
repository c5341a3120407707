# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Triangle meshes of containers and streams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...geometry import Pose


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles: `vertices` (V, 3) m and `triangles` (T, 3) indices.

    `uv` (V, 2): texture coordinates, if the mesh can carry a texture.
    """

    vertices: NDArray[np.float64]
    triangles: NDArray[np.int64]
    uv: NDArray[np.float64] | None = None

    def moved(self, pose: Pose) -> Mesh:
        """The mesh mapped into another frame."""
        return Mesh(pose.apply(self.vertices), self.triangles, self.uv)

    def flipped(self) -> Mesh:
        """The mesh turned inside out."""
        return Mesh(self.vertices, self.triangles[:, ::-1], self.uv)


def merged(meshes: Sequence[Mesh]) -> Mesh:
    """Merge several meshes; keeps texture coordinates if all of them have some."""
    start = np.cumsum([0, *(len(m.vertices) for m in meshes)])
    uv = [m.uv for m in meshes if m.uv is not None]
    return Mesh(
        np.concatenate([m.vertices for m in meshes]),
        np.concatenate([m.triangles + k for m, k in zip(meshes, start[:-1], strict=True)]),
        np.concatenate(uv) if len(uv) == len(meshes) else None,
    )


def faceted(mesh: Mesh, scale: float) -> Mesh:
    """Split shared vertices, so that edges stay sharp; texture of `scale` m on every face."""
    vertices = mesh.vertices[mesh.triangles].reshape(-1, 3)
    triangles = np.arange(len(vertices)).reshape(-1, 3)
    v = vertices[triangles]
    normal = np.abs(np.cross(v[:, 1] - v[:, 0], v[:, 2] - v[:, 0]))
    flat = normal.argmax(axis=1).repeat(3)
    # Heights stay vertical in the texture, as print does on a box.
    axes = np.array([[1, 2], [0, 2], [0, 1]])[flat]
    return Mesh(vertices, triangles, np.take_along_axis(vertices, axes, axis=1) / scale)


def vertex_normals(mesh: Mesh) -> NDArray[np.float64]:
    """Unit normals (V, 3), area-weighted; vertices at the same place (seams) share theirs."""
    v, t = mesh.vertices, mesh.triangles
    # One number for a place is faster sorted than three; the products may wrap around.
    number = np.round(v * 1e7).astype(np.int64) @ np.array([1, 0x9E3779B97F4A7C1, 0x5851F42D4C957])
    _, place = np.unique(number, return_inverse=True)
    face = np.cross(v[t[:, 1]] - v[t[:, 0]], v[t[:, 2]] - v[t[:, 0]])
    total = np.zeros((place.max() + 1, 3))
    for corner in range(3):
        for axis in range(3):
            at = place[t[:, corner]]
            total[:, axis] += np.bincount(at, face[:, axis], len(total))
    normal = total[place]
    return normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-30)


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
    angle = np.linspace(0, 2 * np.pi, segments + 1)
    rings = (
        centre[:, None]
        + (half_width[:, None] * np.cos(angle))[..., None] * wide[:, None]
        + (half_depth[:, None] * np.sin(angle))[..., None] * deep[:, None]
    )
    return joined(rings)


def sweep(line: NDArray[np.float64], radius: NDArray[np.float64], segments: int = 20) -> Mesh:
    """A closed tube of `radius` (N,) m along `line` (N, 3), with round ends."""
    # Ends as half spheres, squeezed into a few rings.
    cap = np.linspace(0, 0.5 * np.pi, 6)
    start, end = line[0] - line[1], line[-1] - line[-2]
    start, end = start / np.linalg.norm(start), end / np.linalg.norm(end)
    first = line[0] + np.outer(radius[0] * np.sin(cap[:0:-1]), start)
    last = line[-1] + np.outer(radius[-1] * np.sin(cap[1:]), end)
    centre = np.vstack([first, line, last])
    r = np.concatenate([radius[0] * np.cos(cap[:0:-1]), radius, radius[-1] * np.cos(cap[1:])])
    tangent = np.gradient(centre, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    tangent[: len(first)], tangent[-len(last) :] = -start, end
    # The frame is carried along, for no fixed direction is across every tangent.
    side = np.cross(tangent[0], np.eye(3)[np.argmin(np.abs(tangent[0]))])
    sides = []
    for t in tangent:
        side = side - (side @ t) * t
        side = side / np.linalg.norm(side)
        sides.append(side)
    wide = np.array(sides)
    deep = np.cross(tangent, wide)
    angle = np.linspace(0, 2 * np.pi, segments + 1)
    ring = np.cos(angle)[:, None] * wide[:, None] + np.sin(angle)[:, None] * deep[:, None]
    vertices = centre[:, None] + r[:, None, None] * ring
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(centre, axis=0), axis=1))])
    uv = np.stack(np.broadcast_arrays(angle / (2 * np.pi), (along / along[-1])[:, None]), axis=-1)
    return joined(vertices, uv)


def sphere(radius: float, rings: int = 12, segments: int = 18) -> Mesh:
    """A ball about the origin."""
    polar = np.linspace(np.pi, 0, rings + 1)[:, None]
    angle = np.linspace(0, 2 * np.pi, segments + 1)
    flat, up = np.sin(polar), np.cos(polar)
    # The poles exactly on the axis, so that their triangles vanish.
    flat[[0, -1]] = 0
    points = np.broadcast_arrays(flat * np.cos(angle), flat * np.sin(angle), up)
    return joined(radius * np.stack(points, axis=-1))


def joined(rings: NDArray[np.float64], uv: NDArray[np.float64] | None = None) -> Mesh:
    """Join N rings of S sides, (N, S + 1, 3), whose last column repeats the first.

    Normals point away from the axis when the rings go along it and turn right-handed about it.
    """
    rings = rings.copy()
    rings[:, -1] = rings[:, 0]
    triangles = grid_triangles(*rings.shape[:2])
    vertices = rings.reshape(-1, 3)
    v = vertices[triangles]
    area = np.linalg.norm(np.cross(v[:, 1] - v[:, 0], v[:, 2] - v[:, 0]), axis=1)
    # A ring of no radius (a base's centre) makes triangles without area.
    kept = triangles[area > 1e-16]
    return Mesh(vertices, kept, None if uv is None else uv.reshape(-1, 2))


def grid_triangles(rows: int, columns: int) -> NDArray[np.int64]:
    """Triangles (T, 3) between the points of a grid, whose numbers run along its rows."""
    a = np.arange(rows * columns).reshape(rows, columns)[:-1, :-1].ravel()
    b, c, d = a + 1, a + columns, a + columns + 1
    return np.concatenate([np.column_stack([a, b, d]), np.column_stack([a, d, c])])


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
