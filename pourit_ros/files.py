# SPDX-License-Identifier: Apache-2.0
"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import InputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling of `path`, with its suffix, that takes its place at the end.

    When the block raises, the sibling is removed and what was at `path` stays as it was. Missing
    parent folders are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'.{path.stem}.{os.getpid()}{path.suffix}')
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def result_folder(out: Path) -> Iterator[Path]:
    """Yield a fresh folder beside `out` whose files move into `out` when the block succeeds.

    Files of the same name in `out` are replaced, others stay; when the block raises, `out` is as
    it was. Raises InputError when `out` cannot be a folder.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f'{out}: is a file, not a folder')
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f'.{out.name}.', dir=out.parent))
    # mkdtemp is private to the user; results are as readable as any other file.
    partial.chmod(0o755)
    try:
        yield partial
        if out.is_dir():
            for item in partial.iterdir():
                target = out / item.name
                if target.is_dir():
                    shutil.rmtree(target)
                item.replace(target)
        else:
            partial.replace(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
