# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A node of a test's own process that hears and says what a test wants, for several tests."""

import threading
from functools import partial

import pytest

from pourit_ros.messages.decode import stamp_to_ns
from pourit_ros.messages.ros import fill, message_class

PATIENCE = 60.0


def join(nodes, name):
    """A context and a node of this process, in the domain and with the profile of `nodes`."""
    import rclpy

    with pytest.MonkeyPatch.context() as patch:
        for key, value in nodes.environment.items():
            if key.startswith(('ROS_', 'FAST')):
                patch.setenv(key, value)
        context = rclpy.Context()
        rclpy.init(context=context, domain_id=int(nodes.environment['ROS_DOMAIN_ID']))
        # With the first node comes Fast DDS' participant, which reads the profile.
        return context, rclpy.create_node(name, namespace='/pourit', context=context)


class Listener:
    """Hears `topics` {name: type} in the domain of `nodes`; `on_message` sees each message."""

    def __init__(self, nodes, topics, latched=()):
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.qos import DurabilityPolicy, QoSProfile

        self.context, self.node = join(nodes, 'listener')
        self.nodes = nodes
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.came = threading.Condition()
        self.heard = {name: [] for name in topics}
        for name, kind in topics.items():
            qos = QoSProfile(depth=100)
            if name in latched:
                qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
            self.node.create_subscription(
                message_class(kind), name, partial(self._take, name), qos
            )
        self.thread = threading.Thread(target=self.executor.spin, daemon=True)

    def start(self):
        self.thread.start()

    def close(self):
        self.executor.shutdown()
        self.thread.join()
        self.node.destroy_node()
        self.context.try_shutdown()

    def offer(self, name, kind, depth=10):
        return self.node.create_publisher(message_class(kind), name, depth)

    def send(self, publisher, fields):
        publisher.publish(fill(publisher.msg_type, fields))

    def on_message(self, name, message):
        """What a test does with a message, in the executor's thread."""

    def _take(self, name, message):
        with self.came:
            self.heard[name].append(message)
            self.came.notify_all()
        self.on_message(name, message)

    def next(self, name):
        """The next message of a topic."""
        with self.came:
            count = len(self.heard[name])
            if not self.came.wait_for(lambda: len(self.heard[name]) > count, PATIENCE):
                self.nodes.check()
                raise AssertionError(f'nothing on {name}: {self.nodes.logs()}')
            return self.heard[name][-1]

    def stamps(self, name):
        """Stamps of all messages of a topic so far."""
        with self.came:
            return {stamp_to_ns(message.header.stamp) for message in self.heard[name]}

    def call(self, service_type, name, request):
        """The response of a service."""
        client = self.node.create_client(service_type, name)
        assert client.wait_for_service(PATIENCE)
        for _ in range(6):
            # A response is lost when it leaves before its reader was discovered.
            done = threading.Event()
            future = client.call_async(request)
            future.add_done_callback(lambda _, done=done: done.set())
            if done.wait(PATIENCE / 6):
                return future.result()
        raise AssertionError(f'{name} does not answer')
