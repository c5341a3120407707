# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Rooms around the scene as panoramas of radiance: measured (.hdr files) or drawn from a seed."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...formats.images import decode
from ..scene.description import EnvironmentDescription
from .textures import fractal

HEIGHT, WIDTH = 256, 512
MEAN = 0.45
# Brighter than this (the sun's disc) is mostly noise in the picture.
BRIGHTEST = 60.0

Panorama = NDArray[np.float32]


def panorama(environment: EnvironmentDescription) -> Panorama:
    """Radiance (h, w, 3), linear RGB, latitude-longitude: first row straight up.

    Columns turn right-handed about z (up) from azimuth −π in the base frame. Raises InputError
    when the file cannot be read.
    """
    if environment.hdr is None:
        picture = _room(np.random.default_rng(environment.seed))
    else:
        bgr = decode(environment.hdr, cv2.IMREAD_UNCHANGED)
        if bgr is None or bgr.ndim != 3:
            raise InputError(f'{environment.hdr}: cannot be read as an environment map')
        rgb = np.maximum(bgr[..., ::-1].astype(np.float32), 0)
        picture = cv2.resize(rgb, (2 * WIDTH, 2 * HEIGHT), interpolation=cv2.INTER_AREA)
    picture = np.minimum(picture, BRIGHTEST * picture.mean())
    turn = round(environment.rotation / (2 * np.pi) * picture.shape[1])
    scale = environment.gain * MEAN / float(_mean(picture))
    # A camera sees the world from inside the globe: azimuth grows to the left in a .hdr.
    return np.roll(picture[:, ::-1] * np.float32(scale), turn, axis=1)


def radiance(room: Panorama, direction: NDArray[np.floating]) -> NDArray[np.float32]:
    """Radiance (N, 3) from unit directions (N, 3) of the base frame."""
    height, width = room.shape[:2]
    row = (np.arccos(np.clip(direction[:, 2], -1, 1)) / np.pi * height).astype(np.intp)
    turn = np.arctan2(direction[:, 1], direction[:, 0]) / (2 * np.pi) + 0.5
    column = (turn * width).astype(np.intp) % width
    return room[np.minimum(row, height - 1), column]


def _mean(picture: Panorama) -> float:
    # Rows near the poles cover less of the sphere.
    weight = np.sin(np.pi * (np.arange(len(picture)) + 0.5) / len(picture))
    return float(np.average(picture.mean(axis=(1, 2)), weights=weight))


def _room(rng: np.random.Generator) -> Panorama:
    """A room of blocks, with lamps and windows: small bright panels on dark that make glints."""
    mood = str(rng.choice(['lab', 'window', 'dim', 'studio']))
    y = np.linspace(0, 1, HEIGHT)[:, None, None]
    tint = rng.normal(1, 0.06, 3)
    picture = tint * (1.25 - 0.75 * y) * np.ones((HEIGHT, WIDTH, 1))
    noise = cv2.resize(fractal(rng, 256, 3, 6), (WIDTH, HEIGHT))
    picture = (
        picture * (0.55 + 0.9 * noise[..., None]) * {'dim': 0.15, 'studio': 0.2}.get(mood, 0.4)
    )

    def panels(
        count: int,
        size: tuple[float, float],
        rows: tuple[float, float],
        value: tuple[float, float],
        factor: bool = False,
    ) -> None:
        for _ in range(count):
            w, h = (int(rng.uniform(*size) * s) for s in (WIDTH / 4, HEIGHT / 4))
            top, left = int(rng.uniform(*rows) * HEIGHT), int(rng.integers(0, WIDTH))
            columns = np.arange(left, left + max(w, 3)) % WIDTH
            color = rng.uniform(*value) * rng.normal(1, 0.08, 3)
            block = picture[top : top + max(h, 3)]
            block[:, columns] = block[:, columns] * color if factor else color

    panels(int(rng.integers(8, 20)), (0.1, 0.9), (0.36, 0.8), (0.08, 1.7), factor=True)
    if mood in ('lab', 'dim'):
        panels(int(rng.integers(2, 7)), (0.06, 0.4), (0.06, 0.36), (12, 50))
    if mood == 'window' or rng.random() < 0.3:
        panels(int(rng.integers(1, 4)), (0.25, 0.8), (0.2, 0.42), (4, 14))
    if mood == 'studio':
        panels(int(rng.integers(1, 4)), (0.2, 0.6), (0.1, 0.5), (8, 25))
    panels(int(rng.integers(3, 10)), (0.05, 0.3), (0.2, 0.7), (0.01, 0.1))
    panels(int(rng.integers(3, 9)), (0.05, 0.25), (0.2, 0.7), (0.6, 3))
    smooth = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 1.0)
    return np.clip(smooth, 0.005, 90)
