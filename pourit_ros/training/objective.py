# Copyright 2026 pourit_ros contributors
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
from .more_passes import crops_contrast, patch_presence, teacher_agreement, token_contrast
from .networks import Network, Runner, activation_of
from .twins import twin_coverage, twin_difference


def objective(
    network: Network,
    output: ClassifierOutput,
    batch: Batch,
    config: LossConfig,
    step: int,
    start: Runner | None = None,
    teacher: Runner | None = None,
) -> dict[str, Tensor]:
    """Weighted losses by name; training minimises their sum. Those of weight 0 are left out.

    `start`: the network before fine-tuning, see `twin_contrast`. `teacher`: with averaged weights,
    for the class contrast and USAGE.
    """
    labels, sure = batch.labels, batch.sure
    # Every batch holds dry pictures, which are sure.
    presence = presence_loss(output.presence[sure], labels[sure])
    parts = {'presence': config.presence * presence}
    if config.mask > 0:
        parts['mask'] = config.mask * _masks(output.cam, batch)
    if config.twin > 0:
        parts['twin'] = config.twin * _twins(output.cam, batch, start)
    contrasts = max(config.contrast, config.patch_contrast, config.class_contrast)
    if contrasts > 0 and step >= config.contrast_after:
        below, above = config.contrast_band
        activation = activation_of(network, batch.images, output.cam, labels)
        features, seen, sure_labels = output.features[sure], activation[sure], labels[sure]
        if config.contrast > 0:
            contrast = feature_contrast(features, seen, sure_labels, above, below)
            parts['contrast'] = config.contrast * contrast
        if config.patch_contrast > 0:
            tokens = token_contrast(features, seen, above, below)
            parts['patch_contrast'] = config.patch_contrast * tokens
        if config.class_contrast > 0 and teacher is not None:
            crops = crops_contrast(network, teacher, batch, activation, config, step)
            parts['class_contrast'] = config.class_contrast * crops
    if config.usage > 0 and teacher is not None:
        usage = teacher_agreement(output.cam, teacher, batch, config.temperature)
        parts['usage'] = config.usage * usage
    for name, weight in (
        ('patches', config.patches), ('explicit_patches', config.explicit_patches)
    ):  # fmt: skip
        if weight > 0:
            explicit = name == 'explicit_patches'
            parts[name] = weight * patch_presence(network, batch, config.patch_grid, explicit)
    if config.area > 0:
        parts['area'] = config.area * area_prior(output.cam, labels)
    return parts


def _masks(cam: Tensor, batch: Batch) -> Tensor:
    known = batch.known
    if not known.any():
        return cam.sum() * 0
    return mask_loss(cam[known], batch.coverage[known], batch.through_glass[known])


def _twins(cam: Tensor, batch: Batch, start: Runner | None) -> Tensor:
    """Twin contrast of the pairs whose crop shows liquid; all dry images are background."""
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
