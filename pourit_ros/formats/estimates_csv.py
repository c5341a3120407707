# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""estimates.csv: one row per frame."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from ..files import replacing
from ..pipeline import PourEstimate

Point = tuple[float, float, float]

COLUMNS = (
    'stamp', 'frame', 'present', 'probability', 'valid', 'reason',
    'lowest_x', 'lowest_y', 'lowest_z', 'landing_x', 'landing_y', 'landing_z',
    'offset_x', 'offset_y', 'offset_z', 'distance', 'margin', 'latency_ms',
    'flow_ml_s', 'flow_sigma_ml_s', 'poured_ml', 'poured_sigma_ml',
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One frame's estimate: base frame, metres; None: not estimable, `reason` says why.

    `flow`, `flow_sigma` m³/s; `poured`, `poured_sigma` m³ since the pour began: None where not
    measured, which makes no frame invalid.
    """

    stamp_ns: int
    frame: str
    present: bool
    probability: float
    valid: bool
    reason: str = ''
    lowest: Point | None = None
    landing: Point | None = None
    offset: Point | None = None
    distance: float | None = None
    margin: float | None = None
    latency_ms: float | None = None
    flow: float | None = None
    flow_sigma: float | None = None
    poured: float | None = None
    poured_sigma: float | None = None


def row_from_estimate(
    estimate: PourEstimate,
    latency_ms: float | None = None,
    poured: tuple[float, float] | None = None,
) -> Row:
    """Build the row of an estimate; `poured`: volume and standard deviation, m³."""
    geometry = estimate.geometry
    return Row(
        estimate.stamp_ns, estimate.name, estimate.present, float(estimate.probability),
        estimate.valid, estimate.reason, _point(geometry.lowest_point),
        _point(geometry.landing_point), _point(geometry.offset), geometry.distance,
        geometry.margin, latency_ms, geometry.flow, geometry.flow_sigma,
        *(poured or (None, None)),
    )  # fmt: skip


def write_csv(path: str | Path, rows: Iterable[Row]) -> None:
    """Write estimates.csv, whole or not at all.

    `stamp` in seconds with nine exact decimals, present and valid as 0 or 1, lengths to a
    micrometre, flow (ml/s) and volume (ml) with three decimals; fields that cannot be estimated
    are empty.
    """
    with replacing(Path(path)) as partial, partial.open('w', newline='') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(COLUMNS)
        writer.writerows(_cells(row) for row in rows)


def _cells(row: Row) -> list[str]:
    return [
        _seconds(row.stamp_ns), row.frame, str(int(row.present)), f'{row.probability:.6f}',
        str(int(row.valid)), row.reason,
        *_coordinates(row.lowest), *_coordinates(row.landing), *_coordinates(row.offset),
        _number(row.distance), _number(row.margin),
        '' if row.latency_ms is None else f'{row.latency_ms:.3f}',
        *(_millilitres(x) for x in (row.flow, row.flow_sigma, row.poured, row.poured_sigma)),
    ]  # fmt: skip


def _seconds(stamp_ns: int) -> str:
    sec, nanosec = divmod(abs(stamp_ns), 10**9)
    return f'{"-" if stamp_ns < 0 else ""}{sec}.{nanosec:09d}'


def _number(value: float | None) -> str:
    return '' if value is None else f'{value:.6f}'


def _millilitres(value: float | None) -> str:
    return '' if value is None else f'{1e6 * value:.3f}'


def _coordinates(point: Point | None) -> list[str]:
    return ['', '', ''] if point is None else [_number(value) for value in point]


def _point(vector: ArrayLike | None) -> Point | None:
    if vector is None:
        return None
    x, y, z = (float(value) for value in np.asarray(vector, dtype=float))
    return x, y, z
