# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What the liquid that has landed looks like: its level in the cup, its puddle beside it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..synth.scene.containers import Shape
from .liquid import Account

# How deep spilled liquid stands on a table, m.
PUDDLE_DEPTH = 0.002
# How thick the liquid in the cup is drawn, m.
SLICE = 0.001


class Content:
    """Shows an account's liquid in a model; `table` m: the height on which the cup stands.

    `capacity` m3: what the cup holds when it is full to the brim.
    """

    def __init__(self, cup: Shape, table: float, capacity: float, filled: float = 0.0) -> None:
        self._cup, self._table, self._filled = cup, table, filled
        radius, height = cup.inner.T
        slices = 0.5 * (radius[1:] ** 2 + radius[:-1] ** 2) * np.diff(height)
        below = np.concatenate([[0], np.pi * np.cumsum(slices)])
        # The brim is where the setup says it is full.
        self._volume, self._height = below * capacity / below[-1], height

    def level(self, volume: float) -> float:
        """Height (m, base frame) of the surface with a volume (m3) in the cup."""
        return self._table + float(np.interp(volume, self._volume, self._height))

    def show(self, model: Any, data: Any, account: Account) -> None:
        """Size and place the liquid of `model`, whose state is `data`."""
        volume = self._filled + account.caught
        disc = model.geom('content').id
        surface = self.level(volume) - self._table
        # A slice below the surface: further down the wall is narrower.
        radius = self._cup.inner_radius(surface - SLICE) if volume > 1e-6 else 0.001
        model.geom_size[disc, :2] = radius, 0.5 * SLICE
        data.geom_xpos[disc] = data.body('cup').xpos + [0, 0, surface - 0.5 * SLICE]
        place, spilled = account.puddle
        disc = model.geom('puddle').id
        radius = np.sqrt(max(spilled, 1e-9) / (np.pi * PUDDLE_DEPTH))
        model.geom_size[disc, :2] = radius, 0.5 * PUDDLE_DEPTH
        height = self._table + 0.5 * PUDDLE_DEPTH if spilled > 2e-7 else -1.0
        data.geom_xpos[disc] = [*place, height]
