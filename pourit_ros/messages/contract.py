# Copyright 2026 pourit_ros contributors
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
# In a cubic metre.
MILLILITRES = 1e6


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
    Topic('liquid/overlay', 'sensor_msgs/msg/Image', 'rgb8, for viewing', reliable=False),
    Topic(
        'liquid/probability',
        'sensor_msgs/msg/JointState',
        'probability, present and depth (0 or 1: liquid was seen, a depth image was used)',
    ),
    Topic(
        'liquid/points',
        'sensor_msgs/msg/PointCloud2',
        'x y z intensity radius in the optical frame; empty: no liquid, or not lifted',
    ),
    Topic(
        'source_pose_seen',
        'geometry_msgs/msg/PoseWithCovarianceStamped',
        'source, as the depth image shows it, in the base frame (its turn about its own axis is '
        'that of source_pose); no message: not found',
    ),
)

MONITOR: tuple[Topic, ...] = (
    Topic(
        'liquid/distance',
        'sensor_msgs/msg/Range',
        'lowest point to target mouth, m; +Inf: no liquid; no message: could not be estimated',
    ),
    Topic(
        'liquid/offset',
        'geometry_msgs/msg/Vector3Stamped',
        'landing point minus target mouth, m, in the base frame',
    ),
    Topic(
        'liquid/offset_covariance',
        'geometry_msgs/msg/PoseWithCovarianceStamped',
        'position: the same offset; covariance of x y z, m2; orientation has no meaning',
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
        'liquid/flow',
        'sensor_msgs/msg/JointState',
        'flow_ml_s, flow_sigma_ml_s (standard deviation): flow of the stream; '
        'no message: no liquid, or not measured',
    ),
    Topic(
        'liquid/poured',
        'sensor_msgs/msg/JointState',
        'poured_ml, poured_sigma_ml (standard deviation): volume since the pour began, '
        'with every frame',
    ),
    Topic(
        'pour_state',
        'std_msgs/msg/String',
        'idle searching flowing stopped fault, when it changes',
        latched=True,
    ),
    Topic('markers', 'visualization_msgs/msg/MarkerArray', 'for rviz, in the base frame'),
)

CONTROLLER: tuple[Topic, ...] = (
    Topic(
        'cmd_twist',
        'geometry_msgs/msg/TwistStamped',
        "of the arm's tip in the base frame, stamped now; with `dry_run: false`, `output: twist`",
    ),
    Topic('cmd_twist_dry', 'geometry_msgs/msg/TwistStamped', 'the same; with `dry_run: true`'),
    Topic(
        'cmd_pose',
        'geometry_msgs/msg/PoseStamped',
        "of the arm's tip, at most 2 cm and 0.15 rad from where it is; with `dry_run: false`, "
        '`output: pose`',
    ),
    Topic('cmd_pose_dry', 'geometry_msgs/msg/PoseStamped', 'the same; with `dry_run: true`'),
    Topic(
        'controller_state',
        'std_msgs/msg/String',
        'idle aim start pour return done fault, when it changes',
        latched=True,
    ),
)

