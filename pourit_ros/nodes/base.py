# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The common base of the lifecycle nodes: parameters, inputs, transitions, ending."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecyclePublisher, LifecycleState
from rclpy.lifecycle import TransitionCallbackReturn as Transition
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.timer import Timer

from ..messages.contract import Topic
from ..messages.encode import Fields
from ..messages.errors import MessageError
from ..messages.ros import fill, message_class
from .diagnostics import Health
from .failures import line, where
from .parameters import Parameter, declare
from .qos import Input, output_qos

# How often inputs look for publishers; graph look-ups cost 0.1 ms each.
REFRESH_PERIOD = 0.2
# What the last messages get to arrive before their publishers go, s.
LAST_WORDS = 1.0

COMMON = (
    Parameter(
        'autostart', True, 'Configure and activate at start; otherwise wait for transitions.'
    ),
    Parameter(
        'reliability',
        'auto',
        'QoS reliability of the inputs; auto: as their publishers offer.',
        choices=('auto', 'reliable', 'best_effort'),
    ),
    Parameter(
        'await_subscriptions',
        0,
        'Wait until the outputs have this many subscriptions, all topics together, before '
        'taking input. For replays in which no frame may be lost.',
        high=100,
    ),
)


class ManagedNode(LifecycleNode):
    """Lifecycle node with table-driven parameters, inputs of automatic QoS and one way to end.

    Subclasses implement `configure` (read parameters, load, advertise), `activate`, `deactivate`
    and `cleanup`. A ValueError from `configure` or `activate` is logged as one line and fails the
    transition.
    """

    def __init__(self, name: str, parameters: Sequence[Parameter]) -> None:
        super().__init__(name)
        self._inputs: list[Input] = []
        self.health = Health(self, self._inputs)
        self.finished = False
        self.status = 0
        self.interruptible: Callable[[], AbstractContextManager[None]] = nullcontext
        """Context for work that may be interrupted when the node is told to end: long loading
        without side effects."""
        self._configured = False
        self._outputs: dict[str, LifecyclePublisher] = {}
        # Wakes the executor when another thread has something to say.
        self._wake = self.create_guard_condition(lambda: None)
        self._refresh = self.every(REFRESH_PERIOD, self._refresh_inputs)
        self._refresh.cancel()
        declare(self, (*COMMON, *parameters), lambda: self._configured, self.change)

    def value(self, parameter: str) -> Any:
        """Value of a declared parameter."""
        return self.get_parameter(parameter).value

    def every(self, period: float, callback: Callable[[], None]) -> Timer:
        """Call back every `period` s of real time, even when the node takes its time from /clock.

        A callback that waits for /clock to start must not depend on it.
        """
        return self.create_timer(period, callback, clock=Clock(clock_type=ClockType.STEADY_TIME))

    # --- hooks -------------------------------------------------------------------------------

    def configure(self) -> None:
        """Read parameters, load models, advertise outputs; may raise ValueError."""

    def activate(self) -> None:
        """Start working; may raise ValueError."""

    def deactivate(self) -> None:
        """Stop working; never raises."""

    def cleanup(self) -> None:
        """Free what `configure` created; never raises."""

    def change(self, values: dict[str, Any]) -> None:
        """Apply new values of dynamic parameters, while configured; ValueError rejects all."""

    # --- inputs and outputs ------------------------------------------------------------------

    def advertise(self, name: str, type_name: str, qos: QoSProfile) -> LifecyclePublisher:
        """Create a publisher that lives until clean-up."""
        publisher = self.create_lifecycle_publisher(message_class(type_name), name, qos)
        self._outputs[name] = publisher
        return publisher

    def advertise_contract(self, topics: Sequence[Topic]) -> None:
        """Create the publishers of a part of the contract."""
        for topic in topics:
            self.advertise(topic.name, topic.type, output_qos(topic))

    def send(self, name: str, fields: Fields) -> None:
        """Publish a message of the contract."""
        publisher = self._outputs[name]
        publisher.publish(fill(publisher.msg_type, fields))

    def send_raw(self, name: str, data: bytes) -> None:
        """Publish a serialised message."""
        self._outputs[name].publish(data)

    def wait_until_delivered(self, timeout: float) -> None:
        """Wait up to `timeout` s until reliable subscriptions have everything.

        Messages that are undelivered when the process ends are lost.
        """
        deadline = time.monotonic() + timeout
        for publisher in self._outputs.values():
            left = max(deadline - time.monotonic(), 0.0)
            publisher.wait_for_all_acked(Duration(seconds=left))

    def subscription_counts(self) -> dict[str, int]:
        """Matched subscriptions by output."""
        return {name: out.get_subscription_count() for name, out in self._outputs.items()}

    def wanted(self, name: str) -> bool:
        """Whether an output has a subscription."""
        return self._outputs[name].get_subscription_count() > 0

    def subscribe(
        self,
        type_name: str,
        topic: str,
        callback: Callable[[Any], None],
        depth: int,
        durability: DurabilityPolicy = DurabilityPolicy.VOLATILE,
        raw: bool = False,
        required: bool = False,
    ) -> None:
        """Subscribe to an input, while active, as soon as its publisher is known.

        `raw`: the callback gets the message in CDR. `required`: the node cannot answer without it.
        """
        profile = QoSProfile(depth=depth, durability=durability)
        reliability = self.value('reliability')
        kind = message_class(type_name)
        self._inputs.append(
            Input(self, kind, topic, callback, profile, reliability, raw, required)
        )

    def unusable(self, error: MessageError) -> None:
        """Report a message that was dropped for its content."""
        self.health.dropped('unusable message')
        self.health.problem(line(error))

    def _refresh_inputs(self) -> None:
        awaited = self.value('await_subscriptions')
        started = any(source.subscribed for source in self._inputs)
        if not started and sum(self.subscription_counts().values()) < awaited:
            return
        for source in self._inputs:
            source.refresh()

    # --- transitions -------------------------------------------------------------------------

    def autostart(self) -> None:
        """Configure and activate if the parameter says so; exit with status 1 on failure."""
        if not self.value('autostart'):
            return
        for trigger in (self.trigger_configure, self.trigger_activate):
            if self.finished:
                return
            if trigger() != Transition.SUCCESS:
                self.finish(1)
                return

    def on_configure(self, state: LifecycleState) -> Transition:
        """See LifecycleNode."""
        if not self._attempt(self.configure):
            self._free()
            return Transition.FAILURE
        self._configured = True
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> Transition:
        """See LifecycleNode."""
        super().on_activate(state)
        if not self._attempt(self.activate):
            self._stop()
            super().on_deactivate(state)
            return Transition.FAILURE
        self._refresh_inputs()
        self._refresh.reset()
        if self._inputs:
            # There is no subscription to look for before there is a publisher.
            names = ', '.join(f'{source.topic}: {source.resolved}' for source in self._inputs)
            self.get_logger().info(f'inputs: {names}')
        self.health.active = True
        self.get_logger().info('active')
        return Transition.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> Transition:
        """See LifecycleNode."""
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> Transition:
        """See LifecycleNode."""
        self._free()
        return Transition.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> Transition:
        """See LifecycleNode."""
        self._stop()
        self._free()
        return Transition.SUCCESS

    def _attempt(self, step: Callable[[], None]) -> bool:
        try:
            step()
        except ValueError as error:
            self.get_logger().error(line(error))
            return False
        except Exception as error:
            # rclpy would swallow it: a defect must be seen.
            self.get_logger().fatal(where(error))
            return False
        return True

    def _stop(self) -> None:
        self.health.active = False
        self._refresh.cancel()
        for source in self._inputs:
            source.close()
        self._inputs.clear()
        self.deactivate()

    def _free(self) -> None:
        self.cleanup()
        # The last state among them: without it a latch says "flowing" for good.
        self.wait_until_delivered(LAST_WORDS)
        for publisher in self._outputs.values():
            self.destroy_lifecycle_publisher(publisher)
        self._outputs.clear()
        self._configured = False

    # --- ending ------------------------------------------------------------------------------

    def failed(self, error: Exception) -> None:
        """End the node with an error after a defect in another thread."""
        self.get_logger().fatal(where(error))
        self.finish(1)

    def request_stop(self) -> None:
        """Handle SIGINT or SIGTERM; called from another thread."""
        self.finish(0)

    def finish(self, status: int) -> None:
        """End the process with this exit status after the current callback; any thread."""
        self.status = self.status or status
        self.finished = True
        self._wake.trigger()

    def end(self) -> None:
        """Tear down from whatever state the node is in."""
        self._stop()
        self._free()
