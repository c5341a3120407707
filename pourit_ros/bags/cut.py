# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Recover the whole messages of a storage file that ends early."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinition

# Channel, stamp ns, data.
Row = tuple[int, int, bytes]


@dataclass(frozen=True)
class Channel:
    """A channel's topic, type, message definition and encoding."""

    topic: str
    type: str
    definition: MessageDefinition
    encoding: str


class CutFile:
    """The whole messages of a cut file, in the order in which they were recorded.

    `connections`, `start_time`, `end_time` (ns, end excluded) and `messages` are those of rosbags'
    Reader; `count` messages were found, `damaged` chunks could not be read. Raises ValueError when
    it is not such a file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = self.damaged = 0
        self.start_time, self.end_time = 2**63 - 1, 0
        self._channels: dict[int, Channel] = {}
        counts: Counter[int] = Counter()
        for channel, stamp_ns, _ in self._rows():
            counts[channel] += 1
            self.start_time = min(self.start_time, stamp_ns)
            self.end_time = max(self.end_time, stamp_ns + 1)
        self.count = counts.total()
        self.connections = [
            Connection(
                number, channel.topic, channel.type, channel.definition, '', counts[number],
                ConnectionExtRosbag2(channel.encoding, []), self,
            )
            for number, channel in self._channels.items()
        ]  # fmt: skip

    def _rows(self) -> Iterator[Row]:
        """Whole messages up to the first missing one; fills `_channels`."""
        raise NotImplementedError

    def close(self) -> None:
        """Nothing is held open."""

    def messages(
        self, connections: Collection[Connection]
    ) -> Iterator[tuple[Connection, int, bytes]]:
        """Iterate over (connection, stamp ns, data)."""
        wanted = {connection.id: connection for connection in connections}
        for channel, stamp_ns, data in self._rows():
            if channel in wanted:
                yield wanted[channel], stamp_ns, data