# The camera's topics are those that liquid_perception takes.
SIMULATOR: tuple[Topic, ...] = (
    Topic('color/image', 'sensor_msgs/msg/Image', 'rgb8'),
    Topic('color/camera_info', 'sensor_msgs/msg/CameraInfo', 'of the same stamp, no distortion'),
    Topic(
        'depth/image',
        'sensor_msgs/msg/Image',
        '16UC1 mm or 32FC1 m, aligned to colour; 0: unknown',
    ),
    Topic('camera_pose', 'geometry_msgs/msg/PoseStamped', 'optical frame, as calibrated'),
    Topic('target_pose', 'geometry_msgs/msg/PoseStamped', 'cup, as found in the image'),
    Topic('source_pose', 'geometry_msgs/msg/PoseStamped', 'bottle, from the joints; 50 Hz'),
    Topic('tip_pose', 'geometry_msgs/msg/PoseStamped', "the arm's flange, fr3_link8; 50 Hz"),
    Topic('joint_states', 'sensor_msgs/msg/JointState', 'fr3_joint1 to fr3_joint7; 50 Hz'),
    Topic(
        'truth/liquid',
        'sensor_msgs/msg/JointState',
        'poured_ml caught_ml spilled_ml in_air_ml left_ml flow_ml_s trial_s; 50 Hz',
    ),
    Topic(
        'truth/twist',
        'geometry_msgs/msg/TwistStamped',
        'what moves the tip from the 10 ms on that end at the stamp; whenever one is taken',
    ),
    Topic('truth/landing_point', 'geometry_msgs/msg/PointStamped', 'while liquid falls; 50 Hz'),
    Topic('truth/source_pose', 'geometry_msgs/msg/PoseStamped', 'bottle; 50 Hz'),
    Topic('truth/target_pose', 'geometry_msgs/msg/PoseStamped', 'cup; 50 Hz'),
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
    base_frame: str,
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
        from ..report.overlay import overlay

        estimate = PourEstimate(
            stamp, observation.name, seen.present, seen.probability, reason=observation.problem
        )
        drawn = overlay(color_rgb, seen, estimate, None)
        yield 'liquid/overlay', encode.image(stamp, frame_id, drawn)
    if (source := observation.source) is not None:
        yield (
            'source_pose_seen',
            encode.pose_with_covariance(stamp, base_frame, source.pose, source.covariance),
        )
    scalars = {
        'probability': float(seen.probability),
        'present': float(seen.present),
        'depth': float(observation.has_depth),
    }
    yield 'liquid/probability', encode.scalars(stamp, frame_id, scalars)
    yield 'liquid/points', encode.point_cloud(stamp, frame_id, observation.cloud)


def monitor_messages(
    estimate: PourEstimate,
    base_frame: str,
    state: str | None,
    want: Callable[[str], bool],
    poured: tuple[float, float] | None = None,
) -> Iterator[tuple[str, Fields]]:
    """Yield (topic name, fields) of the target's half of a frame.

    Nothing for a quantity that was not estimated; distance is +Inf without liquid. `state`: the
    pour state when it has changed, else None. Markers are built where `want(name)`. `poured`:
    volume with this frame and its standard deviation, m³.
    """
    stamp, geometry = estimate.stamp_ns, estimate.geometry
    distance = geometry.distance if estimate.present else math.inf
    if distance is not None:
        yield 'liquid/distance', encode.range_(stamp, base_frame, distance)
    if geometry.offset is not None:
        yield 'liquid/offset', encode.vector3_stamped(stamp, base_frame, geometry.offset)
        if (covariance := geometry.offset_covariance) is not None:
            fields = encode.position_with_covariance(
                stamp, base_frame, geometry.offset, covariance
            )
            yield 'liquid/offset_covariance', fields
    for name, point in (
        ('liquid/lowest_point', geometry.lowest_point),
        ('liquid/landing_point', geometry.landing_point),
    ):
        if point is not None:
            yield name, encode.point_stamped(stamp, base_frame, point)
    if geometry.flow is not None and geometry.flow_sigma is not None:
        flow = {
            'flow_ml_s': MILLILITRES * geometry.flow,
            'flow_sigma_ml_s': MILLILITRES * geometry.flow_sigma,
        }
        yield 'liquid/flow', encode.scalars(stamp, base_frame, flow)
    if poured is not None:
        volume = {
            'poured_ml': MILLILITRES * poured[0],
            'poured_sigma_ml': MILLILITRES * poured[1],
        }
        yield 'liquid/poured', encode.scalars(stamp, base_frame, volume)
    if state is not None:
        yield 'pour_state', encode.string(state)
    if want('markers'):
        yield 'markers', markers(estimate, base_frame)
