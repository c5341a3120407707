# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What a pour is to be, within which limits, and the delay margin that follows."""

from __future__ import annotations

from dataclasses import dataclass
from math import degrees, inf, pi

import numpy as np

from ..errors import InputError

ML = 1e-6
# A loop with this phase margin settles without overshoot.
PHASE_MARGIN = pi / 3
# What the loop adds to the latency of the sight: half a period of 15 Hz, and the arm.
LOOP_DELAY = 0.08
# Perception misses a stream in single images: a few of them say nothing, s.
MIN_BLIND = 0.2


@dataclass(frozen=True)
class DelayMargin:
    """How much delay the correction by sight stands; s, 1/s and degrees.

    The loop without its compensation: velocity -`gain` * offset, seen `delay` late, has a phase
    margin of 90 deg - 57.3 deg * gain * delay.
    """

    gain: float
    """Of the correction."""
    delay: float
    """Latency of the sight, fall and loop together."""
    phase_margin: float
    """At this delay."""
    k_max: float
    """The largest gain with a phase margin of 60 degrees at this delay."""
    latency_max: float
    """The largest latency of the sight with a phase margin of 60 degrees at this gain."""


@dataclass(frozen=True)
class ControllerSettings:
    """One pour: SI units, rad, base axes. Raises InputError for numbers that do not fit."""

    target_volume: float = 100 * ML
    """What is to be poured, m3."""
    pour_flow: float = 12 * ML
    """Flow to keep, m3/s; no less than `visible_flow`."""
    visible_flow: float = 8 * ML
    """The smallest flow that is surely seen, m3/s."""
    correct: bool = True
    """False: aims the same way, then neither corrects by sight nor follows the target."""
    height: float = 0.1
    """Of the lip above the target's mouth while it pours, m."""
    fill_sigma: float = 0.12
    """How well the fill is told: standard deviation as a share of it."""
    tilt_sigma: float = 0.017
    """How well the source's tilt is known before it pours, rad: more, where it may slip."""
    flow_sigma: float = 0.3
    """Of the calibration of the seen flow, as a share; one number for the whole pour."""
    pose_sigma: float = 0.005
    """Of reported poses, m."""
    latency: float = 0.15
    """Of the sight, from an image's stamp to its sighting, as measured, s."""
    arm_lag: float = 0.05
    """How late the arm follows a twist, s."""
    gain: float = 1.2
    """Of the correction by sight, 1/s."""
    approach_gain: float = 3.0
    """Of the way to where the lip should be, 1/s."""
    flow_gain: float = 1.2
    """Of the tilt that keeps the flow, 1/s."""
    dead_band: float = 0.004
    """Offsets below this are let be, m."""
    lip_speed: float = 0.25
    """Limit, m/s."""
    lip_acceleration: float = 1.5
    """Limit, m/s2."""
    lip_jerk: float = 15.0
    """Limit, m/s3."""
    pour_tilt_rate: float = 0.06
    """Limit of tilting forward while liquid may flow, rad/s."""
    tilt_rate: float = 0.8
    """Limit of any other turning, and the speed of the return-tilt, rad/s."""
    tilt_acceleration: float = 5.0
    """Limit, rad/s2."""
    tilt_jerk: float = 60.0
    """Limit, rad/s3."""
    max_tilt: float = 2.3
    """Of the source's axis from the vertical, rad."""
    max_travel: float = 0.3
    """Of the lip from where it started, m."""
    workspace: tuple[tuple[float, float, float], tuple[float, float, float]] = (
        (-1.0, -1.0, 0.0),
        (1.0, 1.0, 1.5),
    )
    """Lowest and highest corner of the box that the lip stays in, m."""
    max_time: float = 60.0
    """For the whole pour, s."""
    max_pose_age: float = 0.4
    """Oldest pose of source and target to move by, s."""
    max_silence: float = 0.5
    """Longest time without a new sighting, s."""
    blind_time: float = 0.4
    """How long images may show no liquid that should be seen, by their stamps, s."""

    def __post_init__(self) -> None:
        """Raise InputError for numbers that do not fit."""
        flags = ('correct', 'workspace')
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if name not in flags and not 0 < value < inf:
                raise InputError(f'controller: {name} is {value:g}, not a positive number')
        if self.pour_flow < self.visible_flow:
            raise InputError(
                f'controller: pour_flow is {self.pour_flow / ML:g} ml/s, below the '
                f'{self.visible_flow / ML:g} ml/s that are seen: raise it'
            )
        low, high = np.asarray(self.workspace, dtype=float)
        if not (np.isfinite([*low, *high]).all() and (low < high).all()):
            raise InputError('controller: workspace is a lowest and a highest corner (3,), m')
        margin = self.delay_margin()
        if self.correct and self.latency > margin.latency_max:
            raise InputError(
                f'controller: a latency of {self.latency:g} s leaves a phase margin of '
                f'{margin.phase_margin:.0f} degrees: lower gain to {margin.k_max:.2g} 1/s'
            )
        if self.correct and self.blind_time < MIN_BLIND:
            raise InputError(
                f'controller: blind_time is {self.blind_time:g} s, too short to tell a missed '
                f'stream from one that is not there: give {MIN_BLIND:g} s or more'
            )

    def delay_margin(self, latency: float | None = None) -> DelayMargin:
        """The margin at a latency (s) of the sight, or at that of these settings."""
        latency = self.latency if latency is None else latency
        # The stream's foot shows where the lip was a fall ago: at most from rest.
        rest = LOOP_DELAY + float(np.sqrt(2 * self.height / 9.81))
        delay = latency + rest
        return DelayMargin(
            gain=self.gain,
            delay=delay,
            phase_margin=degrees(0.5 * pi - self.gain * delay),
            k_max=(0.5 * pi - PHASE_MARGIN) / delay,
            latency_max=(0.5 * pi - PHASE_MARGIN) / self.gain - rest,
        )
