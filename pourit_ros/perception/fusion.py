# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Top-down fusion of an encoder's stages.

Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017, arXiv 1612.03144, with
bilinear upsampling and depthwise-separable smoothing.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


class TopDownFusion(nn.Module):
    """Carry the context of coarse stages down to the finest one."""

    def __init__(self, stage_channels: Sequence[int], channels: int = 48) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(c, channels, 1) for c in stage_channels)
        self.smooths = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1, groups=channels),
                nn.Conv2d(channels, channels, 1),
                nn.ReLU(),
            )
            for _ in stage_channels
        )

    def forward(self, stages: Sequence[Tensor]) -> Tensor:
        """Stages, finest first, each (B, C_i, H_i, W_i) -> (B, C, H_0, W_0), non-negative."""
        fused: Tensor | None = None
        for i in reversed(range(len(stages))):
            x = self.laterals[i](stages[i])
            if fused is not None:
                x = x + F.interpolate(
                    fused, size=x.shape[2:], mode='bilinear', align_corners=False
                )
            fused = x + self.smooths[i](x)
        return F.relu(fused)
