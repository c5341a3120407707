# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""ROS messages to and from numpy, without ROS.

Decoding is duck-typed: it takes rclpy's messages and rosbags' dataclasses alike. Encoding builds
plain field dicts that `ros.fill` and `rosbag.build` turn into either.
"""

from .errors import MessageError

__all__ = ['MessageError']
