# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Newest poses of source, target and tip in the base frame, from topics or TF."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

from ..geometry import Container, Pose
from ..messages.decode import stamp_to_ns
from ..sync.poses import PoseInputs
from ..sync.transforms import frame_name
from .base import ManagedNode
from .qos import POSE_DEPTH
from .tf import subscribe_tf

Role = Literal['source', 'target', 'tip']
ROLES: tuple[Role, ...] = ('source', 'target', 'tip')


class ArmPoses:
    """Poses by role; `latest` gives each once. A pose that jumps is rejected until confirmed."""

    def __init__(self, base_frame: str, frames: dict[Role, str], tolerance: float) -> None:
        self._base, self._tolerance_ns = frame_name(base_frame), round(tolerance * 1e9)
        self._frames = {role: frame_name(frame) for role, frame in frames.items()}
        # The tip in a buffer of its own, where it takes the place of a source.
        self._poses = PoseInputs(base_frame, {r: self._frames[r] for r in ('source', 'target')})
        self._tip = PoseInputs(base_frame, {'source': self._frames['tip']})
        self._heard: dict[Role, tuple[int, str]] = {}
        self._given: dict[Role, int] = {}

    def watch(self, source: Container, target: Container) -> None:
        """Treat a container's pose as a jump also when its mouth jumps."""
        self._poses.watch('source', source.mouth)
        self._poses.watch('target', target.mouth)

    def subscribe(self, node: ManagedNode, feed: Any) -> None:
        """Subscribe to poses and TF; `feed(function, *arguments)` calls one with a message."""
        kind = 'geometry_msgs/msg/PoseStamped'
        for role in ROLES:
            if not self._frames[role]:
                node.subscribe(kind, f'{role}_pose', partial(feed, self._pose, role), POSE_DEPTH)
        node.subscribe(kind, 'camera_pose', partial(feed, self._poses.pose, 'camera'), POSE_DEPTH)
        subscribe_tf(node, partial(feed, self._transforms))

    def _pose(self, role: Role, message: Any) -> None:
        inputs = self._tip if role == 'tip' else self._poses
        inputs.pose('target' if role == 'target' else 'source', message)
        self._heard[role] = stamp_to_ns(message.header.stamp), message.header.frame_id

    def _transforms(self, message: Any, static: bool) -> None:
        self._poses.transforms(message, static)
        if self._frames['tip']:
            self._tip.transforms(message, static)

    def set_back(self, now_ns: int) -> None:
        """After time was set back."""
        for inputs in (self._poses, self._tip):
            inputs.set_back(now_ns)
        self._heard = {r: h for r, h in self._heard.items() if h[0] <= now_ns}
        self._given.clear()

    def latest(self, role: Role, now_ns: int) -> tuple[float, Pose] | None:
        """Stamp (s) and T_base_role of a pose that was not given before; raises NoTransform."""
        if self._frames[role]:
            found = self._from_tf(role, now_ns)
        elif role in self._heard:
            stamp_ns, frame = self._heard[role]
            if stamp_ns == self._given.get(role):
                return None
            found = stamp_ns, self._in_base(role, frame, stamp_ns)
        else:
            return None
        stamp_ns, pose = found
        if stamp_ns == self._given.get(role):
            return None
        self._given[role] = stamp_ns
        return stamp_ns * 1e-9, pose

    def _from_tf(self, role: Role, now_ns: int) -> tuple[int, Pose]:
        inputs = self._tip if role == 'tip' else self._poses
        here = 'target' if role == 'target' else 'source'
        # Without a moving part it is as new as now.
        stamp_ns = now_ns + inputs.skew_ns(self._base, now_ns).get(here, 0)
        return stamp_ns, self._look_up(role, self._base, None, now_ns)

    def _in_base(self, role: Role, frame: str, stamp_ns: int) -> Pose:
        if frame_name(frame) == self._base:
            return self._look_up(role, self._base, None, stamp_ns)
        camera = self._poses.camera(frame, stamp_ns, self._tolerance_ns)
        found = self._look_up(role, frame, camera, stamp_ns)
        return found if role == 'target' else camera @ found

    def _look_up(self, role: Role, frame: str, camera: Pose | None, stamp_ns: int) -> Pose:
        if role == 'target':
            return self._poses.target(frame, camera, stamp_ns, self._tolerance_ns)
        inputs = self._tip if role == 'tip' else self._poses
        return inputs.source(frame, camera, stamp_ns, self._tolerance_ns)
