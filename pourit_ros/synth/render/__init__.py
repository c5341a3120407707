# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Images, depth and labels of a scene."""
