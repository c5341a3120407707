# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Join messages in any order into Frames: the synchroniser of live nodes and offline replay."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry import Pose
from ..messages.camera_info import camera_from_info, check_camera_info
from ..messages.decode import stamp_to_ns
from ..messages.errors import MessageError
from ..messages.images import image_to_depth, image_to_rgb
from ..pipeline import Frame
from .poses import ContainerRole, PoseInputs
from .timeline import Timeline
from .transforms import NoTransform, frame_name

# An input that was silent for longer than this before an image is not waited for; at start-up
# every input is, for as long.
ALIVE_NS = 1_000_000_000
# Images that wait for their companions, and depth images that wait for theirs.
MAX_PENDING = 16
MAX_DEPTHS = 100


@dataclass(frozen=True)
class AssemblerOptions:
    """How frames are assembled; times in seconds.

    `source_frame`, `target_frame`: TF frames of the containers; empty: use their pose topics.
    `mouths`: those of the containers, (3,) in their own frames, watched for jumps.
    `pose_tolerance`: how far in time a pose may be from the image when it cannot be interpolated.
    `depth_slop`: the same for depth. `wait`: how long an image waits for a late companion.
    `keep_all`: every frame in order (offline) instead of the newest (live). `rectified`: the
    colour images are rectified, so P of their camera info applies.
    """

    source_frame: str = ''
    target_frame: str = ''
    base_frame: str = 'base'
    pose_tolerance: float = 0.1
    depth_slop: float = 0.017
    wait: float = 0.15
    use_depth: bool = True
    keep_all: bool = False
    rectified: bool = False
    mouths: Mapping[ContainerRole, NDArray[np.float64]] = field(default_factory=dict)


@dataclass
class _Pending:
    stamp_ns: int
    frame_id: str
    rgb: NDArray[np.uint8]
    arrival_ns: int | None = None


@dataclass
class _Depth:
    """A depth image (H, W) m of an optical frame; None with the reason if it cannot be used."""

    frame_id: str
    metres: NDArray[np.float32] | None
    problem: str = ''


class _NotYet(Exception):  # noqa: N818 - control flow, never leaves this file
    """A companion is late but may still come."""


