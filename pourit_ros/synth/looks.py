# SPDX-License-Identifier: Apache-2.0
"""Procedural materials, liquids and surroundings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .raycast import Albedo, Environment


@dataclass(frozen=True, eq=False)
class LiquidLook:
    """`absorption` (3,) 1/m, `milky` 0..1 and scattered `color` (3,) linear RGB."""

    absorption: NDArray[np.float64]
    milky: float
    color: NDArray[np.float64]


LIQUIDS = {
    'water': LiquidLook(np.array([8.0, 3.0, 2.0]), 0.04, np.array([0.85, 0.9, 0.95])),
    'tea': LiquidLook(np.array([60.0, 190.0, 420.0]), 0.1, np.array([0.5, 0.22, 0.05])),
    'milk': LiquidLook(np.zeros(3), 0.97, np.array([0.92, 0.9, 0.85])),
    'juice': LiquidLook(np.array([5.0, 60.0, 400.0]), 0.7, np.array([0.95, 0.5, 0.06])),
}


def plain(color: ArrayLike) -> Albedo:
    """One colour (linear RGB) everywhere."""
    value = np.asarray(color, dtype=float)
    return lambda points: np.broadcast_to(value, points.shape)


def banded(low: ArrayLike, high: ArrayLike, between: tuple[float, float]) -> Albedo:
    """A label: `high` between two heights (m, in the base frame's z), `low` elsewhere."""
    a, b = np.asarray(low, dtype=float), np.asarray(high, dtype=float)

    def albedo(points: NDArray[np.float64]) -> NDArray[np.float64]:
        inside = (points[:, 2] > between[0]) & (points[:, 2] < between[1])
        return np.where(inside[:, None], b, a)

    return albedo


def wood(seed: int) -> Albedo:
    """Planks with grain along x."""
    rng = np.random.default_rng(seed)
    phase, tone = rng.uniform(0, 100), rng.uniform(0.7, 1.1)

    def albedo(points: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = points[:, 0], points[:, 1]
        plank = np.floor(y / 0.09)
        shade = 0.5 + 0.5 * np.sin(plank * 12.9898 + phase) * np.cos(plank * 4.1)
        grain = np.sin(400 * y + 6 * np.sin(9 * x + plank) + 2 * np.sin(31 * x + phase))
        seam = np.abs(y / 0.09 - plank - 0.5) > 0.485
        value = tone * (0.8 + 0.18 * shade + 0.05 * grain) * np.where(seam, 0.45, 1.0)
        return value[:, None] * np.array([0.2, 0.115, 0.06])

    return albedo


def studio(seed: int) -> Environment:
    """A dim room with a blurred backdrop of shelves and bright panels to reflect."""
    rows, columns = 512, 1024
    z = 1 - 2 * (np.arange(rows) + 0.5) / rows
    azimuth = 2 * np.pi * (np.arange(columns) + 0.5) / columns - np.pi
    flat = np.sqrt(1 - z * z)[:, None]
    x, y = flat * np.cos(azimuth), flat * np.sin(azimuth)
    sphere = np.stack([x, y, np.broadcast_to(z[:, None], x.shape)], axis=-1)
    table = _studio(seed, sphere.reshape(-1, 3)).reshape(rows, columns, 3)

    def environment(direction: NDArray[np.float64]) -> NDArray[np.float64]:
        row = np.clip(((1 - direction[:, 2]) * (0.5 * rows)).astype(int), 0, rows - 1)
        turn = np.arctan2(direction[:, 1], direction[:, 0]) / (2 * np.pi) + 0.5
        return table[row, (turn * columns).astype(int) % columns]

    return environment


def _studio(seed: int, direction: NDArray[np.float64]) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    azimuths = rng.uniform(-np.pi, np.pi, 9)
    widths, tones = rng.uniform(0.05, 0.3, 9), rng.uniform(0.04, 0.55, (9, 3))
    lows, highs = rng.uniform(-0.3, 0.0, 9), rng.uniform(0.05, 0.5, 9)
    base = rng.uniform(0.04, 0.12) * rng.uniform(0.8, 1.2, 3)
    azimuth = np.arctan2(direction[:, 1], direction[:, 0])
    z = direction[:, 2]
    color = base * (1 + 0.6 * z)[:, None]
    for centre, width, low, high, tone in zip(azimuths, widths, lows, highs, tones, strict=True):
        away = np.abs(np.angle(np.exp(1j * (azimuth - centre))))
        # Soft edges: a backdrop is out of focus.
        soft = np.clip((width - away) / 0.03, 0, 1)
        soft = soft * np.clip((z - low) / 0.03, 0, 1) * np.clip((high - z) / 0.03, 0, 1)
        color = color + soft[:, None] * (tone - color)
    panel = (np.abs(azimuth % (np.pi / 2) - 0.8) < 0.25) & (z > 0.45) & (z < 0.8)
    return np.where(panel[:, None], 1.6, color)
