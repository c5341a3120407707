# SPDX-License-Identifier: Apache-2.0
"""Free fall of the stream in the pouring plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares

from .errors import NotEstimable

GRAVITY = 9.81
# A liquid that leaves a mouth has some downward speed by the first pixel; also keeps ds/dz finite.
MIN_DOWNWARD = 0.02
# Poured liquids are slow: these weak priors only matter for streams too short to tell.
PRIOR_HORIZONTAL = (0.0, 1.5)
PRIOR_DOWNWARD = (0.4, 1.5)
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

    @property
    def exit_speed(self) -> float:
        """Speed at the top of the visible stream, m/s."""
        return float(np.hypot(self.horizontal_speed, self.downward_speed))

    def at(self, z: ArrayLike) -> NDArray[np.float64]:
        """Horizontal coordinate s (m) of the curve at heights z (m) at or below the top."""
        t = _fall_time(self.top - np.asarray(z, dtype=float), self.downward_speed)
        return self.s0 + self.horizontal_speed * t


def _fall_time(drop: NDArray[np.float64], u: float | NDArray[np.float64]) -> NDArray[np.float64]:
    drop = np.maximum(drop, 0.0)
    return (np.sqrt(u * u + 2 * GRAVITY * drop) - u) / GRAVITY


def residuals(
    parameters: NDArray[np.float64], s: NDArray[np.float64], drop: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Signed distance (N,) m of points at (s, top − drop) from the curve, to first order."""
    s0, v, u = parameters
    t = _fall_time(drop, u)
    fall = u + GRAVITY * t
    return (s - s0 - v * t) * fall / np.hypot(v, fall)


def jacobian(
    parameters: NDArray[np.float64], s: NDArray[np.float64], drop: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Derivative (N, 3) of `residuals` by (s0, v, u)."""
    s0, v, u = parameters
    t = _fall_time(drop, u)
    fall = u + GRAVITY * t
    hypotenuse = np.hypot(v, fall)
    cosine = fall / hypotenuse
    lateral = s - s0 - v * t
    # d fall/du = u / fall and dt/du = −t / fall, as fall² = u² + 2 g drop.
    d_cos_dv = -fall * v / hypotenuse**3
    d_cos_du = (v**2 / hypotenuse**3) * (u / fall)
    return np.column_stack(
        [
            -cosine,
            -t * cosine + lateral * d_cos_dv,
            v * t / fall * cosine + lateral * d_cos_du,
        ]
    )


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
        raise NotEstimable(f'the stream has {len(s)} centre-line points, needs {MIN_POINTS}')
    top = float(z.max())
    drop = top - z
    if drop.max() < MIN_DROP:
        raise NotEstimable(
            f'only {1000 * drop.max():.0f} mm of the stream are visible, needs '
            f'{1000 * MIN_DROP:.0f}'
        )
    # Errors shared by `correlation` neighbours: as many independent points fewer.
    scale = sigma * np.sqrt(max(correlation, 1.0))
    trust = np.sqrt(weight / weight.mean()) / scale
    priors = np.array([PRIOR_HORIZONTAL, PRIOR_DOWNWARD])

    # soft-L1 acts on the data only, so it is written into the residuals: r -> √(2(√(1+r²)−1)),
    # and the priors follow as plain quadratic ones.
    def cost(q: NDArray[np.float64]) -> NDArray[np.float64]:
        p = _bounded(q)
        r = trust * residuals(p, s, drop)
        return np.concatenate([_soft(r), (p[1:] - priors[:, 0]) / priors[:, 1]])

    def slope(q: NDArray[np.float64]) -> NDArray[np.float64]:
        p = _bounded(q)
        r = trust * residuals(p, s, drop)
        J = (trust * _soft_slope(r))[:, None] * jacobian(p, s, drop)
        return np.vstack([J, np.diag([0, *(1 / priors[:, 1])])[1:]]) * [1, 1, 2 * q[2]]

    # Levenberg-Marquardt knows no bounds, and takes an eighth of the time of what does.
    result = least_squares(
        cost,
        _unbounded(_initial(s, drop)),
        slope,
        method='lm',
        x_scale=[0.01, 0.1, 0.1],
        xtol=1e-8,
        ftol=1e-10,
        gtol=1e-8,
    )
    best = _bounded(result.x)
    r = residuals(best, s, drop)
    J = trust[:, None] * jacobian(best, s, drop)
    influence = 1 / np.sqrt(1 + (trust * r) ** 2)
    information = (J * influence[:, None]).T @ J + np.diag([0, *(1 / priors[:, 1] ** 2)])
    covariance = np.linalg.inv(information)
    rms = float(np.sqrt(np.average(r**2, weights=weight * influence)))
    s0, v, u = (float(x) for x in best)
    return StreamFit(s0, v, u, top, covariance, rms)


def _bounded(q: NDArray[np.float64]) -> NDArray[np.float64]:
    """(s0, v, u) of (s0, v, √(u − MIN_DOWNWARD)): no such u is below the bound."""
    return np.array([q[0], q[1], MIN_DOWNWARD + q[2] ** 2])


def _unbounded(p: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([p[0], p[1], np.sqrt(p[2] - MIN_DOWNWARD)])


def _soft(r: NDArray[np.float64]) -> NDArray[np.float64]:
    # 2(√(1+r²)−1) = 2r²/(1+√(1+r²)): the second form keeps its digits near 0.
    return r * np.sqrt(2 / (1 + np.sqrt(1 + r * r)))


def _soft_slope(r: NDArray[np.float64]) -> NDArray[np.float64]:
    root = np.sqrt(1 + r * r)
    return np.sqrt((1 + root) / 2) / root


def _initial(s: NDArray[np.float64], drop: NDArray[np.float64]) -> NDArray[np.float64]:
    """Best of a few downward speeds, each with its line of regression s = s0 + v t."""
    u = np.array([[0.05], [0.2], [0.5], [1.0], [2.0]])
    t = _fall_time(drop, u)
    t_mean = t.mean(axis=1, keepdims=True)
    v = (t - t_mean) @ s / ((t - t_mean) ** 2).sum(axis=1)
    s0 = s.mean() - v * t_mean[:, 0]
    k = np.abs(s0[:, None] + v[:, None] * t - s).sum(axis=1).argmin()
    return np.array([s0[k], v[k], u[k, 0]])
