# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Shapes of containers: turned bodies with their handles, spouts and pipes.

A container's frame has its origin at the base's centre and z out of the mouth; a spout points
along +x and a handle along -x. Metres.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from .meshes import Mesh, joined, sweep
from .taps import plumbing

SEGMENTS = 96
SOURCES = ('pet_bottle', 'glass_bottle', 'flask', 'can', 'jug', 'kettle', 'cup', 'tap')
TARGETS = ('tumbler', 'mug', 'cup', 'wine_glass', 'bowl', 'pan', 'flask', 'pet_bottle', 'sink')

_Corners = list[tuple[float, float]]


@dataclass(frozen=True, eq=False)
class Shape:
    """`outer` and `inner` (N, 2): radius and height of the wall's two faces, base to rim.

    Both end at the rim, where they share their last point. `spout`: how far the lip reaches beyond
    the rim at +x; `handle`: (reach, half height, thickness) of a handle at -x, half height 0 for a
    pan's straight one, or None; `pipe`: centre line and radius (N, 4) of a tap's pipe or hose
    behind its nozzle, or None; `fixtures`: other parts of a tap, `reach` m: from its mouth to the
    column behind it. `corners` 2: round from above; more: squarer, with rounded corners.
    """

    kind: str
    outer: NDArray[np.float64]
    inner: NDArray[np.float64]
    wall: float
    spout: float = 0.0
    handle: tuple[float, float, float] | None = None
    pipe: NDArray[np.float64] | None = None
    fixtures: tuple[Mesh, ...] = ()
    reach: float = 0.0
    corners: float = 2.0

    @property
    def height(self) -> float:
        """Height of the rim above the base."""
        return float(self.outer[:, 1].max())

    @property
    def radius(self) -> float:
        """Largest outer radius."""
        return float(self.outer[:, 0].max())

    @property
    def rim_radius(self) -> float:
        """Radius of the opening, in the rim's plane."""
        return float(self.inner[-1, 0])

    @property
    def floor(self) -> float:
        """Height of the cavity's lowest point."""
        return float(self.inner[0, 1])

    def inner_radius(self, height: float) -> float:
        """Radius of the cavity at a height."""
        return float(np.interp(height, self.inner[:, 1], self.inner[:, 0]))


def random_shape(kind: str, shape_id: int) -> Shape:
    """The shape with this number within its kind; a number always gives the same shape.

    Raises ValueError for an unknown kind.
    """
    if kind not in _MAKERS:
        raise ValueError(f'unknown container kind {kind!r}; kinds: {", ".join(sorted(_MAKERS))}')
    # The kind is part of the seed, lest all kinds share one size per number.
    return _MAKERS[kind](np.random.default_rng((shape_id, *kind.encode())))


@lru_cache
def preset_shape(name: str) -> Shape:
    """A shape with the size of the preset 'pourit_bottle' or 'cup' of config/containers.yaml."""
    wall = 0.0015
    if name == 'cup':
        body: _Corners = [(0, 0), (0.029, 0), (0.031, 0.003), (0.040 + wall, 0.105 - 0.5 * wall)]
        return _shape('cup', body, wall, 0.003)
    r, neck, h = 0.033, 0.014 + wall, 0.21 - 0.5 * wall
    body = [(0, 0), (0.92 * r, 0), (r, 0.005), (r, 0.125), (0.9 * r, 0.145)]
    body += [(0.55 * r, 0.178), (neck, 0.187), (neck, h)]
    return _shape('glass_bottle', body, wall, 0.003, thread=True)


def wall_mesh(shape: Shape, segments: int = SEGMENTS) -> Mesh:
    """The outer face with the rim, normals out of the wall."""
    return _turned(shape, shape.outer, segments)


def cavity_mesh(shape: Shape, segments: int = SEGMENTS) -> Mesh:
    """The inner face, normals into the cavity."""
    return _turned(shape, shape.inner, segments).flipped()


def sleeve_mesh(shape: Shape, low: float, high: float) -> Mesh:
    """A printed film around the body between two shares of the height."""
    z = np.linspace(low, high, 40) * shape.height
    r = np.interp(z, shape.outer[1:, 1], shape.outer[1:, 0]) + 4e-4
    return _turned(shape, np.column_stack([r, z]), SEGMENTS)


