# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A container's rim: the margin of a point in its plane, and its circle for drawing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, eq=False)
class Rim:
    """The circle of `radius` (m) about `mouth` (3,) m, normal to `axis` (3,), a unit vector."""

    mouth: NDArray[np.float64]
    axis: NDArray[np.float64]
    radius: float

    def circle(self, count: int = 73) -> NDArray[np.float64]:
        """Points (count, 3) of the rim, m; the last repeats the first."""
        along = np.cross(self.axis, np.eye(3)[np.argmin(np.abs(self.axis))])
        along /= np.linalg.norm(along)
        angle = np.linspace(0, 2 * np.pi, count)
        across = np.cross(self.axis, along)
        unit = np.outer(np.cos(angle), along) + np.outer(np.sin(angle), across)
        return np.asarray(self.mouth + self.radius * unit)


def rim_margin(rim_radius: float, offset: ArrayLike) -> float:
    """How far (m) inside the rim a landing point is, from its offset (3,) to the mouth.

    Landing point and mouth both lie in the rim's plane, and so does the offset, however the rim is
    tilted.
    """
    return rim_radius - float(np.linalg.norm(offset))
