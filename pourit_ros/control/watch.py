# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Watches the clock, the stamps and the age of what a controller is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf, isfinite

# Clocks of two machines may differ by this much, s.
AHEAD = 0.05
# A stamp older by more than this than the one before says that somebody set a clock, s.
BACK = 0.5
# A loop that was not run for this long (s) no longer knows what the arm did.
STALLED = 0.2
# From this share of an age limit on, nothing is tilted forward.
HOLD = 0.6


@dataclass
class Input:
    """One kind of input: `name` in messages, when it last came and with what stamp, s."""

    name: str
    limit: float
    stamp: float = -inf
    came: float = -inf
    refused: str = ''

    def accept(self, stamp: float, now: float) -> bool:
        """Whether this may be used: its stamp is new, and a time of this clock."""
        if not (isfinite(stamp) and isfinite(now)):
            self.refused = f'{self.name}: stamp or clock is not a number'
        elif stamp > now + AHEAD:
            self.refused = (
                f'{self.name}: stamped {stamp - now:.2f} s ahead of the clock: '
                'synchronise the clocks'
            )
        elif stamp <= self.stamp:
            # Out of order, or the same again: no news. Long before: somebody set a clock.
            if stamp < self.stamp - BACK:
                self.refused = f'{self.name}: its stamps went back by {self.stamp - stamp:.2f} s'
        else:
            self.stamp, self.came, self.refused = stamp, now, ''
            return True
        return False

    def refuse(self, why: str) -> None:
        """It came and cannot be used."""
        self.refused = f'{self.name}: {why}'

    def age(self, now: float) -> float:
        """Since the last usable one came, s."""
        return now - self.came

    def problem(self, now: float) -> str:
        """Why nothing can be done on the ground of it any more; empty while it is fresh."""
        if self.age(now) <= self.limit:
            return ''
        if self.refused:
            return self.refused
        if self.came == -inf:
            return f'{self.name}: none has come'
        return f'{self.name}: none for {self.age(now):.2f} s'


@dataclass
class Clock:
    """The time of the loop."""

    now: float = -inf

    def advance(self, now: float) -> tuple[float, str]:
        """The step (s) from the last call to `now`, and what is wrong with it."""
        last, self.now = self.now, now
        if last == -inf:
            return 0.0, ''
        if now < last:
            return 0.0, f'the clock went back by {last - now:.2f} s'
        if now - last > STALLED:
            return now - last, f'the loop stood still for {now - last:.2f} s'
        return now - last, ''


@dataclass
class Persistent:
    """How long something has held without a break."""

    since: float = field(default=inf)

    def update(self, now: float, holds: bool) -> float:
        """For how long it has held by `now`, s; 0 if it does not."""
        self.since = min(self.since, now) if holds else inf
        return now - self.since if holds else 0.0


def first(*checks: Callable[[], str]) -> str:
    """What the first check that finds something says."""
    return next((said for check in checks if (said := check())), '')
