# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The file names of a replay."""

CSV, VIDEO, REPORT, BAG = 'estimates.csv', 'overlay.mp4', 'report.html', 'bag'
# With --rrd.
RECORDING = 'replay.rrd'
