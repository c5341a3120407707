# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The pour as a state machine: poses and sightings in, twists of the lip out.

`docs/control.md` has the states, the limits and what each fault does.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..geometry.container import Container
from ..geometry.fall import UP
from ..geometry.pose import Pose
from .belief import Believed, PourBelief
from .guard import Guard
from .landing import Landing
from .limits import TwistLimiter
from .outflow import Outflow, tilt_at
from .plan import PourPlan
from .settings import ControllerSettings, DelayMargin
from .sighting import Sighting
from .tracks import SourceTrack, TargetTrack
from .watch import Clock, Input, Persistent

MOVES = ('aim', 'start', 'pour', 'return')
ENDED = ('done', 'fault')
# A landing is believed where this share of the visible flow is likely to flow.
LIKELY = 0.3
# Where the aim has come to rest: m, m/s, rad, and for how long, s.
ARRIVED, AT_REST, TILTED, SETTLED = 0.008, 0.02, 0.02, 0.15


@dataclass(frozen=True, eq=False)
class Command:
    """What to do until the next step: a twist (6,) of the lip in base axes, m/s and rad/s."""

    twist: NDArray[np.float64]
    state: str
    reason: str


@dataclass(frozen=True)
class PourAccount:
    """Where a volume comes from, and what may be wrong with it; m3, rad."""

    believed: Believed
    """What is believed now."""
    stopped_at: float | None
    """What had been poured by the decision to stop."""
    under_way: float
    """What was then expected to follow."""


