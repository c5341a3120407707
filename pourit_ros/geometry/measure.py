# Copyright 2026 pourit_ros contributors
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
from .fall import UP
from .flow import FlowModel
from .landing import CentreLine, StreamPlane, covariances, land
from .noise import NoiseModel
from .pose import Pose
from .rim import Rim, rim_margin
from .slices import slice_stream
from .stream import StreamFit, fit_stream

# Beyond this the extrapolation of a short stream to the rim says nothing to a controller.
MAX_LANDING_SIGMA = 0.03


@dataclass(frozen=True, eq=False)
class PourGeometry:
    """The pour as measured in a frame, in the base frame, SI units; None: not estimable.

    `lowest_point`: lowest point of the mask's medial axis; `stream`: the free-fall fit in the
    plane spanned by `direction` (horizontal unit vector) and up, s measured from `origin`;
    `landing_point`: where it crosses the target's rim plane; `offset` = landing point − target
    mouth; `distance` = ‖lowest point − target mouth‖ (PourIt!'s liquid-to-container distance);
    `margin` = rim radius − ‖offset‖, both in the rim's plane (positive: it lands inside).
    `landing_covariance`, `offset_covariance` (3, 3) m². `rim`: the target's. `problems` says why
    any of these is None. `flow`, with its standard deviation `flow_sigma`, m³/s: of the stream; a
    pour without it is still measured.
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
    rim: Rim | None = None
    problems: tuple[str, ...] = ()
    flow: float | None = None
    flow_sigma: float | None = None

    def curve(self, lowest: float, count: int = 40) -> NDArray[np.float64]:
        """Points (count, 3) of the fitted centre line from its top down to height `lowest`."""
        if self.stream is None or self.origin is None or self.direction is None:
            return np.zeros((0, 3))
        z = np.linspace(self.stream.top, min(lowest, self.stream.top), count)
        return self.origin + np.outer(self.stream.at(z), self.direction) + np.outer(z, UP)


def measure_pour(
    cloud: LiquidCloud,
    T_base_cam: Pose,
    target: Container,
    T_base_target: Pose | None,
    noise: NoiseModel | None = None,
    flow_model: FlowModel | None = None,
) -> PourGeometry:
    """Measure one frame's liquid cloud against the target; lack of evidence never raises.

    The base frame's z axis points up. Without a target pose, only lowest point, stream and flow
    are measured. `flow_model`: how the masks show a stream's width, by default that of the default
    network.
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
        line = _centre_line(points, on_axis, cloud.intensity, plane)
        sigma = noise.pixel * _pitch(points)
        fit = fit_stream(line.s, line.z, line.weight, sigma, noise.correlation)
    except NotEstimable as error:
        problems.append(error.reason)
    flow, flow_sigma = _flow(cloud, fit, plane, T_base_cam, flow_model or FlowModel())

    if T_base_target is None:
        problems.append('distance, offset and margin need a target pose')
        return PourGeometry(
            lowest, fit, plane.origin, plane.direction, problems=tuple(problems), flow=flow,
            flow_sigma=flow_sigma,
        )  # fmt: skip

    rim = target.rim_in(T_base_target)
    distance = float(np.linalg.norm(lowest - rim.mouth))
    landing = landing_covariance = offset = offset_covariance = margin = None
    if fit is not None:
        try:
            landed = land(fit, plane, rim)
            J = landed.by_parameters
            fit_sigma = float(np.sqrt(np.trace(J @ fit.covariance @ J.T)))
            if fit_sigma > MAX_LANDING_SIGMA:
                raise NotEstimable(
                    f'the visible stream is too short to say where it lands '
                    f'(+-{1000 * fit_sigma:.0f} mm)'
                )
            landing = landed.point
            landing_covariance, offset_covariance = covariances(
                landed, fit, plane, line, cloud.plane, T_base_cam, rim, T_base_target, noise
            )
            offset = landing - rim.mouth
            margin = rim_margin(rim.radius, offset)
        except NotEstimable as error:
            problems.append(error.reason)
    return PourGeometry(
        lowest, fit, plane.origin, plane.direction, landing, landing_covariance,
        offset, offset_covariance, distance, margin, rim, tuple(problems), flow, flow_sigma,
    )  # fmt: skip


def _flow(
    cloud: LiquidCloud,
    fit: StreamFit | None,
    plane: StreamPlane,
    T_base_cam: Pose,
    model: FlowModel,
) -> tuple[float | None, float | None]:
    """Flow and its standard deviation, m³/s; None where the stream is too short for one."""
    if fit is None:
        return None, None
    slices = slice_stream(cloud.points, fit, plane.origin, plane.direction, T_base_cam)
    if slices is None:
        return None, None
    return model.measure(slices, fit)


def _plane_through(points: NDArray[np.float64]) -> StreamPlane:
    """The vertical plane that the lifted points span, from their horizontal scatter."""
    centre = points[:, :2].mean(axis=0)
    _, vectors = np.linalg.eigh(np.cov((points[:, :2] - centre).T))
    direction = np.array([*vectors[:, 1], 0.0])
    return StreamPlane(np.array([*centre, 0.0]), direction)


def _pitch(points: NDArray[np.float64]) -> float:
    """Distance (m) between neighbouring pixels of the mask in the plane."""
    some = points[:: 1 + len(points) // 100]
    distance, _ = _tree(points).query(some, k=2)
    return float(np.median(distance[:, 1]))


def _tree(points: NDArray[np.float64]) -> cKDTree:
    # Asked once, a balanced tree costs more than it saves.
    return cKDTree(points, balanced_tree=False, compact_nodes=False)


def _centre_line(
    points: NDArray[np.float64],
    on_axis: NDArray[np.bool_],
    intensity: NDArray[np.float64],
    plane: StreamPlane,
) -> CentreLine:
    """Sub-pixel centre line: CAM-weighted centroids of the pixels nearest to each medial point."""
    if on_axis.sum() < 2:
        raise NotEstimable('the mask has no medial axis')
    s, z = plane.coordinates(points)
    flat = np.column_stack([s, z])
    _, owner = _tree(flat[on_axis]).query(flat)
    # A floor: a pixel that the mask holds counts, however faint its activation.
    share = np.maximum(intensity, 1e-3)
    weight = np.asarray(np.bincount(owner, share), dtype=float)
    return CentreLine(
        np.bincount(owner, share * s) / weight, np.bincount(owner, share * z) / weight, weight
    )
