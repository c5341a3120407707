# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What a vector was at a time."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray


class History:
    """Vectors (N,) by time, of the last `span` s; `at` interpolates between them."""

    def __init__(self, span: float = 1.5) -> None:
        self.span = span
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._times: list[float] = []
        self._values: list[NDArray[np.float64]] = []

    def add(self, time: float, value: NDArray[np.float64]) -> None:
        """Remember a vector; times grow, another value for the same time replaces it."""
        if self._times and time <= self._times[-1]:
            self._values[-1] = value
            return
        self._times.append(time)
        self._values.append(value)
        if self._times[0] < time - 2 * self.span:
            first = bisect_right(self._times, time - self.span)
            del self._times[:first], self._values[:first]

    def shift(self, change: NDArray[np.float64]) -> None:
        """Add `change` (N,) to all of them."""
        self._values = [value + change for value in self._values]

    def pick(self, of: NDArray[np.intp]) -> None:
        """Rearrange the numbers within each vector."""
        self._values = [value[of] for value in self._values]

    def at(self, time: float) -> NDArray[np.float64] | None:
        """The vector (N,) at a time, the nearest one outside of the history; None without any."""
        if not self._times:
            return None
        i = bisect_right(self._times, time)
        if i in (0, len(self._times)):
            return self._values[min(i, len(self._times) - 1)]
        since, until = self._times[i - 1], self._times[i]
        a = (time - since) / (until - since)
        return (1 - a) * self._values[i - 1] + a * self._values[i]
