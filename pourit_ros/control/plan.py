# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""How the source is tilted: ready to pour, to a flow, and back in time for the volume."""

from __future__ import annotations

import numpy as np

from .belief import Believed, PourBelief
from .limits import TwistLimiter
from .outflow import Outflow, Pouring
from .settings import ControllerSettings

# Before it pours, the source waits this far (rad) and these sigmas of the fill before the tilt at
# which something may flow.
READY, READY_SIGMAS = 0.03, 2.0
# What leaves at first is slower than what leaves at the wanted flow: aim between them.
FIRST_SPEED = 0.75
# The return-tilt ends this far (rad) before anything flows, or where the source began.
BACK = 0.3
# Gain (1/s) of tilts that have a goal.
TILT_GAIN = 3.0
# Where the flow changes by less than this with the tilt (m3/s/rad), nothing flows yet.
FLAT = 20e-6
PROBE = 0.02
# From so many sigmas before the likely onset on, the source is tilted at this share of the rate:
# the tilt at which the flow is first seen tells the fill.
NEAR_SIGMAS, SLOW = 1.0, 0.5
# How far ahead (s) the return is computed, in which steps, and from how near the goal (m3) on.
HORIZON, STEP, NEAR = 1.2, 0.02, 40e-6
# With the landing point beyond this share of the rim, the source is tilted back until it is not.
ASTRAY = 0.75


class PourPlan:
    """The tilt of one pour; `limiter` is the one that the commands pass through."""

    def __init__(
        self, settings: ControllerSettings, outflow: Outflow, limiter: TwistLimiter
    ) -> None:
        self.settings, self.outflow, self._limiter = settings, outflow, limiter
        self.return_tilt = 0.0
        self.aim_speed = 0.0

    def begin(self, tilt: float, belief: PourBelief) -> None:
        """Plan a pour from a source at `tilt` (rad)."""
        fill, flow = belief.now.left, self.settings.pour_flow
        self.return_tilt = max(min(tilt, belief.onset(READY_SIGMAS) - BACK), 0.0)
        planned = self.outflow.tilt_for(fill, flow)
        self.aim_speed = FIRST_SPEED * self.outflow.exit_speed(fill, planned)

    def ready_tilt(self, belief: PourBelief) -> float:
        """Tilt (rad) as near to pouring as the knowledge of the fill allows."""
        return belief.onset(READY_SIGMAS) - READY

    def tilting(
        self, state: str, tilt: float, belief: PourBelief, offset: float, rim: float
    ) -> float:
        """Rate of tilt (rad/s) in a state; `offset` of the landing point and `rim` radius, m."""
        s = self.settings
        if state in ('return', 'fault'):
            return max(-s.tilt_rate, min(TILT_GAIN * (self.return_tilt - tilt), 0.0))
        if state == 'aim':
            # Not back: what has not flowed yet may stay as it is.
            return min(max(TILT_GAIN * (self.ready_tilt(belief) - tilt), 0.0), 0.5 * s.tilt_rate)
        if s.correct and offset > ASTRAY * rim and belief.now.flow > 0:
            return -s.tilt_rate
        return self._keep(tilt, belief)

    def _keep(self, tilt: float, belief: PourBelief) -> float:
        """Rate (rad/s) that keeps the flow: as the liquid sinks, and to mend its error."""
        s, now = self.settings, belief.now
        steady = belief.steady_flow(tilt)
        slope = (belief.steady_flow(tilt + PROBE) - steady) / PROBE
        if slope < FLAT:
            near = tilt > belief.onset(NEAR_SIGMAS)
            return (SLOW if near else 1.0) * s.pour_tilt_rate
        there = tilt + now.tilt_error
        kept = self.outflow.kept(there - PROBE) - self.outflow.kept(there + PROBE)
        sinks = now.flow / max(kept / (2 * PROBE), 1e-5)
        rate = sinks + s.flow_gain * (s.pour_flow - steady) / slope
        return min(max(rate, -0.5 * s.tilt_rate), s.pour_tilt_rate)

    def under_way(self, now: Believed, tilt: float, left: float) -> float:
        """Volume (m3) that still leaves if the return begins now; 0 while that is far off.

        The model is run through the return-tilt within its limits, from what is believed.
        """
        if left > NEAR or now.flow <= 0:
            return 0.0
        pouring = Pouring(self.outflow, min(now.left, self.outflow.capacity))
        pouring.flow = now.flow
        limiter = self._limiter.copy()
        rate = float(np.linalg.norm(limiter.twist[3:]))
        axis = limiter.twist[3:] / rate if rate > 1e-6 else np.array([1.0, 0, 0])
        back = np.r_[np.zeros(3), -self.settings.tilt_rate * axis]
        there, total, delay = tilt + now.tilt_error, 0.0, self.settings.arm_lag
        # A source that was being tilted back turns on: its axis' sign does not matter at rest.
        for k in range(round(HORIZON / STEP)):
            if k * STEP >= delay:
                turned = limiter.step(back, STEP)
                there += STEP * float(turned[3:] @ axis)
            total += pouring.step(there, STEP)
            if pouring.flow == 0:
                break
        return total
