# SPDX-License-Identifier: Apache-2.0
"""A bag as the messages that a camera and a tracker would send to the nodes. Needs no ROS."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..bags.reader import BagReader
from ..bags.topics import COMPRESSED
from ..frames import AssemblerOptions
from ..messages import MessageError, encode
from ..messages.decode import stamp_to_ns
from ..messages.images import image_to_depth, image_to_rgb
from ..pipeline import Frame
from .cdr import stamp_of

# What the nodes call the places of CameraTopics.
NAMES = {
    'color': 'color/image',
    'info': 'color/camera_info',
    'depth': 'depth/image',
    'source_pose': 'source_pose',
    'target_pose': 'target_pose',
    'camera_pose': 'camera_pose',
}

# A bag whose camera info comes later than this is played as it is.
MAX_EARLY = 100


@dataclass(frozen=True)
class Step:
    """One message to publish: place, content in CDR or as fields, its own stamp, recorded at."""

    place: str
    content: bytes | encode.Fields
    stamp_ns: int
    recorded_ns: int


class BagFeed:
    """The camera's messages in the order of the bag, images decompressed, and the poses.

    Pose topics are passed on as they are. A pose that the bag has on /tf only (or whose TF frame
    the options name) comes as a PoseStamped at each image's stamp, found as offline replay finds
    it. Raises BagError.
    """

    def __init__(
        self, path: str | Path, topics: Mapping[str, str], options: AssemblerOptions
    ) -> None:
        self._path, self._topics, self._options = Path(path), topics, options
        with BagReader(path, topics) as bag:
            self._camera = bag.camera
            self.count = bag.count
        has_tf = self._camera.tf is not None or self._camera.tf_static is not None
        framed = {'source_pose': options.source_frame, 'target_pose': options.target_frame}
        self._resolved = {
            place
            for place in ('source_pose', 'target_pose', 'camera_pose')
            if has_tf and (framed.get(place) or getattr(self._camera, place) is None)
        }

    @property
    def places(self) -> list[str]:
        """What is fed, by the keys of NAMES."""
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

        Depth and poses come up to `lead_ns` earlier than image and camera info, so that with the
        image everything is there that an offline replay would have waited for.
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

    def _recorded(self, bag: BagReader) -> Iterator[Step]:
        topics = {
            getattr(self._camera, place): place
            for place in self.places
            if place not in self._resolved
        }
        for message in bag.messages(topics):
            place = topics[message.topic]
            if message.type != COMPRESSED:
                yield Step(place, message.data, stamp_of(message.data), message.stamp_ns)
                continue
            try:
                yield _decompressed(place, bag.decode(message), message.stamp_ns)
            except MessageError:
                # Offline it gives no frame either.
                continue

    def _first_info_first(self, steps: Iterator[Step]) -> Iterator[Step]:
        """Let the first camera info go ahead: no image can be answered without one."""
        early: list[Step] = []
        for step in steps:
            early.append(step)
            if step.place == 'info' or len(early) >= MAX_EARLY:
                break
        yield from sorted(early, key=lambda step: step.place != 'info')
        yield from steps

    def _with_poses(self, step: Step, poses: _Poses | None) -> Iterator[Step]:
        if step.place == 'color' and poses is not None:
            yield from poses.before(step)
        yield step


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


def _decompressed(place: str, msg: Any, recorded_ns: int) -> Step:
    stamp_ns = stamp_to_ns(msg.header.stamp)
    array = image_to_rgb(msg) if place == 'color' else image_to_depth(msg)
    content = encode.image(stamp_ns, msg.header.frame_id, array)
    return Step(place, content, stamp_ns, recorded_ns)
