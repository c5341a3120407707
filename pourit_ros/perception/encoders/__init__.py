# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks that turn images into features; a new one is a file here and a line in ENCODERS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Protocol

from torch import Tensor, nn

from .efficientnet_lite import EfficientNetLite0, EfficientNetLite2
from .mix_transformer import mit_b0, mit_b1
from .mobilenet_v2 import MobileNetV2
from .normalisation import Normalisation


class Encoder(Protocol):
    """Images to features at strides 4, 8, 16 and 32; an `nn.Module`."""

    normalise: ClassVar[Normalisation]
    """From uint8 RGB to the range of its training; 0 is its mean colour."""
    exportable: ClassVar[bool]
    """Whether it can be exported to ONNX for images of any size."""

    @property
    def channels(self) -> tuple[int, int, int, int]:
        """Channels of the four features."""
        ...

    @property
    def freezable(self) -> Sequence[nn.Module]:
        """The stem and the blocks that fine-tuning may freeze, in order."""
        ...

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Normalised (B, 3, H, W) -> four features (B, C, ceil(H / s), ceil(W / s))."""
        ...

    def load_imagenet(self, path: str | Path) -> None:
        """Read ImageNet weights; raises WeightsError, also if the encoder has none."""
        ...


ENCODERS: dict[str, Callable[[], Encoder]] = {
    'mobilenet_v2': MobileNetV2,
    'efficientnet_lite0': EfficientNetLite0,
    'efficientnet_lite2': EfficientNetLite2,
    'mit_b0': mit_b0,
    'mit_b1': mit_b1,
}
