# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The chain of `pourit lift` on synthetic pours, with true masks or those of a network."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..formats.calibration import read_camera, read_pose
from ..formats.images import read_stored
from ..geometry import Container, NoiseModel, Pose
from ..geometry.fall import falling
from ..geometry.plane import PlaneMode
from ..geometry.region import Region
from ..perception.segmentation import Segmentation
from ..pipeline import Frame, PourEstimate, PourPipeline, SegmenterLike
from ..synth.sets.records import read_meta, written
from .geometry import CHI2_95_2D

PLANES: tuple[PlaneMode, ...] = ('axis', 'z_axis')
# One-sigma of the poses, each axis: position m, angle rad.
POSE_NOISE = {
    'exact': (0.0, 0.0),
    '2 mm, 1 deg': (0.002, float(np.radians(1.0))),
    '5 mm, 2 deg': (0.005, float(np.radians(2.0))),
}
# Nobody knows a pose better than this, and a covariance of rank one says nothing across the pour.
LEAST_NOISE = (0.0005, float(np.radians(0.2)))
# The published frames: +y out of the mouth, z across the pour of a container that is not rolled.
TO_PUBLISHED = np.array([[-1.0, 0, 0], [0, 0, 1], [0, 1, 0]])
# A stream of a few pixels is no pour to measure.
LEAST_PIXELS = 20


@dataclass(frozen=True, eq=False)
class Pour:
    """One synthetic frame with its truth; base frame, m."""

    frame: Frame
    mask: NDArray[np.bool_]
    source: Container
    target: Container
    exit_point: NDArray[np.float64]
    exit_velocity: NDArray[np.float64]
    landing_point: NDArray[np.float64]

    def true_distance(self, lowest: NDArray[np.float64]) -> float:
        """Distance from the stream's centre at the visible `lowest` (3,) to the target's mouth."""
        frame = self.frame
        assert frame.T_base_cam is not None
        assert frame.T_base_target is not None
        T_cam_base = frame.T_base_cam.inverse()
        line = falling(self.exit_point, self.exit_velocity, np.linspace(0, 1.0, 4000))
        line = line[line[:, 2] > self.landing_point[2] - 0.02]
        pixels = frame.camera.project(T_cam_base.apply(line))
        seen = frame.camera.project(T_cam_base.apply(lowest))[0]
        nearest = line[np.argmin(((pixels - seen) ** 2).sum(axis=1))]
        return float(np.linalg.norm(nearest - self.target.mouth_in(frame.T_base_target)))


@dataclass(frozen=True, eq=False)
class TrueMask:
    """Replaces a network: returns exactly the true mask."""

    mask: NDArray[np.bool_]

    def segment(self, rgb: NDArray[np.uint8], region: Region | None = None) -> Segmentation:
        """Return the mask, whatever the image shows."""
        return Segmentation(1.0, True, self.mask.astype(np.float32), self.mask)


@dataclass(frozen=True, eq=False)
class ChainResult:
    """One row of the table.

    Errors (N,) m and squared Mahalanobis distances (N,) of the landing point and of the offset,
    horizontal; `refused` counts reasons.
    """

    plane: str
    noise: str
    landing: NDArray[np.float64]
    distance: NDArray[np.float64]
    landing_chi2: NDArray[np.float64]
    offset_chi2: NDArray[np.float64]
    refused: Counter[str]

    def summary(self) -> dict[str, Any]:
        """Figures of a report: millimetres and shares, None where nothing was measured."""

        def millimetres(errors: NDArray[np.float64], q: float) -> float | None:
            return round(1000 * float(np.quantile(errors, q)), 2) if len(errors) else None

        def covered(chi2: NDArray[np.float64]) -> float | None:
            return round(float(np.mean(chi2 < CHI2_95_2D)), 3) if len(chi2) else None

        return {
            'plane': self.plane,
            'pose_noise': self.noise,
            'pours': len(self.landing) + sum(self.refused.values()),
            'refused': sum(self.refused.values()),
            'landing_error_mm_p50': millimetres(self.landing, 0.5),
            'landing_error_mm_p95': millimetres(self.landing, 0.95),
            'distance_error_mm_p50': millimetres(self.distance, 0.5),
            'distance_error_mm_p95': millimetres(self.distance, 0.95),
            'landing_in_95_percent_region': covered(self.landing_chi2),
            'offset_in_95_percent_region': covered(self.offset_chi2),
            'reasons': dict(self.refused.most_common()),
        }


def load_pours(folder: Path, limit: int | None = None) -> list[Pour]:
    """Load the pairs of a folder that show a stream; raises InputError without any."""
    pours = []
    if not folder.is_dir():
        raise InputError(f'{folder}: no such folder')
    for stem in written(folder):
        pour = _load(folder, stem)
        if pour is not None:
            pours.append(pour)
        if limit is not None and len(pours) == limit:
            break
    if not pours:
        raise InputError(f'{folder}: holds no synthetic pour; make some with pourit synth')
    return pours


