# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""How well a map finds what is known to be there, and both kinds of scores summed up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

#: Shares of a map's maximum at which it is cut.
CUTS = tuple(round(0.05 * k, 2) for k in range(1, 20))
# What the pointing game forgives, as a share of the image's diagonal: 8 px at 640 x 480.
TOLERANCE = 0.01


@dataclass(frozen=True, eq=False)
class Verdict:
    """One method on one image; None where there is no true mask, or nothing was measured."""

    method: str
    seconds: float
    ious: npt.NDArray[np.float64] | None = None
    """At each of CUTS."""
    pointed: bool | None = None
    """Whether the map's maximum hits the mask."""
    deletion: float | None = None
    """Area under the curve of `faithfulness.removal`; lower is better."""
    insertion: float | None = None
    """Higher is better."""
    drop: float | None = None
    """Share of the probability that is lost outside of the map; lower is better."""
    increase: bool | None = None


def cut_ious(
    heat: npt.NDArray[np.float32], truth: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """IoU of a map (H, W) in [0, 1], cut at each of CUTS, with a true mask (H, W)."""
    masks = heat[None] > np.array(CUTS, np.float32)[:, None, None]
    union = (masks | truth).sum((1, 2))
    return np.asarray((masks & truth).sum((1, 2)) / np.maximum(union, 1), np.float64)


def points_at(heat: npt.NDArray[np.float32], truth: npt.NDArray[np.bool_]) -> bool:
    """The pointing game: whether the maximum of a map (H, W) lies within TOLERANCE of the mask.

    Zhang et al., "Top-down Neural Attention by Excitation Backprop", ECCV 2016, section 4.1. A map
    of zeros points nowhere.
    """
    if heat.max(initial=0) <= 0 or not truth.any():
        return False
    distance = cv2.distanceTransform((~truth).astype(np.uint8), cv2.DIST_L2, 5)
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    return bool(distance[row, column] <= TOLERANCE * math.hypot(*heat.shape))


def sum_up(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Means of one method's verdicts, for JSON; None where there are none.

    masks: images with a true mask · iou: at half of the maximum · best_iou, cut: at the one cut
    that is best for the method over these images · pointing: share of hits · judged: images with
    deletion, insertion, drop and increase · ms: median time an image.
    """
    ious = [v.ious for v in verdicts if v.ious is not None]
    curve = np.mean(ious, 0) if ious else None
    best = None if curve is None else int(curve.argmax())
    judged = [v for v in verdicts if v.drop is not None]
    return {
        'masks': len(ious),
        'iou': None if curve is None else float(curve[CUTS.index(0.5)]),
        'best_iou': None if curve is None or best is None else float(curve[best]),
        'cut': None if best is None else CUTS[best],
        'pointing': _mean(v.pointed for v in verdicts if v.pointed is not None),
        'judged': len(judged),
        'deletion': _mean(v.deletion for v in judged if v.deletion is not None),
        'insertion': _mean(v.insertion for v in judged if v.insertion is not None),
        'drop': _mean(v.drop for v in judged),
        'increase': _mean(v.increase for v in judged),
        'ms': 1000 * float(np.median([v.seconds for v in verdicts])) if verdicts else None,
    }


def _mean(values: Any) -> float | None:
    numbers = [float(value) for value in values]
    return sum(numbers) / len(numbers) if numbers else None
