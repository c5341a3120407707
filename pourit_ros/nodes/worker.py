# SPDX-License-Identifier: Apache-2.0
"""The thread that does a node's heavy work, so that the executor's callbacks never wait for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar('Item')

# The worker looks this often whether what it waits for has waited long enough.
NAP = 0.02


class Worker(Generic[Item]):
    """Calls `answer` with whatever `take` gives out, one at a time, in one thread.

    `take` is called with `lock` held; whoever fills what it takes from holds `lock` too and
    calls `wake`. An exception out of `answer` ends the thread and goes to `failed`.
    """

    def __init__(
        self,
        take: Callable[[], Item | None],
        answer: Callable[[Item], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self.lock = threading.Condition()
        self._take, self._answer, self._failed = take, answer, failed
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name='worker', daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """There may be something to take; call it with `lock` held."""
        self.lock.notify()

    def stop(self) -> None:
        """Wait for the item in work, then end the thread."""
        with self.lock:
            self._stopping = True
            self.lock.notify()
        self._thread.join()

    def _run(self) -> None:
        try:
            while (item := self._next()) is not None:
                self._answer(item)
        except Exception as error:
            self._failed(error)

    def _next(self) -> Item | None:
        with self.lock:
            while not self._stopping:
                item = self._take()
                if item is not None:
                    return item
                self.lock.wait(NAP)
        return None
