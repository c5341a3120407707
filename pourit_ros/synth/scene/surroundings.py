# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What a ray leaving the stream meets: the image behind it, or the surrounding room."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from ...geometry import PinholeCamera

# Rays flatter than this to the image plane leave the picture: they see the room.
FORWARD = 0.12
# Width (px at 480 rows) over which the picture gives way to the room at its border.
BORDER = 60.0
MARCHES = 4
LONGEST = 3.0
NO_DEPTH = 1.2


class Surroundings:
    """Look-up of radiance by ray, in the camera's optical frame.

    `radiance` (H, W, 3) linear RGB with `depth` (H, W) m along z (0, inf or NaN: unknown);
    `room` (h, w, 3): panorama of linear RGB around the stream, laid out as `panorama_pixels`.
    """

    def __init__(
        self,
        radiance: NDArray[np.float32],
        depth: NDArray[np.float32],
        camera: PinholeCamera,
        room: NDArray[np.float32],
    ) -> None:
        self._radiance, self._room = radiance, room
        self._camera = camera
        known = np.where(np.isfinite(depth) & (depth > 0.05), depth, NO_DEPTH)
        self._depth = cv2.medianBlur(known.astype(np.float32), 5)
        self._irradiance = irradiance(room)

    def seen(
        self, origin: NDArray[np.float32], direction: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Radiance (N, 3) that rays (origins (N, 3), unit directions (N, 3)) meet.

        The surface behind is found in the depth image by a damped fixed-point search along the
        ray, as in screen-space refraction.
        """
        color = from_panorama(self._room, direction)
        forward = direction[:, 2] > FORWARD
        if not forward.any():
            return color
        start, along = origin[forward], direction[forward]
        u, v = self._march(start, along)
        height, width = self._depth.shape
        margin = BORDER * height / 480
        inside = np.minimum(np.minimum(u, width - 1 - u), np.minimum(v, height - 1 - v))
        inside = np.clip(inside / margin + 1, 0, 1)[:, None]
        picture = sampled(self._radiance, u, v)
        color[forward] = inside * picture + (1 - inside) * color[forward]
        return color

    def diffuse(self, normal: NDArray[np.float32]) -> NDArray[np.float32]:
        """Radiance (N, 3) of a white matt surface with outward unit normals (N, 3)."""
        return from_panorama(self._irradiance, normal)

    def _march(
        self, start: NDArray[np.float32], along: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        camera = self._camera
        height, width = self._depth.shape
        distance = np.full(len(start), 0.5, np.float32)
        for _ in range(MARCHES):
            point = start + along * distance[:, None]
            u = camera.fx * point[:, 0] / point[:, 2] + camera.cx
            v = camera.fy * point[:, 1] / point[:, 2] + camera.cy
            column = np.clip(u + 0.5, 0, width - 1).astype(np.intp)
            row = np.clip(v + 0.5, 0, height - 1).astype(np.intp)
            surface = np.maximum(self._depth[row, column], start[:, 2] + 0.01)
            there = np.clip((surface - start[:, 2]) / along[:, 2], 0, LONGEST)
            distance = 0.5 * distance + 0.5 * there
        return u.astype(np.float32), v.astype(np.float32)


def panorama_pixels(
    direction: NDArray[np.float32], shape: tuple[int, ...]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Columns and rows (N,) of a latitude-longitude panorama of `shape` for directions (N, 3).

    Optical frame: the first row is −y, the middle column +z, columns run towards +x.
    """
    height, width = shape[:2]
    row = np.arccos(np.clip(-direction[:, 1], -1, 1)) / np.pi * height - 0.5
    turn = np.arctan2(direction[:, 0], direction[:, 2]) / (2 * np.pi) + 0.5
    return (turn * width - 0.5).astype(np.float32), row.astype(np.float32)


def panorama_directions(height: int, width: int) -> NDArray[np.float32]:
    """Unit directions (height, width, 3) of a panorama's pixels; see `panorama_pixels`."""
    polar = np.pi * (np.arange(height) + 0.5) / height
    turn = 2 * np.pi * ((np.arange(width) + 0.5) / width - 0.5)
    flat, across = np.sin(polar)[:, None], np.ones((1, width))
    up = np.cos(polar)[:, None]
    return np.stack([flat * np.sin(turn), -up * across, flat * np.cos(turn)], axis=-1).astype(
        np.float32
    )


def from_panorama(
    panorama: NDArray[np.float32], direction: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Values (N, 3) of a panorama in unit directions (N, 3); see `panorama_pixels`."""
    column, row = panorama_pixels(direction, panorama.shape)
    # It goes round: the first column is also the one after the last.
    closed = cv2.copyMakeBorder(panorama, 0, 0, 1, 1, cv2.BORDER_WRAP)
    return sampled(closed, column + 1, row)


def irradiance(room: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cosine-weighted mean (8, 16, 3) of the panorama for each normal."""
    small = cv2.resize(room, (64, 32), interpolation=cv2.INTER_AREA)
    return (_cosine_weights() @ small.reshape(-1, 3)).reshape(8, 16, 3).astype(np.float32)


@lru_cache(maxsize=1)
def _cosine_weights() -> NDArray[np.float64]:
    """Weights (128, 2048) of a panorama's pixels in the light on surfaces of 128 normals."""
    direction = panorama_directions(32, 64).reshape(-1, 3)
    area = np.sin(np.pi * (np.arange(32) + 0.5) / 32).repeat(64)
    normals = panorama_directions(8, 16).reshape(-1, 3)
    weight: NDArray[np.float64] = np.maximum(normals @ direction.T, 0) * area
    return weight / weight.sum(axis=1, keepdims=True)


def sampled(
    image: NDArray[np.float32], u: NDArray[np.float32], v: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Bilinear samples (N, 3); beyond the border the image is mirrored."""
    # cv2.remap takes maps of fewer than 32768 columns: fold the samples into rows.
    count = len(u)
    rows = max(-(-count // 4096), 1)
    padded = np.zeros((2, rows * 4096), np.float32)
    padded[0, :count], padded[1, :count] = u, v
    maps = padded.reshape(2, rows, 4096)
    values = cv2.remap(
        image, maps[0], maps[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    return values.reshape(-1, 3)[:count]
