# SPDX-License-Identifier: Apache-2.0
"""Losses of the liquid classifier: image labels, dry twins, feature contrast, soft masks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .twins import SAME, STRIDE, changed_cells

# Cosines are clamped as published, so that no logarithm is taken of 0.
_LEAST, _MOST = 0.0005, 0.9995
# How far the network may overrule a change; 0: not, 1: a cell that it is sure of has no say.
TRUST = 0.7


def presence_loss(presence: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy of the pooled presence: mean of softplus(s) − y·s.

    presence: (B,) logits s, log-sum-exp pooled from the CAM. labels: (B,) y in {0, 1}.
    """
    return F.binary_cross_entropy_with_logits(presence, labels)


def area_coverage(coverage: Tensor) -> Tensor:
    """Coverage (B, 1, H, W) of pixels -> (B, 1, ⌈H/4⌉, ⌈W/4⌉) of CAM cells, by area."""
    return F.avg_pool2d(coverage, STRIDE, ceil_mode=True)


def mask_loss(cam: Tensor, coverage: Tensor, weight: float = 3.0) -> Tensor:
    """Soft-coverage mask loss at stride 4: weight · BCE + dice.

    With p = σ(cam) and the area-averaged coverage m, BCE is the mean over all cells against the
    soft target m, and dice = 1 − mean over images with liquid of (2Σpm + 1) / (Σp + Σm + 1)
    (Milletari et al., 'V-Net', 3DV 2016, with linear sums and the usual + 1). Images without
    liquid enter the BCE alone.

    cam: (B, 1, h, w) logits. coverage: (B, 1, H, W) in 0..1 with h = ⌈H/4⌉, w = ⌈W/4⌉.
    """
    target = area_coverage(coverage)
    entropy = F.binary_cross_entropy_with_logits(cam, target)
    wet = target.sum((1, 2, 3)) > 0
    if not wet.any():
        return weight * entropy
    p, m = cam.sigmoid()[wet], target[wet]
    return weight * entropy + _dice(p, m, torch.ones_like(m))


def twin_contrast(
    wet_cam: Tensor,
    dry_cam: Tensor,
    difference: Tensor,
    coverage: Tensor,
    belief: Tensor | None = None,
) -> Tensor:
    """Localise liquid from labels and pairing alone, without a mask.

    A picture with liquid and its dry twin differ where the liquid is, and where the robot moved
    between them. With the difference d of `twin_difference`, cells with d < SAME are background,
    as are all cells of the twin, and those once more where the two differ (C: `changed_cells` and
    their rim): what moved is seen there in both pictures, the liquid in one. In the wet picture C
    is fitted to the coverage t of `twin_coverage`, with weights w that trust a network where it
    says that a change is no liquid; the rest has no say. With its activation b and p = σ(c₊):

        2 mean_{d < SAME} softplus(c₊) + 2 mean softplus(c₋) + mean_C softplus(c₋)
        + mean_C w BCE(c₊, t) + dice(p, t, w),  w = min(1, b / t)^TRUST in C

    b is the `belief` of the weights that a fine-tuning started from: what has learnt to see
    liquid elsewhere tells it from an arm that moved. Without them b is the largest σ(c₊) of the
    3 × 3 cells around, held constant: the same thing in C of both then settles near 0.3 instead
    of 0.5 (TRUST 0), while nothing holds liquid down, and a stream that is seen in its middle is
    learnt up to its edges. That weight is the generalised cross-entropy's (Zhang and Sabuncu,
    NeurIPS 2018, q = TRUST), for soft targets and neighbours; but a network that trusts itself
    can talk itself into the arm.

    In the dice (see `mask_loss`), t = 0 and w = 1 where d < SAME. A mean over all of the
    background takes little notice of a few cells beside the stream, a bottle's neck; it does.
    Not with a `belief`: such weights know necks, and t is too coarse to fit streams to that
    closely which they outline already.

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
    return loss + _dice(p, coverage * changed, torch.where(changed, trust, same.float()))


def feature_contrast(
    features: Tensor,
    activation: Tensor,
    labels: Tensor,
    above: float,
    below: float,
    cells: int = 512,
) -> Tensor:
    """Pull features of liquid together, push them off the background's: PourIt!'s contrast.

    With c(a, b) the cosine clamped to [0.0005, 0.9995], P the cells of wet images whose activation
    is at least `above` and N those below `below` with all cells of dry images, over the batch:
    mean_{P×P} −log c + mean_{P×N} −log(1 − c) (Lin et al., ICCV 2023, as released). Between
    `below` and `above` cells are ignored. A wet image without a cell in P gives its strongest, so
    that no mean is empty; without wet images the loss is 0. At most `cells` of each set, evenly
    spread, take part.

    features: (B, C, h, w). activation: (B, 1, h, w) in 0..1, no gradient flows through it.
    labels: (B,) in {0, 1}.
    """
    batch = labels > 0.5
    if not batch.any():
        return features.sum() * 0
    flat = F.normalize(features.float().flatten(2).transpose(1, 2), dim=2)
    strength = activation.detach().flatten(1)
    strongest = strength >= strength.amax(1, keepdim=True)
    liquid = ((strength >= above) | strongest) & batch[:, None]
    background = ((strength < below) & ~liquid) | ~batch[:, None]
    p, n = _spread(flat[liquid], cells), _spread(flat[background], cells)
    loss = -(p @ p.T).clamp(_LEAST, _MOST).log().mean()
    if len(n):
        loss = loss - (1 - (p @ n.T).clamp(_LEAST, _MOST)).log().mean()
    return loss


def area_prior(cam: Tensor, labels: Tensor) -> Tensor:
    """Mean of σ(cam) over wet images (0 without any): a stream is a small part of a picture.

    cam: (B, 1, h, w) logits. labels: (B,) in {0, 1}.
    """
    area = cam.sigmoid().mean((1, 2, 3))
    return (area * labels).sum() / labels.sum().clamp_min(1)


def _dice(p: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """1 − mean over images of (2Σwpt + 1) / (Σwp + Σwt + 1); all (B, 1, h, w)."""
    p, target, weight = (x.flatten(1) for x in (p, target, weight))
    both, sum_ = (weight * p * target).sum(1), (weight * (p + target)).sum(1)
    return 1 - ((2 * both + 1) / (sum_ + 1)).mean()


def _mean(values: Tensor, where: Tensor) -> Tensor:
    chosen = where.float()
    return (values * chosen).sum() / chosen.sum().clamp_min(1)


def _spread(rows: Tensor, count: int) -> Tensor:
    if len(rows) <= count:
        return rows
    chosen = torch.linspace(0, len(rows) - 1, count, device=rows.device).long()
    return rows[chosen]
