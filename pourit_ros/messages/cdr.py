# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Stamps of serialised messages, read and written without decoding them."""

from __future__ import annotations

import struct

from .decode import NANOSECONDS
from .errors import MessageError

# XCDR1: four bytes of encapsulation, the second of which is 1 for little endian.
HEADER = 4
# In a MarkerArray the number of markers comes before the first one's header.
MARKERS = 8


def stamp_of(data: bytes, offset: int = HEADER) -> int:
    """Header stamp (ns) of a message in CDR whose header starts at `offset` bytes."""
    if len(data) < offset + 8:
        raise MessageError(f'a message of {len(data)} bytes has no header')
    sec, nanosec = struct.unpack_from('<iI' if data[1] & 1 else '>iI', data, offset)
    return sec * NANOSECONDS + nanosec


def restamp(data: bytearray, stamp_ns: int) -> None:
    """Write the stamp (ns) of a message in CDR that starts with its header."""
    order = '<iI' if data[1] & 1 else '>iI'
    struct.pack_into(order, data, HEADER, *divmod(stamp_ns, NANOSECONDS))
