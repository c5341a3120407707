# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Field dicts of the messages that the package publishes.

A dict maps field names to strings, numbers, numpy arrays, dicts and lists of dicts; fields left
out keep the message's zero. `ros.fill` and `rosbag.build` turn it into a message.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..geometry import LiquidCloud, PinholeCamera, Pose
from .decode import CLOUD_FIELDS, FLOAT32, ns_to_stamp, stamp_to_ns

Fields = dict[str, Any]

# sensor_msgs/Range constants and the span in which a pour's distance makes sense, m.
INFRARED = 1
MAX_RANGE = 2.0


def header(stamp_ns: int, frame_id: str) -> Fields:
    """Build a std_msgs/Header."""
    return {'stamp': ns_to_stamp(stamp_ns), 'frame_id': frame_id}


def image(stamp_ns: int, frame_id: str, array: NDArray) -> Fields:
    """Build an Image, with the encoding of the array's type and shape.

    (H, W) bool (0 / 255) or uint8: mono8; (H, W) uint16: 16UC1; (H, W) float32: 32FC1;
    (H, W, 3) uint8: rgb8.
    """
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    encoding = {
        (2, 'uint8'): 'mono8',
        (2, 'uint16'): '16UC1',
        (2, 'float32'): '32FC1',
        (3, 'uint8'): 'rgb8',
    }[array.ndim, array.dtype.name]
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder('<'))
    height, width = array.shape[:2]
    return {
        'header': header(stamp_ns, frame_id),
        'height': height,
        'width': width,
        'encoding': encoding,
        'is_bigendian': 0,
        'step': array.nbytes // height,
        'data': array.reshape(-1).view(np.uint8),
    }


def camera_info(stamp_ns: int, frame_id: str, camera: PinholeCamera) -> Fields:
    """Build a CameraInfo of an unrectified image (P = [K | 0])."""
    d = np.zeros(max(5, len(camera.distortion)))
    d[: len(camera.distortion)] = camera.distortion
    info = _camera_info(header(stamp_ns, frame_id), camera.width, camera.height, camera.matrix, d)
    roi = {'x_offset': 0, 'y_offset': 0, 'height': 0, 'width': 0, 'do_rectify': False}
    return {**info, 'binning_x': 0, 'binning_y': 0, 'roi': roi}


def rectified_info(msg: Any) -> Fields:
    """Build the CameraInfo of a rectified image, as if its camera had no lens: K from P, no D."""
    P = np.asarray(msg.p, dtype=float).reshape(3, 4)
    K = np.asarray(msg.k, dtype=float).reshape(3, 3) if P[0, 0] == 0 else P[:, :3]
    head = header(stamp_to_ns(msg.header.stamp), msg.header.frame_id)
    names = ('x_offset', 'y_offset', 'height', 'width', 'do_rectify')
    roi = {name: getattr(msg.roi, name) for name in names}
    binning = {name: getattr(msg, name) for name in ('binning_x', 'binning_y')}
    return {**_camera_info(head, msg.width, msg.height, K, np.zeros(5)), **binning, 'roi': roi}


def _camera_info(
    head: Fields, width: int, height: int, K: NDArray[np.float64], d: NDArray[np.float64]
) -> Fields:
    return {
        'header': head,
        'height': height,
        'width': width,
        'distortion_model': 'plumb_bob' if len(d) == 5 else 'rational_polynomial',
        'd': d,
        'k': K.reshape(-1),
        'r': np.eye(3).reshape(-1),
        'p': np.column_stack([K, np.zeros(3)]).reshape(-1),
    }


def point_cloud(stamp_ns: int, frame_id: str, cloud: LiquidCloud) -> Fields:
    """Build a PointCloud2 with FLOAT32 fields x y z intensity radius, one row, no NaN."""
    columns = np.column_stack([cloud.points, cloud.intensity, cloud.radius]).astype('<f4')
    step = 4 * len(CLOUD_FIELDS)
    return {
        'header': header(stamp_ns, frame_id),
        'height': 1,
        'width': len(cloud),
        'fields': [
            {'name': name, 'offset': 4 * k, 'datatype': FLOAT32, 'count': 1}
            for k, name in enumerate(CLOUD_FIELDS)
        ],
        'is_bigendian': False,
        'point_step': step,
        'row_step': step * len(cloud),
        'data': np.frombuffer(columns.tobytes(), dtype=np.uint8),
        'is_dense': True,
    }


