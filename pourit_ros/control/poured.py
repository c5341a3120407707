# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The volume that was poured: the measured flow, integrated over the frames' stamps."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

# Frames farther apart than this were dropped between, s.
MAX_GAP = 0.25
# Unseen, a flow may change by all of itself within this time, s.
CHANGES = 1.0
# A flow that was never measured, and its deviation, m³/s.
UNKNOWN_FLOW = 30e-6
# A stamp this much before the newest is a frame that came late, not time set back, s.
LATE = 0.5
# A flow begins or ends anywhere between two frames: the deviation of an even distribution.
EVEN = 12**-0.5


class Poured(NamedTuple):
    """Volume since the start, with its standard deviation, m³."""

    volume: float
    sigma: float


@dataclass(frozen=True)
class _Wet:
    """A frame with liquid, its flow and deviation in m³/s; None: not measured."""

    stamp_ns: int
    flow: float | None
    sigma: float


class PouredVolume:
    """Integrates flow over the frames' stamps; deterministic, without a clock.

    Between two measured frames the flow is their mean, and its deviation, which comes from the
    stream's shape and the calibration, is the same throughout: it adds up like the flow itself.

    Unseen is not dry. Frames that were dropped, could not be measured, or are dry for less than
    `stop_after` s within a flow are bridged, and what may have happened meanwhile adds to the
    deviation; so does where between two frames a flow began and ended. Liquid in a single frame
    (fewer than `start_after` in a row) was a false alarm: it adds only to the deviation. A flow
    that was never measured counts as 30 ± 30 ml/s.

    A late frame, up to 0.5 s before the newest, is left out; a stamp farther back (time was set
    back) begins anew from 0. A flow too thin to be seen is not in the volume.
    """

    def __init__(self, start_after: int = 2, stop_after: float = 0.3) -> None:
        self.set_limits(start_after, stop_after)
        self.restart()

    def set_limits(self, start_after: int, stop_after: float) -> None:
        """Change the limits, those of `PourStateMachine`, from the next frame on."""
        self._start_after = start_after
        self._stop_after = stop_after

    def restart(self) -> None:
        """Begin anew from 0."""
        self._volume = 0.0
        self._common = 0.0
        self._variance = 0.0
        self._newest_ns: int | None = None
        self._flowing = False
        # Frames since the last one that was settled, which is the first of them while it flows.
        self._wet: list[_Wet] = []
        self._dry_ns: int | None = None

    def update(
        self, stamp_ns: int, present: bool, flow: float | None, sigma: float | None
    ) -> Poured:
        """Take in a frame: liquid or not, its flow with deviation, m³/s, None: not measured."""
        if self._newest_ns is not None and stamp_ns <= self._newest_ns:
            if _seconds(stamp_ns, self._newest_ns) <= LATE:
                return self._now(self._newest_ns)
            self.restart()
        self._newest_ns = stamp_ns
        if present:
            self._see(_Wet(stamp_ns, flow, sigma or 0.0))
        else:
            self._miss(stamp_ns)
        return self._now(stamp_ns)

    def _see(self, wet: _Wet) -> None:
        if self._flowing and len(self._wet) > 1 and self._wet[-1].flow is None:
            # A bridge needs its ends only.
            del self._wet[-1]
        self._wet.append(wet)
        if not self._flowing:
            if len(self._wet) < self._start_after:
                return
            self._flowing = True
            self._edge(self._dry_ns, self._wet[0].stamp_ns, self._wet[0])
            self._dry_ns = None
        elif self._dry_ns is not None:
            # The dry frames between were false; they are bridged like frames without a flow.
            if len(self._wet) == 2:
                self._wet.insert(1, _Wet(self._dry_ns, None, 0.0))
            self._dry_ns = None
        if wet.flow is not None:
            self._settle()

    def _miss(self, stamp_ns: int) -> None:
        if not self._flowing:
            if self._wet:
                self._variance += self._alarm(stamp_ns) ** 2
            self._wet = []
            self._dry_ns = stamp_ns
            return
        self._dry_ns = stamp_ns if self._dry_ns is None else self._dry_ns
        last = self._wet[-1]
        if _seconds(last.stamp_ns, stamp_ns) < self._stop_after:
            return
        self._settle()
        self._edge(last.stamp_ns, self._dry_ns, self._known())
        self._flowing = False
        self._wet = []
        self._dry_ns = stamp_ns

    def _alarm(self, stamp_ns: int) -> float:
        """What may have flowed by `stamp_ns`, if liquid in too few frames was no false alarm."""
        first = self._wet[0]
        since = first.stamp_ns if self._dry_ns is None else self._dry_ns
        return EVEN * _flow(first) * min(_seconds(since, stamp_ns), CHANGES)

    def _settle(self) -> None:
        """Count the flow up to the newest frame with liquid."""
        volume, common, variance = self._flown()
        self._volume += volume
        self._common += common
        self._variance += variance
        last = self._wet[-1]
        known = self._known()
        self._wet = [_Wet(last.stamp_ns, known.flow, known.sigma)]

    def _known(self) -> _Wet:
        """The newest measured flow."""
        for wet in reversed(self._wet):
            if wet.flow is not None:
                return wet
        return _Wet(0, UNKNOWN_FLOW, UNKNOWN_FLOW)

    def _flown(self) -> tuple[float, float, float]:
        """Volume, common deviation and variance of what else may have flowed, of the frames."""
        volume = common = variance = 0.0
        measured = [k for k, wet in enumerate(self._wet) if wet.flow is not None]
        stops = sorted({0, *measured, len(self._wet) - 1})
        for first, last in pairwise(stops):
            a, b = self._wet[first], self._wet[last]
            if a.flow is None:
                a = b if b.flow is not None else self._known()
            if b.flow is None:
                b = a
            time = _seconds(self._wet[first].stamp_ns, self._wet[last].stamp_ns)
            flow = 0.5 * (_flow(a) + _flow(b))
            volume += flow * time
            common += 0.5 * (a.sigma + b.sigma) * time
            if last > first + 1 or time > MAX_GAP or self._wet[last].flow is None:
                variance += (flow * time * min(1.0, time / CHANGES)) ** 2
        return volume, common, variance

    def _edge(self, from_ns: int | None, to_ns: int, wet: _Wet) -> None:
        """Count a beginning or an end somewhere between two frames."""
        time = 0.0 if from_ns is None else abs(_seconds(from_ns, to_ns))
        self._volume += 0.5 * _flow(wet) * time
        self._common += 0.5 * wet.sigma * time
        self._variance += (EVEN * _flow(wet) * time) ** 2

    def _now(self, stamp_ns: int) -> Poured:
        """The volume with what is not settled yet."""
        volume, common, variance = self._volume, self._common, self._variance
        if self._flowing:
            more = self._flown()
            volume, common, variance = volume + more[0], common + more[1], variance + more[2]
            if self._dry_ns is not None:
                # Dry or not: so much may have flowed since.
                since = _seconds(self._wet[-1].stamp_ns, stamp_ns)
                variance += (_flow(self._known()) * since) ** 2
        elif self._wet:
            variance += self._alarm(stamp_ns) ** 2
        return Poured(volume, float((common**2 + variance) ** 0.5))


def _seconds(from_ns: int, to_ns: int) -> float:
    return abs(to_ns - from_ns) / 1e9


def _flow(wet: _Wet) -> float:
    return UNKNOWN_FLOW if wet.flow is None else wet.flow