def fittings(shape: Shape) -> list[Mesh]:
    """Handle and pipe as closed meshes."""
    parts = []
    if shape.handle is not None:
        reach, half_height, thickness = shape.handle
        middle = 0.55 * shape.height
        if half_height > 0:
            low, high = middle - half_height, middle + half_height
            # Both ends sink into the wall and no further.
            ends = [np.interp(z, *shape.outer[:, ::-1].T) for z in (low, high)]
            angle = np.linspace(-0.5 * np.pi, 0.5 * np.pi, 17)
            wall = np.interp(angle, [-0.5 * np.pi, 0.5 * np.pi], ends) - 0.5 * shape.wall
            x = -(wall + (reach + 0.5 * shape.wall) * np.cos(angle) ** 0.7)
            line = np.column_stack([x, 0 * angle, middle + half_height * np.sin(angle)])
        else:
            start = shape.radius - shape.wall
            x = -np.linspace(start, start + reach, 9)
            line = np.column_stack([x, 0 * x, 0.8 * shape.height + 0.15 * (-x - start)])
        parts.append(sweep(line, np.full(len(line), thickness)))
    if shape.pipe is not None:
        parts.append(sweep(shape.pipe[:, :3], shape.pipe[:, 3]))
    return [*parts, *(Mesh(m.vertices, m.triangles) for m in shape.fixtures)]


def _turned(shape: Shape, profile: NDArray[np.float64], segments: int) -> Mesh:
    angle = np.linspace(0, 2 * np.pi, segments + 1)
    radius = np.repeat(profile[:, :1], segments + 1, axis=1)
    height = np.repeat(profile[:, 1:], segments + 1, axis=1)
    if shape.corners > 2:
        n = shape.corners
        round_off = (np.abs(np.cos(angle)) ** n + np.abs(np.sin(angle)) ** n) ** (-1 / n)
        radius = radius * round_off
    if shape.spout:
        # A pulled lip: the wall swings out towards +x over the container's top.
        off = np.angle(np.exp(1j * angle))
        from_top = (shape.height - height) / (0.28 * shape.height)
        radius = radius + shape.spout * np.exp(-((off / 0.33) ** 2)) * np.clip(1 - from_top, 0, 1)
    ring = np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=-1)
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(profile, axis=0), axis=1))])
    uv = np.stack(np.broadcast_arrays(angle / (2 * np.pi), (along / along[-1])[:, None]), axis=-1)
    return joined(ring, uv)


def _smooth(corners: _Corners, points: int = 90) -> NDArray[np.float64]:
    corner = np.asarray(corners, dtype=float)
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(corner, axis=0), axis=1))])
    at = np.union1d(np.linspace(0, along[-1], points), along)
    return np.column_stack([PchipInterpolator(along, corner[:, k])(at) for k in (0, 1)])


def _shape(
    kind: str,
    corners: _Corners,
    wall: float,
    floor: float,
    thread: bool = False,
    spout: float = 0.0,
    handle: tuple[float, float, float] | None = None,
) -> Shape:
    """Offset the outer face inwards by `wall`, close the rim with a half circle."""
    outer = _smooth(corners)
    step = np.gradient(outer, axis=0)
    inward = np.column_stack([-step[:, 1], step[:, 0]])
    inward /= np.linalg.norm(inward, axis=1, keepdims=True)
    inner = outer + wall * inward
    inner = inner[(inner[:, 0] > 0.002) & (inner[:, 1] > floor + 1e-4)]
    height, middle = outer[-1, 1], outer[-1, 0] - 0.5 * wall
    # Offset ribs may fold back on themselves; the cavity only ever rises.
    top = np.maximum.accumulate(inner[:, 1])
    inner = inner[(inner[:, 1] < height - 1e-4) & (np.diff(top, prepend=-1.0) > 1e-6)]
    rim_angle = np.linspace(0, np.pi, 9)
    rim = np.column_stack(
        [middle + 0.5 * wall * np.cos(rim_angle), height + 0.5 * wall * np.sin(rim_angle)]
    )
    inner = np.vstack([[[0, floor], [0.8 * inner[0, 0], floor]], inner, rim[-1:]])
    if thread:
        outer = _threaded(outer)
    return Shape(kind, np.vstack([outer[:-1], rim]), inner, wall, spout, handle)


def _threaded(outer: NDArray[np.float64]) -> NDArray[np.float64]:
    """Relief of a screw cap's thread and of the collar below it."""
    top = outer[-1, 1]
    z = np.union1d(outer[:, 1], np.linspace(top - 0.024, top, 90))
    z = z[z >= outer[1, 1]]
    r = np.interp(z, outer[1:, 1], outer[1:, 0])
    on_thread = (z > top - 0.015) & (z < top - 0.002)
    r = r + np.where(on_thread, 0.00045 * (1 + np.cos(2 * np.pi * (top - z) / 0.0035)), 0)
    r = r + 0.0022 * np.exp(-(((z - top + 0.0195) / 0.0011) ** 4))
    return np.vstack([outer[:1], np.column_stack([r, z])])


