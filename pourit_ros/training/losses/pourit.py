# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Feature contrast of PourIt!."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# Cosines are clamped as published, so that no logarithm is taken of 0.
_LEAST, _MOST = 0.0005, 0.9995


def feature_contrast(
    features: Tensor,
    activation: Tensor,
    labels: Tensor,
    above: float,
    below: float,
    cells: int = 512,
) -> Tensor:
    """Pull features of liquid together and away from the background's: PourIt!'s contrast.

    With c(a, b) the cosine clamped to [0.0005, 0.9995], P the cells of wet images whose activation
    is at least `above` and N those below `below` with all cells of dry images, over the batch:
    mean_{P×P} −log c + mean_{P×N} −log(1 − c) (Lin et al., ICCV 2023, as released). Between
    `below` and `above` cells are ignored. A wet image without a cell in P contributes its
    strongest one. A wet image without any activation is left out, since nothing separates its
    liquid from its background; the loss is 0 if that leaves no liquid. At most `cells` of each
    set, evenly spread, are used.

    features: (B, C, h, w). activation: (B, 1, h, w) in 0..1, no gradient flows through it.
    labels: (B,) in {0, 1}.
    """
    strength = activation.detach().flatten(1)
    wet = labels > 0.5
    found = wet & (strength > 0).any(1)
    if not found.any():
        return features.sum() * 0
    flat = F.normalize(features.float().flatten(2).transpose(1, 2), dim=2)
    strongest = F.one_hot(strength.argmax(1), strength.shape[1]).bool()
    liquid = ((strength >= above) | strongest) & found[:, None]
    background = ((strength < below) & ~liquid & found[:, None]) | ~wet[:, None]
    p, n = _spread(flat[liquid], cells), _spread(flat[background], cells)
    loss = -(p @ p.T).clamp(_LEAST, _MOST).log().mean()
    if len(n):
        loss = loss - (1 - (p @ n.T).clamp(_LEAST, _MOST)).log().mean()
    return loss


def _spread(rows: Tensor, count: int) -> Tensor:
    if len(rows) <= count:
        return rows
    chosen = torch.linspace(0, len(rows) - 1, count, device=rows.device).long()
    return rows[chosen]
