# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Insert a ray-traced stream into an image without one.

Only the stream is traced, exactly, through both of its surfaces; everything behind and around it
is looked up in the image, its depth and a panorama. The image may be rendered or photographed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ...geometry import PinholeCamera
from ..scene.description import LiquidDescription
from ..scene.meshes import Mesh
from ..scene.surroundings import Surroundings, panorama_directions
from .refraction import STEP_OFF, Hits, MeshTracer, facing, reflect, refract

BOUNCES = 4
FAINT = 0.02
# A surface nearer than the stream by this hides it, m; the picture's depth is no exacter.
IN_FRONT = 0.002
# Labels are cast on so many sub-pixels along each side of a pixel, colour on so many.
LABEL_SAMPLES = 4
COLOR_SAMPLES = 2
# What a clear wall lets through of the stream behind it.
GLASS_TRANSMISSION = 0.82
TABLE_IOR = 1.5
# Glints beyond so many times the picture's brightest thousandth are cut.
BRIGHTEST = 2.0
SHADOW_REACH = 0.35

InAir = Callable[[NDArray[np.float64]], NDArray[np.bool_]]


@dataclass(frozen=True, eq=False)
class Backdrop:
    """An image without its stream, ready to receive one; optical frame, all (H, W, ...).

    `radiance` (H, W, 3) linear RGB; `first`, `opaque`: depth m along z of the first surface and of
    the first that is not clear, inf where there is none; `glossy`: mirror-like table, whose upward
    normal is `up` (3,); `room` (h, w, 3): panorama around the stream
    (`surroundings.panorama_pixels`).
    """

    camera: PinholeCamera
    radiance: NDArray[np.float32]
    first: NDArray[np.float32]
    opaque: NDArray[np.float32]
    glossy: NDArray[np.bool_]
    up: NDArray[np.float64]
    room: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class StreamLabels:
    """Labels of a stream (H, W).

    Coverage 0..1 by the stream as the first thing seen (`visible`), by its part in the air
    (`air`), and also through clear walls (`through`); `depth` m of its surface at pixel centres,
    inf where it is not the first thing seen.
    """

    visible: NDArray[np.float32]
    air: NDArray[np.float32]
    through: NDArray[np.float32]
    depth: NDArray[np.float32]


def label_stream(backdrop: Backdrop, stream: Mesh, in_air: InAir) -> StreamLabels:
    """Cast 4x4 rays per pixel at a stream in the optical frame.

    `in_air` tells for points (N, 3) whether they have left the lip and not yet passed the rim.
    """
    shape = backdrop.first.shape
    window = _window(stream, backdrop.camera)
    visible_share, air_share, through_share = (np.zeros(shape, np.float32) for _ in range(3))
    depth = np.full(shape, np.inf, np.float32)
    labels = StreamLabels(visible_share, air_share, through_share, depth)
    if window is None:
        return labels
    tracer, box = MeshTracer(stream), window.box
    rays = _Rays.through(window, backdrop.camera, LABEL_SAMPLES)
    way, z = rays.to(tracer)
    through = np.isfinite(z) & (rays.at(backdrop.opaque) + IN_FRONT > z)
    visible = through & (rays.at(backdrop.first) + IN_FRONT > z)
    air = visible.copy()
    air[visible] &= in_air(rays.direction[visible] * way[visible, None].astype(float))
    for target, hit in ((labels.visible, visible), (labels.air, air), (labels.through, through)):
        target[box] = rays.mean(hit.astype(np.float32))
    labels.depth[box] = _centre_depth(backdrop, tracer, window)
    return labels


def stream_depth(backdrop: Backdrop, stream: Mesh) -> NDArray[np.float32]:
    """Depth (H, W) m of a stream's surface at pixel centres, inf where it is not seen first."""
    depth = np.full(backdrop.first.shape, np.inf, np.float32)
    window = _window(stream, backdrop.camera)
    if window is not None:
        depth[window.box] = _centre_depth(backdrop, MeshTracer(stream), window)
    return depth


def _centre_depth(backdrop: Backdrop, tracer: MeshTracer, window: _Window) -> NDArray[np.float32]:
    centres = _Rays.through(window, backdrop.camera, 1)
    _, z = centres.to(tracer)
    seen = centres.at(backdrop.first) + IN_FRONT > z
    return np.where(seen, z, np.inf).reshape(centres.shape)


