# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""When liquid flows in a bag: changes between dry and wet, in seconds, and their file."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..files import replacing

MARKS = 'marks.csv'
_COLUMNS = ['bag', 'time', 'liquid']


@dataclass(frozen=True)
class Change:
    """The start or stop of liquid at `time`, in seconds after the bag's first colour frame.

    At time 0 it is the initial state of the bag, dry where none is given.
    """

    time: float
    liquid: bool


def parse_interval(text: str) -> tuple[float, float | None]:
    """Read START:STOP in seconds; without STOP, liquid flows to the end. Raises InputError."""
    start, colon, stop = text.partition(':')
    try:
        begin, end = float(start), float(stop) if stop else None
        good = bool(colon) and math.isfinite(begin) and (end is None or math.isfinite(end))
    except ValueError:
        good = False
    if not good:
        raise InputError(f'interval {text!r}: expected START:STOP in seconds, e.g. 12.0:18.5')
    if begin < 0 or (end is not None and end <= begin):
        raise InputError(f'interval {text}: must start at 0 or later and stop after its start')
    return begin, end


def changes_of(intervals: Iterable[tuple[float, float | None]]) -> tuple[Change, ...]:
    """Changes of a bag with liquid only in the given intervals, in any order.

    Raises InputError when two overlap or touch.
    """
    changes: list[Change] = []
    last: float | None = -1.0
    for start, stop in sorted(intervals, key=lambda interval: interval[0]):
        if last is None or start <= last:
            end = 'the end' if last is None else f'{last:g} s'
            raise InputError(f'intervals overlap: one starts at {start:g} s, one stops at {end}')
        changes.append(Change(start, True))
        if stop is not None:
            changes.append(Change(stop, False))
        last = stop
    return tuple(changes)


def read_marks(path: Path, bags: Sequence[str]) -> dict[str, tuple[Change, ...]]:
    """Read the changes of the named bags from a CSV `bag,time,liquid`, one row per change.

    For a single bag the column `bag` may be missing. Every bag needs at least one row: `0,0` if it
    is dry throughout. Raises InputError with file and line.
    """
    if not path.is_file():
        raise InputError(f'{path}: no such file')
    changes: dict[str, list[Change]] = {name: [] for name in bags}
    try:
        with path.open(newline='', encoding='utf-8-sig') as file:
            rows = csv.reader(file)
            header = next(rows, None)
            short = header == _COLUMNS[1:] and len(bags) == 1
            if header != _COLUMNS and not short:
                raise InputError(f'{path}:1: the first line is not {",".join(_COLUMNS)}')
            for row in rows:
                if row:
                    cells = [bags[0], *row] if short else row
                    _add(changes, cells, f'{path}:{rows.line_num}')
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f'{path}: cannot be read as CSV ({error})') from error
    for name, own in changes.items():
        if not own:
            raise InputError(f'{path}: has no row for {name}; add {name},0,0 if it is dry')
    return {name: tuple(own) for name, own in changes.items()}


def write_marks(path: Path, changes: Mapping[str, Sequence[Change]]) -> None:
    """Write the changes by bag, times to the millisecond; a dry bag gets the row `0,0`."""
    with replacing(path) as partial, partial.open('w', newline='', encoding='utf-8') as file:
        table = csv.writer(file, lineterminator='\n')
        table.writerow(_COLUMNS)
        for name, own in changes.items():
            for change in own or (Change(0.0, False),):
                table.writerow([name, f'{change.time:.3f}', int(change.liquid)])


def _add(changes: dict[str, list[Change]], row: Sequence[str], where: str) -> None:
    if len(row) != len(_COLUMNS):
        raise InputError(f'{where}: not a row of bag,time,liquid')
    bag, time, liquid = row
    if bag not in changes:
        raise InputError(f'{where}: bag {bag!r} is not one of {", ".join(changes)}')
    try:
        change = Change(float(time), {'0': False, '1': True}[liquid])
    except (ValueError, KeyError):
        raise InputError(f'{where}: expected seconds, and liquid 0 or 1') from None
    if not (math.isfinite(change.time) and change.time >= 0):
        raise InputError(f'{where}: time {time} is not after the first colour frame')
    own = changes[bag]
    if own and change.time <= own[-1].time:
        raise InputError(
            f'{where}: time {time} is not after that of the row before, {own[-1].time:g}'
        )
    if change.time > 0 and change.liquid == (own[-1].liquid if own else False):
        state = 'flowing' if change.liquid else 'dry'
        raise InputError(f'{where}: it is already {state}; a row marks a change')
    own.append(change)
