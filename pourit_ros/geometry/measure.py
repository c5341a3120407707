# SPDX-License-Identifier: Apache-2.0
"""From the lifted liquid and the target's pose to landing point, distance and margin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .cloud import LiquidCloud
from .container import Container
from .errors import NotEstimable
from .noise import NoiseModel
from .plane import PouringPlane
from .pose import Pose
from .stream import GRAVITY, StreamFit, fit_stream, jacobian, residuals

UP = np.array([0.0, 0.0, 1.0])
# A rim further than this from level is a cup that was knocked over, not a target.
MAX_TARGET_TILT = np.radians(60.0)
# Beyond this the extrapolation of a short stream to the rim says nothing to a controller.
MAX_LANDING_SIGMA = 0.03


@dataclass(frozen=True, eq=False)
class PourGeometry:
    """What a frame says about the pour, in the base frame, SI units; None: not estimable.

    `lowest_point`: lowest point of the mask's medial axis; `stream`: the free-fall fit in the
    plane spanned by `direction` (horizontal unit vector) and up, s measured from `origin`;
    `landing_point`: where it crosses the target's rim plane; `offset` = landing point − target
    mouth; `distance` = ‖lowest point − target mouth‖ (PourIt!'s liquid-to-container distance);
    `margin` = rim radius − horizontal ‖offset‖ (positive: it lands inside).
    `landing_covariance`, `offset_covariance` (3, 3) m². `problems` says why anything is None.
    """

    lowest_point: NDArray[np.float64] | None = None
    stream: StreamFit | None = None
    origin: NDArray[np.float64] | None = None
    direction: NDArray[np.float64] | None = None
    landing_point: NDArray[np.float64] | None = None
    landing_covariance: NDArray[np.float64] | None = None
    offset: NDArray[np.float64] | None = None
    offset_covariance: NDArray[np.float64] | None = None
    distance: float | None = None
    margin: float | None = None
    problems: tuple[str, ...] = ()

    def curve(self, lowest: float, count: int = 40) -> NDArray[np.float64]:
        """Points (count, 3) of the fitted centre line from its top down to height `lowest`."""
        if self.stream is None or self.origin is None or self.direction is None:
            return np.zeros((0, 3))
        z = np.linspace(self.stream.top, min(lowest, self.stream.top), count)
        return self.origin + np.outer(self.stream.at(z), self.direction) + np.outer(z, UP)


@dataclass(frozen=True, eq=False)
class _Plane2D:
    """Vertical plane of the base frame: points are origin + s·direction + z·UP."""

    origin: NDArray[np.float64]
    direction: NDArray[np.float64]

    def coordinates(self, points: NDArray[np.float64]) -> tuple[NDArray, NDArray]:
        return (points - self.origin) @ self.direction, points[:, 2]


def measure_pour(
    cloud: LiquidCloud,
    T_base_cam: Pose,
    target: Container,
    T_base_target: Pose | None,
    noise: NoiseModel | None = None,
) -> PourGeometry:
    """Measure one frame's liquid cloud against the target; never raises for want of evidence.

    The base frame's z axis points up. Without a target pose, lowest point and stream remain.
    """
    noise = noise or NoiseModel()
    if len(cloud) == 0:
        return PourGeometry(problems=('no liquid was lifted to 3D',))
    points = T_base_cam.apply(cloud.points)
    on_axis = cloud.radius > 0
    nodes = points[on_axis]
    lowest = nodes[np.argmin(nodes[:, 2])] if len(nodes) else points[np.argmin(points[:, 2])]
    problems: list[str] = []

    plane = _plane_through(points)
    fit: StreamFit | None = None
    try:
        s, z, weight = _centre_line(points, on_axis, cloud.intensity, plane)
        pitch = _pitch(points)
        fit = fit_stream(s, z, weight, noise.pixel * pitch, noise.correlation)
    except NotEstimable as error:
        problems.append(error.reason)

    if T_base_target is None:
        problems.append('distance, offset and margin need a target pose')
        return PourGeometry(lowest, fit, plane.origin, plane.direction, problems=tuple(problems))

    mouth = target.mouth_in(T_base_target)
    distance = float(np.linalg.norm(lowest - mouth))
    landing = landing_covariance = offset = offset_covariance = margin = None
    if fit is not None:
        try:
            axis = target.axis_in(T_base_target)
            landing = _landing(fit.parameters, fit.top, plane, mouth, axis)
            landing_covariance, offset_covariance = _landing_covariances(
                fit, plane, (s, z, weight), cloud.plane, T_base_cam, target, T_base_target, noise
            )
            fit_sigma = _fit_sigma(fit, plane, mouth, axis)
            if fit_sigma > MAX_LANDING_SIGMA:
                raise NotEstimable(
                    f'the visible stream is too short to say where it lands '
                    f'(+-{1000 * fit_sigma:.0f} mm)'
                )
            offset = landing - mouth
            margin = float(target.rim_radius - np.linalg.norm(offset[:2]))
        except NotEstimable as error:
            landing = landing_covariance = offset_covariance = None
            problems.append(error.reason)
    return PourGeometry(
        lowest, fit, plane.origin, plane.direction, landing, landing_covariance,
        offset, offset_covariance, distance, margin, tuple(problems),
    )  # fmt: skip


def _plane_through(points: NDArray[np.float64]) -> _Plane2D:
    """The vertical plane that the lifted points span, from their horizontal scatter."""
    centre = points[:, :2].mean(axis=0)
    _, vectors = np.linalg.eigh(np.cov((points[:, :2] - centre).T))
    direction = np.array([*vectors[:, 1], 0.0])
    return _Plane2D(np.array([*centre, 0.0]), direction)


def _pitch(points: NDArray[np.float64]) -> float:
    """Distance (m) between neighbouring pixels of the mask in the plane."""
    some = points[:: 1 + len(points) // 500]
    distance, _ = cKDTree(points).query(some, k=2)
    return float(np.median(distance[:, 1]))


def _centre_line(
    points: NDArray[np.float64],
    on_axis: NDArray[np.bool_],
    intensity: NDArray[np.float64],
    plane: _Plane2D,
) -> tuple[NDArray, NDArray, NDArray]:
    """Sub-pixel centre line: CAM-weighted centroids of the pixels nearest to each medial point."""
    if on_axis.sum() < 2:
        raise NotEstimable('the mask has no medial axis')
    s, z = plane.coordinates(points)
    flat = np.column_stack([s, z])
    _, owner = cKDTree(flat[on_axis]).query(flat)
    # A floor: a pixel that the mask holds counts, however faint its activation.
    weight = np.bincount(owner, np.maximum(intensity, 1e-3))
    s_mean = np.bincount(owner, np.maximum(intensity, 1e-3) * s) / weight
    z_mean = np.bincount(owner, np.maximum(intensity, 1e-3) * z) / weight
    return s_mean, z_mean, weight


def _landing(
    parameters: NDArray[np.float64],
    top: float,
    plane: _Plane2D,
    mouth: NDArray[np.float64],
    axis: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Where the falling curve first crosses the rim plane (p − mouth)·axis = 0."""
    if axis[2] < np.cos(MAX_TARGET_TILT):
        angle = np.degrees(np.arccos(np.clip(axis[2], -1, 1)))
        raise NotEstimable(f'the target is tipped over ({angle:.0f} deg from upright)')
    s0, v, u = parameters
    start = plane.origin + s0 * plane.direction + top * UP
    # (start + v t·direction − (u t + g t²/2) UP − mouth)·axis = 0
    a = -0.5 * GRAVITY * axis[2]
    b = v * (plane.direction @ axis) - u * axis[2]
    c = (start - mouth) @ axis
    if c <= 0:
        raise NotEstimable("the whole visible stream lies below the target's rim")
    t = (-b - np.sqrt(b * b - 4 * a * c)) / (2 * a)
    return start + v * t * plane.direction - (u * t + 0.5 * GRAVITY * t * t) * UP


def _fit_sigma(
    fit: StreamFit, plane: _Plane2D, mouth: NDArray[np.float64], axis: NDArray[np.float64]
) -> float:
    """One-sigma (m) of the landing point from the fit alone."""
    J = _parameter_jacobian(fit, plane, mouth, axis)
    return float(np.sqrt(np.trace(J @ fit.covariance @ J.T)))


def _parameter_jacobian(
    fit: StreamFit, plane: _Plane2D, mouth: NDArray[np.float64], axis: NDArray[np.float64]
) -> NDArray[np.float64]:
    base = _landing(fit.parameters, fit.top, plane, mouth, axis)
    columns = []
    for k, step in enumerate((1e-5, 1e-4, 1e-4)):
        moved = _landing(fit.parameters + step * np.eye(3)[k], fit.top, plane, mouth, axis)
        columns.append((moved - base) / step)
    return np.column_stack(columns)


def _landing_covariances(
    fit: StreamFit,
    plane: _Plane2D,
    centre_line: tuple[NDArray, NDArray, NDArray],
    lifted_on: PouringPlane | None,
    T_base_cam: Pose,
    target: Container,
    T_base_target: Pose,
    noise: NoiseModel,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Covariance (3, 3) of landing point and of offset: fit, stream, source and target pose."""
    mouth, axis = target.mouth_in(T_base_target), target.axis_in(T_base_target)
    base = _landing(fit.parameters, fit.top, plane, mouth, axis)
    J = _parameter_jacobian(fit, plane, mouth, axis)
    covariance = J @ fit.covariance @ J.T
    covariance = covariance + noise.stream**2 * (np.eye(3) - np.outer(axis, axis))
    if lifted_on is not None:
        columns = []
        for step in np.diag([1e-3, 1e-2]):
            there, back = (
                _landing_if_plane_was(
                    move, fit, plane, centre_line, lifted_on, T_base_cam, mouth, axis
                )
                for move in (step, -step)
            )
            columns.append((there - back) / (2 * step.sum()))
        P = np.column_stack(columns)
        covariance = covariance + P @ lifted_on.covariance @ P.T
    offset_covariance = covariance.copy()
    for k in range(6):
        step = 1e-5 * np.eye(6)[k]
        moved = T_base_target.perturbed(step[:3], step[3:])
        moved_mouth = target.mouth_in(moved)
        landing = _landing(fit.parameters, fit.top, plane, moved_mouth, target.axis_in(moved))
        variance = (noise.position if k < 3 else noise.angle) ** 2
        d_landing = (landing - base) / 1e-5
        d_offset = d_landing - (moved_mouth - mouth) / 1e-5
        covariance = covariance + variance * np.outer(d_landing, d_landing)
        offset_covariance = offset_covariance + variance * np.outer(d_offset, d_offset)
    return covariance, offset_covariance


def _landing_if_plane_was(
    move: NDArray[np.float64],
    fit: StreamFit,
    plane: _Plane2D,
    centre_line: tuple[NDArray, NDArray, NDArray],
    lifted_on: PouringPlane,
    T_base_cam: Pose,
    mouth: NDArray[np.float64],
    axis: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Landing point had the plane been moved by (offset m, turn rad): one Gauss-Newton step."""
    offset, turn = move
    s, z, weight = centre_line
    points = plane.origin + np.outer(s, plane.direction) + np.outer(z, UP)
    camera = T_base_cam.translation
    pivot = T_base_cam.apply(lifted_on.point)
    normal = T_base_cam.rotate(lifted_on.normal)
    turned = normal * np.cos(turn) + _up_cross(normal) * np.sin(turn)
    rays = points - camera
    kappa = ((pivot + offset * normal - camera) @ turned) / (rays @ turned)
    moved = camera + kappa[:, None] * rays
    direction = _up_cross(turned)
    direction = direction * np.sign(direction @ plane.direction) / np.linalg.norm(direction)
    new_plane = _Plane2D(np.array([*moved[:, :2].mean(axis=0), 0.0]), direction)
    new_s, new_z = new_plane.coordinates(moved)
    # The old curve, expressed from the new origin, is the start of the step.
    shift = (plane.origin - new_plane.origin) @ direction
    start = fit.parameters + [shift, 0.0, 0.0]
    top = float(new_z.max())
    J = jacobian(start, new_s, top - new_z)
    W = weight / weight.mean()
    step, *_ = np.linalg.lstsq(
        (J * W[:, None]).T @ J, -(J * W[:, None]).T @ residuals(start, new_s, top - new_z),
        rcond=None,
    )  # fmt: skip
    return _landing(start + step, top, new_plane, mouth, axis)


def _up_cross(v: NDArray[np.float64]) -> NDArray[np.float64]:
    # np.cross takes 30 us for it, eight times a frame.
    return np.array([-v[1], v[0], 0.0])
