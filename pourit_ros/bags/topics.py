# SPDX-License-Identifier: Apache-2.0
"""Which of a bag's topics are the camera's and the poses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

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

NOT_COLOR = ('depth', 'infra', 'ir/', 'disparity', 'confidence', 'mask', 'overlay')
ALIGNED = ('aligned', 'registered', 'to_color', 'to_rgb')
OUTPUTS = tuple(f'/{topic.name}' for topic in (*PERCEPTION, *MONITOR))


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
        """The topics that are there."""
        return [name for name in vars(self).values() if name]


def find_camera_topics(types: Mapping[str, str], chosen: Mapping[str, str]) -> CameraTopics:
    """Find the topics by message type and name; `types`: topic name to message type.

    `chosen` names some of them by the fields of CameraTopics. Raises BagError, naming what the
    bag has, when colour or camera info is missing, or when several topics fit one place.
    """
    finder = _Finder(types, chosen)
    color = finder.find('color', _rank_color)
    info = finder.find('info', lambda name: _rank_info(name, color))
    return CameraTopics(
        color=finder.required('color', color),
        info=finder.required('info', info),
        depth=finder.find('depth', _rank_depth),
        source_pose=finder.find('source_pose', lambda name: _rank_pose(name, 'source')),
        target_pose=finder.find('target_pose', lambda name: _rank_pose(name, 'target')),
        camera_pose=finder.find('camera_pose', lambda name: _rank_pose(name, 'camera')),
        tf=finder.find('tf', lambda name: int(name.endswith('/tf'))),
        tf_static=finder.find('tf_static', lambda name: int(name.endswith('/tf_static'))),
    )


class _Finder:
    def __init__(self, types: Mapping[str, str], chosen: Mapping[str, str]) -> None:
        self._types = types
        self._chosen = chosen
        unknown = set(chosen) - set(TYPES)
        if unknown:
            raise BagError(
                f'no such input: {", ".join(sorted(unknown))}; there are {", ".join(TYPES)}'
            )

    def find(self, place: str, rank: Callable[[str], int]) -> str | None:
        """The chosen topic, else the one with the highest rank above 0."""
        wanted = (IMAGE, COMPRESSED) if TYPES[place] == IMAGE else (TYPES[place],)
        if place in self._chosen:
            name = self._chosen[place]
            if self._types.get(name) not in wanted:
                kind = self._types.get(name)
                problem = f'is {kind}, not {wanted[0]}' if kind else 'is not in the bag'
                raise BagError(f'{place}: {name} {problem}; {self._listing()}')
            return name
        # A raw image goes before the same one compressed.
        ranks = {
            name: 2 * rank(name.lower()) - (kind == COMPRESSED)
            for name, kind in self._types.items()
            if kind in wanted and not name.endswith(OUTPUTS) and rank(name.lower()) > 0
        }
        best = max(ranks.values(), default=0)
        if best <= 0:
            return None
        names = [name for name, value in ranks.items() if value == best]
        if len(names) > 1:
            raise BagError(f'{place} could be {" or ".join(sorted(names))}: choose one')
        return names[0]

    def required(self, place: str, name: str | None) -> str:
        if name is None:
            raise BagError(f'no {place} topic ({TYPES[place]}); {self._listing()}')
        return name

    def _listing(self) -> str:
        if not self._types:
            return 'the bag has no topics'
        topics = ', '.join(f'{name} ({kind})' for name, kind in sorted(self._types.items()))
        return f'the bag has {topics}'


def _rank_color(name: str) -> int:
    if any(word in name for word in NOT_COLOR):
        return 0
    named = 'color' in name or 'colour' in name or 'rgb' in name
    return 1 + 2 * named + ('rect' not in name)


def _rank_info(name: str, color: str | None) -> int:
    image = (color or '').lower().removesuffix('/compressed')
    if name == f'{image.rsplit("/", 1)[0]}/camera_info':
        return 3
    if any(word in name for word in NOT_COLOR):
        return 0
    return 1 + ('color' in name or 'rgb' in name)


def _rank_depth(name: str) -> int:
    if 'depth' not in name or 'confidence' in name:
        return 0
    return 1 + any(word in name for word in ALIGNED)


def _rank_pose(name: str, role: str) -> int:
    last = name.rsplit('/', 1)[-1]
    return (role in last) + (last == f'{role}_pose')
