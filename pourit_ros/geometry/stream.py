# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Free fall of the stream in the pouring plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import NotEstimable
from .fall import GRAVITY, fall_time

# A liquid that leaves a mouth has some downward speed by the first pixel; also keeps ds/dz finite.
MIN_DOWNWARD = 0.02
# Poured liquids are slow: these weak priors only matter for streams too short to tell.
PRIOR_HORIZONTAL = (0.0, 1.5)
PRIOR_DOWNWARD = (0.4, 1.5)
_PRIOR_MEAN = np.array([0.0, PRIOR_HORIZONTAL[0], PRIOR_DOWNWARD[0]])
_PRIOR_INFORMATION = np.array([0.0, PRIOR_HORIZONTAL[1] ** -2, PRIOR_DOWNWARD[1] ** -2])
# Of the fit: four to eight steps are the rule.
MAX_STEPS = 50
COST_TOLERANCE = 1e-10
MIN_POINTS = 5
MIN_DROP = 0.008


@dataclass(frozen=True, eq=False)
class StreamFit:
    """The centre line s(z) = s₀ + v t(z), z = z_top − u t − g t²/2, in plane coordinates.

    Eliminating t gives DESIGN's z(s) = z₀ + m(s−s₀) − g(s−s₀)²/(2v²) with m = −u/v; this form
    also holds for v = 0, a tap's vertical stream. `s0` m and `horizontal_speed` v, m/s, at height
    `top` (m), `downward_speed` u, m/s; `covariance` (3, 3) of (s0, v, u). `rms` (m): robust
    distance of the centre line's points to the curve.
    """

    s0: float
    horizontal_speed: float
    downward_speed: float
    top: float
    covariance: NDArray[np.float64]
    rms: float

    @property
    def parameters(self) -> NDArray[np.float64]:
        """(s0, v, u)."""
        return np.array([self.s0, self.horizontal_speed, self.downward_speed])

    def at(self, z: ArrayLike) -> NDArray[np.float64]:
        """Horizontal coordinate s (m) of the curve at heights z (m) at or below the top."""
        t = fall_time(np.maximum(self.top - np.asarray(z), 0.0), self.downward_speed)
        return self.s0 + self.horizontal_speed * t


