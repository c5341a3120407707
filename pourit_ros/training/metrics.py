# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Scores of masks and of presence, as pure functions of arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt
from skimage.morphology import skeletonize

Mask = npt.NDArray[np.bool_]

# Lowest rows of a mask whose mean column is its tip's, px.
_TIP_ROWS = 3
_WIDTHS = (4, 8, 16)


@dataclass(frozen=True)
class ReliabilityBin:
    """Images whose probability lies in [low, high); the last bin includes 1."""

    low: float
    high: float
    count: int
    probability: float | None
    """Mean probability, None in an empty bin."""
    observed: float | None
    """Share of the images with liquid, None in an empty bin."""


def overlap(guess: Mask, truth: Mask) -> tuple[int, int]:
    """Count the pixels of intersection and union of two (H, W) masks."""
    return int((guess & truth).sum()), int((guess | truth).sum())


def mean_iou(
    intersections: npt.NDArray[np.integer], unions: npt.NDArray[np.integer]
) -> npt.NDArray[np.float64]:
    """Mean over the images (axis 0) of intersection / union, 0 where both are empty."""
    return np.asarray((intersections / np.maximum(unions, 1)).mean(0))


def dataset_iou(
    intersections: npt.NDArray[np.integer], unions: npt.NDArray[np.integer]
) -> npt.NDArray[np.float64]:
    """Sum of the intersections over sum of the unions (axis 0): every pixel counts equally.

    The segmentation score of PASCAL VOC (Everingham et al., IJCV 2010, section 4.3).
    """
    return np.asarray(intersections.sum(0) / np.maximum(unions.sum(0), 1))


def tip(mask: Mask) -> npt.NDArray[np.float64]:
    """Lower end (u, v) px of a non-empty (H, W) mask: last row, mean column of the last three."""
    v, u = np.nonzero(mask)
    bottom = v.max()
    return np.array([u[v > bottom - _TIP_ROWS].mean(), bottom], np.float64)


def tip_error(guess: Mask, truth: Mask) -> float | None:
    """Distance (px) between the tips of two (H, W) masks, None where one is empty."""
    if not guess.any() or not truth.any():
        return None
    return float(np.linalg.norm(tip(guess) - tip(truth)))


def stream_width(mask: Mask) -> float:
    """Width (px) of the stream in a non-empty (H, W) mask.

    Median over the medial axis of twice the distance to the nearest pixel outside; everything
    beyond the image is outside. A strip of w pixels has width w for even w, w + 1 for odd w.
    """
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    box = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    box = np.pad(box, 1)
    return float(np.median(2 * distance_transform_edt(box)[skeletonize(box)]))


def width_bin(width: float) -> str:
    """Name the range of a stream's width (px); a bound belongs to the range above."""
    names = ('< 4 px', '4 to 8 px', '8 to 16 px', '> 16 px')
    return names[int(np.searchsorted(_WIDTHS, width, side='right'))]


def auroc(wet: npt.NDArray[np.floating], dry: npt.NDArray[np.floating]) -> float | None:
    """Share of (wet, dry) pairs of scores in the right order, ties half; None without a pair.

    Hanley and McNeil, Radiology 143 (1982): the area under the ROC curve is this share.
    """
    if not len(wet) or not len(dry):
        return None
    ordered = np.sort(dry)
    below, up_to = (np.searchsorted(ordered, wet, side=side) for side in ('left', 'right'))
    return float((below + up_to).mean() / (2 * len(dry)))


@dataclass(frozen=True)
class Operating:
    """What every threshold of presence would give, from strict to lax; (N,) each."""

    recall: list[float]
    false_alarms: list[float]
    precision: list[float]


def operating_points(
    wet: npt.NDArray[np.floating], dry: npt.NDArray[np.floating]
) -> Operating | None:
    """The points of the ROC and the precision-recall curve; None without both kinds.

    One point for each score that occurs, found liquid being what reaches it, after (0, 0). The
    precision of nothing found is that of the highest score.
    """
    if not len(wet) or not len(dry):
        return None
    levels = np.unique(np.r_[wet, dry])[::-1]
    hits = len(wet) - np.searchsorted(np.sort(wet), levels)
    alarms = len(dry) - np.searchsorted(np.sort(dry), levels)
    precision = hits / (hits + alarms)
    return Operating(
        [0.0, *(hits / len(wet)).tolist()],
        [0.0, *(alarms / len(dry)).tolist()],
        [float(precision[0]), *precision.tolist()],
    )


def reliability(
    probabilities: npt.NDArray[np.floating], liquid: npt.NDArray[np.bool_], bins: int = 10
) -> list[ReliabilityBin]:
    """Tabulate (N,) probabilities against (N,) truths in bins of equal width."""
    which = np.minimum((probabilities * bins).astype(int), bins - 1)
    table = []
    for k in range(bins):
        inside = which == k
        count = int(inside.sum())
        means = (probabilities[inside].mean(), liquid[inside].mean()) if count else (None, None)
        table.append(
            ReliabilityBin(
                k / bins, (k + 1) / bins, count,
                *(None if m is None else float(m) for m in means),
            )
        )  # fmt: skip
    return table


def expected_calibration_error(table: list[ReliabilityBin]) -> float | None:
    """Mean over the images of |mean probability - observed share| of their bin; None for none.

    Naeini, Cooper and Hauskrecht, AAAI 2015.
    """
    total = sum(row.count for row in table)
    if not total:
        return None
    gaps = (
        row.count * abs(row.probability - row.observed)
        for row in table
        if row.probability is not None and row.observed is not None
    )
    return sum(gaps) / total
