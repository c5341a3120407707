# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Calibrate presence and choose the thresholds of a classifier on held-out rendered pairs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..perception.classifier import LiquidClassifier
from ..perception.masks import keep_stream
from ..perception.segmenter import Segmenter
from ..perception.weights import WeightsMetadata
from .data_sets import DataSet, Sample, counted
from .metrics import auroc, overlap

# Of pictures without liquid, so many may be taken for ones with it.
FALSE_ALARMS = 0.05
_THRESHOLDS = np.round(np.arange(0.1, 0.96, 0.05), 2)


@dataclass(frozen=True)
class Calibration:
    """Thresholds for a weights file, with their scores on the held-out pairs.

    `mask_iou`: mean over the images with liquid, 0 where it was missed.
    """

    metadata: WeightsMetadata
    mask_iou: float | None
    presence_auroc: float
    recall: float
    false_alarms: float

    def __str__(self) -> str:
        threshold = f'{self.metadata.mask_threshold:.2f}'
        mask = f'mask IoU {self.mask_iou:.3f} at' if self.mask_iou is not None else 'masks at'
        return (
            f'held-out images: {mask} {threshold}, presence AUROC {self.presence_auroc:.4f}, '
            f'recall {self.recall:.3f}, false alarms {self.false_alarms:.3f} at '
            f'{self.metadata.presence_threshold:.3f}'
        )


def platt(
    wet: npt.NDArray[np.floating], dry: npt.NDArray[np.floating], iterations: int = 100
) -> tuple[float, float]:
    """Fit scale a and bias b of σ(a·s + b) to scores of images with and without liquid.

    Platt, 'Probabilistic outputs for support vector machines' (1999), with his targets
    (N₊ + 1)/(N₊ + 2) and 1/(N₋ + 2), which keep the slope finite where the scores separate;
    damped Newton steps on the cross-entropy.
    """
    s = np.r_[wet, dry].astype(np.float64)
    y = np.r_[
        np.full(len(wet), (len(wet) + 1) / (len(wet) + 2)), np.full(len(dry), 1 / (len(dry) + 2))
    ]
    design = np.stack([s, np.ones_like(s)], 1)

    def entropy(x: npt.NDArray[np.float64]) -> float:
        logits = design @ x
        return float((np.logaddexp(0, logits) - y * logits).sum())

    x = np.zeros(2)
    for _ in range(iterations):
        p = 1 / (1 + np.exp(-(design @ x)))
        hessian = design.T @ (design * (p * (1 - p))[:, None]) + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, design.T @ (y - p))
        length = 1.0
        while entropy(x + length * step) > entropy(x) and length > 1e-6:
            length /= 2
        x = x + length * step
        if np.abs(length * step).max() < 1e-9:
            break
    return float(x[0]), float(x[1])


