# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Fit `FlowModel`: how wide the masks of some weights show a stream of known flow.

    python scripts/flow_calibration.py [--weights default] [--count 300] [--seed 1]

Rendered pours of the split `train`; `pourit bench flow` then measures the model on others.
"""

import argparse
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import least_squares

from pourit_ros.bench.flow import KnownPour, known_pour, misplaced
from pourit_ros.geometry import FlowModel, NoiseModel
from pourit_ros.geometry.fall import GRAVITY
from pourit_ros.geometry.slices import Slices
from pourit_ros.geometry.stream import StreamFit
from pourit_ros.perception import Segmenter
from pourit_ros.pipeline import PourPipeline

# Errors beyond this count linearly, in logarithms of the width.
ROBUST = 0.15
FREE = ('widening', 'pixel_share', 'blob')


@dataclass(frozen=True)
class Recorder(FlowModel):
    """Keeps the slices that it is asked to measure."""

    kept: list[tuple[Slices, StreamFit]] = field(default_factory=list)

    def measure(self, slices: Slices, fit: StreamFit) -> tuple[float, float]:
        """Measure as ever, and keep what was measured."""
        self.kept.append((slices, fit))
        return super().measure(slices, fit)


def true_radius(pour: KnownPour, slices: Slices, fit: StreamFit) -> np.ndarray:
    """Radius (N,) m of a round stream of this flow at the slices."""
    fallen = np.maximum(pour.exit_height - (fit.top - slices.drop), 0.0)
    speed = np.sqrt(pour.exit_speed**2 + 2 * GRAVITY * fallen)
    return np.sqrt(pour.flow / (np.pi * speed))


def collect(weights: str, count: int, seed: int, noise: NoiseModel) -> list[np.ndarray]:
    """For each pour (N, 4): radius, pixel, half the width seen (m) and the slice's weight."""
    segmenter = Segmenter(weights)
    rows = []
    for index in range(count):
        pour = known_pour(seed, index, 'train')
        if pour is None:
            continue
        model = Recorder()
        frame = misplaced(pour.frame, noise, np.random.default_rng((seed, index, 1)))
        PourPipeline(segmenter, pour.source, pour.target, 'axis', noise, model)(frame)
        for slices, fit in model.kept:
            weight = model.spread(slices.drop) ** -2
            radius = true_radius(pour, slices, fit)
            row = np.stack([radius, slices.pixel, slices.radius, weight / weight.sum()], axis=1)
            rows.append(row)
    return rows


def main() -> None:
    """Print the three numbers, and how far pours are off with them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--weights', default='default')
    parser.add_argument('--count', type=int, default=300)
    parser.add_argument('--seed', type=int, default=1)
    args = parser.parse_args()
    pours = collect(args.weights, args.count, args.seed, NoiseModel())

    def errors(values: np.ndarray) -> np.ndarray:
        model = FlowModel(values[0], values[1], 1e-3 * values[2])
        shown = [model.shown(p[:, 0], p[:, 1]) for p in pours]
        pairs = zip(pours, shown, strict=True)
        return np.array([np.log(p[:, 2] / s) @ p[:, 3] for p, s in pairs])

    start = FlowModel()
    fit = least_squares(
        errors,
        [start.widening, start.pixel_share, 1e3 * start.blob],
        bounds=([0.3, 0.0, 0.0], [2.0, 2.0, 3.0]),
        loss='soft_l1',
        f_scale=ROBUST,
    )
    for name, value, unit in zip(FREE, fit.x, ('', ' px', ' mm'), strict=True):
        print(f'{name} {value:.2f}{unit}')
    off = np.abs(errors(fit.x))
    print(f'{len(pours)} pours, widths off by {np.median(off):.3f} (median, relative)')


if __name__ == '__main__':
    main()
