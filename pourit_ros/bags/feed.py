# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Turn a bag into the messages that a camera and a tracker would send. Needs no ROS."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..messages import MessageError, encode
from ..messages.camera_info import is_rectified
from ..messages.cdr import stamp_of
from ..messages.decode import stamp_to_ns
from ..messages.images import image_to_depth, image_to_rgb
from ..pipeline import Frame
from ..sync.assembler import AssemblerOptions
from ..sync.transforms import frame_name
from .errors import BagError
from .reader import BagReader
from .topics import COMPRESSED

# What the nodes call the places of CameraTopics.
NAMES = {
    'color': 'color/image',
    'info': 'color/camera_info',
    'depth': 'depth/image',
    'source_pose': 'source_pose',
    'target_pose': 'target_pose',
    'camera_pose': 'camera_pose',
}


@dataclass(frozen=True)
class Step:
    """One message to publish: place, content (CDR or fields), stamp, time of recording."""

    place: str
    content: bytes | encode.Fields
    stamp_ns: int
    recorded_ns: int


class BagFeed:
    """The camera's messages in the order of the bag, images decompressed, and the poses.

    Pose topics are passed on unchanged. A pose that is only on /tf (or whose TF frame the options
    name) becomes a PoseStamped at each image's stamp, looked up as in offline replay. Raises
    BagError, also where a container's frame is missing from the bag's TF.

    `notice`: a remark on the bag, or ''.
    """

    def __init__(
        self, path: str | Path, topics: Mapping[str, str], options: AssemblerOptions
    ) -> None:
        self._path, self._topics, self._options = Path(path), topics, options
        with BagReader(path, topics) as bag:
            self._camera = bag.camera
            self.count = bag.count
            self.notice = ''
            self._check_frames(bag)
        has_tf = self._camera.tf is not None or self._camera.tf_static is not None
        framed = {'source_pose': options.source_frame, 'target_pose': options.target_frame}
        self._resolved = {
            place
            for place in ('source_pose', 'target_pose', 'camera_pose')
            if has_tf and (framed.get(place) or getattr(self._camera, place) is None)
        }

    @property
    def places(self) -> list[str]:
        """The inputs fed, by the keys of NAMES."""
        return [
            place
            for place in NAMES
            if place in self._resolved
            or (
                (getattr(self._camera, place) is not None)
                and (place != 'depth' or self._options.use_depth)
            )
        ]

    def steps(self, lead_ns: int) -> Iterator[Step]:
        """Iterate over the messages in the order of recording.

        Depth and poses come up to `lead_ns` earlier than image and camera info, so that the image
        finds everything that an offline replay would have waited for.
        """
        with ExitStack() as stack:
            bag = stack.enter_context(BagReader(self._path, self._topics))
            poses = None
            if self._resolved:
                second = stack.enter_context(BagReader(self._path, self._topics))
                poses = _Poses(second, self._options, self._resolved)
            held: deque[Step] = deque()
            for step in self._first_info_first(self._recorded(bag)):
                while held and held[0].recorded_ns <= step.recorded_ns - lead_ns:
                    yield from self._with_poses(held.popleft(), poses)
                if step.place in ('color', 'info'):
                    held.append(step)
                else:
                    yield step
            while held:
                yield from self._with_poses(held.popleft(), poses)

    def _check_frames(self, bag: BagReader) -> None:
        """Raise BagError for a container's frame missing from TF; only note a missing base."""
        options, camera = self._options, self._camera
        named = {'source_frame': options.source_frame, 'target_frame': options.target_frame}
        wanted = {name: frame_name(frame) for name, frame in named.items() if frame}
        tf = [topic for topic in (camera.tf, camera.tf_static) if topic is not None]
        if wanted and not tf:
            name, frame = next(iter(wanted.items()))
            raise BagError(f'{self._path}: {name} is {frame!r}, but the bag has no TF')
        if tf and camera.camera_pose is None:
            wanted['base_frame'] = frame_name(options.base_frame)
        there = _frames(bag, tf, set(wanted.values()))
        for name, frame in wanted.items():
            if frame in there:
                continue
            text = f'{name} {frame!r} is not in its TF, which has: {", ".join(sorted(there))}'
            if name != 'base_frame':
                raise BagError(f'{self._path}: {text}')
            self.notice = f'{text}; without it there is no distance'

    def _recorded(self, bag: BagReader) -> Iterator[Step]:
        topics = {
            getattr(self._camera, place): place
            for place in self.places
            if place not in self._resolved
        }
        rectified = is_rectified(self._camera.color)
        for message in bag.messages(topics):
            place = topics[message.topic]
            if place == 'info' and rectified:
                # The nodes take the images from color/image, a name that says nothing of it.
                info = bag.decode(message)
                stamp_ns = stamp_to_ns(info.header.stamp)
                yield Step(place, encode.rectified_info(info), stamp_ns, message.stamp_ns)
                continue
            if message.type != COMPRESSED:
                yield Step(place, message.data, stamp_of(message.data), message.stamp_ns)
                continue
            try:
                yield _decompressed(place, bag.decode(message), message.stamp_ns)
            except MessageError:
                # Offline it gives no frame either.
                continue

    def _first_info_first(self, steps: Iterator[Step]) -> Iterator[Step]:
        """Send the bag's first camera info ahead: no image can be answered without it."""
        first = next(steps, None)
        if first is None:
            return
        if first.place != 'info':
            with BagReader(self._path, self._topics) as bag:
                info = next((s for s in self._recorded(bag) if s.place == 'info'), None)
            if info is not None:
                yield replace(info, recorded_ns=first.recorded_ns)
                yield first
                yield from _without_first_info(steps)
                return
        yield first
        yield from steps

    def _with_poses(self, step: Step, poses: _Poses | None) -> Iterator[Step]:
        if step.place == 'color' and poses is not None:
            yield from poses.before(step)
        yield step


