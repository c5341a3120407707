# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Make bags from frames: for test fixtures and the demo's recording."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry import Pose
from ..messages import encode
from ..pipeline import Frame
from .errors import BagError
from .topics import TYPES
from .writer import BagWriter, Storage

# RealSense's names; depth is aligned to colour.
TOPICS = {
    'color': '/camera/color/image_raw',
    'info': '/camera/color/camera_info',
    'depth': '/camera/aligned_depth_to_color/image_raw',
    'source_pose': '/source_pose',
    'target_pose': '/target_pose',
    'camera_pose': '/camera_pose',
    'tf': '/tf',
    'tf_static': '/tf_static',
}
CAMERA_FRAME = 'camera_color_optical_frame'
SOURCE_FRAME = 'source'
TARGET_FRAME = 'target'


def write_pour_bag(
    path: str | Path, frames: Iterable[Frame], storage: Storage = 'mcap', base_frame: str = 'base'
) -> int:
    """Write frames as a camera and a tracker would have published them; return their number.

    Colour rgb8, camera info, depth 16UC1 (mm, 0: unknown), the poses both as topics and on /tf
    (camera -> source, base -> target) and /tf_static (base -> camera, again when it moves), all
    at the frame's stamp. Raises BagError when stamps do not increase or there is no frame, and
    then leaves no file.
    """
    count, previous_ns, still = 0, None, None
    with BagWriter(path, storage) as bag:
        for frame in frames:
            if previous_ns is not None and frame.stamp_ns <= previous_ns:
                raise BagError(f'frame {frame.name}: stamps must increase')
            previous_ns = frame.stamp_ns
            for place, fields in _messages(frame, base_frame, still):
                bag.write(TOPICS[place], TYPES[place], fields, frame.stamp_ns)
            still = frame.T_base_cam or still
            count += 1
        if not count:
            raise BagError(f'{path}: no frames to write')
    return count


def _messages(
    frame: Frame, base_frame: str, still: Pose | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """(key of TOPICS, fields); `still`: the last camera pose on /tf_static."""
    stamp = frame.stamp_ns
    moving = []
    if frame.T_base_cam is not None:
        edge = (stamp, base_frame, CAMERA_FRAME, frame.T_base_cam)
        if still is None or not np.array_equal(still.matrix, frame.T_base_cam.matrix):
            yield 'tf_static', encode.transforms([edge])
        fields = encode.pose_stamped(stamp, base_frame, frame.T_base_cam)
        yield 'camera_pose', fields
    if frame.T_cam_source is not None:
        moving.append((stamp, CAMERA_FRAME, SOURCE_FRAME, frame.T_cam_source))
        fields = encode.pose_stamped(stamp, CAMERA_FRAME, frame.T_cam_source)
        yield 'source_pose', fields
    if frame.T_base_target is not None:
        moving.append((stamp, base_frame, TARGET_FRAME, frame.T_base_target))
        fields = encode.pose_stamped(stamp, base_frame, frame.T_base_target)
        yield 'target_pose', fields
    if moving:
        yield 'tf', encode.transforms(moving)
    yield 'info', encode.camera_info(stamp, CAMERA_FRAME, frame.camera)
    if frame.depth is not None:
        yield 'depth', encode.image(stamp, CAMERA_FRAME, _millimetres(frame.depth))
    yield 'color', encode.image(stamp, CAMERA_FRAME, frame.color)


def _millimetres(depth: NDArray[np.float32]) -> NDArray[np.uint16]:
    known = np.where(np.isfinite(depth), depth, 0.0)
    return np.clip(np.rint(1000.0 * known), 0, np.iinfo(np.uint16).max).astype(np.uint16)
