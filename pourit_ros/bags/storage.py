# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Open a bag on disk: whole, compressed, cut off, with or without its metadata."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from textwrap import shorten
from typing import Any

import yaml
from rosbags.rosbag2 import Reader

from .compression import unzstd_file
from .cut import CutFile
from .cut_db3 import CutDb3
from .cut_mcap import CutMcap
from .errors import BagError

METADATA = 'metadata.yaml'
STORAGES = ('.mcap', '.db3')
PACKED = ('.zstd', '.zst')
ROS1_MAGIC = b'#ROSBAG'
_STORAGE = re.compile(r'\.(mcap|db3)(\.zstd|\.zst)?$', re.IGNORECASE)
_NUMBER = re.compile(r'(\d+)')


class Opened:
    """The parts of an open bag; `notices` reports its faults, one line each."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.parts: list[Reader | CutFile] = []
        self.notices: list[str] = []
        self._stack = ExitStack()
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close all files; a second time does nothing."""
        self.parts = []
        self._stack.close()

    def _open(self) -> None:
        path = self.path
        if not path.exists():
            raise BagError(f'{path}: no such file or folder')
        if not path.is_dir():
            self._add(path)
            return
        metadata, problem = _metadata(path)
        if not problem:
            try:
                self._add_whole(path)
                return
            except Exception as error:
                problem = error_line(error)
                failure = unreadable(path, error)
        else:
            failure = BagError(f'{path}: is damaged or not a rosbag2 ({problem})')
        listed = [path / PurePath(name).name for name in metadata]
        files = [file for file in listed if file.is_file()] or _storage_files(path)
        if not files:
            raise _no_storage(path) or failure
        self.notices.append(f'{path}: {problem}: read {", ".join(f.name for f in files)} instead')
        first: BagError | None = None
        for file in files:
            try:
                self._add(file)
            except BagError as error:
                first = first or error
                self.notices.append(str(error))
        if not self.parts:
            raise first or failure

    def _add(self, file: Path) -> None:
        """Open a single storage file."""
        suffix = file.suffix.lower()
        with _open_or_say(file) as stream:
            if suffix == '.bag' or stream.read(len(ROS1_MAGIC)) == ROS1_MAGIC:
                raise _ros1(file)
        if suffix in PACKED and PurePath(file.stem).suffix.lower() in STORAGES:
            folder = self._stack.enter_context(TemporaryDirectory(prefix='pourit-bag-'))
            inner = Path(folder, file.stem)
            if not unzstd_file(file, inner):
                self.notices.append(f'{file}: was cut off; its compressed end is lost')
            self._add_file(inner, file)
        elif suffix in STORAGES:
            self._add_file(file, file)
        else:
            raise BagError(f'{file}: is not a rosbag2 folder, .mcap or .db3 file')

    def _add_whole(self, path: Path) -> None:
        reader = Reader(path)
        reader.open()
        self._stack.callback(reader.close)
        self.parts.append(reader)

    def _add_file(self, file: Path, shown: Path) -> None:
        """Open a storage file, whole or cut off; `shown`: its name in messages."""
        if (log := Path(f'{file}-wal')).is_file() and log.stat().st_size:
            self.notices.append(
                f'{shown}: the data in {log.name} is not read; to include it: '
                f'sqlite3 {shown.name} "PRAGMA wal_checkpoint(TRUNCATE)"'
            )
        try:
            self._add_whole(file)
            return
        except Exception as error:
            failure = unreadable(shown, error)
        cut: CutMcap | CutDb3
        try:
            cut = CutMcap(file) if file.suffix.lower() == '.mcap' else CutDb3(file)
        except Exception:
            raise failure from None
        if not cut.count:
            raise BagError(f'{shown}: was cut off before its first whole message, or is not a bag')
        mend = f'sqlite3 {shown.name} .recover | sqlite3 repaired.db3'
        if isinstance(cut, CutMcap):
            mend = f'mcap recover {shown.name} -o repaired.mcap'
        damaged = f', {cut.damaged} chunks are damaged' if cut.damaged else ''
        seconds = (cut.end_time - 1 - cut.start_time) / 1e9
        self.notices.append(
            f'{shown}: was cut off{damaged}: its {cut.count} whole messages, {seconds:.1f} s, '
            f'are read; to repair it: {mend}'
        )
        self.parts.append(cut)


def error_line(error: Exception) -> str:
    """An error as one short line, since decoders quote whole files."""
    return shorten(str(error) or type(error).__name__, 160, placeholder=' ...')


def unreadable(path: Path, error: Exception) -> BagError:
    """The BagError for any error of rosbags' decoders."""
    return BagError(f'{path}: is damaged or not a rosbag2 ({error_line(error)})')


def _metadata(path: Path) -> tuple[list[str], str]:
    """(files listed in the folder's metadata, why it is unreliable)."""
    file = path / METADATA
    if not file.is_file():
        return [], f'has no {METADATA}'
    try:
        content: Any = yaml.safe_load(file.read_text())
        bag = content['rosbag2_bagfile_information']
        names = [str(name) for name in bag['relative_file_paths']]
    except PermissionError as error:
        raise BagError(f'{file}: {error.strerror}') from None
    except Exception:
        # Its own reader knows more: versions before 4 keep other fields.
        return [], f'{METADATA} is damaged'
    if not bag.get('storage_identifier'):
        return names, f'{METADATA} names no storage'
    return names, ''


def _storage_files(path: Path) -> list[Path]:
    """The storage files of a folder in the order of their numbers, without macOS' ._* files."""
    files = [file for file in path.iterdir() if file.is_file() and file.name[:2] != '._']
    return sorted((file for file in files if _STORAGE.search(file.name)), key=_by_number)


def _by_number(file: Path) -> list[Any]:
    return [int(part) if part.isdigit() else part for part in _NUMBER.split(file.name)]


def _no_storage(path: Path) -> BagError | None:
    """Why a folder without storage files is not a bag; None: it is an empty bag with metadata."""
    if old := sorted(path.glob('*.bag')):
        return _ros1(old[0])
    if (path / METADATA).is_file():
        return None
    inner = sorted(file.parent.name for file in path.glob(f'*/{METADATA}'))
    inner = inner or sorted({file.parent.name for s in STORAGES for file in path.glob(f'*/*{s}')})
    hint = f'; did you mean {path / inner[0]}?' if inner else ', and no .mcap or .db3 file'
    return BagError(f'{path}: is not a rosbag2 folder, it has no {METADATA}{hint}')


def _open_or_say(file: Path) -> Any:
    try:
        return file.open('rb')
    except OSError as error:
        raise BagError(f'{file}: {error.strerror or error}') from None


def _ros1(file: Path) -> BagError:
    return BagError(
        f'{file}: is a ROS 1 bag; convert it first: '
        f'rosbags-convert --src {file.name} --dst {file.stem}'
    )
