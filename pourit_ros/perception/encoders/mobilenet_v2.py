# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""MobileNetV2 1.0 without batch norm, as an encoder.

Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018,
arXiv 1801.04381, table 2. Batch norm is folded into the convolutions, and the padding is
TensorFlow's 'SAME', so that weights converted from TensorFlow give TensorFlow's outputs.
"""

from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import WeightsError
from .normalisation import SYMMETRIC, Normalisation

# Expansion t, output channels c, repeats n, stride s of the first repeat (table 2).
_LAYOUT = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
# The last block before each further halving, at strides 4, 8, 16, 32.
_TAPS = (2, 5, 12, 16)


class SameConv(nn.Conv2d):
    """1x1 or 3x3 convolution with 'SAME' padding and, unless it is linear, ReLU6."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        linear: bool = False,
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups)
        self.linear = linear
        nn.init.kaiming_normal_(self.weight, mode='fan_in')
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', ceil(H / stride), ceil(W / stride))."""
        if self.stride[0] == 1:
            return self._activate(super().forward(x))
        # An even side is padded by (0, 1), an odd one by (1, 1). Padding it by (2, 2) and
        # dropping the first output is (0, 1) without a padded copy of the input.
        skip = [1 - n % 2 for n in x.shape[2:]]
        padding = [1 + n for n in skip]
        x = F.conv2d(x, self.weight, self.bias, self.stride, padding, 1, self.groups)
        return self._activate(x)[:, :, skip[0] :, skip[1] :]

    def _activate(self, x: Tensor) -> Tensor:
        # In place: the convolution needs its input for the gradient, not its output.
        return x if self.linear else F.relu6(x, inplace=True)


class InvertedResidual(nn.Sequential):
    """Expand 1x1, depthwise 3x3, project 1x1 (linear); residual where shapes allow."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        hidden = inputs * expansion
        super().__init__()
        if expansion > 1:
            self.add_module('expand', SameConv(inputs, hidden))
        self.add_module('depthwise', SameConv(hidden, hidden, 3, stride, groups=hidden))
        self.add_module('project', SameConv(hidden, outputs, linear=True))
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W')."""
        y = super().forward(x)
        return x + y if self.residual else y


class MobileNetV2(nn.Module):
    """Encoder: images -> features at strides 4, 8, 16 and 32."""

    channels: ClassVar[tuple[int, int, int, int]] = (24, 32, 96, 320)
    normalise: ClassVar[Normalisation] = SYMMETRIC
    exportable: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv(3, 32, 3, 2)
        blocks = []
        inputs = 32
        for expansion, outputs, repeats, stride in _LAYOUT:
            for i in range(repeats):
                blocks.append(
                    InvertedResidual(inputs, outputs, stride if i == 0 else 1, expansion)
                )
                inputs = outputs
        self.blocks = nn.ModuleList(blocks)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Features of (B, 3, H, W) images in [-1, 1].

        Four tensors (B, C, ceil(H / s), ceil(W / s)), s = 4, 8, 16, 32 and C = `channels`.
        """
        x = self.stem(images)
        features = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in _TAPS:
                features.append(x)
        return features

    @property
    def freezable(self) -> list[nn.Module]:
        """Stem and blocks; the first ones detect edges and colours and need no training."""
        return [self.stem, *self.blocks]

    def load_imagenet(self, path: str | Path) -> None:
        """Read ImageNet-1k weights: an npz of `NN.weight` (OIHW) and `NN.bias`, in order.

        Raises WeightsError if the file is missing or its layers differ.
        """
        layers = [m for m in self.modules() if isinstance(m, SameConv)]
        try:
            with np.load(path) as archive:
                for number, layer in enumerate(layers):
                    for kind, parameter in (('weight', layer.weight), ('bias', layer.bias)):
                        value = torch.from_numpy(archive[f'{number:02d}.{kind}'])
                        if value.shape != parameter.shape:
                            raise WeightsError(
                                f'{path}: layer {number:02d}.{kind} has shape '
                                f'{tuple(value.shape)}, MobileNetV2 needs {tuple(parameter.shape)}'
                            )
                        with torch.no_grad():
                            parameter.copy_(value)
        except WeightsError:
            raise
        except Exception as error:
            raise WeightsError(f'{path}: not a MobileNetV2 npz archive ({error})') from error
