# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Run a `LiquidClassifier` in PyTorch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from .backends import RawOutput
from .classifier import LiquidClassifier


class TorchBackend:
    """PyTorch, on a CPU or a GPU, one image at a time. Takes ownership of the model."""

    def __init__(self, model: LiquidClassifier, device: torch.device) -> None:
        # The order in which images arrive, and on CPUs the faster one for depthwise convolutions.
        self._model = model.eval().to(device).to(memory_format=torch.channels_last)
        self._device = device

    @property
    def presence_slope(self) -> float:
        """Presence logit per unit of log(share of the image that is liquid).

        scale / sharpness of `PresencePooling`.
        """
        return self._model.presence.scale.item() / self._model.presence.sharpness

    def run(self, rgb: npt.NDArray[np.uint8], valid: npt.NDArray[np.bool_]) -> RawOutput:
        """Run on (H, W, 3) RGB; `valid` (H, W) is False on borders."""
        with torch.inference_mode():
            images = torch.from_numpy(rgb).permute(2, 0, 1)[None].to(self._device)
            inside = torch.from_numpy(valid)[None, None].to(self._device)
            output = self._model(self._model.normalise(images), inside)
            return RawOutput(output.cam[0, 0].float().cpu().numpy(), output.presence.item())
