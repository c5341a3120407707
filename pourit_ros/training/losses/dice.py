# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Weighted dice, which several losses share."""

from __future__ import annotations

from torch import Tensor


def dice(p: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """1 − mean over images of (2Σwpt + 1) / (Σwp + Σwt + 1); all (B, 1, h, w)."""
    p, target, weight = (x.flatten(1) for x in (p, target, weight))
    both, sum_ = (weight * p * target).sum(1), (weight * (p + target)).sum(1)
    return 1 - ((2 * both + 1) / (sum_ + 1)).mean()
