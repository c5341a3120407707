# SPDX-License-Identifier: Apache-2.0
"""The word for how a pour stands, from presence alone."""

from __future__ import annotations

from typing import Literal

PourState = Literal['idle', 'searching', 'flowing', 'stopped', 'fault']


class PourStateMachine:
    """States over the stamps of the frames; deterministic, knows no clock.

    idle: no frame yet. searching: frames, and no liquid so far. flowing: liquid in `start_after`
    successive frames. stopped: it flowed, and was absent for `stop_after` seconds; liquid again
    leads back to flowing. fault: nobody measures what may be flowing, because the node said so
    (`fault`), or because a flow that had been measured could not be for `lost_after` seconds
    (pose lost, camera turned away). A fault ends with a frame that is dry or valid.
    A stamp before its predecessor (time set back) starts anew.
    """

    def __init__(
        self, start_after: int = 2, stop_after: float = 0.3, lost_after: float = 1.0
    ) -> None:
        self.set_limits(start_after, stop_after, lost_after)
        self.reset()

    def set_limits(self, start_after: int, stop_after: float, lost_after: float) -> None:
        """Other limits from the next frame on; the state stays."""
        self._start_after = start_after
        self._stop_after_ns = round(stop_after * 1e9)
        self._lost_after_ns = round(lost_after * 1e9)

    def reset(self) -> None:
        """Back to idle."""
        self.state: PourState = 'idle'
        self.reason = ''
        self._newest_ns: int | None = None
        self._successive = 0
        self._flowing = False
        self._flowed = False
        self._last_present_ns = 0
        self._last_valid_ns: int | None = None

    def fault(self, reason: str) -> PourState:
        """Enter fault; `reason` stays readable until the fault ends."""
        self.state, self.reason = 'fault', reason
        return self.state

    def update(self, stamp_ns: int, present: bool, valid: bool) -> PourState:
        """Take in a frame and return the state: liquid present, and its distance measured."""
        if self._newest_ns is not None and stamp_ns < self._newest_ns:
            self.reset()
        self._newest_ns = stamp_ns
        self._track_flow(stamp_ns, present, valid)
        if self._lost(stamp_ns, present):
            return self.fault('the liquid flows and its distance was lost')
        if self.state == 'fault' and present and not valid:
            return self.state
        self.reason = ''
        if self._flowing:
            self.state = 'flowing'
        else:
            self.state = 'stopped' if self._flowed else 'searching'
        return self.state

    def _track_flow(self, stamp_ns: int, present: bool, valid: bool) -> None:
        if present:
            self._successive += 1
            self._last_present_ns = stamp_ns
            if valid:
                self._last_valid_ns = stamp_ns
        else:
            self._successive = 0
        if self._successive >= self._start_after:
            self._flowing = self._flowed = True
        elif self._flowing and stamp_ns - self._last_present_ns >= self._stop_after_ns:
            self._flowing = False
            self._last_valid_ns = None

    def _lost(self, stamp_ns: int, present: bool) -> bool:
        """Whether this flow was measured before and has not been for too long."""
        if not (self._flowing and present) or self._last_valid_ns is None:
            return False
        return stamp_ns - self._last_valid_ns >= self._lost_after_ns
