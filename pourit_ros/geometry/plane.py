# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The vertical plane in which a tilted container pours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .container import Container
from .errors import GeometryError, NotEstimable
from .noise import NoiseModel
from .pose import Pose

PlaneMode = Literal['axis', 'z_axis']

# Below these the plane, or a pixel's place on it, is decided by noise.
MIN_TILT = np.radians(5.0)
MIN_RAY_ANGLE = np.radians(10.0)


@dataclass(frozen=True, eq=False)
class PouringPlane:
    """Plane {p : (p − point)·normal = 0}, in the camera's optical frame.

    `point` (3,) m, `normal` (3,) unit, `up` (3,) unit, against gravity. `covariance` (2, 2) of
    (offset along the normal at `point`, m; turn about `up` through `point`, rad).
    """

    point: NDArray[np.float64]
    normal: NDArray[np.float64]
    up: NDArray[np.float64]
    covariance: NDArray[np.float64]

    def shifted(self, offset: float, sigma: float) -> PouringPlane:
        """The plane moved by `offset` m along its normal, with an uncertainty of `sigma` m."""
        covariance = self.covariance.copy()
        covariance[0, 1] = covariance[1, 0] = 0.0
        covariance[0, 0] = sigma**2
        return PouringPlane(self.point + offset * self.normal, self.normal, self.up, covariance)

    def intersect(self, rays: ArrayLike) -> NDArray[np.float64]:
        """Intersect camera rays d (N, 3) with the plane: points κd, κ = (p₀·n)/(d·n) (PourIt!).

        Raises NotEstimable when a ray runs within 10° of the plane or meets it behind the camera.
        """
        rays = np.asarray(rays, dtype=float).reshape(-1, 3)
        along = rays @ self.normal
        sine = np.abs(along) / np.linalg.norm(rays, axis=1)
        if sine.size and sine.min() < np.sin(MIN_RAY_ANGLE):
            angle = np.degrees(np.arcsin(sine.min()))
            raise NotEstimable(
                f'the camera looks along the pouring plane ({angle:.1f} deg, at least 10 needed)'
            )
        kappa = (self.point @ self.normal) / along
        if kappa.size and kappa.min() <= 0:
            raise NotEstimable('the pouring plane lies behind the camera')
        return kappa[:, None] * rays


def pouring_plane(
    T_cam_source: Pose,
    source: Container,
    up: ArrayLike,
    mode: PlaneMode = 'axis',
    noise: NoiseModel | None = None,
) -> PouringPlane:
    """Return the pouring plane through the source's mouth, in the camera's optical frame.

    `up` (3,): unit vector against gravity in the optical frame. `axis`: spanned by gravity and the
    container's axis a, n = a × g normalised. `z_axis`: n is the horizontal part of the container's
    z axis and the plane goes through its origin, as in PourIt! (ICCV 2023); wrong once the
    container is rolled about its axis.
    Raises NotEstimable when that direction is within 5° of undefined, GeometryError for another
    mode or an `up` that is not of length 1.
    """
    if mode not in get_args(PlaneMode):
        raise GeometryError(
            f'unknown plane mode {mode!r}; modes: {", ".join(get_args(PlaneMode))}'
        )
    up = np.asarray(up, dtype=float)
    if up.shape != (3,) or not abs(np.linalg.norm(up) - 1) < 1e-6:
        raise GeometryError(f'up must be a unit vector of three numbers, got {up}')
    noise = noise or NoiseModel()
    point, normal, size = _point_and_normal(T_cam_source, source, up, mode)

    # Derivatives of (offset, turn) by the pose's shift dp and its turn ω about its origin, which
    # moves the mouth by dp + ω × arm and turns the normal by dn; the turn is dn·(up × n).
    across = _cross(up, normal)
    jacobian = np.zeros((2, 6))
    jacobian[0, :3] = normal
    if mode == 'axis':
        jacobian[0, 3:] = _cross(point - T_cam_source.translation, normal)
        # dn ~ (ω × a) × −up = ω (a·up) − a (ω·up)
        axis = source.axis_in(T_cam_source)
        jacobian[1, 3:] = ((axis @ up) * across - (axis @ across) * up) / size
    else:
        jacobian[1, 3:] = _cross(T_cam_source.rotation[:, 2], across) / size
    variances = np.repeat([noise.position**2, noise.angle**2], 3)
    return PouringPlane(point, normal, up, (jacobian * variances) @ jacobian.T)


def _point_and_normal(
    T_cam_source: Pose, source: Container, up: NDArray[np.float64], mode: PlaneMode
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """A point (3,) of the plane, its normal (3,), and how well that is defined: 1 at best."""
    if mode == 'axis':
        direction = _cross(up, source.axis_in(T_cam_source))
        reason = (
            'the source container is upright or upside down: '
            'its axis is {:.1f} deg from vertical, at least 5 needed'
        )
    else:
        z = T_cam_source.rotate([0.0, 0.0, 1.0])
        direction = z - (z @ up) * up
        reason = "the source container's z axis is {:.1f} deg from vertical, at least 5 needed"
    size = float(np.linalg.norm(direction))
    if size < np.sin(MIN_TILT):
        angle = np.degrees(np.arcsin(min(size, 1.0)))
        raise NotEstimable(reason.format(angle))
    point = source.mouth_in(T_cam_source) if mode == 'axis' else T_cam_source.translation
    return point, direction / size, size


def _cross(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    # np.cross takes five times as long.
    return np.array(
        [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
    )
