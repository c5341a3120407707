# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Losses of the liquid classifier, a file each; the recipe's weights switch them on."""

from .area import area_prior
from .masks import area_coverage, mask_loss
from .pourit import feature_contrast
from .ppl import merge_tiles, on_tiles
from .presence import presence_loss
from .toco import class_contrast, patch_contrast, relation
from .twins import twin_contrast
from .usage import agreement, temperature_pooling

__all__ = [
    'agreement',
    'area_coverage',
    'area_prior',
    'class_contrast',
    'feature_contrast',
    'mask_loss',
    'merge_tiles',
    'on_tiles',
    'patch_contrast',
    'presence_loss',
    'relation',
    'temperature_pooling',
    'twin_contrast',
]