def composite(
    backdrop: Backdrop,
    streams: Sequence[Mesh],
    liquid: LiquidDescription,
    softness: float = 0.55,
    rng: np.random.Generator | None = None,
    samples: int = COLOR_SAMPLES,
) -> NDArray[np.float32]:
    """Return the radiance (H, W, 3) with a stream in it.

    `streams`: its meshes in the optical frame at times within the exposure; their mean is the
    motion blur. `softness`: px (sigma) by which the stream is blurred, so that it is not sharper
    than the image; `rng` jitters the shadow's edge; `samples`: sub-pixels of colour along each
    side of a pixel.
    """
    rng = rng or np.random.default_rng(0)
    around = Surroundings(backdrop.radiance, backdrop.opaque, backdrop.camera, backdrop.room)
    # As of the path tracer, whose denoiser takes the sharpest glints off.
    limit = BRIGHTEST * float(np.quantile(backdrop.radiance, 0.999))
    tracers = [MeshTracer(stream) for stream in streams]
    middle = len(streams) // 2
    radiance = backdrop.radiance * _shadow(backdrop, streams[middle], tracers[middle], liquid, rng)
    if backdrop.glossy.any():
        radiance += _mirrored(backdrop, tracers[middle], liquid, around, limit)
    color, cover = np.zeros_like(radiance), np.zeros(radiance.shape[:2], np.float32)
    for stream, tracer in zip(streams, tracers, strict=True):
        window = _window(stream, backdrop.camera)
        if window is None:
            continue
        rays = _Rays.through(window, backdrop.camera, samples)
        eye = np.zeros_like(rays.direction)
        hits = tracer.hit(eye, rays.direction)
        z = hits.distance * rays.direction[:, 2]
        seen = hits.found & (rays.at(backdrop.opaque) + IN_FRONT > z)
        light = np.zeros_like(rays.direction)
        light[seen] = _shade(
            tracer, around, liquid, eye[seen], rays.direction[seen], hits[seen], limit
        )
        # A clear wall in front lets most through and keeps its own reflections.
        alpha = seen * np.where(rays.at(backdrop.first) + IN_FRONT > z, 1.0, GLASS_TRANSMISSION)
        alpha = alpha.astype(np.float32)
        color[window.box] += rays.mean(light * alpha[:, None]) / len(streams)
        cover[window.box] += rays.mean(alpha) / len(streams)
    if softness > 0:
        color, cover = (cv2.GaussianBlur(a, (0, 0), softness) for a in (color, cover))
    return radiance * (1 - cover[..., None]) + color


@dataclass(frozen=True)
class _Window:
    """Part of an image: columns x0..x1, rows y0..y1 (ends excluded)."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def box(self) -> tuple[slice, slice]:
        return slice(self.y0, self.y1), slice(self.x0, self.x1)


def _window(stream: Mesh, camera: PinholeCamera) -> _Window | None:
    """The part of the image that the stream may touch, None outside of it."""
    ahead = stream.vertices[stream.vertices[:, 2] > 0.02]
    if not len(ahead):
        return None
    pixels = camera.project(ahead)
    # Two pixels more, for the softness.
    low, high = np.floor(pixels.min(axis=0)) - 2, np.ceil(pixels.max(axis=0)) + 3
    x0, y0 = np.maximum(low, 0).astype(int)
    x1, y1 = np.minimum(high, [camera.width, camera.height]).astype(int)
    return _Window(x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


@dataclass(frozen=True, eq=False)
class _Rays:
    """n x n rays through every pixel of a window: `direction` (N, 3) unit, pixels (N,)."""

    direction: NDArray[np.float32]
    row: NDArray[np.intp]
    column: NDArray[np.intp]
    shape: tuple[int, int]
    n: int

    @classmethod
    def through(cls, window: _Window, camera: PinholeCamera, n: int) -> _Rays:
        # Pixel centres lie at integers.
        inner = (np.arange(n) + 0.5) / n - 0.5
        columns = (np.arange(window.x0, window.x1)[:, None] + inner).ravel()
        rows = (np.arange(window.y0, window.y1)[:, None] + inner).ravel()
        v, u = np.meshgrid(rows, columns, indexing='ij')
        direction = camera.rays(np.column_stack([u.ravel(), v.ravel()]))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        row, column = np.rint(v.ravel()).astype(np.intp), np.rint(u.ravel()).astype(np.intp)
        shape = (window.y1 - window.y0, window.x1 - window.x0)
        return cls(direction.astype(np.float32), row, column, shape, n)

    def to(self, tracer: MeshTracer) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Way and depth along z (N,) m to the mesh, inf where it is missed."""
        way = tracer.distance(np.zeros_like(self.direction), self.direction)
        return way, way * self.direction[:, 2]

    def at(self, image: NDArray) -> NDArray:
        """The image's value (N,) in each ray's pixel."""
        return image[self.row, self.column]

    def folded(self, values: NDArray) -> NDArray:
        """Values (N, ...) as (h, n, w, n, ...)."""
        h, w = self.shape
        return values.reshape(h, self.n, w, self.n, *values.shape[1:])

    def mean(self, values: NDArray) -> NDArray[np.float32]:
        """Mean over each pixel of values (N, ...)."""
        return self.folded(values).mean(axis=(1, 3))


