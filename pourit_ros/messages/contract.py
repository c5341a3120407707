# SPDX-License-Identifier: Apache-2.0
"""The one list of what the nodes publish, and the messages of a frame.

Names are relative to the namespace `pourit`. Every message of a frame carries the colour image's
stamp; consumers join them by it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..pipeline import Observation, PourEstimate
from . import encode
from .encode import Fields
from .markers import markers

NAMESPACE = 'pourit'


@dataclass(frozen=True)
class Topic:
    """A published topic: relative `name`, `type` as 'package/msg/Name', quality of service."""

    name: str
    type: str
    description: str
    latched: bool = False
    reliable: bool = True


PERCEPTION: tuple[Topic, ...] = (
    Topic('liquid/mask', 'sensor_msgs/msg/Image', 'mono8, 0 or 255', reliable=False),
    Topic('liquid/cam', 'sensor_msgs/msg/Image', '32FC1, class activation 0..1', reliable=False),
    Topic('liquid/overlay', 'sensor_msgs/msg/Image', 'rgb8, for people', reliable=False),
    Topic('liquid/probability', 'sensor_msgs/msg/JointState', 'probability, present (0 or 1)'),
    Topic(
        'liquid/points',
        'sensor_msgs/msg/PointCloud2',
        'x y z intensity radius in the optical frame; empty: no liquid, or not lifted',
    ),
)

MONITOR: tuple[Topic, ...] = (
    Topic(
        'liquid/distance',
        'sensor_msgs/msg/Range',
        'lowest point to target mouth, m; +Inf: no liquid; silent: not estimable',
    ),
    Topic(
        'liquid/offset',
        'geometry_msgs/msg/Vector3Stamped',
        'landing point minus target mouth, m, in the base frame',
    ),
    Topic(
        'liquid/lowest_point',
        'geometry_msgs/msg/PointStamped',
        'lowest point of the stream, m, in the base frame',
    ),
    Topic(
        'liquid/landing_point',
        'geometry_msgs/msg/PointStamped',
        "where the stream crosses the target's rim plane, m, in the base frame",
    ),
    Topic(
        'pour_state',
        'std_msgs/msg/String',
        'idle searching flowing stopped fault, when it changes',
        latched=True,
    ),
    Topic('markers', 'visualization_msgs/msg/MarkerArray', 'for rviz, in the base frame'),
)

DIAGNOSTICS = Topic(
    '/diagnostics',
    'diagnostic_msgs/msg/DiagnosticArray',
    'once a second: rates, latency, drops by cause, the last problem',
)


def perception_messages(
    observation: Observation,
    color_rgb: NDArray[np.uint8],
    frame_id: str,
    want: Callable[[str], bool],
) -> Iterator[tuple[str, Fields]]:
    """Yield (topic name, fields) of the camera's half of a frame.

    Mask, CAM and overlay are built where `want(name)`; probability and points always, with an
    empty cloud where there is nothing to lift, so that consumers can join every frame.
    """
    stamp, seen = observation.stamp_ns, observation.segmentation
    if want('liquid/mask'):
        yield 'liquid/mask', encode.image(stamp, frame_id, seen.mask)
    if want('liquid/cam'):
        yield 'liquid/cam', encode.image(stamp, frame_id, seen.cam)
    if want('liquid/overlay'):
        from ..report.overlay import draw_overlay

        estimate = PourEstimate(
            stamp, observation.name, seen.present, seen.probability, reason=observation.problem
        )
        overlay = draw_overlay(color_rgb, seen, estimate, None)
        yield 'liquid/overlay', encode.image(stamp, frame_id, overlay)
    scalars = {'probability': float(seen.probability), 'present': float(seen.present)}
    yield 'liquid/probability', encode.scalars(stamp, frame_id, scalars)
    yield 'liquid/points', encode.point_cloud(stamp, frame_id, observation.cloud)


def monitor_messages(
    estimate: PourEstimate, base_frame: str, state: str | None, want: Callable[[str], bool]
) -> Iterator[tuple[str, Fields]]:
    """Yield (topic name, fields) of the target's half of a frame.

    Nothing for a quantity that was not estimated; distance is +Inf without liquid. `state`: the
    pour state when it has changed, else None. Markers are built where `want(name)`.
    """
    stamp, geometry = estimate.stamp_ns, estimate.geometry
    distance = geometry.distance if estimate.present else math.inf
    if distance is not None:
        yield 'liquid/distance', encode.range_(stamp, base_frame, distance)
    if geometry.offset is not None:
        yield 'liquid/offset', encode.vector3_stamped(stamp, base_frame, geometry.offset)
    for name, point in (
        ('liquid/lowest_point', geometry.lowest_point),
        ('liquid/landing_point', geometry.landing_point),
    ):
        if point is not None:
            yield name, encode.point_stamped(stamp, base_frame, point)
    if state is not None:
        yield 'pour_state', encode.string(state)
    if want('markers'):
        yield 'markers', markers(estimate, base_frame)
