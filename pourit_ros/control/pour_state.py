# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The state of a pour, from presence alone."""

from __future__ import annotations

from typing import Literal

# A flow that was seen goes on while frames are at least this sure of it, though not sure enough to
# begin one.
HOLD_ABOVE = 0.25
# One wrong frame ends no flow, however slow the camera is.
STOP_FRAMES = 2

PourState = Literal['idle', 'searching', 'flowing', 'stopped', 'fault']


class PourStateMachine:
    """States over the stamps of the frames; deterministic, without a clock.

    idle: no frame yet. searching: frames, and no liquid so far. flowing: liquid in `start_after`
    successive frames. stopped: liquid flowed and has been absent for `stop_after` seconds and two
    frames; new liquid leads back to flowing. A frame without liquid whose probability is above
    0.25 is undecided: it prolongs a flow, and neither begins one nor interrupts its beginning.
    Times are those of the stamps, so that a slow camera and a fast one see the same. fault: liquid
    may flow unmeasured, because the node called `fault`, or because a flow that had been measured
    could not be measured for `lost_after` seconds (pose lost, camera turned away). A fault ends
    with a frame that is dry or valid. A stamp before its predecessor (time set back) resets the
    state.
    """

    def __init__(
        self, start_after: int = 2, stop_after: float = 0.3, lost_after: float = 1.0
    ) -> None:
        self.set_limits(start_after, stop_after, lost_after)
        self.reset()

    def set_limits(self, start_after: int, stop_after: float, lost_after: float) -> None:
        """Change the limits from the next frame on; the state stays."""
        self._start_after = start_after
        self._stop_after_ns = round(stop_after * 1e9)
        self._lost_after_ns = round(lost_after * 1e9)

    def reset(self) -> None:
        """Back to idle."""
        self.state: PourState = 'idle'
        self.reason = ''
        self._newest_ns: int | None = None
        self._successive = 0
        self._dry = 0
        self._flowing = False
        self._flowed = False
        self._last_present_ns = 0
        self._last_valid_ns: int | None = None

    def fault(self, reason: str) -> PourState:
        """Enter fault; `reason` stays readable until the fault ends."""
        self.state, self.reason = 'fault', reason
        return self.state

    def update(
        self, stamp_ns: int, present: bool, valid: bool, probability: float | None = None
    ) -> PourState:
        """Update with a frame (liquid present, distance measured) and return the state.

        Without its probability, a frame is wet or dry and never undecided.
        """
        if self._newest_ns is not None and stamp_ns < self._newest_ns:
            self.reset()
        self._newest_ns = stamp_ns
        undecided = not present and probability is not None and probability > HOLD_ABOVE
        self._track_flow(stamp_ns, present, valid, undecided)
        if self._lost(stamp_ns, present):
            return self.fault('liquid is flowing but its distance was lost')
        if self.state == 'fault' and present and not valid:
            return self.state
        self.reason = ''
        if self._flowing:
            self.state = 'flowing'
        else:
            self.state = 'stopped' if self._flowed else 'searching'
        return self.state

    def _track_flow(self, stamp_ns: int, present: bool, valid: bool, undecided: bool) -> None:
        old = stamp_ns - self._last_present_ns >= self._stop_after_ns
        if present:
            self._successive += 1
            self._dry = 0
            self._last_present_ns = stamp_ns
            if valid:
                self._last_valid_ns = stamp_ns
        elif undecided and self._flowing:
            self._dry = 0
            self._last_present_ns = stamp_ns
        elif not undecided or old:
            self._successive = 0
            self._dry += 1
        if self._successive >= self._start_after:
            self._flowing = self._flowed = True
        elif self._flowing and old and self._dry >= STOP_FRAMES:
            self._flowing = False
            self._last_valid_ns = None

    def _lost(self, stamp_ns: int, present: bool) -> bool:
        """Whether this flow was measured before, but not for too long a time."""
        if not (self._flowing and present) or self._last_valid_ns is None:
            return False
        return stamp_ns - self._last_valid_ns >= self._lost_after_ns
