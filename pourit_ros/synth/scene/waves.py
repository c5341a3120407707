# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Random smooth functions as sums of few waves: cheap, for any argument, reproducible."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Waves:
    """A smooth function R → R of unit variance.

    `low`, `high`: frequencies (1/unit of the argument); amplitudes fall as frequency^-slope.
    """

    def __init__(
        self, rng: np.random.Generator, count: int, low: float, high: float, slope: float = 1.0
    ) -> None:
        self._frequency = np.exp(rng.uniform(np.log(low), np.log(high), count))
        self._phase = rng.uniform(0, 2 * np.pi, count)
        amplitude = (low / self._frequency) ** slope * rng.uniform(0.5, 1, count)
        self._amplitude = amplitude / np.sqrt(0.5 * (amplitude**2).sum())

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values at `x`, of its shape."""
        turn = 2 * np.pi * np.multiply.outer(x, self._frequency) + self._phase
        return np.sin(turn) @ self._amplitude


class WrappedWaves:
    """A smooth function of (x, angle), periodic in the angle, of unit variance."""

    def __init__(
        self,
        rng: np.random.Generator,
        count: int,
        low: float,
        high: float,
        lobes: int,
        slope: float,
    ) -> None:
        frequency = np.exp(rng.uniform(np.log(low), np.log(high), count))
        self._frequency = frequency * rng.choice([-1, 1], count)
        self._lobes = rng.integers(0, lobes + 1, count)
        self._phase = rng.uniform(0, 2 * np.pi, count)
        amplitude = (frequency / low + 0.7 * self._lobes) ** -slope
        self._amplitude = amplitude / np.sqrt(0.5 * (amplitude**2).sum())

    def __call__(self, x: NDArray[np.float64], angle: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values (N, M) at `x` (N,) and `angle` (M,)."""
        # cos(a + b) as a product of matrices: N x waves times waves x M.
        a = 2 * np.pi * np.multiply.outer(x, self._frequency) + self._phase
        b = np.multiply.outer(angle, self._lobes)
        cos = (np.cos(a) * self._amplitude) @ np.cos(b).T
        return cos - (np.sin(a) * self._amplitude) @ np.sin(b).T
