# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The account of a replayed bag: frames lost in reading, use of depth, similar names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches

import numpy as np

from ..formats.estimates_csv import Row
from ..report.account import count_reasons
from ..sync.assembler import AssemblerOptions
from .reader import BagReader
from .topics import TYPES

CUT = 'missing from the file: the recording was cut off'
# Names that a note lists.
LISTED = 12


def one_each(causes: Counter[str]) -> Counter[str]:
    """Merge causes that differ only in their numbers; the total stays."""
    return count_reasons(cause.replace('; ', ', ') for cause in causes.elements())


def skipped_messages(reader: BagReader) -> Counter[str]:
    """Messages, other than colour images, that could not be used."""
    return Counter(
        {
            f'unusable on {topic}': count
            for topic, count in reader.skipped.items()
            if topic != reader.camera.color
        }
    )


def figure_notes(rows: Sequence[Row]) -> list[str]:
    """Where the liquid landed, and how long the answers took."""
    notes = []
    margins = [row.margin for row in rows if row.present and row.margin is not None]
    if margins:
        inside = sum(margin >= 0 for margin in margins)
        notes.append(f'lands inside in {inside} of {len(margins)} frames with a margin')
    latencies = [row.latency_ms for row in rows if row.latency_ms is not None]
    if latencies:
        p50, p95 = np.percentile(latencies, [50, 95])
        notes.append(f'latency {p50:.1f} ms (median), {p95:.1f} ms (95 %)')
    return notes


def name_hints(reader: BagReader, options: AssemblerOptions, blind: bool) -> list[str]:
    """Names that the bag has, where a given name is missing from it.

    `blind`: something was not measured, so names left at their default matter too.
    """
    hints = []
    frames = reader.frame_names | ({reader.color_frame_id} - {''})
    given = {
        '--base-frame': options.base_frame if blind else '',
        '--source-frame': options.source_frame,
        '--target-frame': options.target_frame,
    }
    wrong = {name: value for name, value in given.items() if value and value not in frames}
    for option, name in wrong.items():
        hints.append(f'{option} {name}: the bag has no such frame{_near(name, frames)}')
    topics = reader.camera
    for place, frame in (('source', options.source_frame), ('target', options.target_frame)):
        if blind and not frame and getattr(topics, f'{place}_pose') is None:
            kind = TYPES[f'{place}_pose']
            there = [name for name, type_name in reader.topics.items() if type_name == kind]
            found = f'; of this type there are {_some(there)}' if there else ''
            hints.append(
                f'{place} pose: the bag has no topic {place}_pose ({kind}){found}. Give '
                f'--topic {place}_pose=TOPIC or --{place}-frame FRAME'
            )
            wrong[place] = frame
    if wrong:
        hints.append(f'frames in the bag: {_some(frames)}' if frames else 'the bag has no frames')
    return hints


def _near(name: str, names: Collection[str]) -> str:
    lower = {other.lower(): other for other in names}
    close = get_close_matches(name.lower(), list(lower), 1, 0.6)
    return f'; did you mean {lower[close[0]]}?' if close else ''


def _some(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = f' and {len(ordered) - LISTED} more' if len(ordered) > LISTED else ''
    return ', '.join(ordered[:LISTED]) + more
