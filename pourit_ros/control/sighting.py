# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What the controller is told of an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..geometry.pose import Pose


@dataclass(frozen=True, eq=False)
class Sighting:
    """What is seen in one image; None: not known. Base axes, SI units."""

    stamp: float
    """Of the image, s."""
    present: bool | None
    """Whether there is liquid in the air."""
    offset: NDArray[np.float64] | None = None
    """From the target's mouth to the landing point (3,), m."""
    covariance: NDArray[np.float64] | None = None
    """Of the offset (3, 3), m2."""
    flow: float | None = None
    """m3/s."""
    flow_sigma: float | None = None
    """Its standard deviation, m3/s."""
    source: Pose | None = None
    """The source's pose as the depth image shows it."""

    def flaw(self) -> str:
        """What makes it unusable; empty if nothing does."""
        for name in ('offset', 'covariance', 'flow', 'flow_sigma'):
            value = getattr(self, name)
            if value is not None and not np.isfinite(value).all():
                return f'{name} is not finite'
        if self.covariance is not None and np.linalg.eigvalsh(self.covariance).min() < -1e-12:
            return 'covariance is not one'
        if self.flow is not None and not (self.flow_sigma or 0) > 0:
            return 'flow without a standard deviation'
        return ''
