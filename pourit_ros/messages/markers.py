# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What rviz draws of an estimate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..pipeline import PourEstimate
from .encode import Fields, header, xyz

# visualization_msgs/Marker constants.
ARROW, SPHERE, LINE_STRIP, TEXT_VIEW_FACING = 0, 2, 4, 9
ADD, DELETE_ALL = 0, 3

BLUE = (0.15, 0.55, 1.0, 1.0)
GREEN = (0.2, 0.8, 0.3, 1.0)
RED = (0.95, 0.25, 0.2, 1.0)
WHITE = (1.0, 1.0, 1.0, 1.0)

# A display whose node died empties itself.
LIFETIME_NS = 500_000_000
LINE_WIDTH = 0.003
POINT_SIZE = 0.012


def markers(estimate: PourEstimate, base_frame: str) -> Fields:
    """Build a MarkerArray in the base frame: stream, lowest and landing point, mouth, offset.

    It starts with DELETEALL, so what is not estimated in this frame disappears.
    """
    geometry = estimate.geometry
    array: list[Fields] = [
        {'header': header(estimate.stamp_ns, base_frame), 'action': DELETE_ALL, 'pose': _upright()}
    ]

    def add(ns: str, kind: int, color: tuple[float, ...], scale: tuple[float, ...],
            **fields: object) -> None:  # fmt: skip
        array.append(
            {
                'header': header(estimate.stamp_ns, base_frame),
                'ns': ns,
                'type': kind,
                'action': ADD,
                'pose': _upright(),
                'scale': xyz(scale),
                'color': dict(zip('rgba', color, strict=True)),
                'lifetime': {'sec': 0, 'nanosec': LIFETIME_NS},
                **fields,
            }
        )

    if geometry.lowest_point is not None:
        lowest = float(geometry.lowest_point[2])
        if geometry.landing_point is not None:
            lowest = min(lowest, float(geometry.landing_point[2]))
        curve = geometry.curve(lowest)
        if len(curve):
            add('stream', LINE_STRIP, BLUE, (LINE_WIDTH, 0, 0), points=[xyz(p) for p in curve])
        add('lowest_point', SPHERE, BLUE, (POINT_SIZE,) * 3, pose=_upright(geometry.lowest_point))
    if geometry.offset is not None and geometry.landing_point is not None:
        inside = geometry.margin is not None and geometry.margin > 0
        color = GREEN if inside else RED
        landing = geometry.landing_point
        mouth = landing - geometry.offset
        add('landing_point', SPHERE, color, (POINT_SIZE,) * 3, pose=_upright(landing))
        add('offset', ARROW, color, (LINE_WIDTH, 2 * LINE_WIDTH, 0),
            points=[xyz(mouth), xyz(landing)])  # fmt: skip
        if geometry.rim is not None:
            circle = [xyz(point) for point in geometry.rim.circle(33)]
            add('target_rim', LINE_STRIP, color, (LINE_WIDTH, 0, 0), points=circle)
    if geometry.lowest_point is not None:
        above = geometry.lowest_point + [0.0, 0.0, 0.05]
        add('text', TEXT_VIEW_FACING, WHITE, (0, 0, 0.02), pose=_upright(above),
            text=_text(estimate))  # fmt: skip
    return {'markers': array}


def _upright(point: NDArray[np.float64] | None = None) -> Fields:
    position = xyz(np.zeros(3) if point is None else point)
    return {'position': position, 'orientation': {'x': 0.0, 'y': 0.0, 'z': 0.0, 'w': 1.0}}


def _text(estimate: PourEstimate) -> str:
    geometry = estimate.geometry
    if geometry.distance is None or geometry.margin is None:
        return estimate.reason
    return f'{1000 * geometry.distance:.0f} mm, margin {1000 * geometry.margin:+.0f} mm'
