# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Write rosbag2 recordings without ROS."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from rosbags.interfaces import (
    Connection,
    ConnectionExtRosbag2,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from ..files import uninterrupted
from ..messages.contract import MONITOR, PERCEPTION
from ..messages.rosbag import build, typestore
from .errors import BagError

Storage = Literal['mcap', 'sqlite3']

# The format of Humble's rosbag2; version 9 stores QoS in a way that it cannot parse.
VERSION: Literal[8] = 8
STORAGES = {'mcap': StoragePlugin.MCAP, 'sqlite3': StoragePlugin.SQLITE3}
# RMW_DURATION_INFINITE: no deadline, no lifespan.
ENDLESS = QosTime(9223372036, 854775807)


class BagWriter:
    """Context manager that writes a rosbag2 folder.

    The folder appears under its name when the block ends; nothing stays when the block raises.
    Topics get the QoS of the contract, so that `ros2 bag play` latches the latched ones. `distro`
    names the ROS distribution whose message definitions the data follow. Raises BagError when the
    path exists.
    """

    def __init__(self, path: str | Path, storage: Storage = 'mcap', distro: str = 'jazzy') -> None:
        self.path = Path(path)
        if storage not in STORAGES:
            raise BagError(f'storage {storage!r}: choose one of {", ".join(STORAGES)}')
        self._storage = storage
        self._types = typestore(distro)
        self._connections: dict[str, Connection] = {}
        self._partial: Path | None = None

    def __enter__(self) -> BagWriter:
        if self.path.exists():
            raise BagError(f'{self.path}: already exists')
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # The storage file is named after the folder, so the folder has its final name inside.
        self._partial = Path(tempfile.mkdtemp(prefix=f'.{self.path.name}.', dir=self.path.parent))
        self._writer = Writer(
            self._partial / self.path.name, version=VERSION, storage_plugin=STORAGES[self._storage]
        )
        if self._storage == 'mcap':
            # Chunk by chunk; every mcap reader knows it, and masks and CAMs shrink to a tenth.
            self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._writer.open()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        assert self._partial is not None
        try:
            if error is None:
                self._writer.close()
                (self._partial / self.path.name).rename(self.path)
            else:
                self._writer.abort()
        finally:
            with uninterrupted():
                shutil.rmtree(self._partial, ignore_errors=True)

    def write(self, topic: str, type_name: str, fields: Mapping[str, Any], stamp_ns: int) -> None:
        """Write a message given by its fields (`messages.encode`), recorded at the stamp."""
        message = build(self._types, type_name, fields)
        self.write_raw(topic, type_name, self._types.serialize_cdr(message, type_name), stamp_ns)

    def write_raw(
        self, topic: str, type_name: str, data: bytes | memoryview, stamp_ns: int
    ) -> None:
        """Write a serialised message (CDR) as received."""
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(
                topic, type_name, typestore=self._types, offered_qos_profiles=[_offered(topic)]
            )
        self._writer.write(self._connections[topic], stamp_ns, data)

    def copy_topic(self, recorded: Connection) -> None:
        """Declare a topic of another bag, with its definition and quality of service."""
        ext = recorded.ext
        assert isinstance(ext, ConnectionExtRosbag2)
        known = bool(recorded.msgdef.data and recorded.digest)
        self._connections[recorded.topic] = self._writer.add_connection(
            recorded.topic,
            recorded.msgtype,
            typestore=self._types,
            msgdef=recorded.msgdef.data if known else None,
            rihs01=recorded.digest if known else None,
            offered_qos_profiles=ext.offered_qos_profiles or [_offered(recorded.topic)],
        )


def _offered(topic: str) -> Qos:
    contract = next((t for t in (*PERCEPTION, *MONITOR) if topic.endswith(f'/{t.name}')), None)
    latched = topic.endswith('/tf_static') or (contract is not None and contract.latched)
    reliable = contract is None or contract.reliable
    return Qos(
        QosHistory.KEEP_LAST,
        1 if latched else 10,
        QosReliability.RELIABLE if reliable else QosReliability.BEST_EFFORT,
        QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        ENDLESS,
        ENDLESS,
        QosLiveliness.AUTOMATIC,
        ENDLESS,
        False,
    )
