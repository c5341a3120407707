# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Run a recorded trial again: the cell is deterministic, so the twists determine all of it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..control.limits import lip_to_tip
from ..control.outflow import lip_of, tilt_of
from .arm import PERIOD
from .cell import Cell
from .setup import Setup
from .trial import LONGEST, SETTLING, Trial, Watch, moment_of

T = TypeVar('T')


@dataclass(frozen=True)
class Recording:
    """What was recorded of a trial; times in s of the trial, at which each became known."""

    twists: Mapping[int, NDArray[np.float64]]
    """Of the tip (6,), by the number of the 10 ms before which it was taken, from 0."""
    states: Sequence[tuple[float, str]]
    """Of the controller."""
    seen: Sequence[tuple[float, bool]]
    """Whether an image showed liquid."""
    views: Sequence[tuple[float, NDArray[np.uint8]]]
    """What perception drew on an image (H, W, 3) RGB."""
    reason: str = ''
    """Why the controller ended, unless all went well."""

    @property
    def duration(self) -> float:
        """Until the arm's last motion, s."""
        return PERIOD * max(self.twists, default=0)

    def view(self, time: float) -> NDArray[np.uint8] | None:
        """The newest view at a time."""
        return _newest(self.views, time)


def rerun(setup: Setup, recording: Recording, watch: Watch | None = None) -> Trial:
    """Run a recorded trial again, as `run_trial` runs a new one.

    No image is taken: the cell's `observe` is not called.
    """
    cell = Cell(setup)
    peaks = [0.0, 0.0, 0.0]
    end, last, step, twist = max(recording.twists), None, 0, np.zeros(6)
    while cell.time < LONGEST:
        if step in recording.twists:
            twist = recording.twists[step]
            cell.command(twist)
        state = _newest(recording.states, cell.time) or 'idle'
        T_base_source, tip = cell.T_base_source, cell.T_base_tip.translation
        lip_twist = lip_to_tip(twist, tip, lip_of(cell.source, T_base_source))
        tilt = tilt_of(cell.source, T_base_source)
        moment = moment_of(cell, state, lip_twist, tilt, _newest(recording.seen, cell.time))
        peaks = [max(p, v) for p, v in zip(peaks, (tilt, moment.speed, moment.turn), strict=True)]
        if watch is not None:
            watch(cell, moment, False)
        if step > end and not cell.flow and not cell.in_air:
            last = cell.time if last is None else last
            if cell.time - last > SETTLING:
                break
        cell.step()
        step += 1
    ended = recording.states[-1][0] if recording.states else last
    return Trial(
        setup, state, recording.reason, ended or cell.time, setup.target_volume,
        cell.poured, cell.caught, cell.spilled, peaks[0], peaks[1], peaks[2], len(recording.seen),
        sum(present for _, present in recording.seen),
    )  # fmt: skip


def _newest(told: Sequence[tuple[float, T]], time: float) -> T | None:
    """The last of what was told by `time`."""
    number = bisect_right(told, time, key=lambda item: item[0])
    return told[number - 1][1] if number else None
