# SPDX-License-Identifier: Apache-2.0
"""The estimates of a replay as columns over time, and the figures that sum them up."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ..bags.rows import Row

_NUMBER = re.compile(r'\d+(?:\.\d+)?')


@dataclass(frozen=True, eq=False)
class Series:
    """One entry for each frame, in order of the stamps; SI units, NaN: not estimated.

    `time` (N,) s since the first frame; `offset` (N, 3); the others (N,).
    """

    time: NDArray[np.float64]
    present: NDArray[np.bool_]
    valid: NDArray[np.bool_]
    probability: NDArray[np.float64]
    distance: NDArray[np.float64]
    offset: NDArray[np.float64]
    margin: NDArray[np.float64]
    latency_ms: NDArray[np.float64]
    reasons: list[str]

    @classmethod
    def from_rows(cls, rows: Sequence[Row]) -> Series:
        """Build the columns of any number of rows, also of none."""
        rows = sorted(rows, key=lambda row: row.stamp_ns)
        stamps = np.array([row.stamp_ns for row in rows], dtype=np.int64)
        unknown = np.full(3, np.nan)
        offsets = [unknown if row.offset is None else row.offset for row in rows]
        return cls(
            time=(stamps - stamps[:1]) / 1e9 if len(rows) else np.zeros(0),
            present=np.array([row.present for row in rows], dtype=bool),
            valid=np.array([row.valid for row in rows], dtype=bool),
            probability=_column([row.probability for row in rows]),
            distance=_column([row.distance for row in rows]),
            offset=np.array(offsets, dtype=float).reshape(-1, 3),
            margin=_column([row.margin for row in rows]),
            latency_ms=_column([row.latency_ms for row in rows]),
            reasons=[row.reason for row in rows],
        )

    @property
    def rate(self) -> float | None:
        """Frames per second of the camera's stamps."""
        duration = float(self.time[-1]) if len(self.time) else 0.0
        return (len(self.time) - 1) / duration if duration > 0 else None

    @property
    def inside(self) -> float | None:
        """Share of the liquid frames with a margin in which it is not negative."""
        margin = self.margin[self.present & np.isfinite(self.margin)]
        return float((margin >= 0).mean()) if len(margin) else None

    def flows(self) -> list[tuple[float, float]]:
        """Intervals (start, end), s, of successive frames with liquid.

        Each frame counts for the time up to the next one.
        """
        if not len(self.time):
            return []
        last = np.median(np.diff(self.time)) if len(self.time) > 1 else 0.0
        until = np.append(self.time[1:], self.time[-1] + last)
        edges = np.diff(np.concatenate([[0], self.present.astype(int), [0]]))
        starts, ends = np.nonzero(edges == 1)[0], np.nonzero(edges == -1)[0] - 1
        return [(float(self.time[a]), float(until[b])) for a, b in zip(starts, ends, strict=True)]

    def reason_counts(self) -> list[tuple[str, int]]:
        """Reasons with the frames that gave each, most frequent first.

        Reasons that differ only in their numbers are one; a number that varies is shown as its
        range. A frame with several reasons, joined by '; ', counts for each.
        """
        groups: dict[str, list[list[str]]] = {}
        for reason in self.reasons:
            for part in filter(None, reason.split('; ')):
                groups.setdefault(_NUMBER.sub('#', part), []).append(_NUMBER.findall(part))
        counted = [(_with_ranges(key, numbers), len(numbers)) for key, numbers in groups.items()]
        return sorted(counted, key=lambda entry: -entry[1])


def percentile(values: NDArray[np.float64], share: float) -> float | None:
    """Percentile of the finite values, None where there is none."""
    finite = values[np.isfinite(values)]
    return float(np.percentile(finite, share)) if len(finite) else None


def _column(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def _with_ranges(pattern: str, numbers: list[list[str]]) -> str:
    for column in zip(*numbers, strict=True):
        low, high = min(column, key=float), max(column, key=float)
        pattern = pattern.replace('#', low if low == high else f'{low} to {high}', 1)
    return pattern
