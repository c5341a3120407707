# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""MobileNetV2 1.0.

Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018,
arXiv 1801.04381, table 2.
"""

from typing import ClassVar

from .inverted_residuals import InvertedResidualNet, Stage
from .normalisation import SYMMETRIC, Normalisation


class MobileNetV2(InvertedResidualNet):
    """Encoder: images -> features at strides 4, 8, 16 and 32."""

    layout: ClassVar[tuple[Stage, ...]] = (
        Stage(1, 16, 1, 1),
        Stage(6, 24, 2, 2),
        Stage(6, 32, 3, 2),
        Stage(6, 64, 4, 2),
        Stage(6, 96, 3, 1),
        Stage(6, 160, 3, 2),
        Stage(6, 320, 1, 1),
    )
    normalise: ClassVar[Normalisation] = SYMMETRIC
