# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""pour_starter: starts one pour in the simulator, and ends when its last drop has landed."""

from __future__ import annotations

import json
import time
from typing import Any

from rclpy.qos import DurabilityPolicy
from std_srvs.srv import Trigger

from ..control.controller import ENDED
from ..messages.decode import scalars_from_msg
from .base import ManagedNode
from .parameters import Parameter

# How often the controller is asked to start, s.
ASK_PERIOD = 0.5
# DDS loses an answer to a client that the server has not yet discovered: asked again after, s.
ANSWER_TIMEOUT = 2.0
REPORT_EVERY = 0.2
# A pour that does not end is given up after so long, s; it takes 20 s at real time.
LONGEST = 240.0
# Topics without which a recording of the pour is of no use.
NEEDED = ('truth/twist', 'truth/liquid', 'controller_state')
QUEUE = 10
# States of the controller in which no pour is under way.
RESTING = ('', 'idle', *ENDED)

PARAMETERS = (
    Parameter('patience', 60.0, 'How long the controller may refuse to start, s.', high=3600.0),
    Parameter('recorded', False, 'Start only when somebody listens to the truth and the states.'),
    Parameter('progress', False, 'Print a JSON line on stdout a few times a second.'),
)


class PourStarter(ManagedNode):
    """Calls `pour_controller/start` until it agrees.

    Ends with status 0 once the controller has ended and the simulator's liquid is at rest; with
    1, and the controller's reason, when it refuses for longer than `patience`.
    """

    def __init__(self) -> None:
        super().__init__('pour_starter', PARAMETERS)
        self._client = self.create_client(Trigger, 'pour_controller/start')
        self._asking: Any = None
        self._asked, self._started = 0.0, False
        self._answer, self._state = 'pour_controller/start is not there', ''
        self._began = self._said = 0.0
        self._timer = self.every(ASK_PERIOD, self._ask)
        self._timer.cancel()

    def activate(self) -> None:
        """Begin to ask."""
        self._began = time.monotonic()
        latched = DurabilityPolicy.TRANSIENT_LOCAL
        state, liquid = 'std_msgs/msg/String', 'sensor_msgs/msg/JointState'
        self.subscribe(state, 'controller_state', self._on_state, QUEUE, latched)
        self.subscribe(liquid, 'truth/liquid', self._on_liquid, QUEUE)
        self._timer.reset()

    def deactivate(self) -> None:
        """Stop asking; a pour under way goes on."""
        self._timer.cancel()

    def _ask(self) -> None:
        waited = time.monotonic() - self._began
        if self._started:
            if waited > LONGEST:
                self._give_up(f'the pour has not ended after {LONGEST:.0f} s: {self._state}')
        elif waited > self.value('patience'):
            self._give_up(f'not started: {self._answer}')
        elif self._asking is not None:
            if time.monotonic() > self._asked + ANSWER_TIMEOUT:
                self._miss_answer()
        elif not self._client.service_is_ready():
            return
        elif self.value('recorded') and not all(map(self.count_subscribers, NEEDED)):
            self._answer = 'nobody records it'
        else:
            self._asked = time.monotonic()
            self._asking = self._client.call_async(Trigger.Request())
            self._asking.add_done_callback(self._on_answer)

    def _miss_answer(self) -> None:
        self._client.remove_pending_request(self._asking)
        self._asking, self._answer = None, 'pour_controller/start does not answer'
        if self._state not in RESTING:
            self._start('(its answer was lost)')

    def _on_answer(self, future: Any) -> None:
        self._asking = None
        answer = future.result()
        self._answer = answer.message
        if answer.success and not self._started:
            # The end of an earlier pour does not count.
            self._state = ''
            self._start(answer.message)

    def _start(self, told: str) -> None:
        self._started, self._began = True, time.monotonic()
        self.get_logger().info(f'started {told}'.rstrip())

    def _give_up(self, why: str) -> None:
        self.get_logger().error(why)
        self.finish(1)

    def _on_state(self, message: Any) -> None:
        self._state = message.data

    def _on_liquid(self, message: Any) -> None:
        self.health.received()
        liquid = scalars_from_msg(message)
        now = time.monotonic()
        if self.value('progress') and now > self._said + REPORT_EVERY:
            self._said = now
            print(json.dumps({'state': self._state, **liquid}), flush=True)
        at_rest = not liquid['flow_ml_s'] and not liquid['in_air_ml']
        if self._started and self._state in ENDED and at_rest:
            self.finish(0)
