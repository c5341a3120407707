# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""How liquid leaves a tilted container, how fast, and where it will land.

The quasi-static model of `weir`, and what it leaves out: the liquid takes time to follow the tilt,
and a trickle clings to the lip. `docs/outflow.md` has the equations, their sources and limits.
"""

from __future__ import annotations

from functools import lru_cache
from math import exp, floor, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..geometry.cavity import Cavity
from ..geometry.container import Container
from ..geometry.fall import UP, fall_time, falling
from ..geometry.pose import Pose
from .weir import EXCESSES, TILTS, WeirTables, weir_tables

# Discharge coefficient: 0.62 at a sharp edge, 0.97 at a rounded one.
SHARP_EDGE = 0.62
# The flow follows the tilt with a first-order lag, s (own choice).
LAG = 0.08
# Below this flow (m3/s) liquid runs along the wall and drips straight down: the teapot effect
# (Duez, Ybert, Clanet and Bocquet, Phys. Rev. Lett. 104, 2010).
DRIP = 1e-6
# Below this (m3/s) nothing is said to flow.
NO_FLOW = 1e-9


class Outflow:
    """What a cavity lets out when it is tilted: a pure model, SI units, tilts in rad.

    `coefficient`: of discharge, within 0.3 to 1; raises InputError for another. Tables are
    made once for each cavity and coefficient. A tilt is that of the axis from the vertical,
    0 to pi.

    >>> model = Outflow(Container.load('bottle').cavity)
    >>> tilt = model.tilt_for(volume=300e-6, flow=12e-6)
    >>> 60 < 180 / pi * tilt < 90
    True
    >>> round(1e6 * model.flow(300e-6, tilt), 3)
    12.0
    """

    def __init__(self, cavity: Cavity, coefficient: float = SHARP_EDGE) -> None:
        if not 0.3 <= coefficient <= 1:
            raise InputError(
                f'outflow: a coefficient of discharge is within 0.3 to 1, not {coefficient:g}'
            )
        self.cavity, self.coefficient = cavity, coefficient
        self.tables = _tables(cavity.profile.tobytes(), coefficient)

    @property
    def capacity(self) -> float:
        """Volume up to the mouth, m3."""
        return self.tables.capacity

    def kept(self, tilt: float) -> float:
        """Volume (m3) that stays in it at a tilt, falling from the capacity to nothing."""
        i, a = _split(tilt)
        kept = self.tables.kept
        return float((1 - a) * kept[i] + a * kept[i + 1])

    def flow(self, volume: float, tilt: float) -> float:
        """Steady flow (m3/s) with a volume (m3) in it."""
        return self._look_up(self.tables.flow, volume, tilt)

    def exit_speed(self, volume: float, tilt: float) -> float:
        """Speed (m/s) at which liquid leaves; 0 while it only drips."""
        if self.flow(volume, tilt) < DRIP:
            return 0.0
        return self._look_up(self.tables.speed, volume, tilt)

    def tilt_for(self, volume: float, flow: float) -> float:
        """The least tilt (rad) at which this much flows, m3/s; pi where it never does."""
        low, high = 0.0, pi
        if self.flow(volume, high) < flow and self.tables.flow.max() < flow:
            return pi
        # The flow grows until the mouth points down: look for the first tilt that is enough.
        steps = np.linspace(0, pi, TILTS)
        enough = np.flatnonzero(self.flows(np.full(TILTS, volume), steps)[0] >= flow)
        if not len(enough):
            return pi
        if enough[0] == 0:
            return 0.0
        low, high = steps[enough[0] - 1], steps[enough[0]]
        for _ in range(24):
            middle = 0.5 * (low + high)
            low, high = (low, middle) if self.flow(volume, middle) >= flow else (middle, high)
        return float(high)

    def onset(self, volume: float) -> float:
        """The tilt (rad) at which liquid reaches the lip."""
        # `kept` falls: look it up backwards.
        kept = self.tables.kept[::-1]
        return float(pi - np.interp(volume, kept, np.linspace(0, pi, TILTS)))

    def flows(
        self, volume: NDArray[np.float64], tilt: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Flow (N,) m3/s and exit speed (N,) m/s for volumes (N,) m3 and tilts (N,) rad."""
        t = self.tables
        x = np.clip(tilt * ((TILTS - 1) / pi), 0, TILTS - 1)
        i = np.minimum(x.astype(np.intp), TILTS - 2)
        a = x - i
        excess = volume - ((1 - a) * t.kept[i] + a * t.kept[i + 1])
        y = np.sqrt(np.clip(excess / t.capacity, 0, 1)) * (EXCESSES - 1)
        j = np.minimum(y.astype(np.intp), EXCESSES - 2)
        b = y - j
        found = []
        for table in (t.flow, t.speed):
            low = (1 - b) * table[i, j] + b * table[i, j + 1]
            high = (1 - b) * table[i + 1, j] + b * table[i + 1, j + 1]
            found.append((1 - a) * low + a * high)
        flow, speed = found
        return flow, np.where(flow < DRIP, 0.0, speed)

    def _look_up(self, table: NDArray[np.float64], volume: float, tilt: float) -> float:
        i, a = _split(tilt)
        t = self.tables
        excess = volume - float((1 - a) * t.kept[i] + a * t.kept[i + 1])
        if excess <= 0:
            return 0.0
        y = sqrt(min(excess / t.capacity, 1.0)) * (EXCESSES - 1)
        j = min(floor(y), EXCESSES - 2)
        b = y - j
        low = (1 - b) * table[i, j] + b * table[i, j + 1]
        high = (1 - b) * table[i + 1, j] + b * table[i + 1, j + 1]
        return float((1 - a) * low + a * high)


