# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Run the nodes as processes: start them, play a bag, record, report."""
