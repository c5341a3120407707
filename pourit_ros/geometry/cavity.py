# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The hollow of a container of revolution: what it holds upright and tilted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import GeometryError

# Slices of the hollow along its axis: 0.1 % of the volume of a bottle.
SLICES = 240
# No container that an arm pours from is larger, m.
LARGEST = 1.0


@dataclass(frozen=True, eq=False)
class Cavity:
    """The inside of a container, turned about its axis.

    The frame: origin at the lowest point inside, z along the axis out of the mouth. Raises
    GeometryError for impossible numbers.

    >>> beaker = Cavity([[0.03, 0.0], [0.03, 0.1]])
    >>> round(1e6 * beaker.capacity)
    283
    >>> round(1e6 * beaker.volume_below_lip(0.5 * np.pi), 6)
    0.0
    """

    profile: NDArray[np.float64]
    """Radius and height above the inner bottom (N, 2), m, from the bottom to the mouth."""

    def __post_init__(self) -> None:
        """Raise GeometryError for impossible numbers."""
        try:
            profile = np.array(self.profile, dtype=float)
        except (TypeError, ValueError):
            raise GeometryError('cavity: needs pairs [radius, height] of numbers') from None
        if profile.ndim != 2 or profile.shape[1:] != (2,) or len(profile) < 2:
            raise GeometryError('cavity: needs at least two pairs [radius, height], bottom first')
        radius, height = profile.T
        if not np.isfinite(profile).all() or profile.min() < 0 or profile.max() > LARGEST:
            raise GeometryError(f'cavity: radii and heights are within 0 to {LARGEST:g} m')
        if height[0] != 0 or not (np.diff(height) > 0).all():
            raise GeometryError('cavity: heights begin at 0, the inner bottom, and grow')
        if not (radius[1:] > 0).all():
            raise GeometryError('cavity: only the bottom may have radius 0')
        profile.flags.writeable = False
        object.__setattr__(self, 'profile', profile)

    @property
    def height(self) -> float:
        """From the inner bottom to the mouth, m."""
        return float(self.profile[-1, 1])

    @property
    def mouth_radius(self) -> float:
        """Radius at the mouth, m."""
        return float(self.profile[-1, 0])

    @property
    def widest(self) -> float:
        """Largest radius, m."""
        return float(self.profile[:, 0].max())

    @property
    def capacity(self) -> float:
        """Volume up to the mouth, m3: truncated cones between the points of the profile."""
        (r, z), (s, y) = self.profile[:-1].T, self.profile[1:].T
        return float(np.pi / 3 * np.sum((y - z) * (r * r + r * s + s * s)))

    def radius_at(self, height: NDArray[np.float64]) -> NDArray[np.float64]:
        """Radius (...) m at heights (...) m above the inner bottom."""
        return np.interp(height, self.profile[:, 1], self.profile[:, 0])

    def lip_level(self, tilt: float) -> float:
        """Height (m) above the origin of the mouth's lowest point, tilted by `tilt` rad."""
        return float(self.height * np.cos(tilt) - self.mouth_radius * np.sin(tilt))

    def volume_below(self, tilt: float, level: ArrayLike) -> NDArray[np.float64]:
        """Volume (...) m3 inside and below a horizontal plane.

        `tilt`: of the axis from the vertical, within 0 to pi rad; `level` (...): the plane's
        height above the origin, m. Slices across the axis at height z are discs of radius r(z), of
        which the plane leaves the part x > (z cos t - level) / sin t, x towards the lip: a
        circular segment of area r2 (acos k - k sqrt(1 - k2)), k = x / r.
        """
        level = np.asarray(level, dtype=float)
        edges = np.linspace(0, self.height, SLICES + 1)
        z = 0.5 * (edges[1:] + edges[:-1])
        r, dz = self.radius_at(z), edges[1] - edges[0]
        rise, across = z * np.cos(tilt), r * max(float(np.sin(tilt)), 1e-9)
        k = np.clip((rise - level[..., None]) / np.maximum(across, 1e-12), -1, 1)
        segment = np.arccos(k) - k * np.sqrt(1 - k * k)
        whole = np.sum(np.pi * r * r * dz)
        # The slices' sum, made exact for the full cavity.
        share = np.sum(r * r * segment * dz, axis=-1) / whole
        return np.asarray(share * self.capacity)

    def volume_below_lip(self, tilt: float) -> float:
        """Volume (m3) that stays inside at a tilt from 0 to pi rad: the rest runs out."""
        if tilt <= 0:
            return self.capacity
        return float(self.volume_below(tilt, self.lip_level(tilt)))

    def check_rim(self, rim_radius: float) -> None:
        """Raise GeometryError unless the mouth has a rim's radius (m), to a tenth."""
        if abs(self.mouth_radius - rim_radius) > 0.1 * rim_radius:
            raise GeometryError(
                f'cavity: its mouth has radius {self.mouth_radius:g} m, '
                f'but rim_radius is {rim_radius:g} m'
            )
