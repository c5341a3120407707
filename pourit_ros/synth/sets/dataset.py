# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Make sets of images with several processes, and resume them after a stop."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InputError
from ...files import replacing
from ...workers.processes import start_worker
from .records import META, clean, write_files

RECIPE = 'dataset.json'
# So many tasks wait for each process: enough to keep it busy, few enough to stop soon.
WAITING = 2


if TYPE_CHECKING:
    from ...workers.cluster import Cluster
    from .engines import BackdropEngine, CompositeEngine, PathtraceEngine

    Engine = CompositeEngine | PathtraceEngine | BackdropEngine


@dataclass(frozen=True)
class Done:
    """One item that was written, or could not be made because of `problem`."""

    index: int
    problem: str = ''


def make_dataset(
    folder: Path,
    engine: Engine,
    count: int,
    jobs: int = 1,
    first: int = 0,
    cluster: Cluster | None = None,
) -> Iterator[Done]:
    """Write the missing ones of the items `first` .. `first` + `count` − 1; yield each.

    A `cluster` makes them instead of `jobs` processes; the files are written here. They are the
    same for any number of processes or workers and interruptions. An item whose scene fails
    is reported and left out. Raises InputError when the folder holds a set of another recipe, or
    when a process dies.
    """
    folder.mkdir(parents=True, exist_ok=True)
    fresh = _check_recipe(folder, engine.recipe())
    clean(folder)
    there = engine.made(folder)
    todo = [i for i in range(first, first + count) if i not in there]
    try:
        if cluster is None:
            yield from _make_all(folder, engine, todo, jobs)
        else:
            yield from _make_on(cluster, folder, engine, todo)
    finally:
        # A command that made nothing must not bind the next one to its arguments.
        if fresh and not engine.made(folder):
            (folder / RECIPE).unlink(missing_ok=True)


def _make_all(folder: Path, engine: Engine, todo: list[int], jobs: int) -> Iterator[Done]:
    if jobs == 1 or len(todo) <= 1:
        for index in todo:
            yield _make(engine, folder, index)
        return
    # Spawned, not forked: renderers and BLAS start threads that a fork would break.
    pool = ProcessPoolExecutor(
        min(jobs, len(todo)), get_context('spawn'), _start_worker, (engine, folder)
    )
    queue = iter(todo)
    running: set[Future[Done]] = set()
    try:
        for index in islice(queue, WAITING * jobs):
            running.add(pool.submit(_work, index))
        while running:
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                yield future.result()
                index = next(queue, -1)
                if index >= 0:
                    running.add(pool.submit(_work, index))
    except BrokenProcessPool:
        raise InputError(
            f'{folder}: a process died (out of memory?); run the command again to '
            'continue, perhaps with fewer --jobs'
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _make_on(cluster: Cluster, folder: Path, engine: Engine, todo: list[int]) -> Iterator[Done]:
    cluster.check_readable(engine.inputs())
    for _, (done, files) in cluster.results(partial(_made, engine), todo):
        if files:
            write_files(folder, files)
        yield done


def _made(engine: Engine, index: int) -> tuple[Done, dict[str, bytes]]:
    """An item and its files by name, for a worker that does not see the folder."""
    _one_thread()
    with TemporaryDirectory() as name:
        folder = Path(name)
        done = _make(engine, folder, index)
        return done, {file.name: file.read_bytes() for file in folder.iterdir()}


def _check_recipe(folder: Path, recipe: dict[str, Any]) -> bool:
    """Raise InputError unless the folder has this recipe; return whether it is new."""
    path = folder / RECIPE
    if not path.exists():
        if any(folder.glob(f'*{META}')):
            raise InputError(f'{folder}: holds pairs but no {RECIPE}; choose another folder')
        with replacing(path) as new:
            new.write_text(json.dumps(recipe, indent=1) + '\n')
        return True
    try:
        old = json.loads(path.read_text())
    except ValueError:
        raise InputError(f'{path}: is not valid JSON') from None
    for key in sorted(set(old) | set(recipe)):
        if old.get(key) != recipe.get(key):
            raise InputError(
                f'{folder}: was made with {key} {old.get(key)!r}, not {recipe.get(key)!r}; '
                'choose another folder'
            )
    return False


def _make(engine: Engine, folder: Path, index: int) -> Done:
    try:
        engine.make(folder, index)
    except (InputError, OSError):
        raise
    except Exception as error:
        # One odd scene in ten thousand must not end a night's work.
        return Done(index, f'{type(error).__name__}: {error}')
    return Done(index)


_worker: tuple[Engine, Path] | None = None


def _start_worker(engine: Engine, folder: Path) -> None:
    global _worker
    start_worker()
    _one_thread()
    _worker = engine, folder


def _one_thread() -> None:
    """One thread each: the processes share the cores already."""
    import cv2

    cv2.setNumThreads(1)
    np.seterr(all='ignore')


def _work(index: int) -> Done:
    assert _worker is not None
    return _make(*_worker, index)
