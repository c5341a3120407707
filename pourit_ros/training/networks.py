# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The networks that can be trained, with one way to build and run them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InputError
from ..perception.classifier import ClassifierOutput, LiquidClassifier
from ..perception.multiscale import multi_scale_cam
from ..perception.published_network import PublishedNetwork
from ..perception.weights import load_weights

Network = LiquidClassifier | PublishedNetwork


def build(
    config: Mapping[str, Any], encoder_init: Path | None = None, init: str | None = None
) -> Network:
    """Make the network that a training starts from.

    With random weights it is the recipe's, its encoder from the ImageNet weights `encoder_init`
    if given. `init`, a weights file or a shipped name, brings its own network with it, so that
    a recipe fine-tunes networks of any encoder and width. Raises WeightsError; InputError for
    both, and where the recipe is for another architecture.
    """
    arguments = dict(config)
    kinds: dict[str, type[Network]] = {
        'liquid_classifier': LiquidClassifier,
        'published_network': PublishedNetwork,
    }
    architecture = arguments.pop('architecture', None)
    if architecture not in kinds:
        raise InputError(f'network: architecture {architecture!r}, choose one of {sorted(kinds)}')
    if init is not None:
        if encoder_init is not None:
            raise InputError(f'{init} holds an encoder already, so {encoder_init} is of no use')
        network = load_weights(init).model
        if type(network) is not kinds[architecture]:
            raise InputError(f'{init}: is not a {architecture}, which the recipe trains')
    else:
        try:
            network = kinds[architecture](**arguments)
        except (TypeError, ValueError) as error:
            raise InputError(f'network: {error}') from None
    if encoder_init is not None:
        network.encoder.load_imagenet(encoder_init)
    return network


def keep_start(network: Network, start: Network) -> None:
    """Move the weights half-way back to those that a fine-tuning started from.

    Half-way between the two, networks are as good or better on their new data, and lose less
    elsewhere (Wortsman et al., 'Robust fine-tuning of zero-shot models', CVPR 2022, α = 0.5).
    """
    before = start.state_dict()
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                value.lerp_(before[name].to(value), 0.5)


class Runner(nn.Module):
    """A network with the call that all of them share."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, valid: Tensor) -> ClassifierOutput:
        """One pass over uint8 images (B, 3, H, W); CAM and features at the network's stride."""
        network, normalised = self.network, self.network.normalise(images)
        if isinstance(network, LiquidClassifier):
            return network(normalised.contiguous(memory_format=torch.channels_last), valid)
        features = network.features(normalised)
        cam = network.classifier(features)
        return ClassifierOutput(cam, cam.flatten(1).amax(1), features)


def activation_of(network: Network, images: Tensor, cam: Tensor, labels: Tensor) -> Tensor:
    """Activation (B, 1, h, w) in 0..1 that classifies cells for feature contrast; 0 in dry images.

    The published network's is its CAM over three scales and mirror images, as released; the
    others' is the positive part of the CAM (B, 1, h, w) over its maximum.
    """
    with torch.no_grad():
        if isinstance(network, PublishedNetwork):
            maps = multi_scale_cam(network.cam, network.normalise(images))
            activation = F.interpolate(
                maps, size=cam.shape[2:], mode='bilinear', align_corners=False
            )
        else:
            positive = cam.float().relu()
            activation = positive / positive.amax((1, 2, 3), keepdim=True).clamp_min(1e-6)
        return activation * labels.view(-1, 1, 1, 1)


def frozen_parts(network: Network, blocks: int) -> list[nn.Module]:
    """Stem and first blocks of the encoder; raises InputError if it has none to freeze."""
    if blocks and not network.encoder.freezable:
        raise InputError('optimiser.frozen: this encoder has no blocks to freeze')
    return list(network.encoder.freezable[: blocks + 1]) if blocks else []
