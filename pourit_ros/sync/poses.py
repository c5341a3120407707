# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Poses of camera and containers, from pose topics or TF: for live nodes and offline replay."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..geometry import Pose
from ..messages.decode import pose_from_pose_stamped, pose_from_transform, stamp_to_ns
from ..messages.errors import MessageError
from .transforms import NoTransform, TransformBuffer, frame_name

Role = Literal['source', 'target', 'camera']
ContainerRole = Literal['source', 'target']

# Faster than an arm or a hand pours; a pose that moves so has been mistaken by its tracker.
MAX_SPEED = 3.0
# A camera_pose that was silent for longer than this around an image no longer goes before TF.
SILENT_NS = 1_000_000_000


class PoseInputs:
    """Poses at a stamp: exact, otherwise interpolated or the nearest within a tolerance (ns).

    The camera's pose comes from `camera_pose` if a message arrived within SILENT_NS of the stamp,
    otherwise from TF; a container's from the TF frame that `frames` names for it, otherwise from
    its pose topic, whose messages may be in any frame connected to the camera's or the base. A
    jump, faster than MAX_SPEED (m/s), is rejected until the next sample confirms it; so is one of
    a container's mouth (`watch`). Not thread-safe.

    `notice`: a remark on the last `camera`, or ''.
    """

    def __init__(self, base_frame: str, frames: dict[ContainerRole, str]) -> None:
        self._base = frame_name(base_frame)
        self._frames = {role: frame_name(frame) for role, frame in frames.items() if frame}
        self._buffer = TransformBuffer(MAX_SPEED)
        self._heard: set[Role] = set()
        self._mouths: dict[ContainerRole, NDArray[np.float64]] = {}
        self.notice = ''

    def pose(self, role: Role, message: Any) -> None:
        """Take in a PoseStamped; raises MessageError."""
        if not frame_name(message.header.frame_id):
            raise MessageError(f'{role} pose has no frame_id')
        pose, stamp_ns = pose_from_pose_stamped(message), stamp_to_ns(message.header.stamp)
        self._add(message.header.frame_id, _edge(role), stamp_ns, pose, False)
        self._heard.add(role)

    def transforms(self, message: Any, static: bool) -> None:
        """Take in a TFMessage; the good transforms of a partly bad one are kept.

        Raises MessageError.
        """
        failure: MessageError | None = None
        for entry in message.transforms:
            try:
                stamp_ns = stamp_to_ns(entry.header.stamp)
                pose = pose_from_transform(entry.transform)
                self._add(entry.header.frame_id, entry.child_frame_id, stamp_ns, pose, static)
            except MessageError as error:
                failure = error
        if failure is not None:
            raise failure

    def camera(self, optical_frame: str, stamp_ns: int, tolerance_ns: int) -> Pose:
        """T_base_cam of the optical frame; raises NoTransform."""
        self.notice = ''
        if not self._camera_pose_silent(stamp_ns):
            return self._buffer.lookup(self._base, _edge('camera'), stamp_ns, tolerance_ns)
        heard = 'camera' in self._heard
        try:
            pose = self._buffer.lookup(self._base, optical_frame, stamp_ns, tolerance_ns)
        except NoTransform as error:
            silence = 'camera_pose is silent' if heard else 'no message on camera_pose'
            raise NoTransform(f'{silence}, and {error.reason}', error.newest_ns) from None
        if heard:
            self.notice = 'camera_pose is silent, using TF'
        return pose

    def _camera_pose_silent(self, stamp_ns: int) -> bool:
        skew_ns = self._buffer.skew_ns(self._base, _edge('camera'), stamp_ns)
        return skew_ns is None or abs(skew_ns) > SILENT_NS

    def source(
        self, optical_frame: str, T_base_cam: Pose | None, stamp_ns: int, tolerance_ns: int
    ) -> Pose:
        """T_cam_source, through the base where nothing else connects; raises NoTransform."""
        frame, tree = self._frame('source'), self._buffer
        # The camera may be placed by its pose topic only, outside the tree.
        by_base = not tree.connects(optical_frame, frame) and tree.connects(self._base, frame)
        if T_base_cam is not None and by_base:
            T_base_source = tree.lookup(self._base, frame, stamp_ns, tolerance_ns)
            return T_base_cam.inverse() @ T_base_source
        return tree.lookup(optical_frame, frame, stamp_ns, tolerance_ns)

    def target(
        self, optical_frame: str, T_base_cam: Pose | None, stamp_ns: int, tolerance_ns: int
    ) -> Pose:
        """T_base_target, through the camera where nothing else connects; raises NoTransform."""
        frame, tree = self._frame('target'), self._buffer
        by_camera = not tree.connects(self._base, frame) and tree.connects(optical_frame, frame)
        if T_base_cam is not None and by_camera:
            return T_base_cam @ tree.lookup(optical_frame, frame, stamp_ns, tolerance_ns)
        return tree.lookup(self._base, frame, stamp_ns, tolerance_ns)

    def skew_ns(self, optical_frame: str, stamp_ns: int) -> dict[str, int]:
        """Stamp of the oldest sample behind each pose, minus the given stamp."""
        cameras = optical_frame, _edge('camera')
        camera = optical_frame if self._camera_pose_silent(stamp_ns) else _edge('camera')
        ways: dict[str, tuple[tuple[str, str], ...]] = {
            'source': tuple((c, self._name('source')) for c in (*cameras, self._base)),
            'target': tuple((c, self._name('target')) for c in (self._base, *cameras)),
            'camera': ((self._base, camera),),
        }
        skews = {}
        for role, choices in ways.items():
            found = [self._buffer.skew_ns(*ends, stamp_ns) for ends in choices]
            skew = next((s for s in found if s is not None), None)
            if skew is not None:
                skews[role] = skew
        return skews

    def follow(self, container: ContainerRole, frame: str) -> None:
        """From now on take a container's pose from this TF frame; empty: from its topic."""
        self._frames[container] = frame_name(frame)
        if container in self._mouths:
            self.watch(container, self._mouths[container])

    def watch(self, container: ContainerRole, mouth: NDArray[np.float64]) -> None:
        """Treat a container's pose as a jump also when its mouth (3,) jumps: it was turned over.

        A turn about its axis is not a jump: trackers of round containers turn them at random.
        """
        self._mouths[container] = mouth
        self._buffer.watch(self._name(container), mouth)

    def set_back(self, now_ns: int) -> None:
        """After time was set back to `now_ns`, forget what is later; keep what is new."""
        self._buffer.set_back(now_ns)

    def clear(self) -> None:
        """Forget all poses except the static transforms."""
        self._buffer.clear()

    @property
    def frames(self) -> set[str]:
        """Names of all frames received, on TF and in the headers of poses."""
        edges = {_edge(role) for role in get_args(Role)}
        return self._buffer.frames - edges

    def _name(self, container: ContainerRole) -> str:
        return self._frames.get(container) or _edge(container)

    def _frame(self, container: ContainerRole) -> str:
        frame = self._name(container)
        if frame == _edge(container) and container not in self._heard:
            raise NoTransform(f'no message on {container}_pose')
        return frame

    def _add(self, parent: str, child: str, stamp_ns: int, pose: Pose, static: bool) -> None:
        try:
            self._buffer.add(parent, child, stamp_ns, pose, static)
        except ValueError as error:
            raise MessageError(str(error)) from None


def _edge(role: Role) -> str:
    """Name of a pose topic's edge in the tree; no TF frame has such a name."""
    return f'<{role}_pose>'
