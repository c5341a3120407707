# SPDX-License-Identifier: Apache-2.0
"""Read rosbag2 recordings without ROS."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from textwrap import shorten
from types import TracebackType
from typing import Any

from rosbags.interfaces import Connection, MessageDefinitionFormat
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from ..frames import AssemblerOptions, FrameAssembler
from ..messages.errors import MessageError
from ..messages.rosbag import typestore
from ..pipeline import Frame
from .errors import BagError
from .topics import CameraTopics, find_camera_topics

# After so many images that cannot be used, none before them could, the rest will not be better.
HOPELESS = 10


@dataclass(frozen=True)
class ReaderOptions:
    """How frames are read out of a bag.

    `topics`: topics by the fields of CameraTopics, where they are not to be found by name;
    `frames`: how the messages are put together.
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
    """An open rosbag2: a folder (sqlite3, mcap), or a single .mcap or .db3 file.

    Close it, or use it as a context manager. `drops` and `skipped` tell after `frames` which
    images never became frames, and how many messages of a topic could not be used.
    Everything raises BagError.
    """

    def __init__(self, path: str | Path, topics: Mapping[str, str] | None = None) -> None:
        self.path = Path(path)
        self._chosen = dict(topics or {})
        self.drops: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.color_frame_id = ''
        if not self.path.exists():
            raise BagError(f'{self.path}: no such file or folder')
        if self.path.is_dir() and not (self.path / 'metadata.yaml').is_file():
            raise BagError(f'{self.path}: is no rosbag2, it has no metadata.yaml')
        if not self.path.is_dir() and self.path.suffix not in ('.mcap', '.db3'):
            raise BagError(f'{self.path}: is no rosbag2 folder, .mcap or .db3 file')
        try:
            self._reader = Reader(self.path)
            self._reader.open()
        except Exception as error:
            # rosbags lets through whatever its decoders trip over.
            raise self._unreadable(error) from error

    def __enter__(self) -> BagReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files; a second time does nothing."""
        if self._reader.is_open:
            self._reader.close()

    @property
    def topics(self) -> dict[str, str]:
        """Message types by topic name."""
        return {connection.topic: connection.msgtype for connection in self._reader.connections}

    @cached_property
    def camera(self) -> CameraTopics:
        """The topics that frames are made of."""
        try:
            return find_camera_topics(self.topics, self._chosen)
        except BagError as error:
            raise BagError(f'{self.path}: {error}') from None

    @property
    def count(self) -> int:
        """How many colour images there are."""
        return sum(c.msgcount for c in self._reader.connections if c.topic == self.camera.color)

    @property
    def duration(self) -> float:
        """Seconds from the first to the last message."""
        return max(self._reader.duration - 1, 0) / 1e9

    @property
    def rate(self) -> float:
        """Colour images per second, 0 where the bag is too short to say."""
        return (self.count - 1) / self.duration if self.duration > 0 else 0.0

    def messages(self, topics: Collection[str] | None = None) -> Iterator[RecordedMessage]:
        """Iterate over the messages of some topics (None: all) in the order of recording."""
        connections = self._connections(self.topics if topics is None else topics)
        if not connections:
            return
        source = self._reader.messages(connections=connections)
        while True:
            try:
                connection, stamp_ns, data = next(source)
            except StopIteration:
                return
            except Exception as error:
                raise self._unreadable(error) from error
            yield RecordedMessage(connection.topic, connection.msgtype, stamp_ns, bytes(data))

    def decode(self, message: RecordedMessage) -> Any:
        """Decode a message into rosbags' dataclass of its type."""
        if message.type not in self._types.fielddefs:
            raise BagError(f'{self.path}: {message.topic} has the unknown type {message.type}')
        try:
            return self._types.deserialize_cdr(message.data, message.type)
        except Exception as error:
            raise BagError(f'{self.path}: {message.topic} holds a damaged message') from error

    def frames(self, options: AssemblerOptions | None = None) -> Iterator[Frame]:
        """Iterate over all frames in order, put together as the live node does, none dropped.

        Messages that cannot be used are skipped and counted; a bag that gives no frame at all
        raises BagError with the reason.
        """
        topics = self.camera
        options = options or AssemblerOptions()
        use_depth = options.use_depth and topics.depth is not None
        options = replace(options, keep_all=True, use_depth=use_depth)
        assembler = FrameAssembler(options)
        feeds = _feeds(assembler, topics)
        given, problem, now_ns = 0, '', 0

        def take_all() -> Iterator[Frame]:
            nonlocal problem
            while True:
                try:
                    frame = assembler.take(now_ns)
                except MessageError as error:
                    problem = problem or str(error)
                    continue
                if frame is None:
                    return
                self.color_frame_id = assembler.color_frame_id
                yield frame

        for message in self.messages(feeds):
            now_ns = message.stamp_ns
            try:
                feeds[message.topic](self.decode(message))
            except MessageError as error:
                self.skipped[message.topic] += 1
                problem = problem or f'{message.topic}: {error}'
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
        self.drops = assembler.drops
        if not given:
            if not self.count:
                problem = f'{topics.color} holds no message'
            raise BagError(f'{self.path}: no frame can be made of it: {problem}')

    def _connections(self, topics: Collection[str]) -> list[Connection]:
        return [c for c in self._reader.connections if c.topic in topics]

    @cached_property
    def _types(self) -> Any:
        """Definitions of the standard messages, as the bag itself gives them where it does."""
        known = dict(typestore().fielddefs)
        for connection in self._reader.connections:
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
        # One line: decoders quote whole files.
        detail = shorten(str(error) or type(error).__name__, 160, placeholder=' ...')
        return BagError(f'{self.path}: is damaged or no rosbag2 ({detail})')


def _feeds(assembler: FrameAssembler, topics: CameraTopics) -> dict[str, Callable[[Any], None]]:
    """What to do with a message, by topic."""
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
