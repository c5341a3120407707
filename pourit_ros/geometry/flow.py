# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The flow of a stream from its width and its speed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .fall import GRAVITY
from .slices import Slices
from .stream import StreamFit

# Logarithmic grids over which the posterior is summed: flow m3/s, exit speed m/s.
FLOWS = np.geomspace(0.5e-6, 1000e-6, 97)
SPEEDS = np.geomspace(0.04, 2.0, 24)
# Slices nearer than this along the stream err together, m.
CORRELATION = 0.04
# Of the fitted speed, besides what the fit states: poses turn the plane.
SPEED_ERROR = 0.08
# Speeds less likely than the likeliest by this, in logarithms, are left out.
NEGLIGIBLE = 8.0
# Normal quantiles of a 68 % interval.
LOWER, UPPER = 0.1587, 0.8413


@dataclass(frozen=True)
class FlowModel:
    """What masks show of a stream, and what is known of its flow before.

    A round stream of flow Q and speed w has the radius r = (Q / (pi w))^(1/2), and Q is the same
    in all of its slices (continuity). A mask shows it with half the width
    `widening` r + `pixel_share` of a pixel + `blob` m; measured on rendered pours with the masks
    of the default network (`pourit bench flow`, docs/flow.md). Their scatter, relative:
    `shape`, which all slices of a stream have in common, since a stream is a sheet, a chain of
    links or a twisted ribbon before it is round, and seen from one side; and `lip`, which those
    near its top have besides and which is gone after `rounding` m.

    Priors, log-normal, as median and relative deviation: `usual_flow` m3/s, `usual_speed` m/s at
    the top of what is seen, where the fit says little.

    `EXACT`: for masks that are the stream's outline.
    """

    widening: float = 0.64
    pixel_share: float = 0.69
    blob: float = 0.22e-3
    shape: float = 0.08
    lip: float = 0.25
    rounding: float = 0.06
    usual_flow: tuple[float, float] = (32e-6, 3.0)
    usual_speed: tuple[float, float] = (0.4, 0.7)

    def measure(self, slices: Slices, fit: StreamFit) -> tuple[float, float]:
        """Flow and its standard deviation, m3/s.

        The median of the posterior over flow and exit speed, and half of its 68 % interval: it
        covers how the speed is known, the width's calibration and the stream's shape.
        """
        drop, radius, pixel = slices.drop, slices.radius, slices.pixel
        spread = self.spread(drop)
        weight = spread**-2
        # Robust: a slice whose flow is far from the others' counts for less.
        fitted = np.hypot(fit.horizontal_speed, fit.downward_speed)
        own = np.log(self.radius(radius, pixel)) + 0.25 * np.log(fitted**2 + 2 * GRAVITY * drop)
        off = own - _weighted_median(own, weight)
        weight = weight / np.maximum(1.0, np.abs(off) / (2 * spread))
        weight = weight / weight.sum()
        scatter = float(np.sqrt(weight @ off**2))
        pieces = max(1.0, (float(np.ptp(drop)) + slices.height) / CORRELATION)
        sigma = np.hypot(float(weight @ spread), scatter / np.sqrt(pieces))

        density = self._speeds(fit)
        likely = density > density.max() - NEGLIGIBLE
        speed = np.sqrt(SPEEDS[likely, None] ** 2 + 2 * GRAVITY * drop)
        shown = self.shown(np.sqrt(FLOWS[:, None, None] / (np.pi * speed)), pixel)
        miss = (np.log(radius) - np.log(shown)) @ weight
        likelihood = -0.5 * (miss / sigma) ** 2
        prior = _log_normal(FLOWS, self.usual_flow)[:, None] + density[likely]
        posterior = np.exp((total := likelihood + prior) - total.max()).sum(axis=1)
        cumulative = np.cumsum(posterior) - 0.5 * posterior
        low, middle, high = np.exp(
            np.interp([LOWER, 0.5, UPPER], cumulative / posterior.sum(), np.log(FLOWS))
        )
        return float(middle), float(0.5 * (high - low))

    def spread(self, drop: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scatter (N,) of the width, relative, so far (N,) m below the top."""
        return np.hypot(self.shape, self.lip * np.exp(-drop / self.rounding))

    def shown(
        self, radius: NDArray[np.float64], pixel: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Half the width (..., N) m in masks of round streams of a `radius` (..., N) m."""
        return self.widening * radius + self.pixel_share * pixel + self.blob

    def radius(self, seen: NDArray[np.float64], pixel: NDArray[np.float64]) -> NDArray[np.float64]:
        """Radius (N,) m of round streams that are `seen` with half the width (N,) m."""
        exact = (seen - self.pixel_share * pixel - self.blob) / self.widening
        return np.maximum(exact, 0.2 * seen)

    def _speeds(self, fit: StreamFit) -> NDArray[np.float64]:
        """Logarithm of the density by log(SPEEDS): the prior, and the fit's likelihood."""
        components = np.array([fit.horizontal_speed, fit.downward_speed])
        size = max(float(np.linalg.norm(components)), 1e-3)
        along = components / size
        variance = float(along @ fit.covariance[1:, 1:] @ along) + (SPEED_ERROR * size) ** 2
        likelihood = -0.5 * (SPEEDS - size) ** 2 / variance
        return likelihood + _log_normal(SPEEDS, self.usual_speed)


EXACT = FlowModel(widening=1.0, pixel_share=0.0, blob=0.0, lip=0.4)


def _log_normal(values: NDArray[np.float64], usual: tuple[float, float]) -> NDArray[np.float64]:
    """Logarithm of the density by log(values)."""
    median, deviation = usual
    return -0.5 * (np.log(values / median) / deviation) ** 2


def _weighted_median(values: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    order = np.argsort(values)
    half = np.cumsum(weight[order])
    return float(values[order][np.searchsorted(half, 0.5 * half[-1])])
