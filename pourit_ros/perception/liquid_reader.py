# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Read a `LiquidClassifier`: its logits to presence, CAM and mask."""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from .backends import Backend
from .masks import keep_stream
from .segmentation import ImageRegion, Segmentation
from .views import View, closer_view, region_view, whole_view

Image: TypeAlias = npt.NDArray[np.uint8]


class Thresholds(NamedTuple):
    """Probability above which there is liquid, and activation above which a pixel is."""

    presence: float
    mask: float


class Reader(Protocol):
    """Interprets the output of one kind of network."""

    def __call__(
        self, rgb: Image, region: ImageRegion | None, thresholds: Thresholds
    ) -> Segmentation:
        """Segment one (H, W, 3) image, or a region of it."""
        ...


class LiquidReader:
    """The CAM is the sigmoid of the map, its threshold absolute.

    A region is processed once, at its scale. A whole image is processed twice: as it is, and again
    closer where that shows liquid; there the CAM's logits are the mean of both passes.
    """

    def __init__(self, backend: Backend, input_size: int) -> None:
        self._backend = backend
        self._input_size = input_size

    def __call__(
        self, rgb: Image, region: ImageRegion | None, thresholds: Thresholds
    ) -> Segmentation:
        """Segment one (H, W, 3) image."""
        if region is None:
            view = whole_view(rgb.shape[:2], self._input_size)
        else:
            view = region_view(region)
        logits, pooled = self._look(rgb, view)
        # The pooling takes the mean of exp(r c) over the cells. The cells outside of the region
        # were not looked at and count as zeros, so that the same stream has the same presence
        # whatever the region's size.
        share = logits.size / (rgb.shape[0] * rgb.shape[1])
        logit = pooled + self._backend.presence_slope * math.log(share)
        probability = 1 / (1 + math.exp(-logit)) if logit > -700 else 0.0
        present = probability > thresholds.presence
        cam = np.zeros(rgb.shape[:2], np.float32)
        cam[view.window] = _sigmoid(logits)
        mask = np.zeros(cam.shape, np.bool_)
        if present:
            mask = keep_stream(cam > thresholds.mask, cam)
            closer = closer_view(mask, view.scale) if region is None else None
            if closer is not None:
                again, _ = self._look(rgb, closer)
                cam[closer.window] = _sigmoid((logits[closer.window] + again) / 2)
                mask = keep_stream(cam > thresholds.mask, cam)
        return Segmentation(probability, present, cam, mask)

    def _look(self, rgb: Image, view: View) -> tuple[npt.NDArray[np.float32], float]:
        """Logits at the pixels of the view's window, and the pooled logit."""
        output = self._backend.run(view.letterbox.apply(rgb[view.window]), view.letterbox.valid())
        # Logits are interpolated, not probabilities: those have no slope where they saturate.
        return view.letterbox.restore(output.cam), output.presence


def _sigmoid(logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    # Beyond these it is 0 or 1 in float32, and the exponential overflows.
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -88, 88))), np.float32)
