# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Rows of estimates.csv from a bag of the nodes' messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..formats.estimates_csv import Point, Row
from ..geometry.rim import rim_margin
from ..messages.contract import MILLILITRES, NAMESPACE
from ..messages.decode import scalars_from_msg, stamp_to_ns
from ..messages.errors import MessageError
from .errors import BagError
from .reader import BagReader

NOT_ESTIMATED = 'not estimated (see /diagnostics of the nodes)'
# Field of the message that holds the coordinates.
POINTS = {
    'liquid/lowest_point': 'point',
    'liquid/landing_point': 'point',
    'liquid/offset': 'vector',
}
# Names of the values in the message, and the row's fields in their order.
VOLUMES = {
    'liquid/flow': ('flow_ml_s', 'flow_sigma_ml_s'),
    'liquid/poured': ('poured_ml', 'poured_sigma_ml'),
}


def start_of(reader: BagReader, rows: Iterable[Row]) -> int:
    """The stamp at time 0 of a page: that of the bag's first image, answered or not."""
    return min([*reader.recorded_ns, *(row.stamp_ns for row in rows)])


def rows_from_bag(
    path: str | Path,
    rim_radius: float,
    latency_ms: Mapping[int, float] | None = None,
    namespace: str = NAMESPACE,
) -> list[Row]:
    """Join the nodes' messages about each frame by exact stamp, in order of the stamps.

    `rim_radius` of the target, m; `latency_ms` by stamp_ns. Raises BagError.
    """
    names = ('liquid/probability', 'liquid/distance', *POINTS, *VOLUMES)
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
    volumes: dict[str, tuple[float, ...]] = field(default_factory=dict)

    def add(self, name: str, content: Any) -> None:
        if name == 'liquid/probability':
            self.scalars = scalars_from_msg(content)
            missing = {'probability', 'present'} - set(self.scalars)
            if missing:
                raise MessageError(f'lacks {" and ".join(sorted(missing))}')
        elif name in VOLUMES:
            values = scalars_from_msg(content)
            missing = set(VOLUMES[name]) - set(values)
            if missing:
                raise MessageError(f'lacks {" and ".join(sorted(missing))}')
            self.volumes[name] = tuple(values[key] / MILLILITRES for key in VOLUMES[name])
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
        margin = rim_margin(rim_radius, offset) if offset else None
        valid = present and distance is not None and offset is not None
        return Row(
            stamp_ns, str(stamp_ns), present, self.scalars['probability'], valid,
            NOT_ESTIMATED if present and not valid else '',
            self.points.get('liquid/lowest_point'), self.points.get('liquid/landing_point'),
            offset, distance, margin, latency_ms,
            *self.volumes.get('liquid/flow', (None, None)),
            *self.volumes.get('liquid/poured', (None, None)),
        )  # fmt: skip
