# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The measured flow of rendered pours against the flow that they were rendered with."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry import Container, FlowModel, NoiseModel
from ..geometry.flow import EXACT
from ..pipeline import Frame, PourEstimate, PourPipeline, SegmenterLike
from .chain import TrueMask

LIQUIDS = ('water', 'milk', 'cola')
SIZES = (240, 320, 480)
# ml/s.
BANDS = ((8.0, 20.0), (20.0, 50.0), (50.0, 100.0))
STRATUM = 'flow'
# A stream of fewer is not to be measured.
LEAST_PIXELS = 20


@dataclass(frozen=True, eq=False)
class KnownPour:
    """A rendered frame with its true `mask` (H, W), `liquid` and `flow`, m³/s.

    The liquid leaves the lip at `exit_height` (m, base frame) with `exit_speed` (m/s).
    """

    frame: Frame
    mask: NDArray[np.bool_]
    source: Container
    target: Container
    liquid: str
    flow: float
    exit_height: float
    exit_speed: float


def known_pour(seed: int, index: int, split: str = 'val') -> KnownPour | None:
    """Render pour `index` of a set; None where too little of its stream is in sight.

    Liquids take turns, and so do the sizes of the image. The flow is drawn log-uniformly, the exit
    speed evenly between 0.15 and 0.9 m/s; poured from all sources but taps, whose plane nobody
    knows. Deterministic.
    """
    from ..synth.render.camera_model import CameraModel
    from ..synth.scene.containers import SOURCES
    from ..synth.scene.random import random_scene
    from ..synth.scene.random_liquids import usual_liquid
    from ..synth.scene.strata import Mixture
    from ..synth.sets.pairs import photograph
    from ..synth.sets.preview import preview

    rng = np.random.default_rng((seed, index))
    kind = str(rng.choice([source for source in SOURCES if source != 'tap']))
    liquid = LIQUIDS[index % len(LIQUIDS)]
    size = SIZES[index // len(LIQUIDS) % len(SIZES)]
    scene = random_scene(seed, index, split, None, size, kind, Mixture(((STRATUM, 1.0),)))
    scene = replace(scene, liquid=usual_liquid(rng, split, liquid))
    radiance, labels = preview(scene)
    mask = labels.air > 0.5
    if mask.sum() < LEAST_PIXELS:
        return None
    exposure = CameraModel.of(scene.camera).expose(radiance)
    color, depth = photograph(scene, radiance, labels, exposure, rng)
    T_cam_base = scene.camera.T_base_cam.inverse()
    frame = Frame(
        color,
        scene.camera.model,
        depth=(depth / 1000).astype(np.float32),
        T_cam_source=T_cam_base @ scene.source.T_base_container,
        T_base_cam=scene.camera.T_base_cam,
        T_base_target=scene.target.T_base_container,
        name=f'{index:06d}',
    )
    flow = scene.flow
    height, speed = float(flow.exit_point[2]), flow.speed
    return KnownPour(
        frame, mask, scene.source.model, scene.target.model, liquid, flow.rate, height, speed
    )


@dataclass(frozen=True, eq=False)
class FlowResult:
    """The measured flows of a set with one kind of mask, in ml/s.

    `true`, `measured`, `sigma` (N,), NaN where not measured; `liquid` (N,); `refused` counts why.
    """

    masks: str
    true: NDArray[np.float64]
    measured: NDArray[np.float64]
    sigma: NDArray[np.float64]
    liquid: NDArray[np.str_]
    refused: Counter[str]

    def summary(self) -> list[dict[str, Any]]:
        """Figures of a report: all, by liquid, and by band of the true flow."""
        rows = [self._row('all', np.ones(len(self.true), bool))]
        rows += [self._row(name, self.liquid == name) for name in LIQUIDS]
        rows += [
            self._row(f'{low:g}-{high:g} ml/s', (self.true >= low) & (self.true < high))
            for low, high in BANDS
        ]
        return rows

    def _row(self, name: str, chosen: NDArray[np.bool_]) -> dict[str, Any]:
        seen = chosen & np.isfinite(self.measured)
        ratio = self.measured[seen] / self.true[seen]
        error = self.measured[seen] - self.true[seen]
        off = np.abs(error) / self.sigma[seen]

        def figure(values: NDArray[np.float64], q: float) -> float | None:
            return round(float(np.quantile(values, q)), 3) if len(values) else None

        def share(within: float) -> float | None:
            return round(float(np.mean(off < within)), 3) if len(off) else None

        return {
            'masks': self.masks,
            'pours': name,
            'count': int(chosen.sum()),
            'measured': int(seen.sum()),
            'ratio_p50': figure(ratio, 0.5),
            'ratio_p5': figure(ratio, 0.05),
            'ratio_p95': figure(ratio, 0.95),
            'error_ml_s_p50': figure(np.abs(error), 0.5),
            'sigma_relative_p50': figure(self.sigma[seen] / self.measured[seen], 0.5),
            'within_1_sigma': share(1.0),
            'within_2_sigma': share(2.0),
        }


def measure_flow(
    count: int, seed: int, noise: NoiseModel, segmenter: SegmenterLike
) -> Iterator[Sequence[FlowResult] | None]:
    """Measure rendered pours with the network's and with true masks.

    The poses of source and target are off as `noise` says, one sigma, each axis. Yields None for
    each pour, then the two results.
    """
    kinds: tuple[tuple[str, SegmenterLike | None, FlowModel], ...] = (
        ('network', segmenter, FlowModel()),
        ('true', None, EXACT),
    )
    rows: dict[str, list[tuple[float, float, float, str]]] = {name: [] for name, *_ in kinds}
    refused: dict[str, Counter[str]] = {name: Counter() for name, *_ in kinds}
    for index in range(count):
        pour = known_pour(seed, index)
        yield None
        if pour is None:
            continue
        frame = misplaced(pour.frame, noise, np.random.default_rng((seed, index, 1)))
        for name, segments, model in kinds:
            pipeline = PourPipeline(
                segments or TrueMask(pour.mask), pour.source, pour.target, 'axis', noise, model
            )
            estimate = pipeline(frame)[1]
            flow, sigma = estimate.geometry.flow, estimate.geometry.flow_sigma
            if flow is None or sigma is None:
                refused[name][_why(estimate)] += 1
                flow = sigma = np.nan
            rows[name].append((1e6 * pour.flow, 1e6 * flow, 1e6 * sigma, pour.liquid))
    results = []
    for name, *_ in kinds:
        numbers = np.array([row[:3] for row in rows[name]], float).reshape(-1, 3)
        liquids = np.array([row[3] for row in rows[name]], np.str_)
        true, measured, sigma = numbers.T
        results.append(FlowResult(name, true, measured, sigma, liquids, refused[name]))
    yield results


def misplaced(frame: Frame, noise: NoiseModel, rng: np.random.Generator) -> Frame:
    """Return the frame with both containers' poses off by a draw of `noise`."""
    assert frame.T_cam_source is not None
    assert frame.T_base_target is not None
    source, target = (
        pose.perturbed(rng.normal(0, noise.position, 3), rng.normal(0, noise.angle, 3))
        for pose in (frame.T_cam_source, frame.T_base_target)
    )
    return replace(frame, T_cam_source=source, T_base_target=target)


def _why(estimate: PourEstimate) -> str:
    if not estimate.present:
        return 'no liquid was seen'
    # Measured numbers apart, the same reason.
    reason = re.sub(r'\d[\d.]* (deg|mm|px)', r'... \1', estimate.reason.split(' (')[0])
    return reason or 'too little of the stream is in sight'
