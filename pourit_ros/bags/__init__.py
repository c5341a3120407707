# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Read and write rosbag2 files without a ROS installation."""

from .errors import BagError

__all__ = ['BagError']
