# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Class activation mapping: the linear head, before it is pooled."""

from torch import Tensor, nn

from ...errors import InputError
from .subject import Subject


def cam(subject: Subject) -> Tensor:
    """CAM: how much each cell adds to the class's logit, M = Σ_k w_k F_k.

    Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016, eq. 2.
    Signed: negative cells speak against the class.

    Needs a network that pools the layer and classifies by one linear layer (or 1x1 convolution),
    in either order: the last one of the network. Raises InputError for another.
    """
    look = subject.look()
    features = look.features
    weights = _head(subject.network, features.shape[1])[subject.classes(look.logits)]
    return (weights[:, :, None, None].to(features) * features).sum(1)


def _head(network: nn.Module, channels: int) -> Tensor:
    """Weights (K, C) of the last linear layer or 1x1 convolution."""
    last = None
    for module in network.modules():
        conv = isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1)
        if isinstance(module, nn.Linear) or conv:
            last = module
    weights = None if last is None else last.weight.detach().flatten(1)
    if weights is None or weights.shape[1] != channels:
        takes = 'no linear head' if weights is None else f'a head of {weights.shape[1]} channels'
        raise InputError(
            f'CAM needs a linear head on the {channels} channels of the layer, the network has '
            f'{takes}; use grad_cam, which agrees where CAM is defined'
        )
    return weights
