# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Which of a bag's topics are the camera's and the poses."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from ..messages.contract import MONITOR, PERCEPTION
from .errors import BagError

IMAGE = 'sensor_msgs/msg/Image'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'
POSE = 'geometry_msgs/msg/PoseStamped'
TF = 'tf2_msgs/msg/TFMessage'
COMPRESSED = 'sensor_msgs/msg/CompressedImage'

# The type of each place as nodes take it; a bag's images may be compressed.
TYPES = {
    'color': IMAGE,
    'info': CAMERA_INFO,
    'depth': IMAGE,
    'source_pose': POSE,
    'target_pose': POSE,
    'camera_pose': POSE,
    'tf': TF,
    'tf_static': TF,
}

# Words of a topic's path that name no picture of the scene, and none in colour.
DERIVED = {'confidence', 'disparity', 'mask', 'overlay'}
NOT_COLOR = {'depth', 'infra', 'infrared', 'ir'}
NOT_DEPTH = {'infra', 'infrared', 'ir', 'thermal', 'amplitude', 'intensity'}
COLOR = {'color', 'colour', 'rgb', 'bgr'}
RECTIFIED = {'rect', 'rectified'}
ALIGNED = ('_aligned_', '_registered_', '_to_color_', '_to_rgb_')
# image_transport's last part of a path; the further back, the more of the image is lost.
TRANSPORTS = ('compressed', 'compresseddepth')
OUTPUTS = tuple(f'/{topic.name}' for topic in (*PERCEPTION, *MONITOR))

Kind = Literal['color', 'grey', 'grey16', 'depth', 'other', 'unknown']
Rank = tuple[int, ...]


@dataclass(frozen=True)
class Content:
    """Content of a topic's first message: `kind` of image, its size (px), its frame.

    `unknown`: not an image, or one that cannot be decoded; sizes are then 0.
    """

    kind: Kind = 'unknown'
    width: int = 0
    height: int = 0
    frame_id: str = ''


@dataclass(frozen=True)
class CameraTopics:
    """Topic names; None: the bag has none. Images may be of type `COMPRESSED`."""

    color: str
    info: str
    depth: str | None = None
    source_pose: str | None = None
    target_pose: str | None = None
    camera_pose: str | None = None
    tf: str | None = None
    tf_static: str | None = None

    def names(self) -> list[str]:
        """The topics present."""
        return [name for name in vars(self).values() if name]


def find_camera_topics(
    types: Mapping[str, str],
    chosen: Mapping[str, str],
    look: Callable[[str], Content | None] | None = None,
) -> CameraTopics:
    """Find the topics by type, name and first message; `types`: topic name to message type.

    `chosen` names some of them by the fields of CameraTopics. `look` returns the content of a
    topic's first message; a topic for which it returns None does not count. Words match whole
    parts of a path (`ir` is not in `/mir/image`). Camera info and depth come from the colour
    image's camera, the one with which most of the path is shared. Raises BagError, listing the
    bag's topics, when colour or camera info is missing, or when several topics fit one place.
    """
    finder = _Finder(types, chosen, look or (lambda name: Content()))
    color = finder.required('color', finder.find('color', _rank_color))
    colors = list(finder.ranks('color', _rank_color))
    camera = _Camera(color, finder.look(color) or Content(), colors)
    return CameraTopics(
        color=color,
        info=finder.required('info', finder.find('info', camera.rank_info)),
        depth=finder.find('depth', camera.rank_depth),
        source_pose=finder.find('source_pose', _rank_pose('source')),
        target_pose=finder.find('target_pose', _rank_pose('target')),
        camera_pose=finder.find('camera_pose', _rank_pose('camera')),
        tf=finder.find('tf', _rank_last('tf')),
        tf_static=finder.find('tf_static', _rank_last('tf_static')),
    )


class _Finder:
    def __init__(
        self,
        types: Mapping[str, str],
        chosen: Mapping[str, str],
        look: Callable[[str], Content | None],
    ) -> None:
        self._types = types
        self._chosen = chosen
        self.look = look
        unknown = set(chosen) - set(TYPES)
        if unknown:
            raise BagError(
                f'no such input: {", ".join(sorted(unknown))}; inputs: {", ".join(TYPES)}'
            )

    def find(self, place: str, rank: Callable[[str, Content], Rank | None]) -> str | None:
        """The chosen topic, otherwise the one of the highest rank; None: not counted."""
        if place in self._chosen:
            name = self._chosen[place]
            if (kind := self._types.get(name)) not in _wanted(place):
                problem = f'is {kind}, not {TYPES[place]}' if kind else 'is not in the bag'
                raise BagError(f'{place}: {name} {problem}; {self._listing()}')
            if self.look(name) is None:
                raise BagError(f'{place}: {name} holds no message; {self._listing()}')
            return name
        ranks = self.ranks(place, rank)
        best = max(ranks.values(), default=None)
        names = sorted(name for name, value in ranks.items() if value == best)
        if len(names) > 1:
            raise BagError(
                f'{place} could be {" or ".join(names)}: choose one, --topic {place}={names[0]}'
            )
        return names[0] if names else None

    def ranks(self, place: str, rank: Callable[[str, Content], Rank | None]) -> dict[str, Rank]:
        """The topics that fit a place, with their ranks."""
        ranks = {}
        for name, kind in self._types.items():
            if kind not in _wanted(place) or name.endswith(OUTPUTS):
                continue
            # Its name first: looking at a message may have to read far into the bag.
            if rank(name, Content()) is None and TYPES[place] != IMAGE:
                continue
            content = self.look(name)
            value = None if content is None else rank(name, content)
            if value is not None:
                ranks[name] = value
        return ranks

    def required(self, place: str, name: str | None) -> str:
        if name is None:
            raise BagError(
                f'no {place} topic ({TYPES[place]}); {self._listing()}; '
                f'choose one with --topic {place}=NAME'
            )
        return name

    def _listing(self) -> str:
        if not self._types:
            return 'the bag has no topics'
        topics = ', '.join(
            f'{name} ({kind}{"" if self.look(name) else ", no message"})'
            for name, kind in sorted(self._types.items())
        )
        return f'the bag has {topics}'


