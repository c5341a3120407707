# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Free fall: its duration, its path, and when it crosses a plane."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

GRAVITY = 9.81
UP = np.array([0.0, 0.0, 1.0])


def fall_time(
    drop: float | NDArray[np.float64], downward_speed: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Time (s) to fall by `drop` (m) from `downward_speed` (m/s); arrays broadcast."""
    u = downward_speed
    return (np.sqrt(u * u + 2 * GRAVITY * drop) - u) / GRAVITY


def falling(
    point: NDArray[np.float64], velocity: NDArray[np.float64], time: ArrayLike
) -> NDArray[np.float64]:
    """Place (..., 3), m, at `time` (...) s after leaving `point` (3,) with `velocity` (3,), m/s.

    z points up.
    """
    t = np.asarray(time, dtype=float)[..., None]
    return point + t * velocity - 0.5 * GRAVITY * t * t * UP


def crossing_time(
    point: NDArray[np.float64],
    velocity: NDArray[np.float64],
    mouth: NDArray[np.float64],
    axis: NDArray[np.float64],
) -> float:
    """Time (s) from `point` with `velocity` to the plane (p − mouth)·axis = 0.

    All (3,), m and m/s, z up; the plane lies below `point`.
    """
    a, b, c = -0.5 * GRAVITY * axis[2], velocity @ axis, (point - mouth) @ axis
    return float((-b - np.sqrt(b * b - 4 * a * c)) / (2 * a))
