# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Liquid yes / no with a class activation map at stride 4."""

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .encoders import ENCODERS
from .fusion import TopDownFusion

_STRIDE = 4


class ClassifierOutput(NamedTuple):
    """Output of `LiquidClassifier` for a batch; h = ceil(H / 4), w = ceil(W / 4)."""

    cam: Tensor
    """(B, 1, h, w) logits; sigmoid gives the probability of liquid per cell."""
    presence: Tensor
    """(B,) logit of the image; sigmoid gives the probability of liquid in it."""
    features: Tensor
    """(B, C, h, w), the features that the head weights into the CAM."""


class PresencePooling(nn.Module):
    """Pool a map of logits to one calibrated logit per image.

    Log-sum-exp pooling with sharpness r over the n valid cells (Pinheiro and Collobert,
    CVPR 2015, eq. 1), s = (1/r) log( (1/n) sum_i exp(r c_i) ), lies between the mean (r -> 0)
    and the maximum (r -> inf). The image's logit is `scale` * s + `bias`: separate from the map,
    so that calibrating the yes / no decision leaves the CAM unchanged.
    """

    def __init__(self, sharpness: float) -> None:
        super().__init__()
        self.sharpness = sharpness
        self.scale = nn.Parameter(torch.ones(()))
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, cam: Tensor, valid: Tensor | None = None) -> Tensor:
        """(B, 1, h, w) logits, optional (B, 1, h, w) bool of valid cells -> (B,)."""
        scaled = self.sharpness * cam.float().flatten(1)
        if valid is None:
            count = math.log(scaled.shape[1])
        else:
            inside = valid.flatten(1)
            scaled = scaled.masked_fill(~inside, -torch.inf)
            count = inside.float().sum(1).log()
        return self.scale * (scaled.logsumexp(1) - count) / self.sharpness + self.bias


def valid_cells(valid: Tensor) -> Tensor:
    """Which cells of the CAM lie in the image, (B, 1, h, w), from its pixels (B, 1, H, W)."""
    share = F.avg_pool2d(valid.float(), _STRIDE, ceil_mode=True)
    # At least half a cell, or the best there is where the picture is a thin sliver.
    return share >= share.amax((1, 2, 3), keepdim=True).clamp(max=0.5)


class LiquidClassifier(nn.Module):
    """Encoder, top-down fusion to stride 4 and a bias-free 1x1 head whose map is the CAM.

    CAM: Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016, with
    the pooling after the head instead of before it, so that the map needs no second pass.

    encoder: a name of `encoders.ENCODERS`. channels: width of the fused features.
    sharpness: r of the presence pooling. Raises ValueError for another encoder.
    """

    def __init__(
        self, encoder: str = 'mobilenet_v2', channels: int = 48, sharpness: float = 4.0
    ) -> None:
        super().__init__()
        if encoder not in ENCODERS:
            raise ValueError(f'unknown encoder {encoder!r}, choose one of {sorted(ENCODERS)}')
        self.config: dict[str, Any] = {
            'encoder': encoder,
            'channels': channels,
            'sharpness': sharpness,
        }
        self.encoder: Any = ENCODERS[encoder]()
        self.fusion = TopDownFusion(self.encoder.channels, channels)
        self.head = nn.Conv2d(channels, 1, 1, bias=False)
        self.presence = PresencePooling(sharpness)
        nn.init.normal_(self.head.weight, std=0.02)

    def normalise(self, rgb: Tensor) -> Tensor:
        """(B, 3, H, W) uint8 RGB -> the (B, 3, H, W) float32 that `forward` takes."""
        return self.encoder.normalise(rgb)

    def forward(self, images: Tensor, valid: Tensor | None = None) -> ClassifierOutput:
        """Classify normalised images.

        images: (B, 3, H, W), from `normalise`. valid: (B, 1, H, W) bool, False on letterbox
        borders, True somewhere in each image; pixels in the borders cannot change the output.
        """
        cells = None
        if valid is not None:
            # Zero is the encoder's mean colour, and what its convolutions pad with.
            images = images.masked_fill(~valid, 0.0)
            cells = valid_cells(valid)
        features = self.fusion(self.encoder(images))
        cam = self.head(features)
        return ClassifierOutput(cam, self.presence(cam, cells), features)