def _pet_bottle(rng: np.random.Generator) -> Shape:
    u = rng.uniform
    h, r, neck = u(0.17, 0.25), u(0.029, 0.038), u(0.0105, 0.014)
    shoulder = u(0.5, 0.68) * h
    collar = shoulder + u(0.4, 0.75) * (h - 0.03 - shoulder)
    body: _Corners = [(0, 0), (0.86 * r, 0), (r, 0.006)]
    ribs = int(rng.integers(0, 7))
    for z in np.linspace(0.02, shoulder, ribs + 2)[1:-1]:
        body += [(r, z - 0.004), (0.955 * r, z), (r, z + 0.004)]
    body += [(r, shoulder), (1.35 * neck, collar), (neck, h - 0.024), (neck, h)]
    return _shape('pet_bottle', body, u(0.0007, 0.0014), 0.002, thread=True)


def _glass_bottle(rng: np.random.Generator) -> Shape:
    u = rng.uniform
    h, r, neck = u(0.18, 0.27), u(0.028, 0.037), u(0.0095, 0.0135)
    shoulder, start = u(0.5, 0.66) * h, u(0.7, 0.8) * h
    waist = u(0.8, 1.0)
    body = [
        (0, 0), (0.88 * r, 0), (r, 0.005), (waist * r, 0.5 * shoulder), (r, shoulder),
        (1.2 * neck, start), (neck, h - 0.02), (neck, h),
    ]  # fmt: skip
    return _shape('glass_bottle', body, u(0.0018, 0.003), 0.006, thread=rng.random() < 0.6)


def _flask(rng: np.random.Generator) -> Shape:
    u = rng.uniform
    h, r, neck = u(0.15, 0.24), u(0.031, 0.042), u(0.016, 0.022)
    mid, top = u(0.55, 0.7) * h, u(0.82, 0.88) * h
    body = [(0, 0), (0.9 * r, 0), (r, 0.005), (r, mid), (1.1 * neck, top), (neck, h)]
    return _shape('flask', body, u(0.0015, 0.0024), 0.003)


def _can(rng: np.random.Generator) -> Shape:
    u = rng.uniform
    h, r = u(0.09, 0.16), u(0.027, 0.034)
    top = r * u(0.72, 0.85)
    body = [(0, 0), (0.75 * r, 0), (r, 0.008), (r, h - 0.014), (top, h - 0.003), (top, h)]
    return _shape('can', body, 0.0012, 0.004)


def _jug(rng: np.random.Generator) -> Shape:
    u = rng.uniform
    h, r = u(0.13, 0.22), u(0.04, 0.06)
    neck = r * u(0.7, 1.0)
    body = [(0, 0), (0.8 * r, 0), (0.9 * r, 0.006), (r, 0.35 * h), (neck, 0.85 * h), (neck, h)]
    handle = (u(0.025, 0.04), u(0.25, 0.34) * h, u(0.004, 0.007))
    return _shape('jug', body, u(0.002, 0.0035), 0.005, spout=u(0.008, 0.018), handle=handle)


def _kettle(rng: np.random.Generator) -> Shape:
    u = rng.uniform
    h, r = u(0.15, 0.2), u(0.06, 0.08)
    top = r * u(0.6, 0.8)
    body = [(0, 0), (0.97 * r, 0), (r, 0.008), (0.95 * r, 0.4 * h), (top, h - 0.012), (top, h)]
    handle = (u(0.04, 0.055), u(0.3, 0.38) * h, u(0.007, 0.011))
    return _shape('kettle', body, 0.0015, 0.004, spout=u(0.012, 0.022), handle=handle)


def _cup(rng: np.random.Generator) -> Shape:
    u = rng.uniform
    h, r = u(0.08, 0.13), u(0.025, 0.033)
    top = r * u(1.2, 1.45)
    body = [(0, 0), (0.95 * r, 0), (r, 0.003), (0.5 * (r + top), 0.5 * h), (top, h)]
    return _shape('cup', body, u(0.0008, 0.002), 0.003)


def _mug(rng: np.random.Generator) -> Shape:
    u = rng.uniform
    h, r = u(0.08, 0.11), u(0.036, 0.046)
    top = r * u(0.96, 1.05)
    body = [(0, 0), (0.85 * r, 0), (0.97 * r, 0.006), (r, 0.5 * h), (top, h)]
    handle = (u(0.02, 0.03), u(0.24, 0.33) * h, u(0.004, 0.006))
    return _shape('mug', body, u(0.0025, 0.004), 0.005, handle=handle)


def _tumbler(rng: np.random.Generator) -> Shape:
    u = rng.uniform
    h, r = u(0.085, 0.16), u(0.027, 0.037)
    top = r * u(1.03, 1.3)
    body = [(0, 0), (0.95 * r, 0), (r, 0.004), (0.5 * (r + top), 0.5 * h), (top, h)]
    return _shape('tumbler', body, u(0.0015, 0.003), u(0.004, 0.012))


