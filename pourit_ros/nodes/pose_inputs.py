# SPDX-License-Identifier: Apache-2.0
"""Where camera and target are, from pose topics or TF."""

from __future__ import annotations

from typing import Any, Literal

from ..geometry import Pose
from ..messages.decode import (
    pose_from_pose_stamped,
    pose_from_transform,
    stamp_to_ns,
)
from ..messages.errors import MessageError
from ..transforms import NoTransform, TransformBuffer, frame_name

# Pose topics become edges of the tree; no TF frame is called like this.
_FRAMES = {'camera': '<camera_pose>', 'target': '<target_pose>'}


class PoseInputs:
    """Poses at a stamp: exact, else interpolated, else the nearest within `tolerance` seconds.

    The camera's pose comes from `camera_pose` once that was heard, else from TF; the target's
    from TF frame `target_frame` where one is named, else from `target_pose`.
    """

    def __init__(self, base_frame: str, target_frame: str, tolerance: float) -> None:
        self._base = frame_name(base_frame)
        self._target = frame_name(target_frame) or _FRAMES['target']
        self._tolerance_ns = round(tolerance * 1e9)
        self._buffer = TransformBuffer()
        self._heard: set[str] = set()

    def pose(self, role: Literal['camera', 'target'], message: Any) -> None:
        """Take in a PoseStamped; raises MessageError."""
        pose, stamp_ns = pose_from_pose_stamped(message), stamp_to_ns(message.header.stamp)
        self._add(message.header.frame_id, _FRAMES[role], stamp_ns, pose, False)
        self._heard.add(role)

    def transforms(self, message: Any, static: bool) -> None:
        """Take in a TFMessage; raises MessageError at its first bad transform."""
        for entry in message.transforms:
            pose, stamp_ns = pose_from_transform(entry.transform), stamp_to_ns(entry.header.stamp)
            self._add(entry.header.frame_id, entry.child_frame_id, stamp_ns, pose, static)

    def camera(self, camera_frame: str, stamp_ns: int) -> Pose:
        """T_base_cam of the optical frame `camera_frame`; raises NoTransform."""
        if 'camera' in self._heard:
            camera_frame = _FRAMES['camera']
        try:
            return self._buffer.lookup(self._base, camera_frame, stamp_ns, self._tolerance_ns)
        except NoTransform as error:
            if 'camera' in self._heard:
                raise
            raise NoTransform(f'nothing on camera_pose, and {error.reason}') from None

    def target(self, camera_frame: str, T_base_cam: Pose, stamp_ns: int) -> Pose:
        """T_base_target; raises NoTransform."""
        look_up, tolerance = self._buffer.lookup, self._tolerance_ns
        if self._target == _FRAMES['target'] and 'target' not in self._heard:
            raise NoTransform('nothing on target_pose')
        try:
            return look_up(self._base, self._target, stamp_ns, tolerance)
        except NoTransform as error:
            # Given in the camera's frame, which may hang on its pose topic only.
            try:
                T_cam_target = look_up(camera_frame, self._target, stamp_ns, tolerance)
            except NoTransform:
                raise error from None
        return T_base_cam @ T_cam_target

    def set_back(self, now_ns: int) -> None:
        """Time was set back to `now_ns`: forget what is later, keep what came with the jump."""
        self._buffer.set_back(now_ns)

    def clear(self) -> None:
        """Forget all poses but the static transforms."""
        self._buffer.clear()

    def _add(self, parent: str, child: str, stamp_ns: int, pose: Pose, static: bool) -> None:
        try:
            self._buffer.add(parent, child, stamp_ns, pose, static)
        except ValueError as error:
            raise MessageError(str(error)) from None
