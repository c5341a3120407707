# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Measure how exactly the geometry recovers simulated pours, and whether its covariance holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from ..geometry import (
    LiquidCloud,
    NoiseModel,
    NotEstimable,
    PourGeometry,
    lift_mask,
    measure_pour,
    pouring_plane,
)
from ..synth.scene.scenario import Scenario, random_scenario

CHI2_95_2D = 5.991


@dataclass(frozen=True, eq=False)
class Trials:
    """Landing errors (N,) m, squared Mahalanobis distances (N,) of landing point and offset.

    Distances are horizontal (2 degrees of freedom). `refused` counts reasons.
    """

    errors: NDArray[np.float64]
    landing: NDArray[np.float64]
    offset: NDArray[np.float64]
    refused: Counter[str]

    def summary(self) -> dict[str, float]:
        """Figures of a report: millimetres and shares."""
        quantiles = np.quantile(self.errors, [0.5, 0.95, 1.0]) * 1000
        return {
            'trials': len(self.errors) + sum(self.refused.values()),
            'refused': sum(self.refused.values()),
            'landing_error_mm_p50': float(quantiles[0]),
            'landing_error_mm_p95': float(quantiles[1]),
            'landing_error_mm_max': float(quantiles[2]),
            'landing_in_95_percent_region': float(np.mean(self.landing < CHI2_95_2D)),
            'offset_in_95_percent_region': float(np.mean(self.offset < CHI2_95_2D)),
        }


def exact_trials(count: int, seed: int) -> Iterator[Trials | None]:
    """Exact projections and poses; yields None for each trial, then the result."""
    return _trials(count, seed, _measure_exact)


def noisy_trials(count: int, seed: int, noise: NoiseModel) -> Iterator[Trials | None]:
    """Rasterised masks with noisy centre line and noisy poses; yields like `exact_trials`."""
    return _trials(count, seed, lambda scenario, rng: _measure_noisy(scenario, rng, noise))


def _trials(
    count: int, seed: int, measure: Callable[[Scenario, np.random.Generator], PourGeometry]
) -> Iterator[Trials | None]:
    rng = np.random.default_rng(seed)
    rows: list[tuple[float, float, float]] = []
    refused: Counter[str] = Counter()
    for _ in range(count):
        scenario = random_scenario(rng)
        try:
            geometry = measure(scenario, rng)
        except NotEstimable as error:
            geometry = PourGeometry(problems=(error.reason,))
        if geometry.problems:
            refused[geometry.problems[0]] += 1
        else:
            rows.append(_score(scenario, geometry))
        yield None
    errors, landing, offset = np.array(rows).reshape(-1, 3).T
    yield Trials(errors, landing, offset, refused)


def _score(scenario: Scenario, geometry: PourGeometry) -> tuple[float, float, float]:
    assert geometry.landing_point is not None
    assert geometry.offset is not None
    truth = scenario.landing_point
    error = geometry.landing_point - truth
    true_offset = truth - scenario.target.mouth_in(scenario.T_base_target)
    offset_error = geometry.offset - true_offset
    return (
        float(np.linalg.norm(error)),
        _mahalanobis(error, geometry.landing_covariance),
        _mahalanobis(offset_error, geometry.offset_covariance),
    )


def _mahalanobis(error: NDArray[np.float64], covariance: NDArray[np.float64] | None) -> float:
    assert covariance is not None
    return float(error[:2] @ np.linalg.solve(covariance[:2, :2], error[:2]))


def _measure_exact(scenario: Scenario, rng: np.random.Generator) -> PourGeometry:
    T_cam_base = scenario.T_base_cam.inverse()
    plane = pouring_plane(
        T_cam_base @ scenario.T_base_source, scenario.source, T_cam_base.rotate([0, 0, 1.0])
    )
    pixels = scenario.camera.project(T_cam_base.apply(scenario.visible_centre(80)))
    points = plane.intersect(scenario.camera.rays(pixels))
    cloud = LiquidCloud(points, np.ones(len(points)), np.full(len(points), 0.003), plane)
    return measure_pour(cloud, scenario.T_base_cam, scenario.target, scenario.T_base_target)


def _measure_noisy(
    scenario: Scenario, rng: np.random.Generator, noise: NoiseModel
) -> PourGeometry:
    T_cam_base = scenario.T_base_cam.inverse()
    mask = noisy_mask(scenario, rng, noise)
    T_cam_source = T_cam_base @ scenario.T_base_source
    T_cam_source = T_cam_source.perturbed(*_pose_noise(rng, noise))
    T_base_target = scenario.T_base_target.perturbed(*_pose_noise(rng, noise))
    up = T_cam_base.rotate([0, 0, 1.0])
    plane = pouring_plane(T_cam_source, scenario.source, up, noise=noise)
    cloud = lift_mask(mask, np.ones(mask.shape, np.float32), scenario.camera, plane)
    return measure_pour(cloud, scenario.T_base_cam, scenario.target, T_base_target, noise)


def _pose_noise(
    rng: np.random.Generator, noise: NoiseModel
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return rng.normal(0, noise.position, 3), rng.normal(0, noise.angle, 3)


def noisy_mask(
    scenario: Scenario, rng: np.random.Generator, noise: NoiseModel
) -> NDArray[np.bool_]:
    """Rasterise the visible stream, its centre line displaced sideways by correlated noise."""
    times = np.linspace(0, scenario.visible * scenario.fall_time, 120)
    points = scenario.T_base_cam.inverse().apply(scenario.centre_line(times))
    pixels = scenario.camera.project(points)
    half_width = scenario.half_width(times) * scenario.camera.fx / points[:, 2]
    tangent = np.gradient(pixels, axis=0)
    step = np.linalg.norm(tangent, axis=1)
    normal = np.column_stack([-tangent[:, 1], tangent[:, 0]]) / step[:, None]
    pixels = pixels + normal * _correlated(np.cumsum(step), rng, noise)[:, None]
    left, right = pixels + normal * half_width[:, None], pixels - normal * half_width[:, None]
    outline = np.round(np.vstack([left, right[::-1]]) * 16).astype(np.int32)
    mask = np.zeros((scenario.camera.height, scenario.camera.width), np.uint8)
    cv2.fillPoly(mask, [outline], 1, shift=4)
    return mask > 0


def _correlated(
    arc: NDArray[np.float64], rng: np.random.Generator, noise: NoiseModel
) -> NDArray[np.float64]:
    """Gaussian noise along an arc (px) with integral correlation length `noise.correlation`."""
    # Gaussian kernel of width w: correlation exp(−x²/4w²), whose integral is 2 w √π.
    width = noise.correlation / (2 * np.sqrt(np.pi))
    length = int(arc[-1]) + 2
    margin = int(5 * width) + 1
    white = rng.standard_normal(length + 2 * margin)
    smooth = gaussian_filter1d(white, width)[margin : margin + length]
    smooth *= np.sqrt(2 * np.sqrt(np.pi) * width)
    return noise.pixel * np.interp(arc, np.arange(length), smooth)