class FrameAssembler:
    """Assemble messages into frames: image and camera, with depth and poses at its stamp.

    Feed `color`, `depth`, `info` and `poses` as messages come; each raises MessageError on a
    message that cannot be used and stays usable itself. Call `take` after each message, and every
    few hundredths of a second so that `wait` can run out. A pose is taken at the image's stamp:
    exact, otherwise interpolated between its neighbours, otherwise, once the wait is over, the
    nearest within `pose_tolerance`. An image stamped before its predecessor means that time was
    set back (a bag that loops, a simulation restarted): everything from before is forgotten,
    except static transforms. Not thread-safe.

    `drops` counts images that never became a frame: 'replaced' by a newer one, 'no_info',
    'bad_info', 'time_jump'. `skew_ns`: companion's stamp minus the image's, for the depth image
    and the poses nearest to the last frame. `color_frame_id`: the last frame's optical frame.
    """

    def __init__(self, options: AssemblerOptions | None = None) -> None:
        self.options = options or AssemblerOptions()
        self.drops: Counter[str] = Counter()
        self.skew_ns: dict[str, int] = {}
        self.color_frame_id = ''
        self._tolerance_ns = round(self.options.pose_tolerance * 1e9)
        self._slop_ns = round(self.options.depth_slop * 1e9)
        self._wait_ns = round(self.options.wait * 1e9)
        self._info: Any = None
        self._pending: deque[_Pending] = deque()
        self._ready: deque[Frame] = deque()
        self._first_ns: int | None = None
        self._newest_ns: int | None = None
        self._depths: Timeline[_Depth] = Timeline(ALIVE_NS, MAX_DEPTHS)
        self._depth_came = False
        self.poses = PoseInputs(
            self.options.base_frame,
            {'source': self.options.source_frame, 'target': self.options.target_frame},
        )
        for role, mouth in self.options.mouths.items():
            self.poses.watch(role, mouth)

    def color(self, msg: Any) -> None:
        """Take in a colour Image or CompressedImage."""
        stamp_ns, rgb = stamp_to_ns(msg.header.stamp), image_to_rgb(msg)
        if self._newest_ns is not None and stamp_ns < self._newest_ns:
            self._time_jump(stamp_ns)
        if self._first_ns is None:
            self._first_ns = stamp_ns
        self._newest_ns = stamp_ns
        self._pending.append(_Pending(stamp_ns, frame_name(msg.header.frame_id), rgb))
        if not self.options.keep_all and len(self._pending) > MAX_PENDING:
            self._pending.popleft()
            self.drops['replaced'] += 1

    def depth(self, msg: Any) -> None:
        """Take in a depth Image or CompressedImage, aligned to colour."""
        if not self.options.use_depth:
            return
        depth = _Depth(frame_name(msg.header.frame_id), None)
        try:
            depth.metres = image_to_depth(msg)
            self._depth_came = True
        except MessageError as error:
            depth.problem = str(error)
            raise
        finally:
            self._depths.add(stamp_to_ns(msg.header.stamp), depth)

    def info(self, msg: Any) -> None:
        """Take in a CameraInfo of the colour camera."""
        check_camera_info(msg, self.options.rectified)
        self._info = msg

    def take(self, now_ns: int) -> Frame | None:
        """Return the newest complete frame (`keep_all`: the next in order), None if none.

        `now_ns`: any monotonic clock; an image's waiting time starts with the first `take` that
        sees it. Older images are dropped (not with `keep_all`). After `wait` the image is returned
        without what is missing; `Frame.problem` and `Frame.depth_problem` say why. Drops the image
        and raises MessageError when camera info is missing or does not fit it.
        """
        for pending in self._pending:
            if pending.arrival_ns is None or now_ns < pending.arrival_ns:
                pending.arrival_ns = now_ns
        if self._ready:
            return self._ready.popleft()
        return self._take_next(now_ns) if self.options.keep_all else self._take_newest(now_ns)

    def _take_next(self, now_ns: int) -> Frame | None:
        while self._pending:
            pending = self._pending[0]
            expired = self._expired(pending, now_ns)
            if self._info is None and not expired:
                return None
            try:
                frame = self._assemble(pending, expired)
            except _NotYet:
                return None
            except MessageError:
                self._pending.popleft()
                raise
            self._pending.popleft()
            return frame
        return None

    def _take_newest(self, now_ns: int) -> Frame | None:
        for k in reversed(range(len(self._pending))):
            pending = self._pending[k]
            expired = self._expired(pending, now_ns)
            if self._info is None and not expired:
                continue
            try:
                frame = self._assemble(pending, expired)
            except _NotYet:
                continue
            except MessageError:
                del self._pending[k]
                raise
            for _ in range(k):
                self._pending.popleft()
                self.drops['replaced'] += 1
            self._pending.popleft()
            return frame
        return None

    def _expired(self, pending: _Pending, now_ns: int) -> bool:
        return pending.arrival_ns is not None and now_ns - pending.arrival_ns >= self._wait_ns

    def reset(self, poses: bool) -> None:
        """Forget images and depth, and the `poses`; camera info and static transforms stay."""
        self._pending.clear()
        self._ready.clear()
        self._depths.clear()
        self._depth_came = False
        self._first_ns = self._newest_ns = None
        if poses:
            self.poses.clear()

    def _time_jump(self, stamp_ns: int) -> None:
        while self._pending:
            pending = self._pending.popleft()
            if self.options.keep_all:
                with suppress(MessageError):
                    self._ready.append(self._assemble(pending, final=True))
            else:
                self.drops['time_jump'] += 1
        self._depths.set_back(stamp_ns)
        self.poses.set_back(stamp_ns)
        self._first_ns = None

    def _assemble(self, pending: _Pending, final: bool) -> Frame:
        """The frame. Raises _NotYet (unless final), and MessageError when it must be dropped."""
        if self._info is None:
            self.drops['no_info'] += 1
            raise MessageError('no camera info received')
        height, width = pending.rgb.shape[:2]
        try:
            camera = camera_from_info(self._info, width, height, self.options.rectified)
        except MessageError:
            self.drops['bad_info'] += 1
            raise
        stamp, cam = pending.stamp_ns, pending.frame_id
        problems: list[str] = []

        def resolve(what: str, attempt: Callable[[int], Pose]) -> Pose | None:
            try:
                return attempt(0)
            except NoTransform as error:
                if not final and self._may_come(stamp, error.newest_ns):
                    raise _NotYet from None
            try:
                return attempt(self._tolerance_ns)
            except NoTransform as error:
                problems.append(f'{what} pose: {error.reason}')
                return None

        poses = self.poses
        T_base_cam = resolve('camera', lambda tol: poses.camera(cam, stamp, tol))
        if poses.notice:
            problems.append(f'camera pose: {poses.notice}')
        T_cam_source = resolve('source', lambda tol: poses.source(cam, T_base_cam, stamp, tol))
        T_base_target = resolve('target', lambda tol: poses.target(cam, T_base_cam, stamp, tol))
        depth, depth_problem = self._depth_at(pending, final)
        self.color_frame_id = cam
        self.skew_ns = poses.skew_ns(cam, stamp)
        if (nearest := self._depths.nearest(stamp)) is not None:
            self.skew_ns['depth'] = nearest[0] - stamp
        return Frame(
            pending.rgb,
            camera,
            depth=depth,
            T_cam_source=T_cam_source,
            T_base_cam=T_base_cam,
            T_base_target=T_base_target,
            stamp_ns=stamp,
            name=str(stamp),
            problem='; '.join(problems),
            depth_problem=depth_problem,
        )

    def _may_come(self, stamp_ns: int, newest_ns: int | None) -> bool:
        """Whether an input whose newest sample is given can still deliver for this stamp."""
        if newest_ns is None:
            return self._first_ns is None or stamp_ns - self._first_ns < ALIVE_NS
        return 0 < stamp_ns - newest_ns < ALIVE_NS

    def _depth_at(self, pending: _Pending, final: bool) -> tuple[NDArray[np.float32] | None, str]:
        """(depth, reason if missing), the nearest within the slop. Raises _NotYet."""
        if not self.options.use_depth:
            return None, ''
        stamp = pending.stamp_ns
        if not final and self._may_come(stamp, self._depths.newest_ns):
            raise _NotYet
        nearest = self._depths.nearest(stamp)
        if nearest is None or abs(nearest[0] - stamp) > self._slop_ns:
            problem = f'depth: no image within {self.options.depth_slop:.3f} s'
            return None, problem if self._depth_came else ''
        found, here = nearest[1], pending.frame_id
        if found.metres is None:
            return None, f'depth: {found.problem}'
        (height, width), size = found.metres.shape, pending.rgb.shape[:2]
        if (height, width) != size:
            return None, (
                f'depth: {width}x{height} is not the size of the colour image, '
                f'{size[1]}x{size[0]}: align it to colour'
            )
        if found.frame_id and here and found.frame_id != here:
            return None, f'depth: is in frame {found.frame_id}, not in {here}: align it to colour'
        return found.metres, ''
