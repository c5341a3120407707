# SPDX-License-Identifier: Apache-2.0
"""Messages to numpy and geometry. Every function raises MessageError on unusable content."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..geometry import GeometryError, LiquidCloud, PinholeCamera, Pose
from .errors import MessageError

NANOSECONDS = 1_000_000_000

# Numbers of coefficients that OpenCV's distortion model takes.
DISTORTION_LENGTHS = (0, 4, 5, 8, 12, 14)
FLOAT32 = 7
CLOUD_FIELDS = ('x', 'y', 'z', 'intensity', 'radius')


def stamp_to_ns(stamp: Any) -> int:
    """Nanoseconds of a builtin_interfaces/Time, exactly."""
    return int(stamp.sec) * NANOSECONDS + int(stamp.nanosec)


def ns_to_stamp(ns: int) -> dict[str, int]:
    """Fields of a builtin_interfaces/Time."""
    sec, nanosec = divmod(int(ns), NANOSECONDS)
    return {'sec': sec, 'nanosec': nanosec}


def camera_from_info(msg: Any, width: int, height: int) -> PinholeCamera:
    """Return the camera of an image of width x height px from its CameraInfo.

    Uses K and D, so the image is the raw one (unrectified, or rectified with D = 0). An info of
    another size is scaled, when the image can be its scaled copy.
    """
    info_width, info_height = int(msg.width), int(msg.height)
    if info_width < 1 or info_height < 1:
        raise MessageError(f'camera info is for an image of {info_width}x{info_height}')
    K = np.asarray(msg.k, dtype=float).reshape(-1)
    if K.shape != (9,) or not np.isfinite(K).all():
        raise MessageError('camera info: K is not nine finite numbers')
    if K[0] == 0:
        raise MessageError('camera info is uncalibrated (K[0] = 0): calibrate the camera')
    distortion = np.asarray(msg.d, dtype=float).reshape(-1)
    if np.any(distortion):
        if msg.distortion_model not in ('plumb_bob', 'rational_polynomial'):
            raise MessageError(
                f'camera info: distortion model {msg.distortion_model!r} is not supported, '
                'rectify the image'
            )
        if len(distortion) not in DISTORTION_LENGTHS:
            raise MessageError(f'camera info: D has {len(distortion)} coefficients')
    # One pixel of rounding; anything more is another crop, whose principal point is unknown.
    if abs(width * info_height - height * info_width) > max(info_width, info_height):
        raise MessageError(
            f'camera info is for {info_width}x{info_height}, which the image of '
            f'{width}x{height} is no scaled copy of'
        )
    try:
        camera = PinholeCamera.from_matrix(K.reshape(3, 3), info_width, info_height, distortion)
        if (width, height) != (info_width, info_height):
            camera = camera.resize(width, height)
    except GeometryError as error:
        raise MessageError(str(error)) from None
    return camera


def pose_from_pose_stamped(msg: Any) -> Pose:
    """Return T_header_pose of a PoseStamped."""
    return _pose(msg.pose.position, msg.pose.orientation)


def pose_from_transform(transform: Any) -> Pose:
    """Return T_parent_child of a geometry_msgs/Transform."""
    return _pose(transform.translation, transform.rotation)


def _pose(t: Any, q: Any) -> Pose:
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
            raise MessageError(f'point cloud: field {name} is no FLOAT32 within {step} bytes')
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
