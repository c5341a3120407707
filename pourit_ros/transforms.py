# SPDX-License-Identifier: Apache-2.0
"""Time-stamped poses: one timeline per pose, a tree of them per robot. tf2's job without ROS."""

from __future__ import annotations

from .geometry import Pose
from .timeline import Timeline

# History kept behind the newest sample, like tf2.
HISTORY_NS = 10_000_000_000
# Across a longer hole in the samples, an interpolated pose is invented.
MAX_GAP_NS = 1_000_000_000


class NoTransform(LookupError):  # noqa: N818 - a state of the buffer, not a fault
    """No pose at the asked stamp; `reason` says why in one line.

    `newest_ns` is the stamp of the newest sample of the timeline that failed, None when there is
    none: what a caller needs to decide whether waiting can help.
    """

    def __init__(self, reason: str, newest_ns: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.newest_ns = newest_ns


class PoseTrack(Timeline[Pose]):
    """One pose over time, in one frame."""

    def __init__(self) -> None:
        super().__init__(HISTORY_NS)

    def at(self, stamp_ns: int, tolerance_ns: int) -> Pose:
        """Return the pose at the stamp: exact, else interpolated, else nearest within tolerance.

        Raises NoTransform.
        """
        around = self.around(stamp_ns)
        if len(around) == 2:
            (before_ns, before), (after_ns, after) = around
            if after_ns - before_ns <= MAX_GAP_NS:
                return before.interpolate(after, (stamp_ns - before_ns) / (after_ns - before_ns))
        nearest = self.nearest(stamp_ns)
        if nearest is None:
            raise NoTransform('nothing was received')
        gap = nearest[0] - stamp_ns
        if abs(gap) > tolerance_ns:
            raise NoTransform(
                f'nearest sample is {abs(gap) / 1e9:.3f} s {"after" if gap > 0 else "before"} '
                f'the image (tolerance {tolerance_ns / 1e9:.3f} s)',
                self.newest_ns,
            )
        return nearest[1]


class TransformBuffer:
    """A tree of frames, fed from /tf and /tf_static."""

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}
        self._static: dict[str, Pose] = {}
        self._tracks: dict[str, PoseTrack] = {}

    def add(
        self, parent: str, child: str, stamp_ns: int, T_parent_child: Pose, static: bool = False
    ) -> None:
        """Add a sample of T_parent_child; a child that moves to another parent starts anew.

        Raises ValueError on an empty name or a frame that is its own parent.
        """
        parent, child = frame_name(parent), frame_name(child)
        if not parent or not child or parent == child:
            raise ValueError(f'transform from {parent!r} to {child!r} is no edge of a tree')
        if self._parents.get(child) != parent:
            self._parents[child] = parent
            self._tracks.pop(child, None)
        if static:
            self._static[child] = T_parent_child
            self._tracks.pop(child, None)
        else:
            self._static.pop(child, None)
            self._tracks.setdefault(child, PoseTrack()).add(stamp_ns, T_parent_child)

    def lookup(
        self, target_frame: str, source_frame: str, stamp_ns: int, tolerance_ns: int
    ) -> Pose:
        """Return T_target_source at the stamp; every edge on the way as in `PoseTrack.at`.

        Raises NoTransform.
        """
        target, source = frame_name(target_frame), frame_name(source_frame)
        up_target, up_source = self._ancestors(target), self._ancestors(source)
        common = next((frame for frame in up_source if frame in up_target), None)
        if common is None:
            raise NoTransform(f'no transform connects {target!r} and {source!r}')
        T_common_target = self._climb(up_target, common, stamp_ns, tolerance_ns)
        T_common_source = self._climb(up_source, common, stamp_ns, tolerance_ns)
        return T_common_target.inverse() @ T_common_source

    def set_back(self, now_ns: int) -> None:
        """Time was set back to `now_ns`: forget later samples, as `Timeline.set_back`.

        Static transforms hold for all times.
        """
        for track in self._tracks.values():
            track.set_back(now_ns)

    def clear(self) -> None:
        """Forget all samples but the static transforms."""
        for track in self._tracks.values():
            track.clear()

    def _ancestors(self, frame: str) -> list[str]:
        """The frame and its ancestors, nearest first; stops at a loop."""
        chain = [frame]
        while (parent := self._parents.get(chain[-1])) is not None and parent not in chain:
            chain.append(parent)
        return chain

    def _climb(self, chain: list[str], ancestor: str, stamp_ns: int, tolerance_ns: int) -> Pose:
        """T_ancestor_frame for the frame at the head of the chain."""
        pose = Pose.identity()
        for child in chain[: chain.index(ancestor)]:
            edge = self._static.get(child)
            if edge is None:
                try:
                    edge = self._tracks[child].at(stamp_ns, tolerance_ns)
                except NoTransform as error:
                    raise NoTransform(
                        f'{self._parents[child]} -> {child}: {error.reason}', error.newest_ns
                    ) from None
            pose = edge @ pose
        return pose


def frame_name(name: str) -> str:
    """Name of a frame without the leading slash that ROS 1 tools still write."""
    return name.lstrip('/')
