# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The liquid's account: what left the bottle, what is falling, and what the cup has caught.

What leaves within a step is a parcel that falls freely. It is credited when it crosses the plane
of the cup's rim, with the place where the cup is then, and how full.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..geometry.fall import fall_time, falling

# How long (s) departures are remembered, for the picture: longer than any fall to the table.
REMEMBERED = 0.6
# Parcels further apart (s) belong to different streams.
GAP = 0.035
# What has crossed the rim so recently (s) is crossing it now.
NOW = 0.04


@dataclass(frozen=True, eq=False)
class Parcel:
    """Liquid that left at `left_at` (s) from `place` (3,) m with `velocity` (3,) m/s.

    `volume` m3, over `duration` s; `lands_at` s: when it crosses the plane of the rim.
    """

    left_at: float
    place: NDArray[np.float64]
    velocity: NDArray[np.float64]
    volume: float
    duration: float
    lands_at: float

    @property
    def landing(self) -> NDArray[np.float64]:
        """Where (3,) m it crosses the plane of the rim."""
        return falling(self.place, self.velocity, self.lands_at - self.left_at)


class Account:
    """Volumes in m3: `poured` = `caught` + `spilled` + `in_air`.

    The cup's `opening` is a radius (m), its rim at the height `rim` (m), its mouth at `mouth_at`
    (s) -> (2,) m; it holds `room` (m3) more.
    """

    def __init__(
        self,
        mouth_at: Callable[[float], NDArray[np.float64]],
        opening: float,
        rim: float,
        room: float,
    ) -> None:
        self._mouth_at, self._opening, self._rim = mouth_at, opening, rim
        self._room = room
        self._falling: deque[Parcel] = deque()
        self._recent: deque[Parcel] = deque()
        self.poured = self.caught = self.spilled = 0.0
        self._landed: Parcel | None = None
        self._spill_place = np.zeros(2)

    @property
    def in_air(self) -> float:
        """Volume above the plane of the rim, m3."""
        return float(sum(p.volume for p in self._falling))

    @property
    def puddle(self) -> tuple[NDArray[np.float64], float]:
        """Mean place (2,) m of what was spilled, and its volume."""
        return self._spill_place, self.spilled

    def leave(
        self,
        time: float,
        place: NDArray[np.float64],
        velocity: NDArray[np.float64],
        volume: float,
        duration: float,
    ) -> None:
        """Let `volume` go within `duration` up to `time`."""
        if volume <= 0:
            return
        drop = float(place[2]) - self._rim
        # From a lip below the rim it is where it lands.
        falls = float(fall_time(drop, -float(velocity[2]))) if drop > 0 else 0.0
        parcel = Parcel(time, place.copy(), velocity.copy(), volume, duration, time + falls)
        self.poured += volume
        self._falling.append(parcel)
        self._recent.append(parcel)

    def settle(self, time: float) -> None:
        """Credit all that has landed by `time`."""
        landed = [p for p in self._falling if p.lands_at <= time]
        if landed:
            # A later parcel may overtake an earlier one.
            self._falling = deque(p for p in self._falling if p.lands_at > time)
            for parcel in sorted(landed, key=lambda p: p.lands_at):
                self._credit(parcel)
        while self._recent and self._recent[0].left_at < time - REMEMBERED:
            self._recent.popleft()

    def _credit(self, parcel: Parcel) -> None:
        place = parcel.landing[:2]
        inside = np.linalg.norm(place - self._mouth_at(parcel.lands_at)) < self._opening
        kept = min(parcel.volume, max(self._room, 0.0)) if inside else 0.0
        lost = parcel.volume - kept
        self.caught += kept
        self._room -= kept
        if lost > 0:
            self.spilled += lost
            self._spill_place = self._spill_place + lost / self.spilled * (
                place - self._spill_place
            )
        self._landed = parcel

    def landing(self, time: float) -> NDArray[np.float64] | None:
        """Where (3,) m liquid crosses the plane of the rim at `time`, None where none does."""
        parcel = self._landed
        if parcel is None or time - parcel.lands_at > NOW:
            return None
        return parcel.landing

    def streams(self) -> list[list[Parcel]]:
        """The parcels that have left recently, oldest first, as streams without gaps."""
        runs: list[list[Parcel]] = []
        for parcel in self._recent:
            if not runs or parcel.left_at - runs[-1][-1].left_at > GAP:
                runs.append([])
            runs[-1].append(parcel)
        return runs
