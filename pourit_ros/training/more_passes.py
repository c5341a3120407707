# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Losses of other papers on this package's batches: with crops, tiles, or averaged weights."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..perception.classifier import LiquidClassifier, valid_cells
from .batches import Batch
from .config import LossConfig
from .losses import (
    agreement,
    class_contrast,
    on_tiles,
    patch_contrast,
    presence_loss,
    relation,
    temperature_pooling,
)
from .networks import Network, Runner

# ToCo's 28 x 28 tokens: pairs of all cells at stride 4 would not fit into memory.
TOKENS = 28
# Crops of an image, and the share of its liquid from which on one counts as liquid.
CROPS = 4
ENOUGH = 0.2


def token_contrast(features: Tensor, activation: Tensor, above: float, below: float) -> Tensor:
    """ToCo's PTC on at most TOKENS² tokens an image: means of features, maxima of activation."""
    size = [min(side, TOKENS) for side in features.shape[2:]]
    tokens = F.adaptive_avg_pool2d(features, size)
    seen = F.adaptive_max_pool2d(activation.detach(), size)
    return patch_contrast(tokens, *relation(seen, above, below))


def crops_contrast(
    network: Network,
    teacher: Runner,
    batch: Batch,
    activation: Tensor,
    config: LossConfig,
    step: int,
) -> Tensor:
    """ToCo's CTC on wet images; the maxima of features stand for class tokens.

    Teacher: both mirror images. Student: CROPS crops of about half the side. A crop is positive
    with a share ENOUGH of the image's liquid cells, negative without any activation above the
    band's lower end. (ToCo counts a fifth of the crop's area, which no stream covers.)
    """
    below, above = config.contrast_band
    wet = ((batch.labels > 0.5) & batch.sure).nonzero()[:, 0]
    if not len(wet):
        return activation.sum() * 0
    images, valid, seen = batch.images[wet], batch.valid[wet], activation[wet]
    with torch.no_grad():
        views = [teacher(x, v).features for x, v in ((images, valid), _mirrored(images, valid))]
        global_ = torch.stack([view.amax((2, 3)) for view in views], 1)
    large = F.interpolate(seen, images.shape[2:], mode='nearest')
    # Where no cell reaches the band, the strongest one is the liquid, as in PourIt!'s contrast.
    most = seen.amax((1, 2, 3), keepdim=True)
    found_liquid = (large >= most.clamp(max=above)) & (most > 0)
    quiet = large < most.clamp(max=below)
    side = max(32, min(images.shape[2:]) // 64 * 32)
    draw = torch.Generator().manual_seed(step)
    runner, found, positive, negative = Runner(network), [], [], []
    for _ in range(CROPS):
        top, left = (
            int(torch.randint(length - side + 1, (), generator=draw))
            for length in images.shape[2:]
        )
        window = (..., slice(top, top + side), slice(left, left + side))
        found.append(runner(images[window], valid[window] | ~_any(valid[window])).features)
        whole = found_liquid.sum((1, 2, 3)).clamp_min(1)
        liquid = found_liquid[window].sum((1, 2, 3)) / whole
        shown = _any(valid[window])[:, 0, 0, 0]
        positive.append((liquid >= ENOUGH) & shown)
        negative.append(quiet[window].flatten(1).all(1) & shown)
    student = torch.stack([features.amax((2, 3)) for features in found], 1)
    return class_contrast(global_, student, torch.stack(positive, 1), torch.stack(negative, 1))


def teacher_agreement(cam: Tensor, teacher: Runner, batch: Batch, temperature: float) -> Tensor:
    """USAGE: generation and regularisation loss.

    The teacher sees the images before their look was changed: the weak adjustment, beside the
    student's strong one.
    """
    # The published network has another stride and knows no borders.
    cells = valid_cells(batch.valid)
    pooled = temperature_pooling(cam, temperature, cells if cells.shape == cam.shape else None)
    generation = presence_loss(pooled[batch.sure], batch.labels[batch.sure])
    with torch.no_grad():
        theirs = teacher(batch.plain, batch.valid).cam
    return generation + agreement(cam, theirs, batch.labels, temperature)


def patch_presence(network: Network, batch: Batch, grid: int, explicit: bool) -> Tensor:
    """PPL: presence of the map that is merged from tiles, cut between encoder and fusion."""
    assert isinstance(network, LiquidClassifier)
    images = network.normalise(batch.images).masked_fill(~batch.valid, 0.0)
    with torch.set_grad_enabled(not explicit and torch.is_grad_enabled()):
        stages = network.encoder(images)
    cam = on_tiles(lambda parts: network.head(network.fusion(parts)), stages, grid, explicit)
    presence = network.presence(cam, valid_cells(batch.valid))
    return presence_loss(presence[batch.sure], batch.labels[batch.sure])


def _mirrored(images: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    return images.flip(-1), valid.flip(-1)


def _any(valid: Tensor) -> Tensor:
    """(B, 1, H, W) -> (B, 1, 1, 1): whether a crop shows some of its image."""
    return valid.any(3, keepdim=True).any(2, keepdim=True)
