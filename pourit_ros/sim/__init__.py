# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A simulated robot cell: a Franka FR3 pours from a bottle into a cup before an RGB-D camera.

`draw` draws the numbers of a trial, a `Cell` is the trial. Needs the extra `sim`.
"""

from .cell import Cell
from .setup import SWITCHES, Setup, draw

__all__ = ['SWITCHES', 'Cell', 'Setup', 'draw']
