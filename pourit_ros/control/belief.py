# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What has been poured and what flows: outflow model and sight, weighed by their variances.

A particle filter (Gordon, Salmond and Smith, IEE Proceedings F 140, 1993): each particle is a
container with a fill, an error of the tilt, a flow from which it is seen and an error of the seen
flow's calibration, and pours by the model. What is seen, and what should be seen and is not,
decides which of them live on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .history import History
from .outflow import LAG, Outflow

PARTICLES = 1000
# How the error of the tilt wanders, rad/s^0.5.
TILT_WANDERS = 0.0015
# A bottle may slip in the gripper: how often it begins and ends to (1/s), and how fast (rad/s).
SLIP_BEGINS, SLIP_ENDS, SLIP_RATE = 0.08, 0.4, 0.04
# Steps of the filter, s.
STEP = 0.018
# Images in a row err alike: each counts as this share of an independent one.
FRESH = 0.5
# Share of images with a flow that is seen well in which it is missed, and of those without any in
# which one is seen.
MISSED, FALSE = 0.08, 0.02
# How the chance to be seen grows about this share of the visible flow, and how steeply; and how
# far the visible flow of a pour is from the usual one (logarithmic): a dark stream is seen late.
SEEN_FROM, SEEN_WIDTH, SEEN_SIGMA = 0.75, 0.2, 0.5
# Measured flows err further, now and then, than their deviation says.
OUTLIER = 0.03
# A seen tilt errs by so much (rad), a bottle that slips gets faster by so much (rad/s^1.5), and a
# rate that was seen holds for so long, s.
TILT_SIGMA, SLIPS_FASTER, TILT_HOLDS = 0.0055, 0.05, 0.4
# One that is farther off than this (rad) is not believed, unless it comes so often in a row.
LEAP, STUBBORN = 0.1, 4
# Before particles are drawn anew, this share of them has to count.
EFFECTIVE = 0.5


@dataclass(frozen=True)
class Believed:
    """What is believed now: means and standard deviations, SI units."""

    poured: float = 0.0
    poured_sigma: float = 0.0
    flow: float = 0.0
    flow_sigma: float = 0.0
    exit_speed: float = 0.0
    left: float = 0.0
    left_sigma: float = 0.0
    tilt_error: float = 0.0
    """Of the reported tilt, rad: the true one is larger by as much."""
    calibration: float = 1.0
    """Seen flow over true flow."""
    tilt_seen: float = 0.0
    """What is seen of the tilt's error, rad; part of it."""