def _wine_glass(rng: np.random.Generator) -> Shape:
    u = rng.uniform
    h, r = u(0.15, 0.2), u(0.034, 0.042)
    top, foot = r * u(0.78, 0.95), u(0.36, 0.44) * h
    body = [
        (0, 0), (0.85 * r, 0), (0.85 * r, 0.002), (0.006, 0.008), (0.004, 0.04),
        (0.0048, foot - 0.008), (0.75 * r, foot + 0.09 * h), (r, foot + 0.28 * h), (top, h),
    ]  # fmt: skip
    return _shape('wine_glass', body, u(0.001, 0.0015), foot + 0.002)


def _bowl(rng: np.random.Generator) -> Shape:
    u = rng.uniform
    h, r, top = u(0.05, 0.085), u(0.028, 0.04), u(0.06, 0.09)
    body = [(0, 0), (0.9 * r, 0), (r, 0.004), (r + 0.65 * (top - r), 0.4 * h), (top, h)]
    return _shape('bowl', body, u(0.002, 0.004), 0.005)


def _pan(rng: np.random.Generator) -> Shape:
    u = rng.uniform
    h, r = u(0.045, 0.09), u(0.075, 0.12)
    body = [(0, 0), (0.93 * r, 0), (0.98 * r, 0.006), (r, 0.5 * h), (1.03 * r, h)]
    return _shape('pan', body, u(0.002, 0.003), 0.004, handle=(u(0.12, 0.18), 0.0, 0.009))


def _sink(rng: np.random.Generator) -> Shape:
    """A basin on the table, or sunk into a counter; round or with corners."""
    u = rng.uniform
    h, r = u(0.1, 0.16), u(0.14, 0.19)
    corners = 2.0 if rng.random() < 0.4 else u(3.0, 7.0)
    if rng.random() < 0.4:
        body: _Corners = [(0, 0), (0.8 * r, 0), (0.93 * r, 0.02), (r, h - 0.006), (r + 0.02, h)]
        return replace(_shape('sink', body, 0.0015, 0.003), corners=corners)
    slab, edge = r + u(0.06, 0.2), u(0.003, 0.012)
    basin = _smooth([(0, 0.004), (0.78 * r, 0.007), (0.92 * r, 0.03), (0.97 * r, 0.6 * h),
                     (r, h - edge)])  # fmt: skip
    turn = np.linspace(0, 0.5 * np.pi, 9)
    # Over a round edge onto the counter, which is a face of the same wall.
    lip = np.column_stack([r + edge * (1 - np.cos(turn)), h - edge * (1 - np.sin(turn))])
    inner = np.vstack([basin[:-1], lip[:-1]])
    # Close rows keep the shading of one face off the other.
    top = np.concatenate([[slab - 0.001], np.linspace(slab - 0.003, r + edge, 12)])
    side = [[0.0, 0.0], [slab, 0.0], [slab, h - 0.004], [slab, h - 0.001]]
    outer = np.vstack([np.array(side), np.column_stack([top, np.full(13, h)])])
    return Shape('sink', outer, np.vstack([inner, outer[-1:]]), slab - r, corners=corners)


def _tap(rng: np.random.Generator) -> Shape:
    """A nozzle with its aerator or a spray head, opening down, with its fixtures."""
    u = rng.uniform
    r = u(0.009, 0.013)
    if rng.random() < 0.5:
        h, tip = u(0.025, 0.04), 0.92 * r
        body = [(0, 0), (0.97 * r, 0), (r, 0.002), (r, h - 0.008), (tip, h - 0.006), (tip, h)]
        nozzle = _shape('tap', body, 0.0018, 0.3 * h)
    else:
        h, wide = u(0.04, 0.09), r * u(1.3, 2.2)
        body = [(0, 0), (1.05 * r, 0), (1.1 * r, 0.002), (wide, u(0.3, 0.6) * h), (wide, h)]
        nozzle = _shape('tap', body, u(0.25, 0.45) * wide, 0.9 * h)
    behind = plumbing(rng, r)
    return replace(nozzle, pipe=behind.pipe, fixtures=behind.fixtures, reach=behind.reach)


_MAKERS: dict[str, Callable[[np.random.Generator], Shape]] = {
    'pet_bottle': _pet_bottle, 'glass_bottle': _glass_bottle, 'flask': _flask, 'can': _can,
    'jug': _jug, 'kettle': _kettle, 'cup': _cup, 'mug': _mug, 'tumbler': _tumbler,
    'wine_glass': _wine_glass, 'bowl': _bowl, 'pan': _pan, 'sink': _sink, 'tap': _tap,
}  # fmt: skip