class Pouring:
    """A container being poured from: `volume` (m3) in it and the present `flow` (m3/s).

    Raises InputError for a volume that it cannot hold. Steps of up to 20 ms are accurate.
    """

    def __init__(self, outflow: Outflow, volume: float, lag: float = LAG) -> None:
        if not 0 <= volume <= outflow.capacity * (1 + 1e-9):
            raise InputError(
                f'outflow: {1e6 * volume:g} ml do not go into a container that holds '
                f'{1e6 * outflow.capacity:.0f} ml'
            )
        self.outflow, self.lag = outflow, lag
        self.volume, self.flow, self.exit_speed = volume, 0.0, 0.0

    def step(self, tilt: float, dt: float) -> float:
        """Let it run for `dt` (s) at `tilt` (rad); returns the volume (m3) that left."""
        steady = self.outflow.flow(self.volume, tilt)
        self.flow += (steady - self.flow) * (1 - exp(-dt / self.lag))
        if self.flow < NO_FLOW:
            self.flow = 0.0
        left = min(self.flow * dt, self.volume)
        self.volume -= left
        self.exit_speed = self.outflow.exit_speed(self.volume, tilt) if self.flow >= DRIP else 0.0
        return left


def _split(tilt: float) -> tuple[int, float]:
    """Index and fraction of a tilt within the tables."""
    x = min(max(tilt, 0.0), pi) * ((TILTS - 1) / pi)
    i = min(floor(x), TILTS - 2)
    return i, x - i


@lru_cache(maxsize=32)
def _tables(profile: bytes, coefficient: float) -> WeirTables:
    return weir_tables(Cavity(np.frombuffer(profile).reshape(-1, 2)), coefficient)


def tilt_of(source: Container, T_base_source: Pose) -> float:
    """Tilt (rad) of a container's axis from the vertical."""
    return tilt_at(source.axis_in(T_base_source))


def tilt_at(axis: NDArray[np.float64]) -> float:
    """Tilt (rad) of an axis (3,) from the vertical."""
    return float(np.arccos(np.clip(axis[2], -1, 1)))


def forward_of(axis: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The horizontal unit vector (3,) towards which an axis (3,) leans; None if upright."""
    level = np.array([axis[0], axis[1], 0.0])
    length = float(np.linalg.norm(level))
    return level / length if length > 1e-6 else None


def lip_of(source: Container, T_base_source: Pose) -> NDArray[np.float64]:
    """The lowest point (3,) of the rim, m, where it pours; if upright, the mouth's centre."""
    axis, mouth = source.axis_in(T_base_source), source.mouth_in(T_base_source)
    return lip_at(mouth, axis, source.rim_radius)


def lip_at(
    mouth: NDArray[np.float64], axis: NDArray[np.float64], radius: float
) -> NDArray[np.float64]:
    """The lowest point (3,) of a rim about `mouth` (3,) m, normal to `axis` (3,)."""
    down = axis[2] * axis - UP
    length = float(np.linalg.norm(down))
    return mouth + radius * down / length if length > 1e-6 else mouth.copy()


def departure(
    source: Container, T_base_source: Pose, exit_speed: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Place (3,) m and velocity (3,) m/s of what leaves a source now, in the base frame.

    It leaves horizontally, from a mouth that points down along the wall (own choice).
    """
    axis = source.axis_in(T_base_source)
    return lip_of(source, T_base_source), exit_speed * leaving(axis)


def leaving(axis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vector (3,) along which liquid leaves a container with this axis (3,); 0 if upright."""
    if axis[2] < 0:
        return axis.copy()
    forward = forward_of(axis)
    return np.zeros(3) if forward is None else forward


def predicted_landing(
    place: NDArray[np.float64], velocity: NDArray[np.float64], height: float
) -> NDArray[np.float64]:
    """Where (3,) m what leaves `place` (3,) with `velocity` (3,) falls to a height, m, z up.

    From a place below that height: the place itself.
    """
    drop = float(place[2]) - height
    if drop <= 0:
        return place.copy()
    return falling(place, velocity, float(fall_time(drop, -float(velocity[2]))))
