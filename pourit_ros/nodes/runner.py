# SPDX-License-Identifier: Apache-2.0
"""Run one node as a process: start, spin, and end cleanly however often Ctrl-C is pressed."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from .failures import line, where

if TYPE_CHECKING:
    from .base import ManagedNode

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Whoever asks a third time does not want to wait for a clean end.
_PATIENCE = 3


def run(module: str, name: str) -> NoReturn:
    """Run the node class `name` of `pourit_ros.nodes.<module>` and exit with its status.

    Signals are blocked in every thread and taken by one that waits for them, so that none can
    interrupt a half-done import, callback or teardown with a traceback. For the same reason rclpy
    and the node are imported here, after that.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    stop = _Stop()
    threading.Thread(target=stop.watch, name='signals', daemon=True).start()
    try:
        status = _spin(module, name, stop)
    except Exception as error:
        text = line(error) if isinstance(error, ValueError) else where(error)
        print(f'{Path(sys.argv[0]).stem}: {text}', file=sys.stderr, flush=True)
        status = 1
    sys.exit(status)


class _Stop:
    """What the signals ask for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._node: ManagedNode | None = None
        self.requested = False

    def watch(self) -> None:
        for _ in range(_PATIENCE - 1):
            signal.sigwait(_SIGNALS)
            with self._lock:
                self.requested = True
                if self._node is not None:
                    self._node.request_stop()
        signal.sigwait(_SIGNALS)
        os._exit(130)

    def attach(self, node: ManagedNode | None) -> None:
        with self._lock:
            self._node = node
            if node is not None and self.requested:
                node.request_stop()


def _spin(module: str, name: str, stop: _Stop) -> int:
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.impl.implementation_singleton import rclpy_implementation
    from rclpy.signals import SignalHandlerOptions

    node_class = getattr(importlib.import_module(f'{__package__}.{module}'), name)
    rclpy.init(args=sys.argv, signal_handler_options=SignalHandlerOptions.NO)
    try:
        node: ManagedNode = node_class()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        stop.attach(node)
        try:
            if not stop.requested:
                node.autostart()
            while not node.finished:
                try:
                    executor.spin_once()
                except rclpy_implementation.RCLError as error:
                    # rclpy lets a request for an impossible transition fly out of the executor.
                    node.get_logger().error(line(error))
        except Exception as error:
            node.get_logger().fatal(where(error))
            node.finish(1)
        finally:
            stop.attach(None)
            node.end()
            executor.shutdown()
            node.destroy_node()
        return node.status
    finally:
        rclpy.try_shutdown()