def _shade(
    tracer: MeshTracer,
    around: Surroundings,
    liquid: LiquidDescription,
    origin: NDArray[np.float32],
    direction: NDArray[np.float32],
    hits: Hits,
    limit: float,
) -> NDArray[np.float32]:
    """Radiance (N, 3) of rays that meet the stream from outside, at most `limit`."""
    if not len(origin):
        return np.zeros((0, 3), np.float32)
    point = origin + direction * hits.distance[:, None]
    normal = facing(hits.normal, direction)
    inward, reflected = refract(direction, normal, 1 / liquid.ior)
    color = reflected[:, None] * around.seen(point, reflect(direction, normal))
    body = np.zeros_like(color)
    if liquid.milkiness > 0:
        matt = np.asarray(liquid.color, np.float32) * around.diffuse(normal)
        body += np.float32(liquid.milkiness) * matt
    if liquid.milkiness < 0.95:
        clear = _inside(tracer, around, liquid, point, inward)
        body += np.float32(1 - liquid.milkiness) * clear
    return np.minimum(color + (1 - reflected[:, None]) * body, np.float32(limit))


def _inside(
    tracer: MeshTracer,
    around: Surroundings,
    liquid: LiquidDescription,
    point: NDArray[np.float32],
    direction: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Radiance (N, 3) that returns along rays that have just entered the liquid."""
    color = np.zeros_like(point)
    absorption = np.asarray(liquid.absorption, np.float32)
    active = np.arange(len(point))
    carried = np.ones_like(point)
    for bounce in range(BOUNCES):
        hits = tracer.hit(point + direction * np.float32(STEP_OFF), direction)
        path = np.where(hits.found, hits.distance, 0)[:, None].astype(np.float32)
        there = point + direction * path
        carried = carried * np.exp(-absorption * path)
        normal = facing(hits.normal, direction)
        outward, reflected = refract(direction, normal, liquid.ior)
        # A ray that misses the far side left through a seam of the mesh: let it go on.
        missed = ~hits.found[:, None]
        outward = np.where(missed, direction, outward)
        reflected = np.where(hits.found, reflected, 0)
        last = bounce == BOUNCES - 1
        # Light trapped to the end comes from somewhere: from along the ray.
        trapped = reflected > 0.999
        leaving = ~trapped | last
        share = np.ones_like(reflected) if last else 1 - reflected
        exit_along = np.where(trapped[:, None], direction, outward)
        seen = around.seen(there[leaving], exit_along[leaving])
        color[active[leaving]] += carried[leaving] * share[leaving, None] * seen
        carried = carried * reflected[:, None]
        going = carried.max(axis=1) > FAINT
        if last or not going.any():
            break
        active, point, carried = active[going], there[going], carried[going]
        direction = reflect(direction[going], normal[going])
    return color


def _points(backdrop: Backdrop, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray:
    """Opaque surface points (N, 3) in the optical frame."""
    rays = backdrop.camera.rays(np.column_stack([columns, rows]))
    return rays * backdrop.opaque[rows, columns, None]


def _seen(backdrop: Backdrop, points: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which points (N, 3) of the optical frame are in the image and not hidden."""
    ahead = np.isfinite(points).all(axis=1) & (points[:, 2] > 0.02)
    pixels = backdrop.camera.project(np.where(ahead[:, None], points, 1.0))
    column, row = np.rint(pixels).astype(np.intp).T
    inside = ahead & (row >= 0) & (row < backdrop.camera.height)
    inside &= (column >= 0) & (column < backdrop.camera.width)
    seen = np.zeros(len(points), bool)
    seen[inside] = backdrop.opaque[row[inside], column[inside]] + IN_FRONT > points[inside, 2]
    return seen


def _shadow(
    backdrop: Backdrop,
    stream: Mesh,
    tracer: MeshTracer,
    liquid: LiquidDescription,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Share (H, W, 1) of the room's brightest light that the stream lets through."""
    light, share = key_light(backdrop.room)
    left = np.ones((*backdrop.opaque.shape, 1), np.float32)
    rows, columns = np.nonzero(np.isfinite(backdrop.opaque) & (backdrop.opaque > 0.05))
    points = _points(backdrop, rows, columns)
    low, high = stream.vertices.min(axis=0), stream.vertices.max(axis=0)
    near = ((points > low - SHADOW_REACH) & (points < high + SHADOW_REACH)).all(axis=1)
    rows, columns, points = rows[near], columns[near], points[near].astype(np.float32)
    spread = light + 0.05 * rng.standard_normal((len(points), 3))
    spread = (spread / np.linalg.norm(spread, axis=1, keepdims=True)).astype(np.float32)
    blocked = tracer.blocked(points + np.float32(1e-3) * spread, spread)
    # Clear liquid bends light away from its shadow rather than keeping it.
    kept = 0.55 + 0.4 * liquid.milkiness
    left[rows, columns, 0] -= np.float32(share * kept) * blocked
    return cv2.GaussianBlur(left, (0, 0), 1.5)[..., None]


def key_light(room: NDArray[np.float32]) -> tuple[NDArray[np.float64], float]:
    """Unit direction (3,) of the brightest light above and its share of the irradiance."""
    height, width = room.shape[:2]
    direction = panorama_directions(height, width).astype(float)
    area = np.sin(np.pi * (np.arange(height) + 0.5) / height)[:, None]
    power = cv2.GaussianBlur(room.mean(axis=2), (0, 0), height / 40) * area
    row, column = np.unravel_index(np.argmax(power), power.shape)
    key = direction[row, column]
    energy = room.mean(axis=2) * area
    lobe = energy[direction @ key > np.cos(np.radians(12))].sum()
    return key, float(np.clip(lobe / max(energy.sum(), 1e-9), 0, 0.8))


def _mirrored(
    backdrop: Backdrop,
    tracer: MeshTracer,
    liquid: LiquidDescription,
    around: Surroundings,
    limit: float,
) -> NDArray[np.float32]:
    """Radiance (H, W, 3) added by the stream's mirror image in a glossy table."""
    added = np.zeros_like(backdrop.radiance)
    rows, columns = np.nonzero(backdrop.glossy & np.isfinite(backdrop.opaque))
    if not len(rows):
        return added
    points = _points(backdrop, rows, columns).astype(np.float32)
    direction = points / np.linalg.norm(points, axis=1, keepdims=True)
    normal = np.broadcast_to(np.asarray(backdrop.up, np.float32), points.shape)
    upward = reflect(direction, normal).astype(np.float32)
    hits = tracer.hit(points, upward)
    distance = np.where(hits.found, hits.distance, 0)
    # What the camera does not see either stands in a cup, whose wall hides it from the table too.
    at = hits.found & _seen(backdrop, points + upward * distance[:, None])
    if not at.any():
        return added
    _, strength = refract(direction[at], normal[at], 1 / TABLE_IOR)
    stream = _shade(tracer, around, liquid, points[at], upward[at], hits[at], limit)
    room = around.seen(points[at], upward[at])
    added[rows[at], columns[at]] = strength[:, None] * (stream - np.minimum(room, limit))
    # Polished stone and steel are not quite mirrors.
    return cv2.GaussianBlur(added, (0, 0), 0.8)
