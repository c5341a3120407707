# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Sets of rendered pairs and sequences on disk."""