class PourBelief:
    """The state of a pour from `outflow`; `fill` (m3) as told, `fill_sigma` (m3) how well.

    `visible_flow`: the least that is usually seen, m3/s; `calibration_sigma`: of the seen flow, as
    a share; `tilt_sigma`: of the reported tilt at the start, rad. Deterministic by `seed`.
    """

    def __init__(
        self,
        outflow: Outflow,
        fill: float,
        fill_sigma: float,
        visible_flow: float,
        calibration_sigma: float,
        tilt_sigma: float,
        seed: int = 0,
    ) -> None:
        self.outflow, self.visible_flow = outflow, visible_flow
        self.tilt_sigma = tilt_sigma
        rng = self._rng = np.random.default_rng(seed)
        n = PARTICLES
        self._volume = np.clip(fill + fill_sigma * _normal(rng, n), 0, outflow.capacity)
        self._tilt_error = tilt_sigma * _normal(rng, n)
        self._calibration_sigma = calibration_sigma
        self._calibration = np.exp(calibration_sigma * _normal(rng, n))
        self._visible = visible_flow * np.exp(SEEN_SIGMA * _normal(rng, n))
        self._slip = np.zeros(n)
        # Error of the reported tilt and its rate, as seen: rad, rad/s.
        self._seen, self._seen_P = np.zeros(2), np.diag([1.0, 0.01])
        self._seen_at, self._seen_error, self._leaps = -np.inf, 0.0, 0
        self._pending = 0.0
        self._flow, self._speed, self._poured = np.zeros((3, n))
        self._log_weight = np.zeros(n)
        self._flows = History(1.0)
        self.now = Believed(left=fill, left_sigma=fill_sigma)

    @property
    def weight(self) -> NDArray[np.float64]:
        """Of each particle (N,), together 1."""
        w = np.exp(self._log_weight - np.max(self._log_weight))
        return np.asarray(w / w.sum())

    def advance(self, now: float, tilt: float, dt: float) -> None:
        """Pour for `dt` (s) until `now` (s) at the tilt (rad) that is reported."""
        self._pending += dt
        if self._pending < STEP:
            return
        dt, self._pending = self._pending, 0.0
        self._slide(dt, now - self._seen_at > 2 * TILT_HOLDS)
        self._seen_error = float(self._seen @ [1.0, min(now - self._seen_at, TILT_HOLDS)])
        steady, speed = self.outflow.flows(self._volume, tilt + self._error)
        self._flow += (steady - self._flow) * (1 - np.exp(-dt / LAG))
        left = np.minimum(self._flow * dt, self._volume)
        self._volume -= left
        self._poured += left
        self._speed = np.where(self._flow > 0, speed, 0.0)
        self._flows.add(now, self._flow.copy())
        self._summarize()

    def see_tilt(self, stamp: float, error: float) -> None:
        """Take in by how much (rad) the tilt exceeded the reported one at `stamp` (s), as seen."""
        dt = min(max(stamp - self._seen_at, 0.0), TILT_HOLDS)
        leaps = np.isfinite(self._seen_at) and abs(error - self._seen[0]) > LEAP
        self._leaps = self._leaps + 1 if leaps else 0
        if 0 < self._leaps < STUBBORN:
            return
        F = np.array([[1.0, dt], [0, 1.0]])
        Q = SLIPS_FASTER**2 * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
        self._seen, P = F @ self._seen, F @ self._seen_P @ F.T + Q
        if self._leaps:
            # Again and again: that is how it is.
            P = np.diag([1.0, 0.01])
        gain = P[:, 0] / (P[0, 0] + TILT_SIGMA**2)
        self._seen = self._seen + gain * (error - self._seen[0])
        self._seen_P, self._seen_at = P - np.outer(gain, P[0]), stamp

    def see(
        self, stamp: float, present: bool | None, flow: float | None, sigma: float | None
    ) -> None:
        """Weigh by an image of the time `stamp` (s): is there liquid, how much (m3/s) flows."""
        flows = self._flows.at(stamp)
        if flows is None:
            return
        if present is not None:
            seen = np.asarray((1 - MISSED - FALSE) * self._visibility(flows) + FALSE)
            self._log_weight += FRESH * np.log(seen if present else 1 - seen)
        if flow is not None and sigma is not None and present is not False:
            error = (flow - self._calibration * flows) / sigma
            likely = np.exp(-0.5 * error * error) + OUTLIER
            # A deviation beyond the calibration's is the pour's, hardly that of one image.
            shared = max(sigma / (self._calibration_sigma * max(flow, 1e-9)), 1.0)
            self._log_weight += FRESH / shared**2 * np.log(likely)
        self._log_weight -= self._log_weight.max()
        w = self.weight
        if 1 / np.sum(w * w) < EFFECTIVE * PARTICLES:
            self._draw(w)
        self._summarize()

    def flows_more_than(self, flow: float) -> float:
        """Probability that more than this flows now, m3/s."""
        return float(np.sum(self.weight[self._flow > flow]))

    def steady_flow(self, tilt: float) -> float:
        """Mean of what would flow in the long run at another reported tilt (rad), m3/s."""
        flow, _ = self.outflow.flows(self._volume, tilt + self._error)
        return float(self.weight @ flow)

    def onset(self, sigmas: float) -> float:
        """Reported tilt (rad) at which something flows at the earliest, so many sigmas early."""
        volume = min(self.now.left + sigmas * self.now.left_sigma, self.outflow.capacity)
        return self.outflow.onset(volume) - self.now.tilt_error - sigmas * self.tilt_sigma

    @property
    def _error(self) -> NDArray[np.float64]:
        """Of the reported tilt (N,), rad: what is seen of it, and what is left."""
        return self._seen_error + self._tilt_error

    def _slide(self, dt: float, unseen: bool) -> None:
        """Let the tilt's error wander; where it is not seen, a bottle slips for a while."""
        rng = self._rng
        self._tilt_error += TILT_WANDERS * np.sqrt(dt) * rng.standard_normal(PARTICLES)
        if not unseen:
            self._slip = np.zeros(PARTICLES)
            return
        chance = rng.random(PARTICLES)
        begins = (self._slip == 0) & (chance < SLIP_BEGINS * dt)
        ends = (self._slip != 0) & (chance < SLIP_ENDS * dt)
        rates = SLIP_RATE * rng.standard_normal(PARTICLES)
        self._slip = np.where(begins, rates, np.where(ends, 0.0, self._slip))
        self._tilt_error += dt * self._slip

    def _visibility(self, flows: NDArray[np.float64]) -> NDArray[np.float64]:
        x = (flows / self._visible - SEEN_FROM) / SEEN_WIDTH
        return np.asarray(1 / (1 + np.exp(-np.clip(x, -30, 30))))

    def _draw(self, weight: NDArray[np.float64]) -> None:
        """Systematic resampling; copies of a particle go apart by a part of the spread."""
        rng = self._rng
        places = (rng.random() + np.arange(PARTICLES)) / PARTICLES
        of = np.minimum(np.searchsorted(np.cumsum(weight), places), PARTICLES - 1)
        apart = 0.1
        # About the mean, shrunk, so that the spread stays what it is (Liu and West, 2001).
        for name in ('_tilt_error', '_calibration', '_visible'):
            value = getattr(self, name)[of]
            mean, spread = value.mean(), value.std()
            value = mean + np.sqrt(1 - apart**2) * (value - mean)
            setattr(self, name, value + apart * spread * rng.standard_normal(PARTICLES))
        self._calibration = np.maximum(self._calibration, 0.1)
        self._visible = np.maximum(self._visible, 0.1 * self.visible_flow)
        for name in ('_volume', '_flow', '_poured', '_speed', '_slip'):
            setattr(self, name, getattr(self, name)[of])
        self._flows.pick(of)
        self._log_weight = np.zeros(PARTICLES)

    def _summarize(self) -> None:
        w = self.weight

        def both(value: NDArray[np.float64]) -> tuple[float, float]:
            mean = float(w @ value)
            return mean, float(np.sqrt(w @ (value - mean) ** 2))

        flowing = w * self._flow
        total = float(flowing.sum())
        speed = float(flowing @ self._speed) / total if total > 0 else 0.0
        self.now = Believed(
            *both(self._poured), *both(self._flow), speed, *both(self._volume),
            float(w @ self._error), float(w @ self._calibration), self._seen_error,
        )  # fmt: skip


def _normal(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Standard normal numbers (count,) with the mean 0 and the deviation 1."""
    x = rng.standard_normal(count)
    return np.asarray((x - x.mean()) / x.std())
