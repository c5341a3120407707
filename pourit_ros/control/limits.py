# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Velocity, acceleration and jerk limits on a whole twist, and where it acts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Wanted twists stay this share below the limit: room to change direction in.
SHARE = 0.95


@dataclass
class TwistLimiter:
    """Follows wanted twists (6,) as fast as its limits let it, never one part of it alone.

    Limits as pairs for the linear part (m/s, m/s2, m/s3) and the turning (rad/s, ...). A limit
    that one part meets slows the whole twist, so that the lip stays on its way.
    """

    velocity: tuple[float, float]
    acceleration: tuple[float, float]
    jerk: tuple[float, float]
    twist: NDArray[np.float64] = field(default_factory=lambda: np.zeros(6))
    rate: NDArray[np.float64] = field(default_factory=lambda: np.zeros(6))

    def step(self, wanted: NDArray[np.float64], dt: float) -> NDArray[np.float64]:
        """The twist (6,) after `dt` (s) on the way to the wanted one (6,)."""
        goal = _within(wanted, self.velocity, SHARE)
        error = goal - self.twist
        sizes = np.linalg.norm(error.reshape(2, 3), axis=1)
        # Acceleration from which the jerk can still bring it to rest at the goal:
        # a^2 / 2j + a dt / 2 = error.
        share = 1.0 / dt
        for size, most, jerk in zip(sizes, self.acceleration, self.jerk, strict=True):
            if size > 1e-12:
                half = 0.5 * jerk * dt
                rate = min(most, float(np.sqrt(half * half + 2 * jerk * size)) - half)
                share = min(share, rate / size)
        steepest = self.jerk[0] * dt, self.jerk[1] * dt
        changed = self.rate + _within(share * error - self.rate, steepest)
        if not self._can_stop(changed, dt):
            # Turning off would pass the limit: first let the acceleration end.
            changed = self.rate + _within(-self.rate, steepest)
        self.rate = changed
        self.twist = self.twist + dt * self.rate
        return self.twist.copy()

    def _can_stop(self, rate: NDArray[np.float64], dt: float) -> bool:
        """Whether the velocity stays within its limit if `rate` (6,) ends as fast as it can."""
        sizes = np.linalg.norm(rate.reshape(2, 3), axis=1)
        steps = max(s / (j * dt) for s, j in zip(sizes, self.jerk, strict=True))
        whole = int(steps)
        lasts = dt * ((whole + 1) - whole * (whole + 1) / (2 * max(steps, 1e-9)))
        peak = np.linalg.norm((self.twist + lasts * rate).reshape(2, 3), axis=1)
        return bool((peak <= self.velocity).all())

    def copy(self) -> TwistLimiter:
        """One in the same state that goes its own way."""
        return replace(self, twist=self.twist.copy(), rate=self.rate.copy())

    def halt(self) -> None:
        """Begin from rest: the arm has stopped by itself."""
        self.twist, self.rate = np.zeros(6), np.zeros(6)


def _within(
    vector: NDArray[np.float64], most: tuple[float, ...], share: float = 1.0
) -> NDArray[np.float64]:
    """A vector (6,), shortened as a whole until both parts are within limits."""
    sizes = np.linalg.norm(vector.reshape(2, 3), axis=1)
    scale = min(1.0, *(share * m / max(s, 1e-12) for m, s in zip(most, sizes, strict=True)))
    return vector * scale


def lip_to_tip(twist: ArrayLike, lip: ArrayLike, tip: ArrayLike) -> NDArray[np.float64]:
    """The twist (6,) of the arm's tip that moves the lip with `twist` (6,), all in base axes.

    `lip`, `tip` (3,) m. A controller that takes twists turns about its own tip: v_tip = v_lip +
    w x (p_tip - p_lip).

    >>> lip_to_tip([0, 0, 0, 0, 1, 0], lip=[0, 0, 0], tip=[0, 0, 0.2])
    array([0.2, 0. , 0. , 0. , 1. , 0. ])
    """
    twist = np.asarray(twist, dtype=float)
    lever = np.asarray(tip, dtype=float) - np.asarray(lip, dtype=float)
    return np.r_[twist[:3] + np.cross(twist[3:], lever), twist[3:]]
