# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Health of a node on /diagnostics, once a second."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from .qos import Input

PERIOD = 1.0
# Latency and work are quantiles over this many answers: 3 to 10 s at camera rate.
WINDOW = 100
# A stamp further from now than this belongs to a recording, and its age is no latency.
RECORDED = 10.0


class Health:
    """Count and publish what a node receives, answers and drops. Any thread may report.

    `inputs`: those of the node; they may change.
    """

    def __init__(self, node: Node, inputs: Sequence[Input]) -> None:
        self._node = node
        self._inputs = inputs
        self._lock = threading.Lock()
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', 10)
        # Real time: a simulation that stands still is told too.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        node.create_timer(PERIOD, self._publish, clock=steady)
        self._since = time.monotonic()
        self._received = 0
        self._answered = 0
        self._latency: deque[float] = deque(maxlen=WINDOW)
        self._work: dict[str, deque[float]] = {}
        self._drops: Counter[str] = Counter()
        self._facts: dict[str, str] = {}
        self._problem = ''
        self._problem_is_new = False
        self._logged = -PERIOD
        self.active = False
        self.paused = False

    def received(self) -> None:
        """Count an input that the node should answer."""
        with self._lock:
            self._received += 1

    def answered(self, stamp_ns: int) -> None:
        """Count a frame whose outputs were published."""
        age = (self._node.get_clock().now().nanoseconds - stamp_ns) * 1e-9
        with self._lock:
            self._answered += 1
            if abs(age) < RECORDED:
                self._latency.append(age)

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Time a part of the work on a frame."""
        started = time.monotonic()
        yield
        seconds = time.monotonic() - started
        with self._lock:
            self._work.setdefault(part, deque(maxlen=WINDOW)).append(seconds)

    def dropped(self, cause: str, count: int = 1) -> None:
        """Count input that will not be answered."""
        with self._lock:
            self._drops[cause] += count

    def problem(self, text: str) -> None:
        """Report why an answer is incomplete; the last report is shown.

        It is logged when it differs from the previous one, at most once a second.
        """
        now = time.monotonic()
        with self._lock:
            log = text != self._problem and now - self._logged >= PERIOD
            self._problem, self._problem_is_new = text, True
            self._logged = now if log else self._logged
        if log:
            self._node.get_logger().warning(text)

    def fact(self, key: str, value: object) -> None:
        """Set a value to show unchanged: model, device, skew."""
        with self._lock:
            self._facts[key] = str(value)

    def _publish(self) -> None:
        troubles = [f'{i.topic}: {trouble}' for i in self._inputs if (trouble := i.trouble())]
        inputs = {f'input {i.topic}': i.describe() for i in self._inputs}
        status = DiagnosticStatus(name=f'{self._node.get_name()}: frames')
        with self._lock:
            now = time.monotonic()
            elapsed, self._since = now - self._since, now
            rates = self._received / elapsed, self._answered / elapsed
            status.level, status.message = self._verdict('; '.join(troubles))
            self._received = self._answered = 0
            self._problem_is_new = False
            values = {
                'input rate (Hz)': f'{rates[0]:.1f}',
                'output rate (Hz)': f'{rates[1]:.1f}',
                **_quantiles('latency', self._latency),
                **{
                    key: value
                    for part, seconds in self._work.items()
                    for key, value in _quantiles(part, seconds).items()
                },
                **{f'dropped: {cause}': str(count) for cause, count in self._drops.items()},
                **self._facts,
                **inputs,
                'last problem': self._problem,
            }
        status.values = [KeyValue(key=key, value=value) for key, value in values.items()]
        message = DiagnosticArray(status=[status])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)

    def _verdict(self, trouble: str) -> tuple[bytes, str]:
        """Level and message; `trouble`: the fault of the inputs."""
        if not self.active:
            return DiagnosticStatus.OK, 'not active'
        if self.paused:
            return DiagnosticStatus.OK, 'disabled by ~/enable'
        problem = self._problem if self._problem_is_new else ''
        said = '; '.join(filter(None, (trouble, problem)))
        if not self._received:
            return DiagnosticStatus.STALE, f'no input: {said}' if said else 'no input'
        return (DiagnosticStatus.WARN, said) if said else (DiagnosticStatus.OK, 'running')


def _quantiles(name: str, seconds: deque[float]) -> dict[str, str]:
    if not seconds:
        return {}
    p50, p95 = 1000 * np.percentile(seconds, [50, 95])
    return {f'{name} p50 (ms)': f'{p50:.1f}', f'{name} p95 (ms)': f'{p95:.1f}'}
