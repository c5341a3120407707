# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What a pour must not go beyond: ages, limits, room in the target, liquid that nobody sees."""

from __future__ import annotations

from math import degrees, inf

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..geometry.container import Container
from .belief import Believed, PourBelief
from .outflow import Outflow, Pouring, tilt_at
from .settings import ControllerSettings
from .watch import HOLD, Input, Persistent

# A target leaning more (rad) has been knocked over.
KNOCKED_OVER = float(np.radians(45.0))
# A target is filled to this share of its capacity at most.
FULL = 0.95
# Fill and tilt told are believed down to so many standard deviations: if a source with that little
# in it would be seen to pour and is not, the sight is wrong, not the fill.
LEAST = 1.75
# A bottle whose tilt is known this well (rad) is held; one that is less sure may have slipped.
HELD = 0.017
# Images that miss a stream come singly: fewer in a row than this are believed only after so many
# times the blind time.
MISSES, RARE = 4, 1.5
# Below this flow (m3/s) the lip need not follow the target any more.
DRY = 1e-6


class Guard:
    """Says what is wrong.

    `usable`: when a sighting last came, s; `seen`: stamp of the newest image of liquid, s.
    """

    def __init__(
        self, settings: ControllerSettings, outflow: Outflow, inputs: tuple[Input, ...]
    ) -> None:
        self.settings, self.outflow, self._inputs = settings, outflow, inputs
        self.usable = self.seen = self._looked = -inf
        self._room = inf
        self._begun = 0.0
        self._from = np.zeros(3)
        self._least: Pouring | None = None
        self._reckoned: tuple[Pouring, float] | None = None
        self._unseen = Persistent()
        self._missed = 0
        self._flowed = False

    def admit(self, fill: float, content: float, target: Container) -> float:
        """The fill (m3) if it can be poured from; raises InputError."""
        volume = self.settings.target_volume
        Pouring(self.outflow, fill)
        if volume >= fill:
            raise InputError(
                f'controller: {1e6 * volume:.0f} ml are asked for, '
                f'{1e6 * fill:.0f} ml are in the source'
            )
        if not 0 <= content < inf:
            raise InputError('controller: the content of the target is a volume, m3')
        self._room = inf
        if target.cavity is not None:
            self._room = FULL * target.cavity.capacity - content
        if volume > self._room:
            raise InputError(
                f'controller: {1e6 * volume:.0f} ml are asked for, '
                f'the target has room for {1e6 * max(self._room, 0):.0f} ml'
            )
        return fill

    def begin(self, now: float, lip: NDArray[np.float64], fill: float, content: float) -> None:
        """Watch over a pour that begins with the lip (3,) here."""
        self._begun, self._from = now, lip.copy()
        s, onset = self.settings, self.outflow.onset(fill)
        # What one deviation of the tilt holds back.
        held = self.outflow.kept(onset - s.tilt_sigma) - self.outflow.kept(onset)
        least = fill - LEAST * float(np.hypot(s.fill_sigma * fill, held))
        self._least = Pouring(self.outflow, max(least, 0.0))
        self._unseen, self._reckoned, self._flowed = Persistent(), None, False
        self._missed = 0
        self.seen = self._looked = -inf

    def sees(self, stamp: float, present: bool | None, believed: Believed, flows: bool) -> None:
        """Whether an image shows liquid. If so, the model alone says how it goes on.

        One image alone may be a false alarm: it takes two in a row. Where nothing `flows` by all
        that is believed, any number of them are false.
        """
        self._looked = stamp
        self._missed = 0 if present or stamp < self._unseen.since else self._missed + 1
        if present is None:
            return
        before, self._flowed = self._flowed, present and flows
        if present:
            self.seen = stamp
        if not (before and self._flowed):
            return
        pouring = Pouring(self.outflow, min(believed.left, self.outflow.capacity))
        pouring.flow = believed.flow
        self._reckoned = pouring, believed.tilt_error - believed.tilt_seen

    def holds(self, now: float) -> bool:
        """Whether nothing may be tilted forward: something is late, or unseen."""
        late = any(given.age(now) > HOLD * given.limit for given in self._inputs)
        return late or self._unseen_for() > HOLD * self.settings.blind_time

    def _unseen_for(self) -> float:
        """How long, by their stamps, images have shown no liquid that should be seen, s."""
        return self._looked - max(self._unseen.since, self.seen)

    def follows(self, state: str, belief: PourBelief) -> bool:
        """Whether the lip follows the target in a state."""
        if state == 'return':
            return belief.now.flow > DRY
        return state == 'aim' or (state in ('start', 'pour') and self.settings.correct)

    def problem(
        self,
        now: float,
        dt: float,
        state: str,
        tilt: float,
        lip: NDArray[np.float64],
        target_axis: NDArray[np.float64],
        belief: PourBelief,
    ) -> str:
        """What ends the pour now; empty while nothing does."""
        s = self.settings
        for given in self._inputs:
            if problem := given.problem(now):
                return problem
        low, high = np.asarray(s.workspace)
        travel = float(np.linalg.norm(lip - self._from))
        if tilt > s.max_tilt:
            return f'tilt of {degrees(tilt):.0f} degrees is beyond the limit'
        if travel > s.max_travel:
            return f'travel of {travel:.2f} m is beyond the limit'
        if (lip < low).any() or (lip > high).any():
            return f'lip at {np.round(lip, 2)} m is outside of the workspace'
        if now - self._begun > s.max_time:
            return f'not done after {s.max_time:g} s'
        if tilt_at(target_axis) > KNOCKED_OVER:
            return 'the target has been knocked over'
        if belief.now.poured + 2 * belief.now.poured_sigma > self._room:
            return 'the target is full'
        return self._blind(now, dt, state, tilt, belief)

    def _blind(self, now: float, dt: float, state: str, tilt: float, belief: PourBelief) -> str:
        """Unseen is not dry: by the model it flows visibly, and nobody sees it."""
        assert self._least is not None
        s, tilt = self.settings, tilt + belief.now.tilt_seen
        self._least.step(tilt, dt)
        if not s.correct or state not in ('start', 'pour'):
            self._unseen.update(now, False)
            return ''
        likely = belief.flows_more_than(s.visible_flow) > 0.5
        surely = self._reckoned is None and self._least.flow > s.visible_flow
        if self._reckoned is not None:
            # What is not seen makes the belief doubt that it flows; the last sight does not.
            pouring, tilt_error = self._reckoned
            pouring.step(tilt + tilt_error - max(s.tilt_sigma - HELD, 0.0), dt)
            surely = surely or pouring.flow > s.visible_flow
        self._unseen.update(now, likely or surely)
        unseen = self._unseen_for()
        enough = s.blind_time if self._missed >= MISSES else RARE * s.blind_time
        if unseen > enough:
            return f'liquid flows by the model and has not been seen for {unseen:.2f} s'
        return ''