def _wanted(place: str) -> tuple[str, ...]:
    return (IMAGE, COMPRESSED) if TYPES[place] == IMAGE else (TYPES[place],)


def _rank_color(name: str, content: Content) -> Rank | None:
    words = _words(name)
    if DERIVED.intersection(words) or _transport(name) == 'compresseddepth':
        return None
    if content.kind in ('depth', 'grey16'):
        return None
    # An overlay of depth on colour is in colour; it is better than nothing.
    plain = not NOT_COLOR.intersection(words)
    if not plain and content.kind != 'color':
        return None
    kind = {'color': 2, 'unknown': 2, 'grey': 1}.get(content.kind, 0)
    named = bool(COLOR.intersection(words))
    raw = not RECTIFIED.intersection(words)
    return plain, kind, named, raw, -len(_transport(name))


@dataclass(frozen=True)
class _Camera:
    """The colour image whose companions are sought; `colors`: all candidates for it."""

    color: str
    content: Content
    colors: list[str]

    def rank_info(self, name: str, content: Content) -> Rank | None:
        image = '/'.join(_parts(self.color))
        path = '/'.join(_parts(name))
        sibling = path == f'{image.rpartition("/")[0]}/camera_info'.lstrip('/')
        own = sibling or path == f'{image}/camera_info'
        if not own and (NOT_COLOR.intersection(_words(name)) or self._of_another(name)):
            return None
        named = bool(COLOR.intersection(_words(name)))
        return own, _shared(self.color, name), self._same_size(content), named

    def rank_depth(self, name: str, content: Content) -> Rank | None:
        words = _words(name)
        named = 'depth' in words or _transport(name) == 'compresseddepth'
        if DERIVED.intersection(words) or content.kind in ('color', 'grey'):
            return None
        if not named and (content.kind != 'depth' or NOT_DEPTH.intersection(words)):
            return None
        if self._of_another(name):
            return None
        path = f'_{"_".join(words)}_'
        frame_id = content.frame_id
        here = frame_id == self.content.frame_id or not frame_id or not self.content.frame_id
        rectified = bool(RECTIFIED.intersection(words))
        as_color = rectified == bool(RECTIFIED.intersection(_words(self.color)))
        raw = {'': 2, 'compresseddepth': 1}.get(_transport(name), 0)
        return (
            _shared(self.color, name), content.kind != 'other',
            self._same_size(content) and here, any(word in path for word in ALIGNED), named,
            as_color, raw,
        )  # fmt: skip

    def _same_size(self, content: Content) -> bool:
        mine = self.content
        return (content.width, content.height) == (mine.width, mine.height)

    def _of_another(self, name: str) -> bool:
        """Whether more of the path is shared with another colour image."""
        shared = _shared(self.color, name)
        return any(_shared(other, name) > shared for other in self.colors)


def _rank_pose(role: str) -> Callable[[str, Content], Rank | None]:
    def rank(name: str, content: Content) -> Rank | None:
        last = _parts(name)[-1]
        return (last == f'{role}_pose',) if role in _words(last) else None

    return rank


def _rank_last(word: str) -> Callable[[str, Content], Rank | None]:
    return lambda name, content: () if _parts(name)[-1] == word else None


def _transport(name: str) -> str:
    """The transport's part of an image's path, '' for the raw image."""
    last = name.lower().rpartition('/')[2]
    return last if last in TRANSPORTS else ''


def _parts(name: str) -> list[str]:
    """The parts of a topic's path, without a transport's."""
    parts = name.lower().strip('/').split('/')
    return parts[:-1] if parts[-1] in TRANSPORTS and len(parts) > 1 else parts


def _words(name: str) -> list[str]:
    """The words of a topic's path, without the numbers of devices: infra1 is infra."""
    return re.findall('[a-z]+', '/'.join(_parts(name)))


def _shared(color: str, name: str) -> int:
    """How many leading parts of their paths a colour image and another topic share.

    At most the camera's parts: /camera/color/image_raw belongs to /camera.
    """
    mine = _parts(color)
    count = 0
    for a, b in zip(mine[: max(1, len(mine) - 2)], _parts(name), strict=False):
        if a != b:
            break
        count += 1
    return count
