# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Soft masks of rendered scenes."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ..data_sets import GLASS
from ..twins import STRIDE
from .dice import dice


def area_coverage(coverage: Tensor) -> Tensor:
    """Coverage (B, 1, H, W) of pixels -> (B, 1, ⌈H/4⌉, ⌈W/4⌉) of CAM cells, by area."""
    return F.avg_pool2d(coverage, STRIDE, ceil_mode=True)


def mask_loss(cam: Tensor, coverage: Tensor, through_glass: Tensor, weight: float = 3.0) -> Tensor:
    """Soft-coverage mask loss at stride 4: weight · BCE + dice.

    With p = σ(cam) and the area-averaged coverage m, BCE is the mean over all cells against the
    soft target m, and dice = 1 − mean over images with liquid of (2Σpm + 1) / (Σp + Σm + 1)
    (Milletari et al., 'V-Net', 3DV 2016, with linear sums and the usual + 1). Images without
    liquid enter only the BCE. Cells in which the stream shows through glass are in no sum: they
    are neither the liquid to find nor background.

    cam: (B, 1, h, w) logits. coverage, through_glass: (B, 1, H, W) in 0..1 with h = ⌈H/4⌉,
    w = ⌈W/4⌉; their sum is the whole stream.
    """
    target = area_coverage(coverage)
    counted = (area_coverage(through_glass) < GLASS).to(cam.dtype)
    entropy = F.binary_cross_entropy_with_logits(cam, target, counted)
    wet = (counted * target).sum((1, 2, 3)) > 0
    if not wet.any():
        return weight * entropy
    return weight * entropy + dice(cam.sigmoid()[wet], target[wet], counted[wet])
