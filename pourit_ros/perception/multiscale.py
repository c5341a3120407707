# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Class activation maps over scales and mirror images, as in PourIt! and AFA.

Lin et al., ICCV 2023 (arXiv 2307.11299), after Ru et al., CVPR 2022 (arXiv 2203.02664).
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def with_mirror(images: Tensor) -> Tensor:
    """(B, C, H, W) -> (2B, C, H, W): the images, then their mirror images."""
    return torch.cat((images, images.flip(-1)))


def merge_mirror(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Raw maps of `with_mirror` images, (2B, 1, h, w) -> (B, 1, *size), non-negative.

    Both are upsampled bilinearly, the mirrored one is flipped back, and the larger value wins.
    """
    maps = F.interpolate(maps, size=tuple(size), mode='bilinear', align_corners=False)
    straight, mirrored = maps.chunk(2)
    return F.relu(torch.maximum(straight, mirrored.flip(-1)))


def min_max(maps: Tensor) -> Tensor:
    """Each of (B, 1, H, W) maps to [0, 1): (A - min A) / (max(A - min A) + 1e-5)."""
    maps = maps - maps.amin((1, 2, 3), keepdim=True)
    return maps / (maps.amax((1, 2, 3), keepdim=True) + 1e-5)


def multi_scale_cam(
    cam: Callable[[Tensor], Tensor],
    images: Tensor,
    scales: Sequence[float] = (1.0, 0.5, 1.5),
) -> Tensor:
    """Sum the maps of all scales and normalise.

    cam: (B, C, H, W) images -> (B, 1, h, w) raw maps, of any stride. Returns (B, 1, H, W) in
    [0, 1); mirroring the image mirrors it.
    """
    size = images.shape[2:]
    total = images.new_zeros((images.shape[0], 1, *size))
    for scale in scales:
        # By size, not by factor: else odd sizes are sampled differently in the mirror image.
        scaled_size = [int(n * scale) for n in size]
        scaled = F.interpolate(images, scaled_size, mode='bilinear', align_corners=False)
        total = total + merge_mirror(cam(with_mirror(scaled)), size)
    return min_max(total)
