# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Run one node as a process: start, spin, and end cleanly however often Ctrl-C is pressed."""

from __future__ import annotations

import _thread
import importlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from .failures import line, where

if TYPE_CHECKING:
    from .base import ManagedNode

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Executables, and the module and class of what each runs.
NODES = {
    'liquid_perception': ('perception_node', 'LiquidPerception'),
    'pour_monitor': ('monitor_node', 'PourMonitor'),
    'pour_controller': ('controller_node', 'PourControllerNode'),
    'pour_simulator': ('simulator_node', 'PourSimulator'),
    'pour_starter': ('starter_node', 'PourStarter'),
    'bag_player': ('player_node', 'BagPlayer'),
    'recorder': ('recorder_node', 'Recorder'),
    'camera_feed': ('camera_feed_node', 'CameraFeed'),
}
# Whoever asks a third time does not want to wait for a clean end.
_PATIENCE = 3
# How often the main thread is interrupted until it has noticed, s.
_AGAIN = 0.1


def main() -> NoReturn:
    """Run the node with the name of this executable, otherwise of the first argument.

    The latter is `python -m pourit_ros.nodes NODE`.
    """
    if Path(sys.argv[0]).name not in NODES:
        if not NODES.keys() & set(sys.argv[1:2]):
            sys.exit(f'python -m {__package__} NODE: one of {", ".join(NODES)}')
        del sys.argv[0]
    run(*NODES[Path(sys.argv[0]).name])


def run(module: str, name: str) -> NoReturn:
    """Run the node class `name` of `pourit_ros.nodes.<module>` and exit with its status.

    Signals are blocked in every thread and taken by one that waits for them, so that none can
    interrupt a half-done import, callback or teardown with a traceback. For the same reason rclpy
    and the node are imported here, after that. Until there is a node, a signal ends the process
    at once; later it interrupts what the node runs under `ManagedNode.interruptible`.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    stop = _Stop()
    # Called by `interrupt_main` alone. In the background of a shell SIGINT is ignored.
    signal.signal(signal.SIGINT, stop.interrupt)
    threading.Thread(target=stop.watch, name='signals', daemon=True).start()
    try:
        status = _spin(module, name, stop)
    except Exception as error:
        text = line(error) if isinstance(error, ValueError) else where(error)
        print(f'{Path(sys.argv[0]).stem}: {text}', file=sys.stderr, flush=True)
        status = 1
    sys.exit(status)


class _Stop:
    """The requests of signals."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._node: ManagedNode | None = None
        self._importing = True
        # Written by the main thread only.
        self._interruptible = False
        self.requested = False

    def watch(self) -> None:
        for _ in range(_PATIENCE - 1):
            signal.sigwait(_SIGNALS)
            with self._lock:
                if self._importing:
                    # There is nothing yet to end in order.
                    os._exit(0)
                self.requested = True
                if self._node is not None:
                    self._node.request_stop()
            threading.Thread(target=self._nag, daemon=True).start()
        signal.sigwait(_SIGNALS)
        os._exit(130)

    def imported(self) -> None:
        """From now on there is a node to shut down."""
        with self._lock:
            self._importing = False

    def attach(self, node: ManagedNode | None) -> None:
        with self._lock:
            self._node = node
            if node is not None:
                node.interruptible = self.interruptible
                if self.requested:
                    node.request_stop()

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Context for work that a KeyboardInterrupt may abort; main thread only."""
        self._interruptible = True
        try:
            if self.requested:
                raise KeyboardInterrupt
            yield
        finally:
            self._interruptible = False

    def interrupt(self, signum: int, frame: FrameType | None) -> None:
        """Python's signal handler, which runs in the main thread."""
        if self._interruptible:
            # Raised within a destructor it is lost, and would be told all the same.
            sys.unraisablehook = lambda _: None
            raise KeyboardInterrupt

    def _nag(self) -> None:
        while self._interruptible:
            _thread.interrupt_main()
            time.sleep(_AGAIN)


def _spin(module: str, name: str, stop: _Stop) -> int:
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.impl.implementation_singleton import rclpy_implementation
    from rclpy.signals import SignalHandlerOptions

    node_class = getattr(importlib.import_module(f'{__package__}.{module}'), name)
    stop.imported()
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
        except KeyboardInterrupt:
            node.finish(0)
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
