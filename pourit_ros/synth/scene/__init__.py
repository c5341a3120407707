# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The content of a synthetic scene: containers, clutter, streams, rooms."""
