# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""labels.csv: which images of a folder show liquid, and their dry twins."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..files import replacing

LABELS = 'labels.csv'
_COLUMNS = ['file', 'liquid', 'twin']


@dataclass(frozen=True)
class LabelledFrame:
    """One image: `file` relative to its folder, `liquid`: whether it shows any.

    `twin`: the dry image, itself listed, of the same scene and camera as this wet one.
    """

    file: Path
    liquid: bool
    twin: Path | None = None


def read_labels(folder: Path) -> list[LabelledFrame]:
    """Read `labels.csv` of a folder; no image is opened.

    Raises InputError with file and line for an invalid row, a file listed twice, and a twin that
    is not listed as dry.
    """
    path = folder / LABELS
    if not path.is_file():
        raise InputError(f'{path}: no such file')
    frames: dict[Path, LabelledFrame] = {}
    lines: dict[Path, int] = {}
    try:
        with path.open(newline='', encoding='utf-8-sig') as file:
            rows = csv.reader(file)
            if next(rows, None) != _COLUMNS:
                raise InputError(f'{path}:1: the first line is not {",".join(_COLUMNS)}')
            for row in rows:
                if not row:
                    continue
                frame = _frame(row, f'{path}:{rows.line_num}')
                if frame.file in frames:
                    raise InputError(f'{path}:{rows.line_num}: {frame.file} is listed twice')
                frames[frame.file] = frame
                lines[frame.file] = rows.line_num
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f'{path}: cannot be read as CSV ({error})') from error
    for frame in frames.values():
        twin = frames.get(frame.twin) if frame.twin is not None else None
        if frame.twin is not None and (twin is None or twin.liquid):
            raise InputError(
                f'{path}:{lines[frame.file]}: twin {frame.twin} is not listed with liquid 0'
            )
    return list(frames.values())


def write_labels(folder: Path, frames: Iterable[LabelledFrame]) -> None:
    """Write `labels.csv` into a folder, whole or not at all."""
    with (
        replacing(folder / LABELS) as partial,
        partial.open('w', newline='', encoding='utf-8') as file,
    ):
        table = csv.writer(file, lineterminator='\n')
        table.writerow(_COLUMNS)
        for frame in frames:
            twin = '' if frame.twin is None else frame.twin.as_posix()
            table.writerow([frame.file.as_posix(), int(frame.liquid), twin])


def _frame(row: Sequence[str], where: str) -> LabelledFrame:
    if len(row) != len(_COLUMNS):
        raise InputError(f'{where}: {len(row)} columns, not {len(_COLUMNS)}')
    file, liquid, twin = row
    if liquid not in ('0', '1'):
        raise InputError(f'{where}: liquid must be 0 or 1, not {liquid!r}')
    if twin and liquid == '0':
        raise InputError(f'{where}: only an image with liquid can have a twin')
    return LabelledFrame(
        _inside(file, where), liquid == '1', _inside(twin, where) if twin else None
    )


def _inside(name: str, where: str) -> Path:
    path = Path(name)
    if not name or path.is_absolute() or '..' in path.parts:
        raise InputError(f'{where}: {name!r} is not a file inside the folder')
    return path
