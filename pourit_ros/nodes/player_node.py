# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""bag_player: play a bag's camera and poses on the input topics of the nodes."""

from __future__ import annotations

import json
import threading
import time

from rclpy.qos import QoSProfile

from ..bags.feed import NAMES, BagFeed, Step
from ..bags.topics import TYPES
from ..messages.cdr import MARKERS, stamp_of
from ..messages.contract import MONITOR
from ..messages.encode import ns_to_stamp
from ..messages.ros import message_class
from ..sync.assembler import AssemblerOptions
from .base import ManagedNode
from .failures import line
from .parameters import BASE_FRAME, POSE_TOLERANCE, TARGET_FRAME, Parameter
from .qos import output_qos

# Every frame that pour_monitor has taken in ends with a message on this topic.
ANSWER = next(topic for topic in MONITOR if topic.name == 'markers')
QUEUE = 10
# Without an answer to so many images in a row, nobody is going to answer the rest.
HOPELESS = 3
# At recorded speed: how long the last image may still be worked on.
LINGER = 5.0
# How long subscribers may take for what was played to them last, s.
DELIVERY = 2.0
# How often a wait looks whether it is over: for subscribers, which nothing announces.
POLL = 0.02
REPORT_EVERY = 5.0

PARAMETERS = (
    Parameter('bag', '', 'rosbag2 folder, .mcap or .db3 file.'),
    Parameter(
        'rate',
        1.0,
        'Speed relative to the recording; 0: lock-step, the next image follows the answer to the '
        'one before.',
        high=100.0,
    ),
    Parameter('loop', False, 'Start over at the end; not with lock-step.'),
    Parameter('clock', False, 'Publish the time of the recording on /clock.'),
    Parameter('progress', False, 'Print a JSON line for each image on stdout.'),
    Parameter(
        'answer_timeout', 30.0, 'How long lock-step waits for an answer, s.', low=0.1, high=3600.0
    ),
    Parameter('use_depth', True, 'Play depth too.'),
    Parameter('source_frame', '', "The source's TF frame in the bag; empty: its pose topic."),
    TARGET_FRAME,
    BASE_FRAME,
    POSE_TOLERANCE,
    Parameter('wait', 0.15, 'How long to wait for the depth and poses of an image, s.', high=2.0),
    *(
        Parameter(f'topics.{place}', '', f'Topic of {place} in the bag; empty: found by name.')
        for place in TYPES
    ),
)