def pose_stamped(stamp_ns: int, frame_id: str, T_frame_x: Pose) -> Fields:
    """Build a PoseStamped."""
    return {'header': header(stamp_ns, frame_id), 'pose': pose(T_frame_x)}


def pose(T_frame_x: Pose) -> Fields:
    """Build a geometry_msgs/Pose."""
    return {'position': xyz(T_frame_x.translation), 'orientation': _quaternion(T_frame_x)}


def position_with_covariance(
    stamp_ns: int, frame_id: str, position: ArrayLike, covariance: ArrayLike
) -> Fields:
    """Build a PoseWithCovarianceStamped of a position (3,) with its covariance (3, 3)."""
    whole = np.zeros((6, 6))
    whole[:3, :3] = covariance
    placed = {'position': xyz(position), 'orientation': _quaternion(Pose.identity())}
    return _with_covariance(stamp_ns, frame_id, placed, whole)


def pose_with_covariance(
    stamp_ns: int, frame_id: str, T_frame_x: Pose, covariance: ArrayLike
) -> Fields:
    """Build a PoseWithCovarianceStamped; covariance (6, 6), m and rad, axes of the frame."""
    return _with_covariance(stamp_ns, frame_id, pose(T_frame_x), covariance)


def _with_covariance(
    stamp_ns: int, frame_id: str, placed: Fields, covariance: ArrayLike
) -> Fields:
    flat = np.asarray(covariance, dtype=float).reshape(-1)
    return {'header': header(stamp_ns, frame_id), 'pose': {'pose': placed, 'covariance': flat}}


def transforms(edges: Iterable[tuple[int, str, str, Pose]]) -> Fields:
    """Build a TFMessage of (stamp_ns, parent frame, child frame, T_parent_child)."""
    return {
        'transforms': [
            {
                'header': header(stamp_ns, parent),
                'child_frame_id': child,
                'transform': {
                    'translation': xyz(T_parent_child.translation),
                    'rotation': _quaternion(T_parent_child),
                },
            }
            for stamp_ns, parent, child, T_parent_child in edges
        ]
    }


def range_(stamp_ns: int, frame_id: str, metres: float) -> Fields:
    """Build a Range; +Inf means that there is nothing to measure (REP 117)."""
    return {
        'header': header(stamp_ns, frame_id),
        'radiation_type': INFRARED,
        'field_of_view': 0.0,
        'min_range': 0.0,
        'max_range': MAX_RANGE,
        'range': float(metres),
    }


def vector3_stamped(stamp_ns: int, frame_id: str, vector: ArrayLike) -> Fields:
    """Build a Vector3Stamped."""
    return {'header': header(stamp_ns, frame_id), 'vector': xyz(vector)}


def point_stamped(stamp_ns: int, frame_id: str, point: ArrayLike) -> Fields:
    """Build a PointStamped."""
    return {'header': header(stamp_ns, frame_id), 'point': xyz(point)}


def twist_stamped(stamp_ns: int, frame_id: str, twist: ArrayLike) -> Fields:
    """Build a TwistStamped from (6,): m/s, then rad/s."""
    twist = np.asarray(twist, dtype=float)
    return {
        'header': header(stamp_ns, frame_id),
        'twist': {'linear': xyz(twist[:3]), 'angular': xyz(twist[3:])},
    }


def string(text: str) -> Fields:
    """Build a std_msgs/String."""
    return {'data': text}


def scalars(stamp_ns: int, frame_id: str, values: Mapping[str, float]) -> Fields:
    """Build a JointState: the one standard message that carries stamped, named numbers."""
    return {
        'header': header(stamp_ns, frame_id),
        'name': list(values),
        'position': np.array(list(values.values()), dtype=float),
    }


def xyz(vector: ArrayLike) -> Fields:
    """Build a Point or Vector3."""
    x, y, z = (float(value) for value in np.asarray(vector, dtype=float))
    return {'x': x, 'y': y, 'z': z}


def _quaternion(T_frame_x: Pose) -> Fields:
    x, y, z, w = (float(value) for value in T_frame_x.quaternion)
    return {'x': x, 'y': y, 'z': z, 'w': w}
