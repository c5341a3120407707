# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A small orthographic 3D view with a depth buffer, drawn by numpy and OpenCV.

Headless by construction: no OpenGL context, no browser.
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import drawing as dr

# Drawn this many times larger and scaled down at the end.
SUPERSAMPLING = 2
# What lies this little behind the cloud's surface still counts as on it, m.
DEPTH_TOLERANCE = 0.006
HIDDEN = 0.35


class OrthographicView:
    """View of a frame whose z axis points up, in metres, drawn into an image.

    `forward` (3,): viewing direction, not vertical; `centre` (3,): point in the image's middle;
    `scale`: pixels per metre of the finished image.
    """

    def __init__(
        self,
        width: int,
        height: int,
        forward: ArrayLike,
        centre: ArrayLike,
        scale: float,
        background: dr.Colour,
    ) -> None:
        self.forward, self.right, self.up = viewing_axes(forward)
        self.centre = np.asarray(centre, dtype=float)
        self.scale = scale * SUPERSAMPLING
        size = (height * SUPERSAMPLING, width * SUPERSAMPLING)
        self.image = np.full((*size, 3), background, np.uint8)
        self.depth = np.full(size, np.inf)
        self.background = background

    def project(self, points: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Pixels (N, 2) of the large image and depths (N,) along the viewing direction, m."""
        relative = np.asarray(points, dtype=float).reshape(-1, 3) - self.centre
        height, width = self.depth.shape
        pixels = np.column_stack(
            [
                width / 2 + self.scale * (relative @ self.right),
                height / 2 - self.scale * (relative @ self.up),
            ]
        )
        return pixels, relative @ self.forward

    def points(self, points: ArrayLike, colours: ArrayLike, size: float) -> None:
        """Splat points (N, 3) with colours (N, 3) as squares of `size` m, nearest on top."""
        pixels, depth = self.project(points)
        colours = np.asarray(colours, dtype=np.uint8).reshape(-1, 3)
        side = max(1, round(size * self.scale))
        order = np.argsort(-depth, kind='stable')
        corner = np.round(pixels[order] - (side - 1) / 2).astype(int)
        span = np.arange(side)
        x = np.repeat(corner[:, 0, None] + span[None], side, axis=1).ravel()
        y = np.tile(corner[:, 1, None] + span[None], (1, side)).ravel()
        height, width = self.depth.shape
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        owner = np.repeat(order, side * side)[inside]
        # Far to near: of several writes to one pixel numpy keeps the last.
        flat = (y * width + x)[inside]
        nearest = np.full(self.depth.size, np.inf)
        nearest[flat] = depth[owner]
        painted = np.zeros((self.depth.size, 3), np.uint8)
        painted[flat] = colours[owner]
        wins = nearest < self.depth.ravel()
        self.depth.ravel()[wins] = nearest[wins]
        self.image.reshape(-1, 3)[wins] = painted[wins]

    def quad(self, corners: ArrayLike, colour: dr.Colour, alpha: float) -> None:
        """Blend a plane quadrilateral (4, 3) over the image, fainter behind the cloud."""
        corners = np.asarray(corners, dtype=float)
        normal = np.cross(corners[1] - corners[0], corners[3] - corners[0])
        facing = float(self.forward @ normal)
        if abs(facing) < 1e-9 * np.linalg.norm(normal):
            return
        pixels, _ = self.project(corners)
        cover = np.zeros(self.depth.shape, np.uint8)
        cv2.fillPoly(cover, [np.round(pixels).astype(np.int32)], 255, cv2.LINE_AA)
        y, x = np.nonzero(cover)
        height, width = self.depth.shape
        a, b = (x - width / 2) / self.scale, -(y - height / 2) / self.scale
        to_corner = (corners[0] - self.centre) @ normal
        depth = (to_corner - a * (self.right @ normal) - b * (self.up @ normal)) / facing
        strength = alpha * cover[y, x] / 255
        strength *= np.where(depth < self.depth[y, x] + DEPTH_TOLERANCE, 1.0, HIDDEN)
        mixed = self.image[y, x] * (1 - strength[:, None]) + np.outer(strength, colour)
        self.image[y, x] = np.round(mixed).astype(np.uint8)

    def line(self, points: ArrayLike, colour: dr.Colour, width: float, halo: bool = True) -> None:
        """Draw a polyline (N, 3), `width` px of the finished image; faint behind the cloud."""
        points = np.asarray(points, dtype=float).reshape(-1, 3)
        if len(points) < 2:
            return
        along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
        count = max(2, int(along[-1] * self.scale / 3))
        at = np.linspace(0, along[-1], count)
        fine = np.column_stack([np.interp(at, along, points[:, k]) for k in range(3)])
        pixels, depth = self.project(fine)
        visible = self._visible(pixels, depth)
        thickness = max(1, round(width * SUPERSAMPLING))
        faint = _mix(colour, self.background, HIDDEN)
        starts = np.concatenate([[0], np.nonzero(np.diff(visible))[0] + 1, [count]])
        runs = [(a, min(b + 1, count)) for a, b in pairwise(starts)]
        for shown in (False, True):
            for a, b in runs:
                if visible[a] == shown:
                    ink = colour if shown else faint
                    dr.polyline(self.image, pixels[a:b], ink, thickness, halo=halo and shown)

    def _visible(
        self, pixels: NDArray[np.float64], depth: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        height, width = self.depth.shape
        x, y = np.round(pixels).astype(int).T
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        visible = np.ones(len(depth), dtype=bool)
        visible[inside] = depth[inside] < self.depth[y[inside], x[inside]] + DEPTH_TOLERANCE
        return visible

    def arrow(self, start: ArrayLike, end: ArrayLike, colour: dr.Colour, width: float) -> None:
        """Draw an arrow between two points, on top of everything."""
        pixels, _ = self.project(np.array([start, end], dtype=float))
        dr.arrow(self.image, pixels[0], pixels[1], colour, round(width * SUPERSAMPLING))

    def finish(self) -> NDArray[np.uint8]:
        """The finished image (height, width, 3)."""
        height, width = self.depth.shape
        size = (width // SUPERSAMPLING, height // SUPERSAMPLING)
        return np.asarray(cv2.resize(self.image, size, interpolation=cv2.INTER_AREA), np.uint8)


def viewing_axes(forward: ArrayLike) -> tuple[NDArray, NDArray, NDArray]:
    """Unit forward, right and up of a view whose vertical shows the z axis."""
    f = np.asarray(forward, dtype=float) / np.linalg.norm(forward)
    right = np.cross(f, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    return f, right, np.cross(right, f)


def _mix(colour: dr.Colour, other: dr.Colour, share: float) -> dr.Colour:
    r, g, b = (round(share * c + (1 - share) * o) for c, o in zip(colour, other, strict=True))
    return r, g, b
