# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Recover the whole messages of an MCAP file that ends early and so lost its index."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat

from .compression import unlz4, unzstd
from .cut import Channel, CutFile, Row

MAGIC = b'\x89MCAP0\r\n'
FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, DATA_END = 0x02, 0x03, 0x04, 0x05, 0x06, 0x0F
# Higher opcodes are not defined: what follows is no record, but what a file system left there.
LAST_OPCODE = 0x0F
FORMATS = {'ros2msg': MessageDefinitionFormat.MSG, 'ros2idl': MessageDefinitionFormat.IDL}


class CutMcap(CutFile):
    """The whole messages of a cut MCAP file."""

    def __init__(self, path: Path) -> None:
        self._schemas: dict[int, tuple[str, MessageDefinition]] = {}
        super().__init__(path)

    def _rows(self) -> Iterator[Row]:
        self.damaged = 0
        with self.path.open('rb') as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise ValueError('is not an MCAP file')
            size = self.path.stat().st_size
            for opcode, content, whole in _records(file, size):
                if opcode in (DATA_END, FOOTER):
                    return
                if opcode == CHUNK:
                    try:
                        chunk = _chunk(content, whole)
                    except (ValueError, struct.error):
                        self.damaged += whole
                        continue
                    inner = _records(BytesIO(chunk), len(chunk))
                    yield from self._in_order(
                        [(code, body) for code, body, complete in inner if complete]
                    )
                elif whole:
                    yield from self._in_order([(opcode, content)])

    def _in_order(self, records: list[tuple[int, bytes]]) -> Iterator[Row]:
        """The messages of a chunk, sorted by time."""
        messages = []
        for opcode, content in records:
            if opcode == SCHEMA:
                self._schema(content)
            elif opcode == CHANNEL:
                self._channel(content)
            elif opcode == MESSAGE and len(content) >= 22:
                channel, _, stamp_ns, _ = struct.unpack_from('<HIQQ', content)
                if channel in self._channels:
                    messages.append((channel, stamp_ns, content[22:]))
        yield from sorted(messages, key=lambda message: message[1])

    def _schema(self, content: bytes) -> None:
        bio = BytesIO(content)
        (number,) = struct.unpack('<H', bio.read(2))
        name, encoding, text = (_string(bio) for _ in range(3))
        kind = FORMATS.get(encoding, MessageDefinitionFormat.NONE)
        self._schemas[number] = name, MessageDefinition(kind, text)

    def _channel(self, content: bytes) -> None:
        bio = BytesIO(content)
        number, schema = struct.unpack('<HH', bio.read(4))
        topic, encoding = _string(bio), _string(bio)
        if schema in self._schemas:
            name, definition = self._schemas[schema]
            self._channels[number] = Channel(topic, name, definition, encoding)


def _records(file: BinaryIO, size: int) -> Iterator[tuple[int, bytes, bool]]:
    """(opcode, content, whether it is whole); only the last can be cut."""
    while len(head := file.read(9)) == 9:
        opcode, length = struct.unpack('<BQ', head)
        if not 0 < opcode <= LAST_OPCODE:
            return
        whole = length <= size - file.tell()
        yield opcode, file.read(length if whole else -1), whole
        if not whole:
            return


def _chunk(content: bytes, whole: bool) -> bytes:
    """The records of a chunk, as far as it goes. Raises ValueError, struct.error."""
    bio = BytesIO(content)
    _, _, size, crc = struct.unpack('<QQQI', bio.read(28))
    compression = _string(bio)
    struct.unpack('<Q', bio.read(8))
    data = bio.read()
    if compression == 'zstd':
        data = unzstd(data)
    elif compression == 'lz4':
        data = unlz4(data)
    elif compression:
        raise ValueError(f'compression {compression!r}')
    if whole and (len(data) != size or (crc and zlib.crc32(data) != crc)):
        raise ValueError('checksum does not match')
    return data


def _string(bio: BinaryIO) -> str:
    (length,) = struct.unpack('<I', bio.read(4))
    return bio.read(length).decode('utf-8', 'replace')
