# SPDX-License-Identifier: Apache-2.0
"""What perception says about one image."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Segmentation:
    """Presence, CAM and mask of one (H, W) image."""

    probability: float
    """Calibrated probability that liquid is flowing in the image."""
    present: bool
    """Whether the probability is above the threshold that came with the weights."""
    cam: npt.NDArray[np.float32]
    """(H, W) class activation map in [0, 1]."""
    mask: npt.NDArray[np.bool_]
    """(H, W) pixels of the stream; empty when liquid is not present."""
