# SPDX-License-Identifier: Apache-2.0
"""The loss of a batch under a recipe."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..perception.classifier import ClassifierOutput
from .batches import Batch
from .config import LossConfig
from .losses import area_prior, feature_contrast, mask_loss, presence_loss, twin_contrast
from .networks import Network, Runner, activation_of
from .twins import twin_coverage, twin_difference


def objective(
    network: Network,
    output: ClassifierOutput,
    batch: Batch,
    config: LossConfig,
    step: int,
    start: Runner | None = None,
) -> dict[str, Tensor]:
    """Weighted losses by name; their sum is what training lowers. Left out where weight is 0.

    `start`: the network as it was before a fine-tuning, see `twin_contrast`.
    """
    labels, sure = batch.labels, batch.sure
    # Every batch holds dry pictures, which are sure.
    presence = presence_loss(output.presence[sure], labels[sure])
    parts = {'presence': config.presence * presence}
    if config.mask > 0:
        parts['mask'] = config.mask * _masks(output.cam, batch)
    if config.twin > 0:
        parts['twin'] = config.twin * _twins(output.cam, batch, start)
    if config.contrast > 0 and step >= config.contrast_after:
        below, above = config.contrast_band
        activation = activation_of(network, batch.images, output.cam, labels)
        contrast = feature_contrast(
            output.features[sure], activation[sure], labels[sure], above, below
        )
        parts['contrast'] = config.contrast * contrast
    if config.area > 0:
        parts['area'] = config.area * area_prior(output.cam, labels)
    return parts


def _masks(cam: Tensor, batch: Batch) -> Tensor:
    known = batch.known
    return mask_loss(cam[known], batch.coverage[known]) if known.any() else cam.sum() * 0


def _twins(cam: Tensor, batch: Batch, start: Runner | None) -> Tensor:
    """Twin contrast of the pairs whose crop shows liquid; all dry pictures are background."""
    wet = batch.paired[batch.labels[batch.paired] > 0]
    if not len(wet):
        dry = cam[batch.labels == 0]
        return 2 * F.softplus(dry).mean() if len(dry) else cam.sum() * 0
    with torch.no_grad():
        twins = batch.plain[wet], batch.plain[wet + 1]
        difference, coverage = twin_difference(*twins), twin_coverage(*twins)
        images, valid = batch.images[wet], batch.valid[wet]
        belief = start(images, valid).cam.float().sigmoid() if start else None
    return twin_contrast(cam[wet], cam[wet + 1], difference, coverage, belief)
