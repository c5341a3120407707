# SPDX-License-Identifier: Apache-2.0
"""The vertical plane in which a tilted container pours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .container import Container
from .errors import NotEstimable
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
        """The plane moved by `offset` m along its normal, now known to `sigma` m."""
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
                f'the camera looks along the pouring plane ({angle:.1f} deg, needs 10)'
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
    Raises NotEstimable when that direction is within 5° of undefined.
    """
    up = np.asarray(up, dtype=float)
    noise = noise or NoiseModel()
    point, normal = _point_and_normal(T_cam_source, source, up, mode)

    # Linear propagation of the six pose errors to (offset, turn).
    step = 1e-5
    jacobian = np.zeros((2, 6))
    for k in range(6):
        delta = step * np.eye(6)[k]
        moved, turned = _point_and_normal(
            T_cam_source.perturbed(delta[:3], delta[3:]), source, up, mode
        )
        jacobian[0, k] = (moved - point) @ normal / step
        jacobian[1, k] = np.cross(normal, turned) @ up / step
    variances = np.repeat([noise.position**2, noise.angle**2], 3)
    return PouringPlane(point, normal, up, (jacobian * variances) @ jacobian.T)


def _point_and_normal(
    T_cam_source: Pose, source: Container, up: NDArray[np.float64], mode: PlaneMode
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if mode == 'axis':
        direction = np.cross(source.axis_in(T_cam_source), -up)
        reason = 'the source container is upright or upside down: its axis is {:.1f} deg from '
    else:
        z = T_cam_source.rotate([0.0, 0.0, 1.0])
        direction = z - (z @ up) * up
        reason = "the source container's z axis is {:.1f} deg from "
    size = float(np.linalg.norm(direction))
    if size < np.sin(MIN_TILT):
        angle = np.degrees(np.arcsin(min(size, 1.0)))
        raise NotEstimable(reason.format(angle) + 'vertical, needs 5')
    point = source.mouth_in(T_cam_source) if mode == 'axis' else T_cam_source.translation
    return point, direction / size