class BagPlayer(ManagedNode):
    """Play a bag in its order, with its stamps, once its topics have subscribers.

    Ends with the bag. In lock-step nothing is dropped, however slow the model is: the answer to an
    image is the message on `markers` with its stamp, the last that pour_monitor sends for each
    frame, with liquid or without.
    """

    # Since configure.
    _feed: BagFeed

    def __init__(self) -> None:
        super().__init__('bag_player', PARAMETERS)
        self._thread: threading.Thread | None = None
        self._answers = threading.Condition()
        self._answered_ns: int | None = None
        self._answered = 0
        self._sent = 0
        self._stopping = False

    def configure(self) -> None:
        """Inspect the bag and advertise its topics."""
        if not self.value('bag'):
            raise ValueError('parameter bag: give the path of a rosbag2')
        if self.value('loop') and self.value('rate') == 0:
            raise ValueError(
                'parameter loop: lock-step (rate 0.0) cannot loop, set a rate above 0'
            )
        chosen = {place: self.value(f'topics.{place}') for place in TYPES}
        bag, topics = self.value('bag'), {place: topic for place, topic in chosen.items() if topic}
        options = AssemblerOptions(
            source_frame=self.value('source_frame'),
            target_frame=self.value('target_frame'),
            base_frame=self.value('base_frame'),
            pose_tolerance=self.value('pose_tolerance'),
            wait=self.value('wait'),
            use_depth=self.value('use_depth'),
        )
        with self.interruptible():
            feed = self._feed = BagFeed(bag, topics, options)
        if feed.notice:
            self.get_logger().warning(f'{bag}: {feed.notice}')
        for place in feed.places:
            self.advertise(NAMES[place], TYPES[place], QoSProfile(depth=QUEUE))
        if self.value('clock'):
            self.advertise('/clock', 'rosgraph_msgs/msg/Clock', QoSProfile(depth=QUEUE))

    def activate(self) -> None:
        """Start playing."""
        self._stopping, self._sent, self._answered = False, 0, 0
        self._answer_subscription = self.create_subscription(
            message_class(ANSWER.type), ANSWER.name, self._on_answer, output_qos(ANSWER), raw=True
        )
        self._thread = threading.Thread(target=self._run, name='player', daemon=True)
        self._thread.start()

    def deactivate(self) -> None:
        """Stop playing."""
        if self._thread is None:
            return
        with self._answers:
            self._stopping = True
            self._answers.notify()
        self._thread.join()
        self._thread = None
        self.destroy_subscription(self._answer_subscription)

    def _on_answer(self, data: bytes) -> None:
        with self._answers:
            self._answered_ns = stamp_of(data, MARKERS)
            self._answered += 1
            self._answers.notify()

    def _run(self) -> None:
        try:
            if self._subscribers_came():
                last = self._play()
                while self.value('loop') and not self._stopping:
                    last = self._play()
                self._see_off(last)
        except ValueError as error:
            self.get_logger().error(line(error))
            self.finish(1)
        except Exception as error:
            self.failed(error)
        else:
            self.finish(0)

    def _subscribers_came(self) -> bool:
        """Wait until the topics have subscriptions; earlier messages are lost."""
        awaited = self.value('await_subscriptions')
        needed = (NAMES['color'], NAMES['info'])
        report = time.monotonic() + REPORT_EVERY
        while not self._stopping:
            counts = self.subscription_counts()
            if all(counts[name] for name in needed) and sum(counts.values()) >= awaited:
                return True
            if time.monotonic() > report:
                there = ', '.join(f'{name} {count}' for name, count in counts.items())
                self.get_logger().info(f'waiting for subscribers; so far: {there}')
                report += REPORT_EVERY
            time.sleep(POLL)
        return False

    def _play(self) -> int | None:
        """Play the bag once; return the stamp of the image that may still be unanswered."""
        rate, lockstep = self.value('rate'), self.value('rate') == 0
        lead_ns = round(self.value('wait') * 1e9) if lockstep else 0
        in_flight: int | None = None
        unanswered = 0
        start, first_ns = time.monotonic(), None
        for step in self._feed.steps(lead_ns):
            if self._stopping:
                return None
            if lockstep:
                # What belongs to the image in flight goes with it, such as its camera info.
                camera = step.place in ('color', 'info')
                if camera and in_flight is not None and step.stamp_ns != in_flight:
                    answered = self._wait_for_answer(in_flight, self.value('answer_timeout'))
                    unanswered = 0 if answered else unanswered + 1
                    in_flight = None
                    if unanswered >= HOPELESS:
                        raise ValueError(f'no answer to {unanswered} images in a row')
            else:
                first_ns = step.recorded_ns if first_ns is None else first_ns
                due = start + (step.recorded_ns - first_ns) * 1e-9 / rate
                if not self._sleep_until(due):
                    return None
            if step.place == 'color':
                in_flight = step.stamp_ns
            self._publish(step)
        return in_flight

    def _see_off(self, last: int | None) -> None:
        """Wait for the answer to the last image, if there is a monitor."""
        if last is not None and self.count_publishers(self.resolve_topic_name(ANSWER.name)):
            lockstep = self.value('rate') == 0
            self._wait_for_answer(last, self.value('answer_timeout') if lockstep else LINGER)
        self.wait_until_delivered(DELIVERY)
        self._print_progress()

    def _publish(self, step: Step) -> None:
        if self.value('clock'):
            self.send('/clock', {'clock': ns_to_stamp(step.recorded_ns)})
        if isinstance(step.content, bytes):
            self.send_raw(NAMES[step.place], step.content)
        else:
            self.send(NAMES[step.place], step.content)
        if step.place == 'color':
            self._sent += 1
            self.health.received()
            self._print_progress()

    def _wait_for_answer(self, stamp_ns: int, timeout: float) -> bool:
        with self._answers:
            answered = self._answers.wait_for(
                lambda: self._stopping or self._answered_ns == stamp_ns, timeout
            )
        if not answered and self.value('rate') == 0:
            self.health.problem(f'image {stamp_ns} was not answered within {timeout:g} s')
        return answered

    def _sleep_until(self, due: float) -> bool:
        """Sleep; return False if told to stop."""
        with self._answers:
            while not self._stopping and (left := due - time.monotonic()) > 0:
                self._answers.wait(left)
        return not self._stopping

    def _print_progress(self) -> None:
        if self.value('progress'):
            line = {'sent': self._sent, 'answered': self._answered, 'frames': self._feed.count}
            print(json.dumps(line), flush=True)
