# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Read the published network as its demo does."""

from __future__ import annotations

import numpy as np
import torch

from .liquid_reader import Image, Thresholds
from .multiscale import merge_mirror, min_max, with_mirror
from .published_network import PublishedNetwork
from .segmentation import ImageRegion, Segmentation
from .views import square_view


class PublishedReader:
    """The live demo of PourIt!: image and mirror image at one scale, min-max CAM.

    Liquid is present when the two logits sum to more than 0; the CAM of an image without liquid is
    0. Unlike the demo, letterbox borders are excluded from the min-max normalisation.
    """

    def __init__(self, model: PublishedNetwork, input_size: int, device: torch.device) -> None:
        self._model = model
        self._input_size = input_size
        self._device = device

    @torch.inference_mode()
    def __call__(
        self, rgb: Image, region: ImageRegion | None, thresholds: Thresholds
    ) -> Segmentation:
        """Segment one (H, W, 3) image; the region is not used."""
        letterbox = square_view(rgb.shape[:2], self._input_size).letterbox
        images = self._model.normalise(_to_batch(letterbox.apply(rgb), self._device))
        logits, maps = self._model.logits_and_cam(with_mirror(images))
        probability = logits.mean().sigmoid().item()
        present = probability > thresholds.presence
        cam = np.zeros(rgb.shape[:2], np.float32)
        if present:
            merged = merge_mirror(maps, letterbox.size)
            picture = (..., *letterbox.content)
            merged[picture] = min_max(merged[picture])
            cam = letterbox.restore(merged[0, 0].cpu().numpy())
        return Segmentation(probability, present, cam, cam > thresholds.mask)


def _to_batch(rgb: Image, device: torch.device) -> torch.Tensor:
    """(H, W, 3) -> (1, 3, H, W)."""
    return torch.from_numpy(rgb).permute(2, 0, 1)[None].to(device)
