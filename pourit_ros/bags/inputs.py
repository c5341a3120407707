# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Copy the messages behind the frames from one bag into another, as recorded."""

from __future__ import annotations

from .reader import BagReader, RecordedMessage
from .writer import BagWriter


class InputCopy:
    """Callable that writes each message into a bag, with its topic and time."""

    def __init__(self, source: BagReader, out: BagWriter) -> None:
        self._out = out
        for topic in source.camera.names():
            out.copy_topic(source.connection(topic))

    def __call__(self, message: RecordedMessage) -> None:
        """Write a message as recorded."""
        self._out.write_raw(message.topic, message.type, message.data, message.stamp_ns)
