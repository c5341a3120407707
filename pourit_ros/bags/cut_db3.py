# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Recover the whole messages of an sqlite3 storage file that ends early."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from urllib.parse import quote

from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat

from .cut import Channel, CutFile, Row

NO_DEFINITION = MessageDefinition(MessageDefinitionFormat.NONE, '')


class CutDb3(CutFile):
    """The whole messages of a cut .db3; its topics must be intact."""

    def _open(self) -> sqlite3.Connection:
        # Without a journal or its own log, which a cut file's may contradict.
        path = quote(str(self.path))
        database = sqlite3.connect(f'file:{path}?mode=ro&immutable=1', uri=True)
        # Without it SQLite refuses a file that is shorter than its header says.
        database.execute('PRAGMA writable_schema=ON')
        return database

    def _rows(self) -> Iterator[Row]:
        try:
            database = self._open()
            topics = database.execute(
                'SELECT id, name, type, serialization_format FROM topics'
            ).fetchall()
        except sqlite3.Error as error:
            raise ValueError(str(error)) from error
        with closing(database):
            for number, name, kind, encoding in topics:
                self._channels[number] = Channel(name, kind, NO_DEFINITION, encoding)
            rows = database.execute('SELECT topic_id, timestamp, data FROM messages ORDER BY id')
            last: Row | None = None
            with suppress(sqlite3.Error):
                for row in rows:
                    if last is not None:
                        yield last
                    last = row
        # SQLite fills up a last page that is there in part, with zeros, and so its row.
        if last is not None and not self._ends_within_page():
            yield last

    def _ends_within_page(self) -> bool:
        with self.path.open('rb') as file:
            size = int.from_bytes(file.read(18)[16:], 'big')
        # 1 stands for 65536, which two bytes cannot hold.
        return self.path.stat().st_size % (65536 if size == 1 else max(size, 1)) > 0
