# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Join mask, probability and distance of the live nodes by stamp.

ros2 launch pourit_ros pour.launch.py ...
python examples/watch_pour.py
"""

import math
from collections import defaultdict
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image, JointState, Range

Stamp = tuple[int, int]
KINDS = {'mask': Image, 'probability': JointState, 'distance': Range}
# Frames that may wait for their distance; one that could not be measured never gets one.
KEPT = 30


class PourWatcher(Node):
    """Prints what is known of each frame, once all of it has come."""

    def __init__(self) -> None:
        super().__init__('pour_watcher')
        self.waiting: dict[Stamp, dict[str, Any]] = defaultdict(dict)
        for name, kind in KINDS.items():
            # Masks are best effort, and are made only while somebody listens.
            self.create_subscription(
                kind, f'/pourit/liquid/{name}', partial(self.take, name), qos_profile_sensor_data
            )

    def take(self, name: str, message: Any) -> None:
        """Every message of a frame carries the stamp of its colour image."""
        stamp = (message.header.stamp.sec, message.header.stamp.nanosec)
        self.waiting[stamp][name] = message
        if len(self.waiting[stamp]) == len(KINDS):
            self.show(stamp, **self.waiting.pop(stamp))
        while len(self.waiting) > KEPT:
            del self.waiting[next(iter(self.waiting))]

    def show(self, stamp: Stamp, mask: Image, probability: JointState, distance: Range) -> None:
        """Replace this with what your robot does."""
        pixels = np.count_nonzero(np.frombuffer(mask.data, np.uint8))
        values = dict(zip(probability.name, probability.position, strict=True))
        where = 'no liquid' if math.isinf(distance.range) else f'{1000 * distance.range:.0f} mm'
        print(f'{stamp}: {values["probability"]:.2f}, {pixels} px, {where}', flush=True)


if __name__ == '__main__':
    rclpy.init()
    with suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(PourWatcher())
