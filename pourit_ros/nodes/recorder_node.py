# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""recorder: write the nodes' messages into a rosbag2 as they arrive."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from functools import partial

from rclpy.qos import DurabilityPolicy

from ..bags.writer import STORAGES, BagWriter
from ..messages.contract import CONTROLLER, DIAGNOSTICS, MONITOR, PERCEPTION, SIMULATOR, Topic
from .base import ManagedNode
from .parameters import Parameter

# Its arrival is where a frame's latency starts: the image itself is in the bag that is replayed.
CAMERA_INFO = Topic('color/camera_info', 'sensor_msgs/msg/CameraInfo', 'as the camera sent it')
OVERLAY = 'liquid/overlay'
# With pour_simulator, whose camera is then the source of the camera info too.
SIMULATION = (*CONTROLLER, *(topic for topic in SIMULATOR if topic.name != CAMERA_INFO.name))
TOPICS = (CAMERA_INFO, *PERCEPTION, *MONITOR, *SIMULATION, DIAGNOSTICS)
QUEUE = 50
# Told to end, it writes what is still under way: until nothing came between so many checks, s
# apart, but no longer.
CHECKS, CHECK_PERIOD = 3, 0.1
LAST_CALL = 2.0

PARAMETERS = (
    Parameter('bag', '', 'Folder to write; it appears when the recorder ends.'),
    Parameter('storage', 'mcap', 'Storage of the rosbag2.', choices=tuple(STORAGES)),
    Parameter('overlay', False, 'Also record liquid/overlay, which is then drawn for each frame.'),
    Parameter('simulation', False, 'Also record pour_simulator and pour_controller.'),
)


class Recorder(ManagedNode):
    """Record the contract's topics, camera info and diagnostics at their times of arrival."""

    def __init__(self) -> None:
        super().__init__('recorder', PARAMETERS)
        self._closing = ExitStack()
        self._quiet_checks = 0
        self._deadline: float | None = None
        self.every(CHECK_PERIOD, self._check_end)

    def configure(self) -> None:
        """Open the bag."""
        if not self.value('bag'):
            raise ValueError('parameter bag: give the folder to write')
        distro = os.environ.get('ROS_DISTRO', 'jazzy')
        writer = BagWriter(self.value('bag'), self.value('storage'), distro)
        self._writer = self._closing.enter_context(writer)

    def activate(self) -> None:
        """Subscribe to all topics, without deserialising."""
        left_out = {
            *([] if self.value('overlay') else [OVERLAY]),
            *([] if self.value('simulation') else (topic.name for topic in SIMULATION)),
        }
        for topic in TOPICS:
            if topic.name in left_out:
                continue
            self.subscribe(
                topic.type,
                topic.name,
                partial(self._on_message, self.resolve_topic_name(topic.name), topic.type),
                QUEUE,
                DurabilityPolicy.TRANSIENT_LOCAL if topic.latched else DurabilityPolicy.VOLATILE,
                raw=True,
            )

    def cleanup(self) -> None:
        """Close the bag; it appears under its name."""
        try:
            self._closing.close()
        except Exception as error:
            self.get_logger().error(f'{self.value("bag")}: {error}')
            self.finish(1)

    def request_stop(self) -> None:
        """Record the messages still under way, then end."""
        self._deadline = time.monotonic() + LAST_CALL

    def _on_message(self, name: str, type_name: str, data: bytes) -> None:
        arrival_ns = time.time_ns()
        if type_name != DIAGNOSTICS.type:
            self._quiet_checks = 0
        self.health.received()
        self._writer.write_raw(name, type_name, data, arrival_ns)

    def _check_end(self) -> None:
        if self._deadline is None or self.finished:
            return
        # Checks, not seconds: between two of them whatever has come is written, however long this
        # process had to wait for its turn.
        self._quiet_checks += 1
        if time.monotonic() > self._deadline or self._quiet_checks >= CHECKS:
            self.finish(0)
