# SPDX-License-Identifier: Apache-2.0
"""Lines of estimates.csv, from estimates or from a bag of what the nodes published."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..files import replacing
from ..messages.contract import NAMESPACE
from ..messages.decode import NANOSECONDS, scalars_from_msg, stamp_to_ns
from ..messages.errors import MessageError
from ..pipeline import PourEstimate
from .errors import BagError
from .reader import BagReader

Point = tuple[float, float, float]

COLUMNS = (
    'stamp', 'frame', 'present', 'probability', 'valid', 'reason',
    'lowest_x', 'lowest_y', 'lowest_z', 'landing_x', 'landing_y', 'landing_z',
    'offset_x', 'offset_y', 'offset_z', 'distance', 'margin', 'latency_ms',
)  # fmt: skip

NOT_ESTIMATED = 'not estimated (see /diagnostics of the nodes)'
# Field of the message that holds the coordinates.
POINTS = {
    'liquid/lowest_point': 'point',
    'liquid/landing_point': 'point',
    'liquid/offset': 'vector',
}


@dataclass(frozen=True)
class Row:
    """One frame's estimate: base frame, metres; None: not estimable, `reason` says why."""

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


def row_from_estimate(estimate: PourEstimate, latency_ms: float | None = None) -> Row:
    """Build the line of an estimate."""
    geometry = estimate.geometry
    return Row(
        estimate.stamp_ns, estimate.name, estimate.present, float(estimate.probability),
        estimate.valid, estimate.reason, _point(geometry.lowest_point),
        _point(geometry.landing_point), _point(geometry.offset), geometry.distance,
        geometry.margin, latency_ms,
    )  # fmt: skip


def write_csv(path: str | Path, rows: Iterable[Row]) -> None:
    """Write estimates.csv, whole or not at all.

    `stamp` in seconds with nine exact decimals, present and valid as 0 or 1, lengths to a
    micrometre, empty where not estimable.
    """
    with replacing(Path(path)) as partial, partial.open('w', newline='') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(COLUMNS)
        writer.writerows(_cells(row) for row in rows)


def rows_from_bag(
    path: str | Path,
    rim_radius: float,
    latency_ms: Mapping[int, float] | None = None,
    namespace: str = NAMESPACE,
) -> list[Row]:
    """Join what the nodes published about each frame, by exact stamp, in order of the stamps.

    `rim_radius` of the target, m; `latency_ms` by stamp_ns. Raises BagError.
    """
    names = ('liquid/probability', 'liquid/distance', *POINTS)
    frames: dict[int, _Joined] = {}
    with BagReader(path) as bag:
        topics = {f'/{namespace}/{name}': name for name in names}
        probability = f'/{namespace}/liquid/probability'
        if probability not in bag.topics:
            raise BagError(f'{path}: has no topic {probability}')
        for message in bag.messages(topics):
            content = bag.decode(message)
            joined = frames.setdefault(stamp_to_ns(content.header.stamp), _Joined())
            try:
                joined.add(topics[message.topic], content)
            except MessageError as error:
                raise BagError(f'{path}: {message.topic}: {error}') from None
    return [
        frames[stamp].row(stamp, rim_radius, (latency_ms or {}).get(stamp))
        for stamp in sorted(frames)
        if frames[stamp].scalars
    ]


@dataclass
class _Joined:
    """The messages of one stamp."""

    scalars: dict[str, float] = field(default_factory=dict)
    points: dict[str, Point] = field(default_factory=dict)
    distance: float | None = None

    def add(self, name: str, content: Any) -> None:
        if name == 'liquid/probability':
            self.scalars = scalars_from_msg(content)
            missing = {'probability', 'present'} - set(self.scalars)
            if missing:
                raise MessageError(f'lacks {" and ".join(sorted(missing))}')
        elif name == 'liquid/distance':
            self.distance = float(content.range)
        else:
            vector = getattr(content, POINTS[name])
            self.points[name] = (float(vector.x), float(vector.y), float(vector.z))

    def row(self, stamp_ns: int, rim_radius: float, latency_ms: float | None) -> Row:
        present = bool(self.scalars['present'])
        finite = self.distance is not None and np.isfinite(self.distance)
        distance = self.distance if finite else None
        offset = self.points.get('liquid/offset')
        margin = rim_radius - float(np.hypot(*offset[:2])) if offset else None
        valid = present and distance is not None and offset is not None
        return Row(
            stamp_ns, str(stamp_ns), present, self.scalars['probability'], valid,
            NOT_ESTIMATED if present and not valid else '',
            self.points.get('liquid/lowest_point'), self.points.get('liquid/landing_point'),
            offset, distance, margin, latency_ms,
        )  # fmt: skip


def _cells(row: Row) -> list[str]:
    return [
        _seconds(row.stamp_ns), row.frame, str(int(row.present)), f'{row.probability:.6f}',
        str(int(row.valid)), row.reason,
        *_coordinates(row.lowest), *_coordinates(row.landing), *_coordinates(row.offset),
        _number(row.distance), _number(row.margin),
        '' if row.latency_ms is None else f'{row.latency_ms:.3f}',
    ]  # fmt: skip


def _seconds(stamp_ns: int) -> str:
    sec, nanosec = divmod(abs(stamp_ns), NANOSECONDS)
    return f'{"-" if stamp_ns < 0 else ""}{sec}.{nanosec:09d}'


def _number(value: float | None) -> str:
    return '' if value is None else f'{value:.6f}'


def _coordinates(point: Point | None) -> list[str]:
    return ['', '', ''] if point is None else [_number(value) for value in point]


def _point(vector: ArrayLike | None) -> Point | None:
    if vector is None:
        return None
    x, y, z = (float(value) for value in np.asarray(vector, dtype=float))
    return x, y, z
