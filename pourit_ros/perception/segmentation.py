# SPDX-License-Identifier: Apache-2.0
"""What perception says about one image."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt


class ImageRegion(Protocol):
    """A box of an image to look at, ends excluded, px (`geometry.region.Region`)."""

    @property
    def x0(self) -> int:
        """First column."""
        ...

    @property
    def y0(self) -> int:
        """First row."""
        ...

    @property
    def x1(self) -> int:
        """Column behind the last."""
        ...

    @property
    def y1(self) -> int:
        """Row behind the last."""
        ...

    @property
    def pixels_per_metre(self) -> float:
        """How large a metre looks where the liquid is."""
        ...


@dataclass(frozen=True)
class Segmentation:
    """Presence, CAM and mask of one (H, W) image."""

    probability: float
    """Calibrated probability that liquid is flowing in the image."""
    present: bool
    """Whether the probability is above the presence threshold."""
    cam: npt.NDArray[np.float32]
    """(H, W) class activation map in [0, 1]."""
    mask: npt.NDArray[np.bool_]
    """(H, W) pixels of the stream; empty when liquid is not present."""