def recall_first(wet: npt.NDArray[np.floating], dry: npt.NDArray[np.floating]) -> float:
    """Return the threshold of highest recall that limits false alarms to `FALSE_ALARMS`.

    A missed stream goes on pouring unnoticed, while a false alarm is visible. Of the thresholds
    with that recall, it is the one with the fewest false alarms, in the middle of its gap.
    """
    scores = np.unique(np.r_[0.0, wet, dry, 1.0])
    middles = (scores[1:] + scores[:-1]) / 2
    recall = (wet > middles[:, None]).mean(1)
    alarms = (dry > middles[:, None]).mean(1)
    allowed = alarms <= max(FALSE_ALARMS, alarms.min())
    allowed &= recall == recall[allowed].max()
    best = np.flatnonzero(allowed & (alarms == alarms[allowed].min()))
    return float(middles[best[len(best) // 2]])


def steady_threshold(overlaps: npt.NDArray[np.floating]) -> int:
    """Index of the threshold nearest to 1/2 that is not significantly worse than the best.

    The CAM is trained as a share of liquid, so its natural threshold is 1/2; the best threshold of
    a few hardly visible streams may be far from it. Not significantly worse: within one standard
    error of the best mean (Breiman et al., 'Classification and Regression Trees', 1984, 3.4.3).

    overlaps: (N, T) IoU of each image at each of `_THRESHOLDS`.
    """
    mean = overlaps.mean(0)
    best = int(mean.argmax())
    count = len(overlaps)
    error = float(overlaps[:, best].std(ddof=1)) / math.sqrt(count) if count > 1 else 0.0
    good = mean >= mean[best] - error
    return int(np.where(good, np.abs(_THRESHOLDS - 0.5), np.inf).argmin())


def calibrate(
    network: LiquidClassifier,
    metadata: WeightsMetadata,
    held_out: Sequence[DataSet],
    progress: Callable[[int, int], None] | None = None,
) -> Calibration:
    """Set the network's presence scale and bias, and choose both thresholds of the metadata.

    Images go through the `Segmenter` as in use: in the area of `input_size`², masks at the images'
    resolution and cleaned. The presence threshold is that of `recall_first`. The mask threshold is
    the `steady_threshold` of the wet images in which that finds liquid (coverage ≥ 1/2 is liquid);
    without masks it stays as in the metadata.

    Each set of `held_out` has images with and without liquid (`has_both`). `progress` receives the
    number of samples done, and of how many.
    """
    network.presence.scale.data.fill_(1)
    network.presence.bias.data.zero_()
    # As if liquid were found in all, so that all masks are as at work.
    segmenter = Segmenter.from_model(network, replace(metadata, presence_threshold=0.0))
    scores: dict[bool, list[float]] = {True: [], False: []}
    overlaps, masked = [], []
    samples = [(data, k) for data in held_out for k in range(len(data))]
    for done, (data, k) in enumerate(samples):
        if progress is not None:
            progress(done, len(samples))
        sample = data[k]
        result = segmenter.segment(sample.picture)
        scores[sample.liquid].append(_logit(result.probability))
        if sample.coverage is not None:
            masked.append(len(scores[True]) - 1)
            overlaps.append(_overlaps(result.cam, sample))
        # A labelled folder lists its twins themselves.
        if sample.twin is not None and data.has_masks:
            scores[False].append(_logit(segmenter.segment(sample.twin).probability))
    wet, dry = np.array(scores[True]), np.array(scores[False])
    scale, bias = platt(wet, dry)
    network.presence.scale.data.fill_(scale)
    network.presence.bias.data.fill_(bias)
    wet, dry = (1 / (1 + np.exp(-(scale * s + bias))) for s in (wet, dry))
    split = recall_first(wet, dry)
    chosen = replace(metadata, presence_threshold=round(split, 4))
    iou = None
    if overlaps:
        found = wet[masked] > split
        table = np.array(overlaps)
        number = steady_threshold(table[found] if found.any() else table)
        iou = float((table[:, number] * found).mean())
        chosen = replace(chosen, mask_threshold=float(_THRESHOLDS[number]))
    ranked = auroc(wet, dry)
    assert ranked is not None
    return Calibration(
        chosen, iou, ranked, float((wet > split).mean()), float((dry > split).mean())
    )


def _logit(probability: float) -> float:
    return math.log(max(probability, 1e-12)) - math.log(max(1 - probability, 1e-12))


def _overlaps(cam: npt.NDArray[np.float32], sample: Sample) -> list[float]:
    """IoU of the cleaned mask with the coverage, for every candidate threshold."""
    assert sample.coverage is not None
    truth, counts = sample.coverage >= 128, np.ones(cam.shape, bool)
    if sample.through_glass is not None:
        counts = counted(sample.coverage, sample.through_glass)
    values = []
    for threshold in _THRESHOLDS:
        mask = keep_stream(cam > threshold, cam) & counts
        intersection, union = overlap(mask, truth)
        values.append(intersection / max(union, 1))
    return values
