# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""EfficientNet-Lite: EfficientNet without squeeze-and-excitation, with ReLU6.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019,
arXiv 1905.11946, table 1; the Lite variants are TensorFlow's
(github.com/tensorflow/tpu, models/official/efficientnet/lite). Stem, first and last stage are not
scaled in depth. Lite2 is 1.1 times as wide, in multiples of 8, and 1.2 times as deep.
"""

from typing import ClassVar

from .inverted_residuals import InvertedResidualNet, Stage
from .normalisation import Normalisation

_NORMALISE = Normalisation((127.0, 127.0, 127.0), (128.0, 128.0, 128.0))


class EfficientNetLite0(InvertedResidualNet):
    """Encoder: images -> features at strides 4, 8, 16 and 32."""

    layout: ClassVar[tuple[Stage, ...]] = (
        Stage(1, 16, 1, 1),
        Stage(6, 24, 2, 2),
        Stage(6, 40, 2, 2, 5),
        Stage(6, 80, 3, 2),
        Stage(6, 112, 3, 1, 5),
        Stage(6, 192, 4, 2, 5),
        Stage(6, 320, 1, 1),
    )
    normalise: ClassVar[Normalisation] = _NORMALISE


class EfficientNetLite2(InvertedResidualNet):
    """Encoder: images -> features at strides 4, 8, 16 and 32."""

    layout: ClassVar[tuple[Stage, ...]] = (
        Stage(1, 16, 1, 1),
        Stage(6, 24, 3, 2),
        Stage(6, 48, 3, 2, 5),
        Stage(6, 88, 4, 2),
        Stage(6, 120, 4, 1, 5),
        Stage(6, 208, 5, 2, 5),
        Stage(6, 352, 1, 1),
    )
    normalise: ClassVar[Normalisation] = _NORMALISE
