# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Random draws shared by all parts of a scene: numbers of a split, colours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Every tenth number is validation's: shapes, colours, rooms and streams of the two never meet.
VAL_EVERY = 10


def draw_number(rng: np.random.Generator, split: str) -> int:
    """A number that belongs to the split: those of val are the multiples of VAL_EVERY."""
    tens = int(rng.integers(1, 1 << 27)) * VAL_EVERY
    rest = int(rng.integers(1, VAL_EVERY))
    return tens if split == 'val' else tens + rest


def rgb(values: NDArray[np.float64] | Sequence[float]) -> tuple[float, float, float]:
    """Three values as a plain tuple."""
    r, g, b = (float(v) for v in values)
    return r, g, b


def any_color(
    rng: np.random.Generator, saturation: float = 0.8, value: tuple[float, float] = (0.05, 0.9)
) -> tuple[float, float, float]:
    """A linear RGB colour of paint, up to this saturation, with a value (0..1) in this range."""
    # Most things of a kitchen or lab are nearly grey, few are vivid.
    hue, s, v = rng.random(), saturation * rng.random() ** 2.2, rng.uniform(*value)
    six = 6 * hue + np.array([0, 4, 2])
    ramp = np.clip(np.abs(six % 6 - 3) - 1, 0, 1)
    return rgb((v * (1 - s + s * ramp)) ** 1.6)
