# SPDX-License-Identifier: Apache-2.0
"""Where a picture differs from its dry twin, in units of the noise: evidence without a mask."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

STRIDE = 4
# Cells below SAME are alike; those above CHANGED that have company are not.
SAME, CHANGED = 3.0, 6.0
# Side, cells, of the neighbourhood whose largest difference counts as full coverage.
NEIGHBOURHOOD = 7


def twin_difference(wet: Tensor, dry: Tensor) -> Tensor:
    """How much each CAM cell differs between a picture and its dry twin, in units of noise.

    d = max over colours of |4 × 4 mean of (wet − dry)|, divided by its median over the cells of
    the pair: the stream is small, so the median cell shows noise. The noise is taken as 1 grey
    level at least, which is what quantisation and JPEG leave in noise-free pictures.

    wet, dry: (B, 3, H, W) in grey levels 0..255. Returns (B, 1, ⌈H/4⌉, ⌈W/4⌉).
    """
    change = F.avg_pool2d(wet.float() - dry.float(), STRIDE, ceil_mode=True)
    change = change.abs().amax(1, keepdim=True)
    noise = change.flatten(1).median(1).values.clamp_min(1.0)
    return change / noise.view(-1, 1, 1, 1)


def changed_cells(difference: Tensor) -> Tensor:
    """(B, 1, h, w) bool: cells that differ beyond noise and are not alone in it.

    A change of one or two cells is noise. A stream may be a single cell wide, so no opening: a
    cell counts when it lies, with two others, in a 3 × 3 window of changed cells, or beside one
    that does.
    """
    changed = (difference > CHANGED).float()
    company = 9 * F.avg_pool2d(changed, 3, 1, 1)
    core = changed * (company > 2.5)
    return (changed * F.max_pool2d(core, 3, 1, 1)) > 0


def twin_coverage(difference: Tensor) -> Tensor:
    """How much of each cell the difference covers, 0..1, without a mask.

    At the stream's edge a cell is covered in part and differs by that part of what its
    neighbours differ by: d over its maximum in the neighbourhood. Clear liquid differs less in
    its middle than at its edges: a closing fills it first. Between twins that are alike: 0.

    difference: (B, 1, h, w) in units of noise. Returns (B, 1, h, w).
    """
    widened = F.max_pool2d(difference, 3, 1, 1)
    closed = torch.maximum(difference, -F.max_pool2d(-widened, 3, 1, 1))
    local = F.max_pool2d(closed, NEIGHBOURHOOD, 1, NEIGHBOURHOOD // 2)
    share = (closed / local.clamp_min(1e-6)).clamp(0, 1)
    return torch.where(local > CHANGED, share, torch.zeros_like(share))
