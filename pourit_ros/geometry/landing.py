# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Where the fitted stream crosses the target's rim plane, and how certain that is.

All derivatives are closed forms. The landing point L lies on the falling curve X(t) and on the
rim's plane, (L − m)·a = 0, with mouth m and axis a. A change dX of the curve at that time moves it
by P dX, with P = I − ẋ aᵀ / (ẋ·a), along the curve's velocity ẋ back onto the plane.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import NotEstimable
from .fall import GRAVITY, UP, crossing_time, falling
from .noise import NoiseModel
from .plane import PouringPlane
from .pose import Pose
from .rim import Rim
from .stream import StreamFit, residuals

# A rim further than this from level is a cup that was knocked over, not a target.
MAX_TARGET_TILT = np.radians(60.0)


@dataclass(frozen=True, eq=False)
class StreamPlane:
    """Vertical plane of the base frame: points are origin + s·direction + z·UP."""

    origin: NDArray[np.float64]
    direction: NDArray[np.float64]

    def coordinates(
        self, points: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(s, z), (N,) each, m, of points (N, 3)."""
        return (points - self.origin) @ self.direction, points[:, 2]


@dataclass(frozen=True, eq=False)
class CentreLine:
    """Points of the stream's centre line, (N,) each: s and z in the plane, m, and weight."""

    s: NDArray[np.float64]
    z: NDArray[np.float64]
    weight: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Landing:
    """The landing point (3,), m, of a fit and its derivatives.

    `onto_rim` (3, 3): P above. `by_parameters` (3, 3): by the fit's (s0, v, u). `time`: of the
    fall from the stream's top, s.
    """

    point: NDArray[np.float64]
    onto_rim: NDArray[np.float64]
    by_parameters: NDArray[np.float64]
    time: float


def land(fit: StreamFit, plane: StreamPlane, rim: Rim) -> Landing:
    """Follow the fitted curve to the rim's plane; raises NotEstimable."""
    axis = rim.axis
    if axis[2] < np.cos(MAX_TARGET_TILT):
        angle = np.degrees(np.arccos(np.clip(axis[2], -1, 1)))
        raise NotEstimable(f'the target is tipped over ({angle:.0f} deg from upright)')
    start = plane.origin + fit.s0 * plane.direction + fit.top * UP
    if (start - rim.mouth) @ axis <= 0:
        raise NotEstimable("the whole visible stream lies below the target's rim")
    velocity = fit.horizontal_speed * plane.direction - fit.downward_speed * UP
    time = crossing_time(start, velocity, rim.mouth, axis)
    speed = velocity - GRAVITY * time * UP
    onto_rim = np.eye(3) - np.outer(speed, axis) / (speed @ axis)
    moves = np.column_stack([plane.direction, time * plane.direction, -time * UP])
    return Landing(falling(start, velocity, time), onto_rim, onto_rim @ moves, time)


def covariances(
    landing: Landing,
    fit: StreamFit,
    plane: StreamPlane,
    line: CentreLine,
    lifted_on: PouringPlane | None,
    T_base_cam: Pose,
    rim: Rim,
    T_base_target: Pose,
    noise: NoiseModel,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Covariance (3, 3), m², of landing point and of offset: fit, stream, source, target pose.

    `lifted_on`: the pouring plane that the mask was lifted to, None: known exactly.
    """
    J = landing.by_parameters
    covariance = J @ fit.covariance @ J.T
    covariance = covariance + noise.stream**2 * (np.eye(3) - np.outer(rim.axis, rim.axis))
    if lifted_on is not None:
        S = _by_pouring_plane(landing, fit, plane, line, lifted_on, T_base_cam)
        covariance = covariance + S @ lifted_on.covariance @ S.T
    # A pose error moves the mouth by dp + ω × arm, and turns the axis by ω × a. The plane's own
    # move along a carries the landing point: (I − P) dm; its turn adds −(ẋ / ẋ·a) (L − m)·da.
    by_mouth = np.eye(3) - landing.onto_rim
    arm = rim.mouth - T_base_target.translation
    reach = landing.point - rim.mouth
    # (I − P) = ẋ aᵀ/(ẋ·a), so that times a is ẋ/(ẋ·a).
    by_turn = -by_mouth @ _cross(arm) + np.outer(by_mouth @ rim.axis, reach @ _cross(rim.axis))
    offset_by_turn = by_turn + _cross(arm)
    landed, offset = (
        covariance + noise.position**2 * (shift @ shift.T) + noise.angle**2 * (turn @ turn.T)
        for shift, turn in ((by_mouth, by_turn), (-landing.onto_rim, offset_by_turn))
    )
    return landed, offset


def _by_pouring_plane(
    landing: Landing,
    fit: StreamFit,
    plane: StreamPlane,
    line: CentreLine,
    lifted_on: PouringPlane,
    T_base_cam: Pose,
) -> NDArray[np.float64]:
    """Derivative (3, 2) of the landing point by the plane's (offset m, turn rad).

    Each point of the centre line moves along its ray to the moved plane, and the curve follows
    by one Gauss-Newton step.
    """
    points = plane.origin + np.outer(line.s, plane.direction) + np.outer(line.z, UP)
    rays = points - T_base_cam.translation
    pivot = T_base_cam.apply(lifted_on.point)
    normal = T_base_cam.rotate(lifted_on.normal)
    turned = _up_cross(normal)
    columns = []
    along = rays @ normal
    _, J = residuals(fit.parameters, line.s, fit.top - line.z)
    for gain, at_origin, turn in (
        # The plane moves by this much of its normal at each point and at the origin.
        (np.ones(len(rays)), 1.0, 0.0),
        (-(points - pivot) @ turned, -(plane.origin - pivot) @ turned, 1.0),
    ):
        moved = (gain / along)[:, None] * rays
        d_top = moved[line.z.argmax(), 2]
        # The origin moves across the plane, so that s changes by the points' own moves.
        d_r = J[3] * (moved @ plane.direction) + J[4] * (d_top - moved[:, 2])
        weighted = J[:3] * line.weight
        step = -np.linalg.solve(weighted @ J[:3].T, weighted @ d_r)
        s_end = fit.s0 + fit.horizontal_speed * landing.time
        curve = at_origin * normal + s_end * turn * _up_cross(plane.direction) + d_top * UP
        columns.append(landing.onto_rim @ curve + landing.by_parameters @ step)
    return np.column_stack(columns)


def _up_cross(v: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([-v[1], v[0], 0.0])


def _cross(v: NDArray[np.float64]) -> NDArray[np.float64]:
    """The matrix (3, 3) of v × ."""
    x, y, z = v
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
