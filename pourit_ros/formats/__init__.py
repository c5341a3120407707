# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Files on disk: images, videos, scenes, tables."""
