# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Liquid at rest in a container of any tilt: wetted wall, dry wall and surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .meshes import Mesh

ACROSS = 24
# Surfaces thinner than this are wet walls, not standing liquid.
LEAST_DEPTH = 5e-4


@dataclass(frozen=True, eq=False)
class StandingLiquid:
    """A cavity's wall above (`dry`) and below (`wet`) the `surface`; None where there is none."""

    dry: Mesh | None
    wet: Mesh | None
    surface: Mesh | None


def fill(cavity: Mesh, level: float) -> StandingLiquid:
    """Cut a cavity (normals into it, base frame) at height `level` (m).

    The surface is spanned between the cut's two sides along lines across the container; its
    normals point up.
    """
    height = cavity.vertices[:, 2] - level
    if height.min() > -LEAST_DEPTH:
        return StandingLiquid(cavity, None, None)
    dry, wet = _clipped(cavity, height), _clipped(cavity, -height)
    return StandingLiquid(dry, wet, _surface(cavity, height, level))


def _clipped(mesh: Mesh, height: NDArray[np.float64]) -> Mesh | None:
    """The part of a mesh whose `height` (V,) is positive."""
    inside = height[mesh.triangles] > 0
    kept = [mesh.vertices[mesh.triangles[inside.all(axis=1)]]]
    for wanted in (1, 2):
        t = _odd_corner_first(mesh, inside, wanted)
        v, h = mesh.vertices[t], height[t]
        ab, ac = _crossing(v, h, 0, 1), _crossing(v, h, 0, 2)
        if wanted == 1:
            kept.append(np.stack([v[:, 0], ab, ac], axis=1))
        else:
            kept.append(np.stack([ab, v[:, 1], v[:, 2]], axis=1))
            kept.append(np.stack([ab, v[:, 2], ac], axis=1))
    corners = np.concatenate(kept).reshape(-1, 3)
    if not len(corners):
        return None
    return Mesh(corners, np.arange(len(corners)).reshape(-1, 3))


def _odd_corner_first(mesh: Mesh, inside: NDArray[np.bool_], wanted: int) -> NDArray[np.int64]:
    """Triangles (T, 3) with `wanted` corners inside, turned until the odd one comes first."""
    chosen = inside.sum(axis=1) == wanted
    odd = inside[chosen] if wanted == 1 else ~inside[chosen]
    turn = (odd.argmax(axis=1)[:, None] + np.arange(3)) % 3
    return np.take_along_axis(mesh.triangles[chosen], turn, axis=1)


def _crossing(
    v: NDArray[np.float64], h: NDArray[np.float64], a: int, b: int
) -> NDArray[np.float64]:
    share = h[:, a] / (h[:, a] - h[:, b])
    return v[:, a] + share[:, None] * (v[:, b] - v[:, a])


def _surface(cavity: Mesh, height: NDArray[np.float64], level: float) -> Mesh | None:
    inside = height[cavity.triangles] > 0
    ends = []
    for wanted in (1, 2):
        t = _odd_corner_first(cavity, inside, wanted)
        v, h = cavity.vertices[t], height[t]
        ends.append(np.stack([_crossing(v, h, 0, 1), _crossing(v, h, 0, 2)], axis=1))
    segments = np.concatenate(ends)[..., :2]
    if len(segments) < 8:
        return None
    # Along the longer way of the cut; the container is symmetric about it.
    points = segments.reshape(-1, 2)
    middle = points.mean(axis=0)
    _, _, axes = np.linalg.svd(points - middle, full_matrices=False)
    along = (segments - middle) @ axes[0]
    across = (segments - middle) @ axes[1]
    lines = np.unique(np.round(along.reshape(-1), 6))
    left, right = np.full(len(lines), np.inf), np.full(len(lines), -np.inf)
    low = np.searchsorted(lines, np.round(along.min(axis=1), 6))
    high = np.searchsorted(lines, np.round(along.max(axis=1), 6))
    for k in range(len(segments)):
        (s0, s1), (t0, t1) = along[k], across[k]
        span = slice(low[k], high[k] + 1)
        share = np.zeros(high[k] + 1 - low[k]) if s1 == s0 else (lines[span] - s0) / (s1 - s0)
        at = t0 + np.clip(share, 0, 1) * (t1 - t0)
        left[span] = np.minimum(left[span], at)
        right[span] = np.maximum(right[span], at)
    found = np.isfinite(left) & np.isfinite(right)
    lines, left, right = lines[found], left[found], right[found]
    share = np.linspace(0, 1, ACROSS + 1)
    t = left[:, None] + np.outer(right - left, share)
    flat = middle + lines[:, None, None] * axes[0] + t[..., None] * axes[1]
    vertices = np.concatenate([flat, np.full((*flat.shape[:2], 1), level)], axis=-1)
    return _grid(vertices)


def _grid(points: NDArray[np.float64]) -> Mesh:
    """A sheet (N, M, 3) with normals up."""
    n, m = points.shape[:2]
    i, k = np.meshgrid(np.arange(n - 1), np.arange(m - 1), indexing='ij')
    a = (i * m + k).ravel()
    b, c, d = a + 1, a + m, a + m + 1
    triangles = np.concatenate([np.column_stack([a, c, d]), np.column_stack([a, d, b])])
    vertices = points.reshape(-1, 3)
    v = vertices[triangles]
    up = np.cross(v[:, 1] - v[:, 0], v[:, 2] - v[:, 0])[:, 2]
    if up.sum() < 0:
        triangles = triangles[:, ::-1]
    return Mesh(vertices, triangles[np.abs(up) > 1e-14])


def rippled(surface: Mesh, impact: NDArray[np.float64], seed: int) -> Mesh:
    """Rings around a place (3,) that a stream hits, and waves of about a millimetre."""
    rng = np.random.default_rng(seed)
    vertices = surface.vertices.copy()
    away = np.linalg.norm(vertices[:, :2] - impact[:2], axis=1)
    wave = np.zeros(len(vertices))
    for _ in range(5):
        k = rng.normal(0, 1, 2)
        k *= 2 * np.pi / rng.uniform(0.012, 0.04) / np.linalg.norm(k)
        wave += 0.25 * np.sin(vertices[:, :2] @ k + rng.uniform(0, 2 * np.pi))
    ring = 2 * np.pi * away / rng.uniform(0.008, 0.014) + rng.uniform(0, 2 * np.pi)
    wave += 1.2 * np.cos(ring) * np.exp(-away / 0.012)
    # The edge clings to the wall. At the ends of the cut several vertices share a place.
    _, place = np.unique(np.round(vertices * 1e8).astype(np.int64), axis=0, return_inverse=True)
    place = place.reshape(-1)
    pairs = place[surface.triangles][:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    edges, counts = np.unique(np.sort(pairs, axis=1), axis=0, return_counts=True)
    still = np.isin(place, edges[counts == 1])
    vertices[:, 2] += 0.0009 * np.where(still, 0, wave)
    return Mesh(vertices, surface.triangles)
