# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The network of PourIt! as published (Lin et al., ICCV 2023, arXiv 2307.11299)."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from .encoders.mix_transformer import mit_b1


class PublishedNetwork(nn.Module):
    """MiT-B1 at output stride 16, global max pooling, bias-free 1x1 classifier.

    Takes RGB normalised by ImageNet's mean and standard deviation, at least 32 pixels a side.
    """

    def __init__(self) -> None:
        super().__init__()
        self.config: dict[str, Any] = {}
        self.encoder = mit_b1(strides=(4, 2, 2, 1))
        # The published checkpoint carries it, no output depends on it.
        self.attn_proj = nn.Conv2d(16, 1, 1)
        self.classifier = nn.Conv2d(512, 1, 1, bias=False)

    def normalise(self, rgb: Tensor) -> Tensor:
        """(B, 3, H, W) uint8 RGB -> the (B, 3, H, W) float32 that `forward` takes."""
        return self.encoder.normalise(rgb)

    def features(self, images: Tensor) -> Tensor:
        """Last stage, (B, 512, ceil(H / 16), ceil(W / 16))."""
        return self.encoder(images)[-1]

    def logits_and_cam(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, 1) and raw CAM (B, 1, ceil(H / 16), ceil(W / 16)) of one pass."""
        features = self.features(images)
        logits = self.classifier(F.adaptive_max_pool2d(features, 1)).flatten(1)
        return logits, self.classifier(features)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> logits (B, 1)."""
        return self.logits_and_cam(images)[0]

    def cam(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> raw CAM (B, 1, ceil(H / 16), ceil(W / 16))."""
        return self.logits_and_cam(images)[1]
