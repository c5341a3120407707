# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Decompress as much as possible, also of cut-off files, with the libraries of rosbags."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'
_BLOCK = 1 << 20


def unzstd(data: bytes) -> bytes:
    """Decompress a zstd frame, as far as it goes; raises ValueError on damage."""
    try:
        return bytes(_zstd_decompressor().decompress(data))
    except Exception as error:
        raise ValueError(f'zstd: {error}') from error


def unlz4(data: bytes) -> bytes:
    """Decompress an lz4 frame, as far as it goes; raises ValueError on damage."""
    try:
        return bytes(import_module('lz4.frame').LZ4FrameDecompressor().decompress(data))
    except Exception as error:
        raise ValueError(f'lz4: {error}') from error


def unzstd_file(path: Path, out: Path) -> bool:
    """Decompress a file into another; False where it was cut off or damaged before its end."""
    decompressor, ended = _zstd_decompressor(), False
    with path.open('rb') as source, out.open('wb') as target:
        while block := source.read(_BLOCK):
            while block:
                if ended:
                    # One frame after the other is a file, too.
                    decompressor = _zstd_decompressor()
                try:
                    target.write(decompressor.decompress(block))
                except Exception:
                    return False
                ended = decompressor.eof
                block = decompressor.unused_data if ended else b''
    return ended


def _zstd_decompressor() -> Any:
    # Python 3.14's own, its backport, or what rosbags used before.
    for name in ('compression.zstd', 'backports.zstd'):
        try:
            return import_module(name).ZstdDecompressor()
        except ModuleNotFoundError:
            continue
    return import_module('zstandard').ZstdDecompressor().decompressobj()
