# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Why a network says what it says: class activation maps of any classifier, side by side.

A new method is one file with one function from a `Subject` to raw maps, and one line in METHODS.

>>> import torch
>>> from pourit_ros.perception.classifier import LiquidClassifier
>>> from pourit_ros.perception.explain import explain
>>> network = LiquidClassifier()
>>> explain('grad_cam', network, torch.zeros(2, 3, 64, 96)).shape
torch.Size([2, 16, 24])
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn

from ...errors import InputError
from .cam import cam
from .cf_cam import cf_cam
from .eigen_cam import eigen_cam, eigen_cam_centred
from .grad_cam import grad_cam
from .grad_cam_pp import grad_cam_pp
from .grids import list_layers
from .layer_cam import layer_cam
from .smooth_grad_cam_pp import smooth_grad_cam_pp
from .subject import Subject, Target, find_layer

__all__ = ['METHODS', 'Method', 'Subject', 'explain', 'find_layer', 'list_layers']


class Method(NamedTuple):
    """A method, its name in print and its paper."""

    title: str
    paper: str
    compute: Callable[[Subject], Tensor]
    """From a subject to raw maps (N, h, w)."""


METHODS: dict[str, Method] = {
    'cam': Method('CAM', 'Zhou et al., CVPR 2016', cam),
    'grad_cam': Method('Grad-CAM', 'Selvaraju et al., ICCV 2017', grad_cam),
    'grad_cam_pp': Method('Grad-CAM++', 'Chattopadhay et al., WACV 2018', grad_cam_pp),
    'smooth_grad_cam_pp': Method(
        'Smooth Grad-CAM++', 'Omeiza et al., arXiv 1908.01224', smooth_grad_cam_pp
    ),
    'eigen_cam': Method('Eigen-CAM', 'Muhammad and Yeasin, IJCNN 2020', eigen_cam),
    'eigen_cam_centred': Method(
        'Eigen-CAM, centred', 'Muhammad and Yeasin, IJCNN 2020', eigen_cam_centred
    ),
    'cf_cam': Method('CF-CAM', 'arXiv 2504.00060', cf_cam),
    'layer_cam': Method('LayerCAM', 'Jiang et al., IEEE TIP 2021', layer_cam),
}


def explain(
    method: str,
    network: nn.Module,
    images: Tensor,
    target: Target = None,
    layer: str | None = None,
) -> Tensor:
    """Map where `network` finds its evidence, (N, h, w): raw, on the grid of the layer.

    method: a name of METHODS. images: (N, 3, H, W) as the network takes them, of its dtype and on
    its device. target: what is explained, see `Subject`. layer: name of the module whose output
    is looked at, as in `network.named_modules()`; the networks of this package need none.

    Maps are float32, or float64 for a network of that dtype. The network comes back as it was:
    modes, hooks and gradients, also where this raises. Raises InputError for an unknown method or
    layer, and for a method that does not suit the network.
    """
    if method not in METHODS:
        raise InputError(f'unknown method {method!r}, choose one of {", ".join(METHODS)}')
    subject = Subject(network, images, target, layer or find_layer(network))
    return METHODS[method].compute(subject)
