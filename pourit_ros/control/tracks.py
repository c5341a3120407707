# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Where source and target are now, of noisy poses with old stamps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ..geometry.container import Container
from ..geometry.pose import Pose
from .history import History

# Noise of the source's poses is averaged over this time (s): twists say how it moves meanwhile.
SOURCE_AVERAGE = 2.5
# What a camera sees of it is averaged over this time, s.
SIGHT_AVERAGE = 0.3
# A target at rest is averaged with an acceleration of this density, one that moves with the other
# (m/s^1.5).
REST, MOVING = 0.004, 0.12
# Weight of the newest error in their mean, which tells a motion from noise.
FRESH = 0.4
# How long (s) a target is taken to move after the last sign of it, and looked ahead.
MOVES_FOR, AHEAD = 0.4, 0.35
# Errors of no more than noise have a mean below this many standard deviations.
STRIKING = 2.8


class SourceTrack:
    """A source's mouth and axis: the twists that move it, corrected by its poses."""

    def __init__(self, source: Container, arm_lag: float) -> None:
        self.source, self.arm_lag = source, arm_lag
        self.mouth: NDArray[np.float64] = np.zeros(3)
        self.axis: NDArray[np.float64] = np.array([0.0, 0, 1])
        self.seen_shift: NDArray[np.float64] = np.zeros(3)
        """From the mouth to where a camera saw it (3,), m."""
        self.known = False
        self._count = self._sights = 0
        self._stamp = self._time = self._seen_at = -np.inf
        self._places, self._twists = History(), History()

    def measure(self, stamp: float, T_base_source: Pose) -> None:
        """Take in a pose with its stamp (s)."""
        mouth = self.source.mouth_in(T_base_source)
        axis = self.source.axis_in(T_base_source)
        then = self._places.at(stamp)
        if not self.known or then is None:
            self.mouth, self.axis, self.known = mouth, axis, True
            self._count, self._stamp = 1, stamp
            return
        self._count += 1
        weight = 1 - np.exp(-max(stamp - self._stamp, 0.0) / SOURCE_AVERAGE)
        weight = max(weight, 1 / self._count)
        self._stamp = stamp
        self._shift(weight * (mouth - then[:3]), weight * (axis - then[3:]))

    def see(self, stamp: float, T_base_source: Pose) -> NDArray[np.float64] | None:
        """Take in a pose that a camera saw; the axis (3,) as it was reported for the same time."""
        then = self._places.at(stamp)
        if then is None:
            return None
        self._sights += 1
        weight = 1 - np.exp(-max(stamp - self._seen_at, 0.0) / SIGHT_AVERAGE)
        self._seen_at = stamp
        shift = self.source.mouth_in(T_base_source) - then[:3]
        self.seen_shift = self.seen_shift + max(weight, 1 / self._sights) * (
            shift - self.seen_shift
        )
        return then[3:]

    def restart(self, now: float) -> None:
        """Forget the times of what is known: the clock was set."""
        self._places.clear()
        self._twists.clear()
        self._time = self._stamp = now
        self._places.add(now, np.r_[self.mouth, self.axis])
        self.forget_sight()

    def forget_sight(self) -> None:
        """Forget where a camera saw it: it may be held anew, or be another one."""
        self.seen_shift, self._sights, self._seen_at = np.zeros(3), 0, -np.inf

    def advance(self, now: float, lip: NDArray[np.float64], twist: NDArray[np.float64]) -> None:
        """Move on to `now` (s); `twist` (6,) about `lip` (3,) is commanded from now on."""
        if np.isfinite(self._time) and self.known:
            dt = now - self._time
            moved = self._twists.at(now - self.arm_lag)
            if moved is not None and dt > 0:
                turn = Rotation.from_rotvec(moved[3:] * dt).as_matrix()
                self.axis = turn @ self.axis
                self.mouth = lip + turn @ (self.mouth - lip) + dt * moved[:3]
        self._time = now
        self._twists.add(now, twist)
        if self.known:
            self._places.add(now, np.r_[self.mouth, self.axis])

    def _shift(self, mouth: NDArray[np.float64], axis: NDArray[np.float64]) -> None:
        leaned = self.axis + axis
        leaned /= np.linalg.norm(leaned)
        change = np.r_[mouth, leaned - self.axis]
        self.mouth, self.axis = self.mouth + mouth, leaned
        # It was wrong by as much before, else the next pose finds the same error again.
        self._places.shift(change)