def _frames(bag: BagReader, topics: list[str], wanted: set[str]) -> set[str]:
    """Names of the frames in TF; it is read until all of `wanted` are found."""
    there: set[str] = set()
    if not wanted:
        return there
    for message in bag.messages(topics):
        try:
            transforms = bag.decode(message).transforms
        except BagError:
            # Offline a damaged message is left out too.
            continue
        there |= {frame_name(n) for t in transforms for n in (t.header.frame_id, t.child_frame_id)}
        if wanted <= there:
            break
    return there


class _Poses:
    """Poses of each image, from the frames of an offline replay that runs alongside."""

    def __init__(self, bag: BagReader, options: AssemblerOptions, places: set[str]) -> None:
        self._bag, self._places = bag, places
        self._base = options.base_frame
        self._frames = bag.frames(options)
        self._ahead: Frame | None = None

    def before(self, color: Step) -> Iterator[Step]:
        # Unusable images give no frame: the next one waits for its own image.
        if self._ahead is None:
            self._ahead = next(self._frames, None)
        frame = self._ahead
        if frame is None or frame.stamp_ns != color.stamp_ns:
            return
        self._ahead = None
        for place, frame_id, pose in (
            ('camera_pose', self._base, frame.T_base_cam),
            ('source_pose', self._bag.color_frame_id, frame.T_cam_source),
            ('target_pose', self._base, frame.T_base_target),
        ):
            if place in self._places and pose is not None:
                fields = encode.pose_stamped(frame.stamp_ns, frame_id, pose)
                yield Step(place, fields, frame.stamp_ns, color.recorded_ns)


def _without_first_info(steps: Iterator[Step]) -> Iterator[Step]:
    for step in steps:
        if step.place == 'info':
            break
        yield step
    yield from steps


def _decompressed(place: str, msg: Any, recorded_ns: int) -> Step:
    stamp_ns = stamp_to_ns(msg.header.stamp)
    array = image_to_rgb(msg) if place == 'color' else image_to_depth(msg)
    content = encode.image(stamp_ns, msg.header.frame_id, array)
    return Step(place, content, stamp_ns, recorded_ns)
