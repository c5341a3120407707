# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Where what leaves the lip now will land: by model and poses, corrected by what is seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..geometry.fall import UP, fall_time
from .history import History
from .landing_filter import LandingFilter
from .outflow import forward_of, lip_at, tilt_at
from .settings import ControllerSettings
from .tracks import SourceTrack, TargetTrack

# What is seen of the stream left the lip this share of the fall before, in the mean.
SEEN_AGE = 0.5
# The exit speed that is aimed for follows the believed one within this time, s.
SPEED_TIME = 0.15
# A source leaning less (rad) pours towards the target; one leaning more, where it leans.
LEANING = 0.15


class Landing:
    """Landing point and direction of the pour, in base axes; times are those of the tracks."""

    def __init__(
        self, source: SourceTrack, target: TargetTrack, settings: ControllerSettings
    ) -> None:
        self._source, self._target, self._settings = source, target, settings
        self.filter = LandingFilter(settings.gain)
        self.speed = 0.0
        """Exit speed that the prediction is for, m/s."""
        self._past = History()
        self._forward: NDArray[np.float64] | None = None

    def begin(self, speed: float) -> None:
        """A pour begins, at this exit speed (m/s): nothing is seen of it yet."""
        self.filter, self.speed = LandingFilter(self._settings.gain), speed
        self._past.clear()
        self._forward = None
        self._forward = self.direction()

    def forget(self) -> None:
        """The clock was set: times of what was predicted mean nothing any more."""
        self._past.clear()

    def advance(self, now: float) -> None:
        """Keep the prediction for `now` (s), to compare later sightings with."""
        self._past.add(now, self._predicted())

    def follow(self, speed: float, dt: float) -> None:
        """Let the exit speed approach `speed` (m/s)."""
        self.speed += (speed - self.speed) * (1 - np.exp(-dt / SPEED_TIME))

    def see(
        self, stamp: float, offset: NDArray[np.float64], covariance: NDArray[np.float64] | None
    ) -> None:
        """Compare a sighted offset with what was predicted for its time."""
        mouth = self._target.at(stamp)
        landing = self._past.at(stamp - SEEN_AGE * self._fall())
        if landing is None or covariance is None:
            return
        predicted = landing[:2] - mouth[:2]
        self.filter.see(stamp, np.asarray(offset)[:2] - predicted, np.asarray(covariance)[:2, :2])

    @property
    def lip(self) -> NDArray[np.float64]:
        """Where the lip is (3,), m."""
        source = self._source
        return lip_at(source.mouth, source.axis, source.source.rim_radius)

    @property
    def tilt(self) -> float:
        """Of the source as reported, rad."""
        return tilt_at(self._source.axis)

    def offset(self, now: float) -> NDArray[np.float64]:
        """Where what leaves now lands (3,), from the target's mouth as it will be then, m."""
        landing = self._predicted() + [*self.filter.bias, 0.0]
        mouth = self._target.at(now + self._fall() + self._settings.arm_lag)
        return np.asarray(landing - mouth)

    def lift(self) -> float:
        """How much too high the lip is, m."""
        return float(self.lip[2] - self._target.mouth[2] - self._settings.height)

    def direction(self) -> NDArray[np.float64]:
        """The horizontal unit vector (3,) towards which it tilts."""
        leans = forward_of(self._source.axis)
        if leans is not None and (self.tilt > LEANING or self._forward is None):
            if self.tilt <= LEANING:
                way = forward_of(self._target.mouth - self._source.mouth)
                leans = leans if way is None else way
            self._forward = leans
        if self._forward is None:
            way = forward_of(self._target.mouth - self._source.mouth)
            self._forward = np.array([1.0, 0, 0]) if way is None else way
        return self._forward

    def _fall(self) -> float:
        """From the lip to the height of the target's mouth, s."""
        return float(fall_time(max(self.lip[2] - self._target.mouth[2], 0.0), 0.0))

    def _predicted(self) -> NDArray[np.float64]:
        """Where (3,) m what leaves now lands, by model and poses."""
        axis = self._source.axis
        down = max(-float(axis[2]), 0.0) * self.speed
        lip = self.lip + self._source.seen_shift
        drop = max(float(lip[2] - self._target.mouth[2]), 0.0)
        fall = float(fall_time(drop, down))
        across = self.speed * (float(np.sin(self.tilt)) if axis[2] < 0 else 1.0)
        return np.asarray(lip + fall * across * self.direction() - drop * UP)
