# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Normalise grey levels as in an encoder's training."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Normalisation:
    """Per-channel (x - mean) / std; both in grey levels 0..255, RGB order."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __call__(self, rgb: Tensor) -> Tensor:
        """(B, 3, H, W) uint8 or float RGB in 0..255 -> (B, 3, H, W) float32."""
        mean = torch.tensor(self.mean, device=rgb.device).view(1, 3, 1, 1)
        std = torch.tensor(self.std, device=rgb.device).view(1, 3, 1, 1)
        return (rgb.float() - mean) / std


#: x / 127.5 - 1, as TensorFlow's MobileNets expect.
SYMMETRIC = Normalisation((127.5, 127.5, 127.5), (127.5, 127.5, 127.5))
#: Mean and standard deviation of ImageNet-1k.
IMAGENET = Normalisation((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
