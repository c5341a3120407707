# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The estimates of a replay as columns over time, and their summary figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ..formats.estimates_csv import Row


@dataclass(frozen=True, eq=False)
class Series:
    """One entry for each frame, in order of the stamps; SI units, NaN: not estimated.

    `time` (N,) s since the start; `offset` (N, 3); the others (N,). Flow in ml/s, poured in ml,
    each with its standard deviation.
    """

    time: NDArray[np.float64]
    present: NDArray[np.bool_]
    valid: NDArray[np.bool_]
    probability: NDArray[np.float64]
    distance: NDArray[np.float64]
    offset: NDArray[np.float64]
    margin: NDArray[np.float64]
    latency_ms: NDArray[np.float64]
    flow: NDArray[np.float64]
    flow_sigma: NDArray[np.float64]
    poured: NDArray[np.float64]
    poured_sigma: NDArray[np.float64]

    @classmethod
    def from_rows(cls, rows: Sequence[Row], start_ns: int | None = None) -> Series:
        """Build the columns from any number of rows, even none.

        `start_ns`: the stamp at time 0, the first row's by default.
        """
        rows = sorted(rows, key=lambda row: row.stamp_ns)
        stamps = np.array([row.stamp_ns for row in rows], dtype=np.int64)
        unknown = np.full(3, np.nan)
        offsets = [unknown if row.offset is None else row.offset for row in rows]
        return cls(
            time=(stamps - (stamps[:1] if start_ns is None else start_ns)) / 1e9,
            present=np.array([row.present for row in rows], dtype=bool),
            valid=np.array([row.valid for row in rows], dtype=bool),
            probability=_column([row.probability for row in rows]),
            distance=_column([row.distance for row in rows]),
            offset=np.array(offsets, dtype=float).reshape(-1, 3),
            margin=_column([row.margin for row in rows]),
            latency_ms=_column([row.latency_ms for row in rows]),
            flow=1e6 * _column([row.flow for row in rows]),
            flow_sigma=1e6 * _column([row.flow_sigma for row in rows]),
            poured=1e6 * _column([row.poured for row in rows]),
            poured_sigma=1e6 * _column([row.poured_sigma for row in rows]),
        )

    @property
    def rate(self) -> float | None:
        """Frames per second of the camera's stamps."""
        duration = float(np.ptp(self.time)) if len(self.time) else 0.0
        return (len(self.time) - 1) / duration if duration > 0 else None

    @property
    def inside(self) -> float | None:
        """Share of liquid frames with a margin in which the margin is not negative."""
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


def percentile(values: NDArray[np.float64], share: float) -> float | None:
    """Percentile of the finite values; None if there are none."""
    finite = values[np.isfinite(values)]
    return float(np.percentile(finite, share)) if len(finite) else None


def _column(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], dtype=float)