class TargetTrack:
    """A target's mouth, at rest or moved by somebody: a Kalman filter with constant velocity.

    The mean of its last errors tells which: at rest it averages long, in motion it follows.
    """

    def __init__(self, target: Container, sigma: float) -> None:
        self.target, self.sigma = target, sigma
        self.mouth: NDArray[np.float64] = np.zeros(3)
        self.velocity: NDArray[np.float64] = np.zeros(3)
        self.axis: NDArray[np.float64] = np.array([0.0, 0, 1])
        self.known = False
        self._stamp = self._moved_at = -np.inf
        self._seen = np.full(3, np.nan)
        self._error = np.zeros(3)
        self._P = np.zeros((2, 2))
        self._history = History()

    @property
    def moving(self) -> bool:
        """Whether somebody moves it."""
        return self._stamp - self._moved_at < MOVES_FOR

    def measure(self, stamp: float, T_base_target: Pose) -> None:
        """Take in a pose with its stamp (s)."""
        seen = self.target.mouth_in(T_base_target)
        self.axis = self.target.axis_in(T_base_target)
        if not self.known:
            self.mouth, self.known, self._stamp = seen, True, stamp
            self._P = np.diag([self.sigma**2, 1e-4])
        elif stamp > self._stamp and not np.array_equal(seen, self._seen):
            self._update(stamp, seen)
        self._seen = seen
        self._history.add(self._stamp, np.r_[self.mouth, self.velocity])

    def restart(self, now: float) -> None:
        """Forget the times of what is known: the clock was set."""
        self._history.clear()
        self._stamp, self._moved_at = now, -np.inf
        self.velocity = np.zeros(3)

    def _update(self, stamp: float, seen: NDArray[np.float64]) -> None:
        dt = min(stamp - self._stamp, 0.5)
        F = np.array([[1.0, dt], [0, 1.0]])
        self.mouth = self.mouth + dt * self.velocity
        error = seen - self.mouth
        self._error = (1 - FRESH) * self._error + FRESH * error
        usual = self.sigma / np.sqrt(3) * np.sqrt(FRESH / (2 - FRESH))
        self._stamp = stamp
        if np.linalg.norm(self._error) > STRIKING * np.sqrt(3) * usual:
            if not self.moving:
                # It has gone some way already.
                self._P = self._P + np.diag([0.0, 0.001])
            self._moved_at = stamp
        density = MOVING if self.moving else REST
        if not self.moving:
            self.velocity = self.velocity * np.exp(-dt / 0.15)
        Q = density**2 * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
        P = F @ self._P @ F.T + Q
        gain = P[:, 0] / (P[0, 0] + self.sigma**2 / 3)
        self.mouth = self.mouth + gain[0] * error
        self.velocity = self.velocity + gain[1] * error
        self._P = P - np.outer(gain, P[0])

    def at(self, time: float) -> NDArray[np.float64]:
        """The mouth (3,) m at a time (s), past or a little ahead."""
        if time >= self._stamp:
            ahead = min(time - self._stamp, AHEAD) if self.moving else 0.0
            return self.mouth + ahead * self.velocity
        then = self._history.at(time)
        return self.mouth.copy() if then is None else then[:3]

    def speed(self) -> NDArray[np.float64]:
        """Velocity (3,) m/s to follow; 0 at rest."""
        return self.velocity.copy() if self.moving else np.zeros(3)
