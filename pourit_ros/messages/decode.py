# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Messages to numpy and geometry. Every function raises MessageError on unusable content."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry import GeometryError, LiquidCloud, Pose
from .errors import MessageError

NANOSECONDS = 1_000_000_000

FLOAT32 = 7
# Frames on Earth are never this far apart, m. Such a pose is garbage: after it, a good one would
# look like a jump.
FARTHEST = 1e8
CLOUD_FIELDS = ('x', 'y', 'z', 'intensity', 'radius')


def stamp_to_ns(stamp: Any) -> int:
    """Nanoseconds of a builtin_interfaces/Time, exactly."""
    return int(stamp.sec) * NANOSECONDS + int(stamp.nanosec)


def ns_to_stamp(ns: int) -> dict[str, int]:
    """Fields of a builtin_interfaces/Time."""
    sec, nanosec = divmod(int(ns), NANOSECONDS)
    return {'sec': sec, 'nanosec': nanosec}


def pose_from_pose_stamped(msg: Any) -> Pose:
    """Return T_header_pose of a PoseStamped."""
    return _pose(msg.pose.position, msg.pose.orientation)


def pose_from_transform(transform: Any) -> Pose:
    """Return T_parent_child of a geometry_msgs/Transform."""
    return _pose(transform.translation, transform.rotation)


def twist_from_twist_stamped(msg: Any) -> NDArray[np.float64]:
    """Return the twist (6,) of a TwistStamped: m/s, then rad/s."""
    linear, angular = msg.twist.linear, msg.twist.angular
    twist = np.array([linear.x, linear.y, linear.z, angular.x, angular.y, angular.z], float)
    if not np.isfinite(twist).all():
        raise MessageError('a twist holds numbers that are not finite')
    return twist


def _pose(t: Any, q: Any) -> Pose:
    if max(abs(t.x), abs(t.y), abs(t.z)) > FARTHEST:
        raise MessageError(f'a pose lies at ({t.x:g}, {t.y:g}, {t.z:g}) m')
    try:
        return Pose.from_quaternion((t.x, t.y, t.z), (q.x, q.y, q.z, q.w))
    except GeometryError as error:
        raise MessageError(str(error)) from None


def cloud_from_msg(msg: Any) -> LiquidCloud:
    """Return the liquid of a PointCloud2 with FLOAT32 fields x y z intensity radius."""
    fields = {field.name: field for field in msg.fields}
    missing = [name for name in CLOUD_FIELDS if name not in fields]
    if missing:
        raise MessageError(f'point cloud lacks the fields {" ".join(missing)}')
    count = int(msg.width) * int(msg.height)
    if count == 0:
        return LiquidCloud.empty()
    step, row_step = int(msg.point_step), int(msg.row_step)
    for name in CLOUD_FIELDS:
        if fields[name].datatype != FLOAT32 or fields[name].offset + 4 > step:
            raise MessageError(f'point cloud: field {name} is not a FLOAT32 within {step} bytes')
    data = np.frombuffer(msg.data, dtype=np.uint8)
    if row_step < msg.width * step or len(data) < msg.height * row_step:
        raise MessageError(
            f'point cloud of {msg.width}x{msg.height} points, {step} bytes each, is cut short: '
            f'{len(data)} bytes in rows of {row_step}'
        )
    rows = data[: msg.height * row_step].reshape(msg.height, row_step)[:, : msg.width * step]
    code = '>f4' if msg.is_bigendian else '<f4'
    records = (
        np.ascontiguousarray(rows)
        .reshape(-1)
        .view(
            np.dtype(
                {
                    'names': list(CLOUD_FIELDS),
                    'formats': [code] * len(CLOUD_FIELDS),
                    'offsets': [int(fields[name].offset) for name in CLOUD_FIELDS],
                    'itemsize': step,
                }
            )
        )
    )
    x, y, z, intensity, radius = (records[name].astype(float) for name in CLOUD_FIELDS)
    points = np.column_stack([x, y, z])
    if not (np.isfinite(points).all() and np.isfinite([intensity, radius]).all()):
        raise MessageError('point cloud holds values that are not finite')
    return LiquidCloud(points, intensity, radius)


def scalars_from_msg(msg: Any) -> dict[str, float]:
    """Return the named numbers of a JointState (`name`, `position`)."""
    if len(msg.name) != len(msg.position):
        raise MessageError(f'{len(msg.name)} names for {len(msg.position)} numbers')
    values = {str(name): float(value) for name, value in zip(msg.name, msg.position, strict=True)}
    for name, value in values.items():
        if not np.isfinite(value):
            raise MessageError(f'{name} is {value}')
    return values
