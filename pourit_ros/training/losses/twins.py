# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Twin contrast: an image with liquid against its dry twin."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..twins import SAME, changed_cells
from .dice import dice

# How far the network may overrule a change; 0: not, 1: a cell that it is sure of has no say.
TRUST = 0.7


def twin_contrast(
    wet_cam: Tensor,
    dry_cam: Tensor,
    difference: Tensor,
    coverage: Tensor,
    belief: Tensor | None = None,
) -> Tensor:
    """Localise liquid from labels and pairing only, without a mask.

    An image with liquid and its dry twin differ where the liquid is, and where the robot moved
    between them. With the difference d of `twin_difference`, cells with d < SAME are background,
    as are all cells of the twin; the twin's cells count twice where the two differ (C:
    `changed_cells` and their rim), since anything that moved is visible there in both images, but
    liquid in only one. In the wet image, C is fitted to the coverage t of `twin_coverage`, with
    weights w that trust a network where it judges that a change is not liquid; the other cells do
    not count. With its activation b and p = σ(c₊):

        2 mean_{d < SAME} softplus(c₊) + 2 mean softplus(c₋) + mean_C softplus(c₋)
        + mean_C w BCE(c₊, t) + dice(p, t, w),  w = min(1, b / t)^TRUST in C

    b is the `belief` of the weights that a fine-tuning started from: a network that has learnt to
    see liquid elsewhere tells it from an arm that moved. Without them, b is the largest σ(c₊) of
    the 3 × 3 cells around, held constant: an object in C of both images then settles near 0.3
    instead of 0.5 (TRUST 0), while nothing suppresses liquid, and a stream recognised in its
    middle is learnt up to its edges. This weight is that of the generalised cross-entropy (Zhang
    and Sabuncu, NeurIPS 2018, q = TRUST), for soft targets and neighbours; but a network that
    trusts itself can come to take the arm for liquid.

    In the dice (see `mask_loss`), t = 0 and w = 1 where d < SAME. A mean over the whole background
    hardly registers a few cells beside the stream, such as a bottle's neck; the dice does. It is
    left out with a `belief`: such weights know necks, and t is too coarse for streams that they
    already outline well.

    wet_cam, dry_cam: (B, 1, h, w) logits c₊, c₋. difference, coverage, belief: (B, 1, h, w).
    """
    changed = changed_cells(difference)
    same = difference < SAME
    # With the rim of what changed: cells that the stream covers in part.
    changed = changed | ((F.max_pool2d(changed.float(), 3, 1, 1) > 0) & ~same)
    p = wet_cam.sigmoid()
    fitted = F.binary_cross_entropy_with_logits(wet_cam, coverage, reduction='none')
    started = belief is not None
    belief = F.max_pool2d(p.detach(), 3, 1, 1) if belief is None else belief
    trust = (belief / coverage.clamp_min(1e-3)).clamp(max=1) ** TRUST
    loss = (
        2 * _mean(F.softplus(wet_cam), same)
        + 2 * F.softplus(dry_cam).mean()
        + _mean(F.softplus(dry_cam), changed)
        + _mean(trust * fitted, changed)
    )
    if started:
        return loss
    return loss + dice(p, coverage * changed, torch.where(changed, trust, same.float()))


def _mean(values: Tensor, where: Tensor) -> Tensor:
    chosen = where.float()
    return (values * chosen).sum() / chosen.sum().clamp_min(1)
