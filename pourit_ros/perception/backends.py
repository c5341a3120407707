# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What runs a `LiquidClassifier`: onnxruntime at work, PyTorch in training, behind one call."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt


class RawOutput(NamedTuple):
    """Logits of one image: `cam` (ceil(H / 4), ceil(W / 4)) float32, and `presence`."""

    cam: npt.NDArray[np.float32]
    presence: float


class Backend(Protocol):
    """Runs a network on one image at a time; H and W are multiples of 32."""

    @property
    def presence_slope(self) -> float:
        """Presence logit per unit of log(share of the image that is liquid).

        scale / sharpness of `PresencePooling`.
        """
        ...

    def run(self, rgb: npt.NDArray[np.uint8], valid: npt.NDArray[np.bool_]) -> RawOutput:
        """Run on (H, W, 3) RGB; `valid` (H, W) is False on borders."""
        ...
