# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The result of perception for one image."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt


class ImageRegion(Protocol):
    """A box of an image to search, ends excluded, px (`geometry.region.Region`)."""

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
        """Column after the last."""
        ...

    @property
    def y1(self) -> int:
        """Row after the last."""
        ...

    @property
    def pixels_per_metre(self) -> float:
        """Size of a metre at the liquid's depth, px."""
        ...


@dataclass(frozen=True, eq=False, repr=False)
class Segmentation:
    """Presence, CAM and mask of one (H, W) image.

    CAM: class activation map, the evidence for liquid at each pixel (Zhou et al., CVPR 2016).

    >>> import numpy as np
    >>> cam = np.zeros((480, 640), np.float32)
    >>> cam[200:300, 318:324] = 0.9
    >>> Segmentation(0.98, True, cam, cam > 0.5)
    <Segmentation of 640x480: liquid, probability 0.98, mask of 600 px>
    """

    probability: float
    """Calibrated probability that liquid is flowing in the image."""
    present: bool
    """Whether the probability is above the presence threshold."""
    cam: npt.NDArray[np.float32]
    """(H, W) class activation map in [0, 1]."""
    mask: npt.NDArray[np.bool_]
    """(H, W) pixels of the stream; empty when liquid is not present."""

    def __repr__(self) -> str:
        size = 'x'.join(map(str, self.mask.shape[::-1]))
        return (
            f'<Segmentation of {size}: {"liquid" if self.present else "no liquid"}, '
            f'probability {self.probability:.2f}, mask of {np.count_nonzero(self.mask)} px>'
        )
