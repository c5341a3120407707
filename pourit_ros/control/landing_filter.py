# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""By how much liquid lands elsewhere than model and poses say: learned from what is seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# At first: camera, exit speed and grip together are wrong by so much, m.
FIRST_SIGMA = 0.025
# How it wanders, m/s^0.5: the flow changes, a bottle slips.
WANDERS = 0.008
# What a sighting does not know of itself, m: stamps, poses, the fit's model.
OWN_SIGMA = 0.006
# Errors of more standard deviations are not believed, unless they come again and again.
GATE, STUBBORN = 4.0, 4


class LandingFilter:
    """Horizontal difference (2,) m between where liquid lands and where it should by the model.

    A Kalman filter of a constant that wanders. Where the lip and the target went since a sighting
    does not matter to it: each one is compared with what model and poses say of its own time, so
    that the delay is in the prediction and not in the loop (Smith's predictor). In the long run
    no sighting counts for more than `gain` (1/s) allows, which keeps the delay margin.
    """

    def __init__(self, gain: float) -> None:
        self.gain = gain
        self.bias: NDArray[np.float64] = np.zeros(2)
        self.covariance: NDArray[np.float64] = FIRST_SIGMA**2 * np.eye(2)
        self.count = 0
        self._stamp = -np.inf
        self._refused = 0

    def see(
        self,
        stamp: float,
        error: NDArray[np.float64],
        covariance: NDArray[np.float64],
    ) -> bool:
        """Learn of `error` (2,) m: seen minus predicted offset at `stamp` (s). False: refused.

        `covariance` (2, 2) m2 of the sighting.
        """
        dt = min(max(stamp - self._stamp, 0.0), 0.5) if self.count else 0.1
        P = self.covariance + dt * WANDERS**2 * np.eye(2)
        S = P + covariance + OWN_SIGMA**2 * np.eye(2)
        news = error - self.bias
        self.covariance, self._stamp = P, stamp
        if float(news @ np.linalg.solve(S, news)) > GATE**2:
            self._refused += 1
            if self._refused < STUBBORN:
                return False
            # Something has changed at once: begin again.
            self.covariance = FIRST_SIGMA**2 * np.eye(2)
            self.count, self._refused = 0, 0
            P = self.covariance
            S = P + covariance + OWN_SIGMA**2 * np.eye(2)
        self._refused = 0
        self.count += 1
        gain = P @ np.linalg.inv(S)
        most = max(1 - float(np.exp(-self.gain * dt)), 1 / self.count)
        largest = float(np.linalg.norm(gain, 2))
        gain *= min(1.0, most / max(largest, 1e-9))
        self.bias = self.bias + gain @ news
        A = np.eye(2) - gain
        # Joseph's form holds for any gain.
        R = covariance + OWN_SIGMA**2 * np.eye(2)
        self.covariance = A @ P @ A.T + gain @ R @ gain.T
        return True