def measure_chain(
    pours: list[Pour],
    plane: PlaneMode,
    noise: str,
    seed: int = 0,
    segmenter: SegmenterLike | None = None,
) -> Iterator[ChainResult | None]:
    """Measure all pours; yields None for each, then the result.

    `segmenter` searches the region of the (noisy) poses; None: true masks.
    """
    position, angle = POSE_NOISE[noise]
    told = replace(
        NoiseModel(), position=max(position, LEAST_NOISE[0]), angle=max(angle, LEAST_NOISE[1])
    )
    rows: list[tuple[float, float, float, float]] = []
    refused: Counter[str] = Counter()
    for index, pour in enumerate(pours):
        rng = np.random.default_rng((seed, index))
        source, target = (
            pose.perturbed(rng.normal(0, position, 3), rng.normal(0, angle, 3))
            for pose in (pour.frame.T_cam_source, pour.frame.T_base_target)
            if pose is not None
        )
        estimate = _estimate(pour, plane, told, source, target, segmenter)
        if not estimate.present:
            refused['no liquid was seen'] += 1
        elif estimate.reason:
            # Measured numbers apart, the same reason.
            reason = re.sub(r'\d[\d.]* (deg|mm|px)', r'... \1', estimate.reason.split(' (')[0])
            refused[reason] += 1
        else:
            rows.append(_score(pour, estimate))
        yield None
    landing, distance, landing_chi2, offset_chi2 = np.array(rows).reshape(-1, 4).T
    yield ChainResult(plane, noise, landing, distance, landing_chi2, offset_chi2, refused)


def _estimate(
    pour: Pour,
    plane: PlaneMode,
    noise: NoiseModel,
    T_cam_source: Pose,
    T_base_target: Pose,
    segmenter: SegmenterLike | None,
) -> PourEstimate:
    frame = replace(pour.frame, T_cam_source=T_cam_source, T_base_target=T_base_target)
    pipeline = PourPipeline(
        segmenter or TrueMask(pour.mask), pour.source, pour.target, plane, noise
    )
    return pipeline(frame)[1]


def _score(pour: Pour, estimate: PourEstimate) -> tuple[float, float, float, float]:
    measured = estimate.geometry
    assert measured.landing_point is not None
    assert measured.lowest_point is not None
    assert measured.offset is not None
    assert measured.distance is not None
    assert pour.frame.T_base_target is not None
    error = measured.landing_point - pour.landing_point
    truth = pour.landing_point - pour.target.mouth_in(pour.frame.T_base_target)
    distance = measured.distance - pour.true_distance(measured.lowest_point)
    return (
        float(np.linalg.norm(error)),
        abs(distance),
        _mahalanobis(error, measured.landing_covariance),
        _mahalanobis(measured.offset - truth, measured.offset_covariance),
    )


def _mahalanobis(error: NDArray[np.float64], covariance: NDArray[np.float64] | None) -> float:
    assert covariance is not None
    return float(error[:2] @ np.linalg.solve(covariance[:2, :2], error[:2]))


def _load(folder: Path, stem: str) -> Pour | None:
    meta = read_meta(folder, stem)
    mask = read_stored(folder / f'{stem}_mask_air.png') > 127
    if mask.sum() < LEAST_PIXELS:
        return None
    depth = read_stored(folder / f'{stem}_pos_depth.png').astype(np.float32) / np.float32(1000)
    T_cam_source, T_cam_target, T_base_cam = (
        read_pose(folder / f'{stem}_{name}.txt')
        for name in ('Tsource2cam', 'Ttarget2cam', 'Tcam2base')
    )
    height, width = mask.shape
    to_published = Pose(TO_PUBLISHED.T, np.zeros(3))
    try:
        source, target = (_container(meta[role]) for role in ('source', 'target'))
        flow, landing = meta['flow'], meta['landing_point']
        exit_point = np.asarray(flow['exit_point'], float)
        velocity = np.asarray(flow['exit_velocity'], float)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f'{folder / stem}_meta.json: lacks {error}') from None
    if landing is None:
        return None
    frame = Frame(
        stamp_ns=0,
        name=stem,
        color=read_stored(folder / f'{stem}_pos_rgb.jpg'),
        camera=read_camera(folder / f'{stem}_camK.txt', width, height),
        depth=depth,
        # In the published convention, so that `z_axis` means what it means there.
        T_cam_source=T_cam_source @ to_published,
        T_base_cam=T_base_cam,
        T_base_target=T_base_cam @ T_cam_target,
    )
    published = Container(
        source.name, TO_PUBLISHED @ source.axis, TO_PUBLISHED @ source.mouth, source.rim_radius
    )
    return Pour(frame, mask, published, target, exit_point, velocity, np.asarray(landing, float))


def _container(fields: dict[str, Any]) -> Container:
    """The container in its own frame; the JSON has it in the base frame."""
    back = Pose.from_matrix(fields['T_base_container']).inverse()
    return Container(
        str(fields['kind']),
        back.rotate(fields['axis']),
        back.apply(fields['mouth']),
        float(fields['rim_radius']),
    )
