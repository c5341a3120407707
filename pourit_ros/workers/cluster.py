# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Spread independent tasks over a running Dask cluster.

A task that a worker takes to its grave is given to another one. Files are read by workers under
the same paths as here, so these must lie on a file system that all of them share.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from .. import __version__
from ..errors import InputError

Item = TypeVar('Item')
Result = TypeVar('Result')
# So many tasks wait for each thread of the cluster: enough to keep it busy.
WAITING = 2
# For a scheduler to answer, and without any worker, s.
ANSWERS_WITHIN, PATIENCE = 10.0, 60.0
# How often it is looked whether workers are left, s.
LOOKS = 5.0


class Cluster:
    """The Dask cluster at `address` (tcp://host:port), as a context manager.

    Raises InputError if Dask is not installed, nothing answers, or the workers have another
    version of this package or none.
    """

    def __init__(self, address: str) -> None:
        try:
            import distributed
        except ImportError:
            raise InputError(
                '--cluster: Dask is not installed: pip install ".[cluster]"'
            ) from None
        self._distributed, self.address = distributed, address
        try:
            self._client: Any = distributed.Client(
                address, timeout=ANSWERS_WITHIN, set_as_default=False
            )
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f'--cluster {address}: no scheduler answers ({error})') from None
        try:
            self._client.wait_for_workers(1, timeout=PATIENCE)
            self._check_versions()
        except BaseException as error:
            self._client.close()
            if isinstance(error, distributed.TimeoutError):
                raise InputError(f'--cluster {address}: it has no workers') from None
            raise

    def __enter__(self) -> Cluster:
        """Return the cluster."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let go of the cluster; tasks that wait are taken back."""
        self._client.close()

    def check_readable(self, paths: Iterable[Path]) -> None:
        """Raise InputError unless every worker can read these files and folders."""
        for worker, missing in self._everywhere(_missing, [str(p.resolve()) for p in paths]):
            if missing:
                raise InputError(
                    f'--cluster: worker {worker} does not find {missing[0]}: files must lie on a '
                    'file system that all workers share'
                )

    def results(
        self, work: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result]]:
        """Yield each item with what `work` makes of it, in the order in which they are done.

        `work` is a function of a module, or a partial of one. Raises what it raises, and
        InputError if the cluster is lost.
        """
        queue = iter(items)
        running: dict[Any, Item] = {}
        try:
            while True:
                for item in islice(queue, max(self._room() - len(running), 0)):
                    running[self._client.submit(work, item, pure=False)] = item
                if not running:
                    return
                for future in self._finished(list(running)):
                    yield running.pop(future), future.result()
        except self._distributed.KilledWorker as error:
            raise InputError(
                f'--cluster: a task ended several workers (out of memory?): {error}; run the '
                'command again to continue'
            ) from None
        except (self._distributed.CancelledError, OSError) as error:
            if isinstance(error, OSError) and self._client.status == 'running':
                raise
            raise InputError(
                f'--cluster {self.address}: lost its scheduler; run the command again to continue'
            ) from None

    def _room(self) -> int:
        """Tasks that the cluster is to have at a time."""
        return WAITING * max(sum(self._client.nthreads().values()), 1)

    def _finished(self, running: list[Any]) -> list[Any]:
        """Wait for one or more of the tasks; raises InputError if nobody is left to do them."""
        lonely = 0.0
        while True:
            began = time.monotonic()
            try:
                with self._client.as_current():
                    return list(
                        self._distributed.wait(
                            running, timeout=LOOKS, return_when='FIRST_COMPLETED'
                        ).done
                    )
            except self._distributed.TimeoutError:
                pass
            lonely = 0.0 if self._client.nthreads() else lonely + time.monotonic() - began
            if lonely > PATIENCE:
                raise InputError(
                    f'--cluster {self.address}: no worker is left; run the command again to '
                    'continue'
                )

    def _everywhere(self, function: Callable[..., Any], *given: Any) -> list[tuple[str, Any]]:
        answers: dict[str, Any] = self._client.run(function, *given, on_error='return')
        for worker, answer in answers.items():
            if isinstance(answer, ModuleNotFoundError):
                raise InputError(
                    f'--cluster: worker {worker} lacks {answer.name}: install this package there'
                )
            if isinstance(answer, Exception):
                raise InputError(f'--cluster: worker {worker}: {answer}')
        return list(answers.items())

    def _check_versions(self) -> None:
        for worker, version in self._everywhere(_version):
            if version != __version__:
                raise InputError(
                    f'--cluster: worker {worker} has version {version}, this is {__version__}'
                )


def _version() -> str:
    return __version__


def _missing(paths: list[str]) -> list[str]:
    return [path for path in paths if not Path(path).exists()]
