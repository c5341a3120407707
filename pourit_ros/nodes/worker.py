# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The thread for a node's heavy work, so that the executor's callbacks never wait for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar('Item')

# The worker looks this often whether what it waits for has waited long enough.
NAP = 0.02


class Worker(Generic[Item]):
    """Calls `answer` with each item that `take` returns, one at a time, in one thread.

    `take` is called with `lock` held; producers hold `lock` too and then call `wake`. An exception
    in `answer` ends the thread and is passed to `failed`.
    """

    def __init__(
        self,
        take: Callable[[], Item | None],
        answer: Callable[[Item], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self.lock = threading.Condition()
        self._take, self._answer, self._failed = take, answer, failed
        self._thread: threading.Thread | None = None
        self._stopping = False

    def start(self) -> None:
        """Start the thread."""
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name='worker', daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Signal that there may be an item; call it with `lock` held."""
        self.lock.notify()

    def stop(self) -> bool:
        """Wait for the item being processed, then end the thread; False: there was none."""
        if self._thread is None:
            return False
        with self.lock:
            self._stopping = True
            self.lock.notify()
        self._thread.join()
        self._thread = None
        return True

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