def residuals(
    parameters: NDArray[np.float64], s: NDArray[np.float64], drop: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Signed distances (N,) m of points at (s, top − drop) from the curve, to first order.

    With them their derivatives (5, N) by (s0, v, u) and by each point's own s and drop.
    """
    s0, v, u = parameters
    t = fall_time(drop, u)
    fall = u + GRAVITY * t
    cosine = fall / np.sqrt(v * v + fall * fall)
    lateral = s - s0 - v * t
    # d cosine/d fall = v² / hypotenuse³, and d cosine/dv = −v fall / hypotenuse³.
    turn = lateral * v * (cosine / fall) ** 3
    # As fall² = u² + 2 g drop: d fall/du = u / fall, dt/du = −t / fall, d fall/d drop = g / fall.
    J = np.empty((5, len(s)))
    np.negative(cosine, out=J[0])
    J[1] = -t * cosine - fall * turn
    J[2] = (t * v * cosine + v * u * turn) / fall
    J[3] = cosine
    J[4] = (GRAVITY * v * turn - v * cosine) / fall
    return lateral * cosine, J


def fit_stream(
    s: ArrayLike, z: ArrayLike, weight: ArrayLike, sigma: float, correlation: float
) -> StreamFit:
    """Fit the free-fall curve to centre-line points (s, z), (N,) m.

    `weight` (N,): relative trust (CAM); `sigma`: one-sigma of a point across the stream, m;
    `correlation`: how many neighbouring points err together. Robust (soft-L1) least squares.
    Raises NotEstimable when the points are too few or fall too little.
    """
    s, z, weight = (np.asarray(a, dtype=float) for a in (s, z, weight))
    if len(s) < MIN_POINTS:
        raise NotEstimable(
            f'the stream has {len(s)} centre-line points, at least {MIN_POINTS} needed'
        )
    top = float(z.max())
    drop = top - z
    if drop.max() < MIN_DROP:
        raise NotEstimable(
            f'only {1000 * drop.max():.0f} mm of the stream is visible, at least '
            f'{1000 * MIN_DROP:.0f} needed'
        )
    # Errors shared by `correlation` neighbours: as many independent points fewer.
    scale = sigma * np.sqrt(max(correlation, 1.0))
    trust = np.sqrt(weight / weight.mean()) / scale
    best = _least_cost(_initial(s, drop), s, drop, trust)
    r, J = residuals(best, s, drop)
    J = trust * J[:3]
    influence = 1 / np.sqrt(1 + (trust * r) ** 2)
    covariance = np.linalg.inv((J * influence) @ J.T + np.diag(_PRIOR_INFORMATION))
    rms = float(np.sqrt(np.average(r**2, weights=weight * influence)))
    s0, v, u = (float(x) for x in best)
    return StreamFit(s0, v, u, top, covariance, rms)


def _least_cost(
    start: NDArray[np.float64],
    s: NDArray[np.float64],
    drop: NDArray[np.float64],
    trust: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Minimise Σ 2(√(1+r²)−1) + the priors over (s0, v, u) by Levenberg-Marquardt.

    A step that would take the speed u below its bound goes to the best point on the bound.
    """
    here, damping = start, 1e-2
    cost, gradient, curvature = _cost(here, s, drop, trust)
    for _ in range(MAX_STEPS):
        damped = curvature + np.diag(damping * np.diag(curvature))
        step = np.linalg.solve(damped, -gradient)
        if here[2] + step[2] < MIN_DOWNWARD:
            step[2] = MIN_DOWNWARD - here[2]
            step[:2] = np.linalg.solve(damped[:2, :2], -gradient[:2] - step[2] * damped[:2, 2])
        there = here + step
        new = _cost(there, s, drop, trust)
        gain = cost - new[0]
        promised = -(gradient + 0.5 * curvature @ step) @ step
        if gain < 0.25 * promised:
            damping *= 8
        elif gain > 0.75 * promised:
            damping = max(damping / 8, 1e-6)
        if gain >= 0:
            here, (cost, gradient, curvature) = there, new
        # In units of a sigma squared, so far below what the points can tell.
        if abs(gain) < COST_TOLERANCE:
            break
    return here


def _cost(
    parameters: NDArray[np.float64],
    s: NDArray[np.float64],
    drop: NDArray[np.float64],
    trust: NDArray[np.float64],
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Half the cost, its gradient (3,) and its Gauss-Newton curvature (3, 3)."""
    r, J = residuals(parameters, s, drop)
    r = trust * r
    J = trust * J[:3]
    root = np.sqrt(1 + r * r)
    away = (parameters - _PRIOR_MEAN) * _PRIOR_INFORMATION
    # √(1+r²)−1 = r²/(1+√(1+r²)): the second form keeps its digits near 0. Its second derivative
    # by r is (1+r²)^(−3/2).
    cost = (r * r / (1 + root)).sum() + 0.5 * away @ (parameters - _PRIOR_MEAN)
    curvature = (J / root**3) @ J.T + np.diag(_PRIOR_INFORMATION)
    return float(cost), J @ (r / root) + away, curvature


def _initial(s: NDArray[np.float64], drop: NDArray[np.float64]) -> NDArray[np.float64]:
    """Best of a few downward speeds, each with its regression line s = s0 + v t."""
    u = np.array([[0.05], [0.2], [0.5], [1.0], [2.0]])
    t = fall_time(drop, u)
    t_mean = t.mean(axis=1, keepdims=True)
    v = (t - t_mean) @ s / ((t - t_mean) ** 2).sum(axis=1)
    s0 = s.mean() - v * t_mean[:, 0]
    k = np.abs(s0[:, None] + v[:, None] * t - s).sum(axis=1).argmin()
    return np.array([s0[k], v[k], u[k, 0]])
