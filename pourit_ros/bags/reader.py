# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Read rosbag2 recordings without ROS."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from heapq import merge
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.interfaces import Connection, MessageDefinitionFormat
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from ..messages.camera_info import is_rectified
from ..messages.decode import stamp_to_ns
from ..messages.errors import MessageError
from ..messages.rosbag import typestore
from ..pipeline import Frame
from ..sync.assembler import AssemblerOptions, FrameAssembler
from .compression import ZSTD_MAGIC, unzstd
from .content import content_of
from .errors import BagError
from .storage import Opened, unreadable
from .topics import CameraTopics, Content, find_camera_topics

# After so many images that cannot be used, none before them could, the rest will not be better.
HOPELESS = 10


@dataclass(frozen=True)
class ReaderOptions:
    """How frames are read from a bag.

    `topics`: topics by the fields of CameraTopics, instead of finding them by name; `frames`: how
    messages are assembled.
    """

    topics: Mapping[str, str] = field(default_factory=dict)
    frames: AssemblerOptions = field(default_factory=AssemblerOptions)


@dataclass(frozen=True)
class RecordedMessage:
    """A message as recorded: `stamp_ns` of the recording, `data` in CDR."""

    topic: str
    type: str
    stamp_ns: int
    data: bytes


class BagReader:
    """An open rosbag2: a folder (sqlite3, mcap), or a single .mcap or .db3 file, zstd or not.

    The whole messages of a cut-off bag are read. `notices` reports this and other faults, one line
    each. Close it, or use it as a context manager.

    After `frames` has run: `lost`, colour images that never became frames by cause; `skipped`, how
    many messages of a topic could not be used; `depth_used`, frames with depth, and
    `depth_unused`, those without by cause; `recorded_ns`, when the image of a stamp was recorded;
    `frame_names`, the frames of TF and poses. Every method raises BagError.
    """

    def __init__(self, path: str | Path, topics: Mapping[str, str] | None = None) -> None:
        self.path = Path(path)
        self._chosen = dict(topics or {})
        self.lost: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.depth_used = 0
        self.depth_unused: Counter[str] = Counter()
        self.recorded_ns: dict[int, int] = {}
        self.frame_names: set[str] = set()
        self.color_frame_id = ''
        self._opened = Opened(self.path)
        self.notices = list(self._opened.notices)
        self._looked: dict[str, Content | None] = {}

    def __enter__(self) -> BagReader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files; a second time does nothing."""
        self._opened.close()

    @property
    def topics(self) -> dict[str, str]:
        """Message types by topic name."""
        return {c.topic: c.msgtype for c in self._all}

    def connection(self, topic: str) -> Connection:
        """How a topic was recorded: its definition and quality of service."""
        return next(c for c in self._all if c.topic == topic)

    @cached_property
    def camera(self) -> CameraTopics:
        """The topics that frames are made of."""
        try:
            return find_camera_topics(self.topics, self._chosen, self._look)
        except BagError as error:
            raise BagError(f'{self.path}: {error}') from None

    @property
    def count(self) -> int:
        """How many colour images there are."""
        return sum(c.msgcount for c in self._all if c.topic == self.camera.color)

    @property
    def duration(self) -> float:
        """Seconds from the first to the last message."""
        parts = self._opened.parts
        start, end = min(p.start_time for p in parts), max(p.end_time for p in parts)
        return max(end - 1 - start, 0) / 1e9

    @property
    def rate(self) -> float:
        """Colour images per second, 0 where the bag is too short."""
        return (self.count - 1) / self.duration if self.duration > 0 else 0.0

    def messages(self, topics: Collection[str] | None = None) -> Iterator[RecordedMessage]:
        """Iterate over the messages of some topics (None: all) in the order of recording."""
        wanted = self.topics if topics is None else topics
        parts = []
        for part in self._opened.parts:
            connections = [c for c in part.connections if c.topic in wanted]
            if connections:
                parts.append(part.messages(connections))
        source = parts[0] if len(parts) == 1 else merge(*parts, key=lambda message: message[1])
        while True:
            try:
                connection, stamp_ns, data = next(source)
                if data[:4] == ZSTD_MAGIC:
                    # Compressed one by one, which only the lost metadata could have told.
                    data = unzstd(data)
            except StopIteration:
                return
            except Exception as error:
                raise self._unreadable(error) from error
            yield RecordedMessage(connection.topic, connection.msgtype, stamp_ns, bytes(data))

    def decode(self, message: RecordedMessage) -> Any:
        """Decode a message into rosbags' dataclass of its type."""
        try:
            return self._decode(message)
        except MessageError as error:
            raise BagError(f'{self.path}: {message.topic} holds {error}') from error

    def frames(
        self,
        options: AssemblerOptions | None = None,
        tap: Callable[[RecordedMessage], None] | None = None,
    ) -> Iterator[Frame]:
        """Iterate over all frames in order, assembled as in the live node, none dropped.

        Messages that cannot be used are skipped and counted; a bag without any usable frame raises
        BagError with the reason. `tap` is called with every message behind the frames as it is
        read.
        """
        topics = self.camera
        self.lost, self.skipped = Counter(), Counter()
        self.depth_used, self.depth_unused = 0, Counter()
        options = options or AssemblerOptions()
        use_depth = options.use_depth and topics.depth is not None
        rectified = is_rectified(topics.color)
        options = replace(options, keep_all=True, use_depth=use_depth, rectified=rectified)
        assembler = FrameAssembler(options)
        feeds = _feeds(assembler, topics)
        self._read_ahead(topics, feeds, rectified)
        given, problem, now_ns = 0, '', 0

        def take_all() -> Iterator[Frame]:
            nonlocal problem
            while True:
                try:
                    frame = assembler.take(now_ns)
                except MessageError as error:
                    problem = problem or str(error)
                    self.lost[str(error)] += 1
                    continue
                if frame is None:
                    return
                self.color_frame_id = assembler.color_frame_id
                self._count_depth(frame, options)
                yield frame

        for message in self.messages(feeds):
            now_ns = message.stamp_ns
            if tap is not None:
                tap(message)
            try:
                content = self._decode(message)
                if message.topic == topics.color:
                    self.recorded_ns[stamp_to_ns(content.header.stamp)] = message.stamp_ns
                feeds[message.topic](content)
            except MessageError as error:
                self.skipped[message.topic] += 1
                problem = problem or f'{message.topic}: {error}'
                if message.topic == topics.color:
                    self.lost[str(error)] += 1
                if not given and self.skipped[topics.color] >= HOPELESS:
                    break
            for frame in take_all():
                given += 1
                yield frame
        # What still waits has nothing left to wait for.
        now_ns += round(options.wait * 1e9) + 1
        for frame in take_all():
            given += 1
            yield frame
        self.frame_names = assembler.poses.frames
        if not given:
            if not self.count:
                problem = f'{topics.color} holds no message'
            raise BagError(f'{self.path}: no frame can be read from it: {problem}')

    def _read_ahead(
        self, topics: CameraTopics, feeds: Mapping[str, Callable[[Any], None]], rectified: bool
    ) -> None:
        """Let the first camera info and static transforms serve from the start.

        Latched topics are recorded when the recorder discovers them, perhaps after the images.
        """
        for message in self.messages([topics.info]):
            try:
                info = self._decode(message)
                feeds[topics.info](info)
            except MessageError:
                continue
            if rectified and np.any(info.d):
                notice = (
                    f'{topics.color} is rectified, judging by its name: using P of '
                    f'{topics.info}, not its distortion D'
                )
                self.notices += [] if notice in self.notices else [notice]
            break
        if topics.tf_static is not None:
            # The first of each transform last, so that it holds until its next one comes.
            for message in reversed(list(self.messages([topics.tf_static]))):
                with suppress(MessageError):
                    feeds[topics.tf_static](self._decode(message))

    def depth_cause(self, frame: Frame) -> str:
        """Why a frame of this bag has no depth."""
        if self.camera.depth is None:
            return 'the bag has no depth topic'
        return frame.depth_problem.removeprefix('depth: ') or 'no depth image had arrived yet'

    def _count_depth(self, frame: Frame, options: AssemblerOptions) -> None:
        if frame.depth is not None:
            self.depth_used += 1
        elif self.camera.depth is not None and not options.use_depth:
            self.depth_unused['switched off'] += 1
        else:
            self.depth_unused[self.depth_cause(frame)] += 1

    def _decode(self, message: RecordedMessage) -> Any:
        """Like `decode`, but raise MessageError for a single damaged message."""
        if message.type not in self._types.fielddefs:
            raise BagError(f'{self.path}: {message.topic} has unknown type {message.type}')
        try:
            return self._types.deserialize_cdr(message.data, message.type)
        except Exception as error:
            raise MessageError('a damaged message') from error

    @property
    def _all(self) -> list[Connection]:
        return [c for part in self._opened.parts for c in part.connections]

    def _look(self, topic: str) -> Content | None:
        """Content of a topic's first message; None without messages."""
        if topic not in self._looked:
            first = next(self.messages([topic]), None)
            self._looked[topic] = None if first is None else self._content(first)
        return self._looked[topic]

    def _content(self, message: RecordedMessage) -> Content:
        try:
            return content_of(self.decode(message))
        except BagError:
            return Content()

    @cached_property
    def _types(self) -> Any:
        """Definitions of the standard messages, from the bag itself where it has them."""
        known = dict(typestore().fielddefs)
        for connection in self._all:
            definition = connection.msgdef
            if connection.msgtype in known and definition.format == MessageDefinitionFormat.MSG:
                try:
                    known.update(get_types_from_msg(definition.data, connection.msgtype))
                except Exception as error:
                    raise self._unreadable(error) from error
        store = get_typestore(Stores.EMPTY)
        store.register(known)
        return store

    def _unreadable(self, error: Exception) -> BagError:
        return unreadable(self.path, error)


def _feeds(assembler: FrameAssembler, topics: CameraTopics) -> dict[str, Callable[[Any], None]]:
    """Handlers of messages, by topic."""
    feeds: dict[str | None, Callable[[Any], None]] = {
        topics.color: assembler.color,
        topics.info: assembler.info,
        topics.depth: assembler.depth,
        topics.source_pose: partial(assembler.poses.pose, 'source'),
        topics.target_pose: partial(assembler.poses.pose, 'target'),
        topics.camera_pose: partial(assembler.poses.pose, 'camera'),
        topics.tf: partial(assembler.poses.transforms, static=False),
        topics.tf_static: partial(assembler.poses.transforms, static=True),
    }
    return {name: feed for name, feed in feeds.items() if name is not None}
