# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks of inverted residual blocks without batch norm, as encoders.

Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018,
arXiv 1801.04381, section 3. Batch norm is folded into the convolutions, and the padding is
TensorFlow's 'SAME', so that weights converted from TensorFlow give TensorFlow's outputs.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import WeightsError
from .normalisation import Normalisation

_STEM = 32


class Stage(NamedTuple):
    """Blocks of one width; the first has the stride and may change the width."""

    expansion: int
    outputs: int
    repeats: int
    stride: int
    kernel: int = 3


class SameConv(nn.Conv2d):
    """Convolution with 'SAME' padding and, unless it is linear, ReLU6; kernel 1, 3 or 5."""

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
        # At stride 2, an odd side is padded by k // 2 at both ends, an even one by one less at
        # its start. Padding it by one more and dropping the first output is the same without a
        # padded copy of the input.
        skip = [1 - n % 2 for n in x.shape[2:]]
        padding = [self.kernel_size[0] // 2 + n for n in skip]
        x = F.conv2d(x, self.weight, self.bias, self.stride, padding, 1, self.groups)
        return self._activate(x)[:, :, skip[0] :, skip[1] :]

    def _activate(self, x: Tensor) -> Tensor:
        # In place: the convolution needs its input for the gradient, not its output.
        return x if self.linear else F.relu6(x, inplace=True)


class InvertedResidual(nn.Sequential):
    """Expand 1x1, depthwise, project 1x1 (linear); residual where shapes allow."""

    def __init__(
        self, inputs: int, outputs: int, stride: int, expansion: int, kernel: int = 3
    ) -> None:
        hidden = inputs * expansion
        super().__init__()
        if expansion > 1:
            self.add_module('expand', SameConv(inputs, hidden))
        self.add_module('depthwise', SameConv(hidden, hidden, kernel, stride, groups=hidden))
        self.add_module('project', SameConv(hidden, outputs, linear=True))
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W')."""
        y = super().forward(x)
        return x + y if self.residual else y


class InvertedResidualNet(nn.Module):
    """Encoder: a 3x3 stem at stride 2 and stages of inverted residual blocks.

    Subclasses give `layout`, in the notation of MobileNetV2's table 2, and `normalise`.
    """

    layout: ClassVar[Sequence[Stage]]
    normalise: ClassVar[Normalisation]
    exportable: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv(3, _STEM, 3, 2)
        blocks: list[InvertedResidual] = []
        # The last block before each further halving, at strides 4, 8, 16, 32.
        self._taps: list[int] = []
        widths: list[int] = []
        inputs, seen = _STEM, 2
        for stage in self.layout:
            if stage.stride == 2 and seen > 2:
                self._taps.append(len(blocks) - 1)
                widths.append(inputs)
            seen *= stage.stride
            for i in range(stage.repeats):
                stride = stage.stride if i == 0 else 1
                blocks.append(
                    InvertedResidual(inputs, stage.outputs, stride, stage.expansion, stage.kernel)
                )
                inputs = stage.outputs
        self._taps.append(len(blocks) - 1)
        first, second, third, fourth = (*widths, inputs)
        self.channels = first, second, third, fourth
        self.blocks = nn.ModuleList(blocks)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Features of normalised (B, 3, H, W) images.

        Four tensors (B, C, ceil(H / s), ceil(W / s)), s = 4, 8, 16, 32 and C = `channels`.
        """
        x = self.stem(images)
        features = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in self._taps:
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
        name = type(self).__name__
        layers = [m for m in self.modules() if isinstance(m, SameConv)]
        try:
            with np.load(path) as archive:
                for number, layer in enumerate(layers):
                    for kind, parameter in (('weight', layer.weight), ('bias', layer.bias)):
                        value = torch.from_numpy(archive[f'{number:02d}.{kind}'])
                        if value.shape != parameter.shape:
                            raise WeightsError(
                                f'{path}: layer {number:02d}.{kind} has shape '
                                f'{tuple(value.shape)}, {name} needs {tuple(parameter.shape)}'
                            )
                        with torch.no_grad():
                            parameter.copy_(value)
        except WeightsError:
            raise
        except Exception as error:
            raise WeightsError(f'{path}: not a {name} npz archive ({error})') from error
