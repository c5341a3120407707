# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Worker processes that end with the command that started them, however it ends."""

from __future__ import annotations

import os
import signal
import threading
from multiprocessing import active_children, parent_process


def start_worker() -> None:
    """Begin a worker process: Ctrl-C is the parent's to handle; if it is killed, so is this."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def end_workers() -> None:
    """End all workers of this process at once; what they were at is lost."""
    for process in active_children():
        process.terminate()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
