# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Write files and folders whole or not at all, replacing only what an earlier run made.

A results folder carries a manifest: the command that made it, the version, the command line and
the files with their hashes. A later run replaces those files and nothing else, and only when told
to.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .errors import InputError

MANIFEST = 'pourit_manifest.json'
# A folder within the results folder, so that moving results into place never leaves the disk.
PARTIAL = '.pourit_partial_'
CHUNK = 1 << 20
# What asks a command to end.
SIGNALS = tuple(getattr(signal, n) for n in ('SIGINT', 'SIGTERM', 'SIGHUP') if hasattr(signal, n))


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold back the signals that end a command until the block has ended.

    For short work that must not stop half-way: moving results into place, removing others.
    """
    if threading.current_thread() is not threading.main_thread():
        # Python runs handlers in the main thread alone.
        yield
        return
    held: list[int] = []
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    handlers = {number: handler for number, handler in handlers.items() if callable(handler)}
    try:
        for number in handlers:
            signal.signal(number, lambda number, frame: held.append(number))
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if held:
            signal.raise_signal(held[0])


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling of `path`, with its suffix, that takes its place at the end.

    When the block raises, the sibling is removed and what was at `path` stays as it was. Missing
    parent folders are made. The file gets the permissions that the umask allows, however it was
    written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'.{path.stem}.{os.getpid()}{path.suffix}')
    try:
        yield partial
        partial.chmod(0o666 & ~_umask())
        partial.replace(path)
    finally:
        with uninterrupted():
            partial.unlink(missing_ok=True)


def check_file(path: Path, inputs: Iterable[str | Path] = (), overwrite: bool = False) -> None:
    """Raise InputError unless a result may be written to the file `path`.

    It must not be one of the `inputs`; an existing file needs `overwrite`.
    """
    if path.is_dir():
        raise InputError(f'{path}: is a folder, expected the name of a file')
    if any(_real(given) == _real(path) for given in inputs):
        raise InputError(f'{path}: is an input of this command; choose another name')
    if path.exists() and not overwrite:
        raise InputError(f'{path}: already exists; --overwrite replaces it')


@dataclass(frozen=True)
class Manifest:
    """The record of a run's results; `files`: SHA-256 by relative path, with '/'.

    A hash is empty where none was computed.
    """

    command: str
    files: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Manifest | None:
        """Read a folder's manifest; None where it has none. Raises InputError."""
        path = folder / MANIFEST
        if not path.is_file():
            return None
        try:
            data = json.loads(path.read_text(encoding='utf-8', errors='surrogateescape'))
            files = {str(name): str(digest) for name, digest in data['files'].items()}
            return cls(str(data['command']), files)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InputError(f'{path}: is damaged; choose another folder') from None

    def write(self, folder: Path) -> None:
        """Write the manifest into its folder."""
        from . import __version__

        data = {
            'command': self.command,
            'version': __version__,
            'command_line': sys.argv[1:],
            'files': dict(sorted(self.files.items())),
        }
        with replacing(folder / MANIFEST) as partial:
            text = json.dumps(data, indent=1, ensure_ascii=True)
            partial.write_text(text + '\n', encoding='ascii')


@contextmanager
def result_folder(
    out: Path, command: str, inputs: Iterable[str | Path] = (), overwrite: bool = False
) -> Iterator[Path]:
    """Yield a fresh folder whose files move into `out` when the block succeeds.

    `out` is checked first, as by `check_folder`. When the block raises, `out` is as it was.
    """
    check_folder(out, inputs, overwrite)
    made = not out.exists()
    partial = out / f'{PARTIAL}{os.getpid()}'
    done = False
    try:
        out.mkdir(parents=True, exist_ok=True)
        _clear_partials(out)
        partial.mkdir()
        yield partial
        fresh = {name: _digest(partial / name) for name in _files(partial)}
        with uninterrupted():
            _move_into(out, partial, command, fresh)
            done = True
    finally:
        with uninterrupted():
            shutil.rmtree(partial, ignore_errors=True)
            if made and not done and out.exists() and not any(out.iterdir()):
                out.rmdir()


def check_folder(out: Path, inputs: Iterable[str | Path] = (), overwrite: bool = False) -> None:
    """Raise InputError unless results may be written to the folder `out`.

    It must not be, contain or lie in one of the `inputs`. It may be missing or empty. With
    `overwrite` it may hold the results of an earlier run, exactly as that run left them.
    """
    _check_inputs(out, inputs)
    found = _files(out)
    if not found:
        return
    manifest = Manifest.read(out)
    if manifest is None:
        raise InputError(
            f'{out}: holds files that pourit did not make ({_first(found)}); '
            'choose a new or empty folder'
        )
    foreign = found - set(manifest.files)
    if foreign:
        raise InputError(
            f'{out}: holds other files beside the results of pourit {manifest.command} '
            f'({_first(foreign)}); choose a new or empty folder'
        )
    if not overwrite:
        raise InputError(
            f'{out}: holds the results of pourit {manifest.command}; --overwrite replaces them'
        )
    for name, digest in sorted(manifest.files.items()):
        if name in found and digest and _digest(out / name) != digest:
            raise InputError(
                f'{out}: {name} was changed after pourit {manifest.command} made it; '
                'choose another folder'
            )


