# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""camera_feed: the camera of `pourit bench nodes`, which also records the results' arrival."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from itertools import groupby
from typing import Any

from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription
from rclpy.timer import Timer

from ..bags.feed import NAMES, BagFeed, Step
from ..bags.topics import TYPES
from ..messages.cdr import HEADER, MARKERS, restamp, stamp_of
from ..messages.contract import DIAGNOSTICS, MONITOR, PERCEPTION, Topic
from ..messages.decode import scalars_from_msg, stamp_to_ns
from ..messages.ros import message_class
from ..sync.assembler import AssemblerOptions
from .base import ManagedNode
from .parameters import Parameter
from .qos import output_qos

QUEUE = 10
# After the last image: time for its answers, and for the diagnostics that count them.
LINGER = 2.5
# Results of a frame whose header alone is read, and where that is.
SERIALISED = {'liquid/points': HEADER, 'markers': MARKERS}
# Results that are small enough to be read: the number that says whether there was liquid.
READ: dict[str, Callable[[Any], float]] = {
    'liquid/probability': lambda message: scalars_from_msg(message)['present'],
    'liquid/distance': lambda message: message.range,
}

PARAMETERS = (
    Parameter('bag', '', 'rosbag2 whose frames are published in a loop.'),
    Parameter('rate', 30.0, 'Images per second.', low=0.1, high=1000.0),
    Parameter('seconds', 60.0, 'How long to send images, s.', high=1e6),
    Parameter('source_pose', True, "Also send the source container's pose."),
)


def _cdr(step: Step) -> bytearray:
    """A recorded message that can be stamped again in place."""
    assert isinstance(step.content, bytes), f'{step.place} is computed from TF, not recorded'
    return bytearray(step.content)


class CameraFeed(ManagedNode):
    """Send the frames of a bag like a camera and a tracker, stamped now, and record the results.

    Starts once there are `await_subscriptions`. Prints JSON lines on stdout: `sent` (stamp, ns)
    for each image; `topic`, `stamp` and `arrival` (ns) for each result, with its `value` if it is
    read; `node`, `time` (ns) and `values` for each status on /diagnostics. The arrival is the
    middleware's, so that this node's own work does not count.
    """

    def __init__(self) -> None:
        super().__init__('camera_feed', PARAMETERS)
        self._frames: list[list[tuple[str, bytearray]]] = []
        self._ears: list[Subscription] = []
        self._timer: Timer | None = None
        self._started: float | None = None
        self._sent = 0

    def configure(self) -> None:
        """Read the frames and advertise their topics."""
        feed = BagFeed(self.value('bag'), {}, AssemblerOptions())
        places = [p for p in feed.places if p != 'source_pose' or self.value('source_pose')]
        self._frames = [
            [(NAMES[s.place], _cdr(s)) for s in steps if s.place in places]
            for _, steps in groupby(feed.steps(0), lambda step: step.stamp_ns)
        ]
        for place in places:
            self.advertise(NAMES[place], TYPES[place], QoSProfile(depth=QUEUE))

    def activate(self) -> None:
        """Subscribe, and start to send as soon as there are subscribers."""
        for topic in (*PERCEPTION, *MONITOR):
            if topic.name in SERIALISED:
                self._listen(topic, partial(self._on_serialised, topic.name), raw=True)
            elif topic.name in READ:
                self._listen(topic, partial(self._on_read, topic.name))
        self._listen(DIAGNOSTICS, self._on_diagnostics)
        self._started, self._sent = None, 0
        self._timer = self.every(1 / self.value('rate'), self._tick)

    def deactivate(self) -> None:
        """Stop sending and listening."""
        if self._timer is not None:
            self.destroy_timer(self._timer)
        self._timer = None
        while self._ears:
            self.destroy_subscription(self._ears.pop())

    def _listen(self, topic: Topic, callback: Callable[..., None], raw: bool = False) -> None:
        kind, qos = message_class(topic.type), output_qos(topic)
        # Not an input, which would wait for a publisher: the nodes wait for these subscriptions.
        self._ears.append(self.create_subscription(kind, topic.name, callback, qos, raw=raw))

    def _tick(self) -> None:
        now = time.monotonic()
        if self._started is None:
            if sum(self.subscription_counts().values()) < self.value('await_subscriptions'):
                return
            self._started = now
        # Half a period less, so that no jitter of the timer adds an image at the end.
        left = self.value('seconds') - 0.5 / self.value('rate') - (now - self._started)
        if left > 0:
            self._send_frame()
        elif left < -LINGER:
            self.finish(0)

    def _send_frame(self) -> None:
        stamp_ns = time.time_ns()
        for name, data in self._frames[self._sent % len(self._frames)]:
            restamp(data, stamp_ns)
            self.send_raw(name, bytes(data))
        self._sent += 1
        _say({'sent': stamp_ns})

    def _on_serialised(self, name: str, data: bytes, info: dict[str, Any]) -> None:
        stamp_ns = stamp_of(data, SERIALISED[name])
        _say({'topic': name, 'stamp': stamp_ns, 'arrival': info['received_timestamp']})

    def _on_read(self, name: str, message: Any, info: dict[str, Any]) -> None:
        _say(
            {
                'topic': name,
                'stamp': stamp_to_ns(message.header.stamp),
                'arrival': info['received_timestamp'],
                'value': READ[name](message),
            }
        )

    def _on_diagnostics(self, message: Any) -> None:
        for status in message.status:
            _say(
                {
                    'node': status.name.partition(':')[0],
                    'time': stamp_to_ns(message.header.stamp),
                    'values': {value.key: value.value for value in status.values},
                }
            )


def _say(event: dict[str, Any]) -> None:
    print(json.dumps(event), flush=True)
