# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Image and depth to poses of the containers."""

from .registration import SeenContainer, find_container

__all__ = ['SeenContainer', 'find_container']
