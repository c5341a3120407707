# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Time-stamped poses: one timeline per pose, one tree per robot. Does tf2's job without ROS."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..geometry import Pose
from ..geometry.reach import MILLIMETRES
from .timeline import Timeline

# History kept behind the newest sample, like tf2.
HISTORY_NS = 10_000_000_000
# Across a longer hole in the samples, an interpolated pose is invented.
MAX_GAP_NS = 1_000_000_000
# Noise of a tracker between two samples, however near in time, m.
NOISE = 0.03


class NoTransform(LookupError):  # noqa: N818 - a state of the buffer, not a fault
    """No pose at the requested stamp; `reason` says why in one line.

    `newest_ns` is the stamp of the newest sample of the timeline that failed, None when there is
    none; it tells a caller whether waiting can help.
    """

    def __init__(self, reason: str, newest_ns: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.newest_ns = newest_ns


class PoseTrack(Timeline[Pose]):
    """One pose over time, in one frame.

    `max_speed` m/s: a pose jumps where its origin, or the `watched` point (3,) of its own frame,
    moves faster.
    """

    def __init__(self, max_speed: float = math.inf) -> None:
        super().__init__(HISTORY_NS)
        self._max_speed = max_speed
        self.watched: NDArray[np.float64] = np.zeros(3)

    def at(self, stamp_ns: int, tolerance_ns: int) -> Pose:
        """Return the pose at the stamp: exact, interpolated or nearest within tolerance.

        A jump is rejected until the next sample confirms it. Raises NoTransform.
        """
        around = self.around(stamp_ns)
        if len(around) == 2:
            (before_ns, before), (after_ns, after) = around
            if after_ns - before_ns <= MAX_GAP_NS:
                self._refuse_jump(after_ns)
                return before.interpolate(after, (stamp_ns - before_ns) / (after_ns - before_ns))
        nearest = self.nearest(stamp_ns)
        if nearest is None:
            raise NoTransform('no transform received')
        gap = nearest[0] - stamp_ns
        if abs(gap) > tolerance_ns:
            raise NoTransform(
                f'nearest sample is {abs(gap) / 1e9:.3f} s {"after" if gap > 0 else "before"} '
                f'the image (tolerance {tolerance_ns / 1e9:.3f} s)',
                self.newest_ns,
            )
        self._refuse_jump(nearest[0])
        return nearest[1]

    def _refuse_jump(self, sample_ns: int) -> None:
        """Raise NoTransform when the sample is too far from the one before it."""
        before, [(_, pose)] = self.before(sample_ns), self.around(sample_ns)
        if before is None or sample_ns - before[0] > MAX_GAP_NS:
            return
        seconds = (sample_ns - before[0]) * 1e-9
        moved = max(
            math.dist(pose.apply(p), before[1].apply(p)) for p in (np.zeros(3), self.watched)
        )
        if moved > NOISE + self._max_speed * seconds:
            far = float(np.linalg.norm(pose.translation))
            unit = ' (in millimetres? poses are in metres)' if far >= MILLIMETRES else ''
            reason = f'jumped by {moved:.2f} m within {seconds:.3f} s{unit}'
            raise NoTransform(reason, self.newest_ns)


class TransformBuffer:
    """A tree of frames, fed from /tf and /tf_static. `max_speed` m/s: as in PoseTrack."""

    def __init__(self, max_speed: float = math.inf) -> None:
        self._max_speed = max_speed
        self._parents: dict[str, str] = {}
        self._static: dict[str, Pose] = {}
        self._tracks: dict[str, PoseTrack] = {}
        self._watched: dict[str, NDArray[np.float64]] = {}

    def watch(self, child: str, point: NDArray[np.float64]) -> None:
        """Treat a frame's pose as a jump also when this point (3,) of it, m, jumps."""
        self._watched[frame_name(child)] = point
        if (track := self._tracks.get(frame_name(child))) is not None:
            track.watched = point

    def add(
        self, parent: str, child: str, stamp_ns: int, T_parent_child: Pose, static: bool = False
    ) -> None:
        """Add a sample of T_parent_child; a child that moves to another parent loses its history.

        Raises ValueError on an empty name or a frame that is its own parent.
        """
        parent, child = frame_name(parent), frame_name(child)
        if not parent or not child or parent == child:
            raise ValueError(
                f'transform from {parent!r} to {child!r}: a transform needs two different frame '
                'names'
            )
        if self._parents.get(child) != parent:
            self._parents[child] = parent
            self._tracks.pop(child, None)
        if static:
            self._static[child] = T_parent_child
            self._tracks.pop(child, None)
        else:
            self._static.pop(child, None)
            track = self._tracks.get(child)
            if track is None:
                track = self._tracks[child] = PoseTrack(self._max_speed)
                track.watched = self._watched.get(child, track.watched)
            track.add(stamp_ns, T_parent_child)

    def lookup(
        self, target_frame: str, source_frame: str, stamp_ns: int, tolerance_ns: int
    ) -> Pose:
        """Return T_target_source at the stamp, with each edge on the way as in `PoseTrack.at`.

        Raises NoTransform.
        """
        ways = self._ways(target_frame, source_frame)
        if ways is None:
            ends = f'{frame_name(target_frame)!r} and {frame_name(source_frame)!r}'
            raise NoTransform(f'no transform connects {ends}')
        T_common_target, T_common_source = (
            self._climb(way, stamp_ns, tolerance_ns) for way in ways
        )
        return T_common_target.inverse() @ T_common_source

    @property
    def frames(self) -> set[str]:
        """Names of all frames with an edge."""
        return {*self._parents, *self._parents.values()}

    def connects(self, target_frame: str, source_frame: str) -> bool:
        """Whether edges connect the two frames, whatever their samples."""
        return self._ways(target_frame, source_frame) is not None

    def skew_ns(self, target_frame: str, source_frame: str, stamp_ns: int) -> int | None:
        """Stamp of the nearest sample minus the given stamp; the largest of all edges.

        None if no moving edge has samples.
        """
        edges = [child for way in self._ways(target_frame, source_frame) or () for child in way]
        tracks = [self._tracks[child] for child in edges if child in self._tracks]
        nearest = [track.nearest(stamp_ns) for track in tracks]
        return max((n[0] - stamp_ns for n in nearest if n is not None), key=abs, default=None)

    def set_back(self, now_ns: int) -> None:
        """After time was set back to `now_ns`, forget later samples, as `Timeline.set_back` does.

        Static transforms hold for all times.
        """
        for track in self._tracks.values():
            track.set_back(now_ns)

    def clear(self) -> None:
        """Forget all samples except the static transforms."""
        for track in self._tracks.values():
            track.clear()

    def _ancestors(self, frame: str) -> list[str]:
        """The frame and its ancestors, nearest first; stops at a loop."""
        chain = [frame]
        while (parent := self._parents.get(chain[-1])) is not None and parent not in chain:
            chain.append(parent)
        return chain

    def _ways(self, target_frame: str, source_frame: str) -> tuple[list[str], list[str]] | None:
        """Both ends' ways up to their common ancestor, excluded; None if there is none."""
        up_target, up_source = (
            self._ancestors(frame_name(f)) for f in (target_frame, source_frame)
        )
        common = next((frame for frame in up_source if frame in up_target), None)
        if common is None:
            return None
        return up_target[: up_target.index(common)], up_source[: up_source.index(common)]

    def _climb(self, way: list[str], stamp_ns: int, tolerance_ns: int) -> Pose:
        """Pose of the way's first frame in the parent of its last."""
        pose = Pose.identity()
        for child in way:
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
