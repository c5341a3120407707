# SPDX-License-Identifier: Apache-2.0
"""rosbag2 files in and out, without a ROS installation."""

from .errors import BagError

__all__ = ['BagError']