@contextmanager
def working_folder(
    out: Path, command: str, inputs: Iterable[str | Path] = (), own: str = ''
) -> Iterator[None]:
    """Claim `out` for a long run that writes into it piece by piece and can be resumed.

    `out` is checked first, as by `check_working_folder`. The manifest is written when the block
    begins and lists the files when it ends, however it ends.
    """
    check_working_folder(out, command, inputs, own)
    made = not out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
        (Manifest.read(out) or Manifest(command)).write(out)
        yield
    finally:
        with uninterrupted():
            left = _files(out)
            if left or not made:
                Manifest(command, dict.fromkeys(left, '')).write(out)
            elif out.exists():
                (out / MANIFEST).unlink(missing_ok=True)
                out.rmdir()


def check_working_folder(
    out: Path, command: str, inputs: Iterable[str | Path] = (), own: str = ''
) -> None:
    """Raise InputError unless a run that can be resumed may work in the folder `out`.

    `out` may be missing or empty, or hold an earlier run of the same command, recognised by its
    manifest or by the file `own`. It must not be, contain or lie in one of the `inputs`.
    """
    _check_inputs(out, inputs)
    manifest = Manifest.read(out)
    found = _files(out)
    ours = (manifest is not None and manifest.command == command) or (own and own in found)
    if found and not ours:
        made = 'that pourit did not make' if manifest is None else f'of pourit {manifest.command}'
        raise InputError(
            f'{out}: holds files {made} ({_first(found)}); choose a new or empty folder'
        )


def _check_inputs(out: Path, inputs: Iterable[str | Path]) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f'{out}: is a file, not a folder')
    target = _real(out)
    for given in inputs:
        source = _real(given)
        if not source.exists():
            # The name of shipped weights, or what the command will miss by itself.
            continue
        if source == target:
            raise InputError(f'{out}: is an input of this command; choose another --out')
        if target in source.parents:
            raise InputError(f'{out}: holds the input {given}; choose another --out')
        if target.is_relative_to(source):
            raise InputError(f'{out}: lies in the input {given}; choose another --out')


def _move_into(out: Path, partial: Path, command: str, fresh: dict[str, str]) -> None:
    old = Manifest.read(out)
    # Added while the run was at work.
    blocked = (_files(out) - set(old.files if old else ())) & set(fresh)
    if blocked:
        raise InputError(
            f'{out}: {_first(blocked)} was written there during the run; choose another folder'
        )
    # Both lists, so that a run which is killed from here on leaves nothing unknown; no hashes,
    # since a name may stand for the former file or the new one.
    both = [*(old.files if old else ()), *fresh]
    Manifest(command, dict.fromkeys(both, '')).write(out)
    for name in old.files if old else ():
        (out / name).unlink(missing_ok=True)
    _remove_empty(out)
    for name in sorted(fresh):
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (partial / name).replace(target)
    for folder in sorted(p for p in partial.rglob('*') if p.is_dir()):
        (out / folder.relative_to(partial)).mkdir(parents=True, exist_ok=True)
    Manifest(command, fresh).write(out)


def _files(folder: Path) -> set[str]:
    """Relative paths of all files below a folder, without the manifest and partial results."""
    if not folder.is_dir():
        return set()
    found = set()
    for where, _, names in os.walk(folder):
        relative = Path(where).relative_to(folder)
        if relative.parts and relative.parts[0].startswith(PARTIAL):
            continue
        found |= {(relative / name).as_posix() for name in names}
        found |= {
            (relative / name).as_posix()
            for name in os.listdir(where)
            if (Path(where) / name).is_symlink()
        }
    return found - {MANIFEST}


def _remove_empty(out: Path) -> None:
    for where, _, _ in os.walk(out, topdown=False):
        folder = Path(where)
        if folder == out or folder.relative_to(out).parts[0].startswith(PARTIAL):
            continue
        if not any(folder.iterdir()):
            folder.rmdir()


def _clear_partials(out: Path) -> None:
    """Remove what a killed run left behind; raise InputError while another run is active."""
    for folder in out.glob(f'{PARTIAL}*'):
        if _alive(folder.name.removeprefix(PARTIAL)):
            raise InputError(f'{out}: another run of pourit is writing there')
        shutil.rmtree(folder, ignore_errors=True)


def _alive(pid: str) -> bool:
    if not pid.isdecimal() or int(pid) == os.getpid():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _real(path: str | Path) -> Path:
    """The path without links and '..', whether or not it exists."""
    return Path(os.path.realpath(path))


def _first(names: Iterable[str]) -> str:
    return min(names)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
