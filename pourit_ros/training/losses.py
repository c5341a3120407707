# SPDX-License-Identifier: Apache-2.0
"""Losses of the liquid classifier: image labels, soft masks, and dry twins."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_STRIDE = 4


def presence_loss(presence: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy of the pooled presence: mean of softplus(s) − y·s.

    presence: (B,) logits s, log-sum-exp pooled from the CAM. labels: (B,) y in {0, 1}.
    """
    return F.binary_cross_entropy_with_logits(presence, labels)


def area_coverage(coverage: Tensor) -> Tensor:
    """Coverage (B, 1, H, W) of pixels -> (B, 1, ⌈H/4⌉, ⌈W/4⌉) of CAM cells, by area."""
    return F.avg_pool2d(coverage, _STRIDE, ceil_mode=True)


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
    p, m = cam.sigmoid()[wet].flatten(1), target[wet].flatten(1)
    overlap = (2 * (p * m).sum(1) + 1) / (p.sum(1) + m.sum(1) + 1)
    return weight * entropy + 1 - overlap.mean()


def twin_difference(wet: Tensor, dry: Tensor) -> Tensor:
    """How much each CAM cell differs between a picture and its dry twin, in units of noise.

    d = max over colours of |4 × 4 mean of (wet − dry)|, divided by its median over the cells of
    the pair: the stream is small, so the median cell shows noise. The noise is taken as 1 grey
    level at least, which is what quantisation and JPEG leave in noise-free pictures.

    wet, dry: (B, 3, H, W) in grey levels 0..255. Returns (B, 1, ⌈H/4⌉, ⌈W/4⌉).
    """
    change = F.avg_pool2d(wet.float() - dry.float(), _STRIDE, ceil_mode=True)
    change = change.abs().amax(1, keepdim=True)
    noise = change.flatten(1).median(1).values.clamp_min(1.0)
    return change / noise.view(-1, 1, 1, 1)


def twin_contrast(
    wet_cam: Tensor,
    dry_cam: Tensor,
    difference: Tensor,
    same: float = 3.0,
    changed: float = 6.0,
) -> Tensor:
    """Localise liquid from labels and pairing alone, without a mask.

    A picture with liquid and its dry twin differ only where the liquid is. With the difference d
    of `twin_difference`, cells with d < `same` are background, as are all cells of the twin; cells
    above `changed` that survive a 3 × 3 opening (a difference of one cell is noise) are liquid;
    between, the loss has no opinion:

        2 mean_{d < same} softplus(c₊) + 2 mean softplus(c₋) + mean_{opened} softplus(−c₊)

    wet_cam, dry_cam: (B, 1, h, w) logits c₊, c₋. difference: (B, 1, h, w), units of noise.
    """
    background = (difference < same).float()
    eroded = -F.max_pool2d(-difference, 3, 1, 1)
    liquid = (F.max_pool2d(eroded, 3, 1, 1) > changed).float()

    def mean(values: Tensor, where: Tensor) -> Tensor:
        return (values * where).sum() / where.sum().clamp_min(1)

    return (
        2 * mean(F.softplus(wet_cam), background)
        + 2 * F.softplus(dry_cam).mean()
        + mean(F.softplus(-wet_cam), liquid)
    )


def pairs_interleaved(batch: Tensor) -> tuple[Tensor, Tensor]:
    """Split a batch of pairs (2B, ...), wet before dry, into (B, ...) wet and (B, ...) dry."""
    return torch.unbind(batch.unflatten(0, (-1, 2)), 1)