class PourController:
    """Pours `settings.target_volume` from a source, whose lip it moves, into a target.

    Give it poses and sightings as they come and call `step` 50 to 100 times a second. All times
    are seconds of one clock. Without ROS, threads or a clock of its own. Raises InputError for a
    source without a cavity.
    """

    def __init__(
        self, source: Container, target: Container, settings: ControllerSettings | None = None
    ) -> None:
        if source.cavity is None:
            raise InputError(f'controller: container {source.name} has no cavity: add it')
        self.source, self.target = source, target
        self.settings = s = settings or ControllerSettings()
        self.outflow = Outflow(source.cavity)
        self.state, self.reason = 'idle', ''
        self._source = SourceTrack(source, s.arm_lag)
        self._target = TargetTrack(target, s.pose_sigma)
        self._sightings = Input('sightings', s.max_silence)
        self._sources = Input('source poses', s.max_pose_age)
        self._targets = Input('target poses', s.max_pose_age)
        self._limiter = TwistLimiter(
            (s.lip_speed, s.tilt_rate),
            (s.lip_acceleration, s.tilt_acceleration),
            (s.lip_jerk, s.tilt_jerk),
        )
        self._clock = Clock()
        self._guard = Guard(s, self.outflow, self._inputs())
        self._plan = PourPlan(s, self.outflow, self._limiter)
        self._belief: PourBelief | None = None
        self._landing = Landing(self._source, self._target, s)
        self._settled = Persistent()
        self._stopped: tuple[float, float] | None = None

    def _inputs(self) -> tuple[Input, ...]:
        poses = (self._sources, self._targets)
        return (*poses, self._sightings) if self.settings.correct else poses

    # What it is told

    def see(self, sighting: Sighting, now: float) -> None:
        """Take in what an image shows; one that cannot be used is as if it had not come."""
        if not self._sightings.accept(sighting.stamp, now):
            return
        latency = now - sighting.stamp
        flaw = sighting.flaw()
        if latency > self.delay_margin().latency_max:
            flaw = f'{latency:.2f} s old when they come, more than the delay margin allows'
        if flaw:
            self._sightings.came = self._guard.usable
            self._sightings.refuse(flaw)
            return
        self._guard.usable = now
        if self._belief is None or not self.settings.correct:
            return
        if sighting.source is not None:
            self._see_source(sighting.stamp, sighting.source)
        self._belief.see(sighting.stamp, sighting.present, sighting.flow, sighting.flow_sigma)
        # A false alarm in a dry image must not move the aim, nor stand for a flow.
        flows = self._belief.flows_more_than(LIKELY * self.settings.visible_flow) > 0.5
        self._guard.sees(sighting.stamp, sighting.present, self._belief.now, flows)
        if flows and sighting.present is not False and sighting.offset is not None:
            self._landing.see(sighting.stamp, sighting.offset, sighting.covariance)

    def _see_source(self, stamp: float, T_base_source: Pose) -> None:
        """Compare the source as seen with where it was reported to be."""
        axis = self._source.see(stamp, T_base_source)
        if axis is not None and self._belief is not None:
            seen = self.source.axis_in(T_base_source)
            self._belief.see_tilt(stamp, tilt_at(seen) - tilt_at(axis))

    def set_source(self, stamp: float, T_base_source: Pose, now: float) -> None:
        """Take in the source's pose as of `stamp` (s)."""
        if self._sources.accept(stamp, now):
            self._source.measure(stamp, T_base_source)

    def set_target(self, stamp: float, T_base_target: Pose, now: float) -> None:
        """Take in the target's pose as of `stamp` (s)."""
        if self._targets.accept(stamp, now):
            self._target.measure(stamp, T_base_target)

    # What it is asked to do

    def start(self, now: float, fill: float, content: float = 0.0) -> None:
        """Begin with `fill` (m3) in the source and `content` (m3) in the target, as told.

        Raises InputError, and does nothing, where it cannot be poured safely.
        """
        s = self.settings
        if self.state in MOVES:
            raise InputError(f'controller: it pours already ({self.state}): stop it first')
        for given in self._inputs():
            if problem := given.problem(now):
                raise InputError(f'controller: {problem}')
        sigma = s.fill_sigma * fill
        belief = self._guard.admit(fill, content, self.target)
        self._belief = PourBelief(
            self.outflow, belief, sigma, s.visible_flow, s.flow_sigma, s.tilt_sigma
        )
        if self.tilt >= self._belief.onset(2.0):
            self._belief = None
            raise InputError(
                f'controller: with {1e6 * fill:.0f} ml the source pours at its tilt of '
                f'{np.degrees(self.tilt):.0f} degrees: set it upright'
            )
        self._guard.begin(now, self.lip, fill, content)
        self._plan.begin(self.tilt, self._belief)
        self._stopped = None
        self._source.forget_sight()
        self._settled = Persistent()
        self._limiter.halt()
        self._landing.begin(self._plan.aim_speed)
        self._clock.now = now
        self._enter('aim', '')

    def stop(self, now: float, reason: str = 'stopped') -> None:
        """Tilt back and end, whatever it does."""
        if self.state in ('aim', 'start', 'pour'):
            self._end(reason)

    # What it believes

    @property
    def lip(self) -> NDArray[np.float64]:
        """Where the lip is (3,), m."""
        return self._landing.lip

    @property
    def tilt(self) -> float:
        """Of the source as reported, rad."""
        return self._landing.tilt

    @property
    def offset(self) -> NDArray[np.float64]:
        """Where what leaves now will land (3,), from the target's mouth as it will be then, m."""
        return self._landing.offset(self._clock.now)

    @property
    def account(self) -> PourAccount:
        """What is believed to be poured, and on what ground."""
        believed = Believed() if self._belief is None else self._belief.now
        stopped, under_way = self._stopped or (None, 0.0)
        return PourAccount(believed, stopped, under_way)

    def delay_margin(self) -> DelayMargin:
        """How much delay the correction stands."""
        return self.settings.delay_margin()

    # The loop

    def step(self, now: float) -> Command:
        """The command for the time until the next step; `now` in s."""
        dt, wrong = self._clock.advance(now)
        if wrong:
            self._restart(now, dt)
        self._source.advance(now, self.lip, self._limiter.twist)
        if self._belief is not None:
            self._belief.advance(now, self.tilt, dt)
            self._follow_speed(dt)
        self._landing.advance(now)
        if self.state in MOVES:
            self._check(now, dt, wrong)
        twist = self._limiter.step(self._wanted(now), dt) if dt > 0 else self._limiter.twist.copy()
        if self.state in ('idle', 'done'):
            twist = np.zeros(6)
            self._limiter.halt()
        return Command(twist, self.state, self.reason)

    def _restart(self, now: float, dt: float) -> None:
        """The clock was set, or the loop stood still: the arm has stopped by itself meanwhile."""
        self._limiter.halt()
        if dt == 0:
            self._source.restart(now)
            self._target.restart(now)
            self._landing.forget()
            for given in (self._sightings, self._sources, self._targets):
                given.stamp = given.came = -inf

    def _check(self, now: float, dt: float, wrong: str) -> None:
        assert self._belief is not None
        problem = wrong or self._guard.problem(
            now, dt, self.state, self.tilt, self.lip, self._target.axis, self._belief
        )
        if problem:
            self._end(problem, 'fault')
            return
        self._go_on(now)

    def _go_on(self, now: float) -> None:
        """Change to the next state where this one has done its work."""
        believed = self._belief.now  # type: ignore[union-attr]
        if self.state == 'aim' and self._settled.update(now, self._aimed()) > SETTLED:
            self._enter('start', '')
        if self.state == 'start' and self._flows():
            self._enter('pour', '')
        if self.state in ('start', 'pour'):
            left = self.settings.target_volume - believed.poured
            under_way = self._plan.under_way(believed, self.tilt, left)
            if under_way >= left:
                self._stopped = believed.poured, under_way
                self._end('')
        if self.state == 'return' and self._upright():
            self._enter('done', self.reason)

    def _aimed(self) -> bool:
        goal = self._plan.ready_tilt(self._belief)  # type: ignore[arg-type]
        return bool(
            np.linalg.norm(self.offset[:2]) < ARRIVED
            and abs(self._landing.lift()) < 3 * ARRIVED
            and np.abs(self._limiter.twist).max() < AT_REST
            and self.tilt > goal - TILTED
        )

    def _flows(self) -> bool:
        """Whether the pour has begun: seen, or without sight by the model."""
        enough = 0.7 * self.settings.visible_flow
        if self.settings.correct and self._guard.seen == -inf:
            return False
        return self._belief.flows_more_than(enough) > 0.5  # type: ignore[union-attr]

    def _upright(self) -> bool:
        still = float(np.abs(self._limiter.twist).max()) < AT_REST
        return still and self.tilt < self._plan.return_tilt + 2 * TILTED

    def _enter(self, state: str, reason: str) -> None:
        self.state, self.reason = state, reason

    def _end(self, reason: str, state: str = 'return') -> None:
        self._enter(state, reason)

    # Motion

    def _wanted(self, now: float) -> NDArray[np.float64]:
        """The twist (6,) that this state would like, before limits."""
        wanted = np.zeros(6)
        if self.state in ('idle', 'done') or self._belief is None:
            return wanted
        if self._guard.follows(self.state, self._belief):
            wanted[:3] = self._approach()
        rate = self._plan.tilting(
            self.state, self.tilt, self._belief, float(np.linalg.norm(self.offset[:2])),
            self.target.rim_radius,
        )  # fmt: skip
        if rate > 0 and self._guard.holds(now):
            rate = 0.0
        forward = self._landing.direction()
        wanted[3:] = rate * np.cross(UP, forward)
        return wanted

    def _approach(self) -> NDArray[np.float64]:
        """Velocity (3,) that brings the landing point to the target's mouth."""
        s = self.settings
        error = self.offset
        error[2] = self._landing.lift()
        size = float(np.linalg.norm(error))
        # From the dead band's edge on, so that it does not jump there.
        push = s.approach_gain * max(size - s.dead_band, 0.0) / max(size, 1e-9)
        return np.asarray(self._target.speed() - push * error)

    def _follow_speed(self, dt: float) -> None:
        """Let the exit speed that is aimed for follow the believed one."""
        speed = self._plan.aim_speed
        if self.state in ('pour', 'return', 'fault'):
            speed = self._belief.now.exit_speed or self._landing.speed  # type: ignore[union-attr]
        self._landing.follow(speed, dt)
