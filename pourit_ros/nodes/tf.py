# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Subscribe to /tf if tf2_msgs is installed: ROS installations have it, the wheels do not."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

from rclpy.qos import DurabilityPolicy

from .base import ManagedNode
from .qos import POSE_DEPTH


def subscribe_tf(node: ManagedNode, callback: Callable[[Any, bool], None]) -> bool:
    """Call `callback(TFMessage, static)` while the node is active; False: no tf2_msgs here."""
    if importlib.util.find_spec('tf2_msgs') is None:
        return False
    type_name = 'tf2_msgs/msg/TFMessage'
    node.subscribe(type_name, '/tf', lambda message: callback(message, False), POSE_DEPTH)
    node.subscribe(
        type_name,
        '/tf_static',
        lambda message: callback(message, True),
        POSE_DEPTH,
        DurabilityPolicy.TRANSIENT_LOCAL,
    )
    return True
