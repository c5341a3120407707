# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Pixel-adaptive refinement of maps, in PyTorch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

# Of the pixel-adaptive refinement. AFA's (1, 2, 4, 8, 12, 24) and 10 suit objects: what lies up to
# 24 px away outweighs a stream of 8 px.
DILATIONS = (1, 2)
ITERATIONS = 5
_SHARPNESS = 0.3
_POSITION_SHARE = 0.01
_DIRECTIONS = tuple((v, u) for v in (-1, 0, 1) for u in (-1, 0, 1) if (v, u) != (0, 0))
_LENGTHS = tuple(float(np.hypot(v, u)) for v, u in _DIRECTIONS)


def pixel_adaptive(
    images: Tensor,
    maps: Tensor,
    dilations: tuple[int, ...] = DILATIONS,
    iterations: int = ITERATIONS,
) -> Tensor:
    """Diffuse maps between pixels of similar colour.

    The pixel-adaptive refinement of Ru et al., "Learning Affinity from Attention: End-to-End
    Weakly-Supervised Semantic Segmentation with Transformers", CVPR 2022, section 3.3. Each
    iteration replaces a pixel by a weighted mean of its 8 neighbours at every dilation. The
    weights are a softmax over the neighbours of −mean_c (ΔI_c / (0.3 σ_c))², plus 0.01 times that
    of −(|Δp| / (0.3 σ_p))²; σ are the deviations over the neighbours, of each channel and of their
    distances |Δp|.

    The released code does not divide by the sum of these weights, 1.01, so that maps grow by 10 %
    in 10 iterations; here flat maps stay as they are. Edges are repeated beyond the image.

    images: (N, C, H, W), of any scale. maps: (N, K, H, W). Returns (N, K, H, W).
    """
    around = torch.stack(list(_neighbours(images, dilations)))
    scale = (_SHARPNESS * around.std(0)).clamp_min(1e-8)
    alike = -(((around - images) / scale) ** 2).mean(2)
    reach = torch.tensor([d * length for d in dilations for length in _LENGTHS]).to(images)
    near = -((reach / (_SHARPNESS * reach.std())) ** 2)
    weights = alike.softmax(0) + _POSITION_SHARE * near.softmax(0).view(-1, 1, 1, 1)
    weights = (weights / (1 + _POSITION_SHARE))[:, :, None]
    for _ in range(iterations):
        total = torch.zeros_like(maps)
        for weight, neighbour in zip(weights, _neighbours(maps, dilations), strict=True):
            total.addcmul_(weight, neighbour)
        maps = total
    return maps


def _neighbours(values: Tensor, dilations: tuple[int, ...]) -> Iterator[Tensor]:
    """Views of (N, C, H, W), shifted by each dilation in each of 8 directions."""
    height, width = values.shape[2:]
    most = max(dilations)
    padded = F.pad(values, (most, most, most, most), mode='replicate')
    for d in dilations:
        for v, u in _DIRECTIONS:
            top, left = most + d * v, most + d * u
            yield padded[..., top : top + height, left : left + width]
