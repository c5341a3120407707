# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What is explained: a network, its images, one score of each and one layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ...errors import InputError
from ..classifier import LiquidClassifier
from ..published_network import PublishedNetwork
from .grids import tensor_of, to_map

Target = int | Callable[[Any], Tensor] | None


class Look(NamedTuple):
    """One pass: features (N, C, h, w), the gradients of the scores there, and logits (N, K)."""

    features: Tensor
    gradients: Tensor
    logits: Tensor


@dataclass(frozen=True, eq=False)
class Subject:
    """A network in evaluation mode, seen at one layer.

    target: a class's index; None for the logit of a network that has one, else the largest; or
    a function from the network's output to one score an image, (N,). Scores should be logits:
    behind a sigmoid or softmax, gradients vanish where the network is sure.
    layer: name of a module with a map (N, C, h, w), channels first or last, or with tokens
    (N, T, C) of square patches, as its output, or as the first of a tuple.
    """

    network: nn.Module
    images: Tensor
    target: Target
    layer: str

    def __post_init__(self) -> None:
        if self.layer not in dict(self.network.named_modules()) or not self.layer:
            raise InputError(
                f'the network has no layer {self.layer!r}; network.named_modules() lists them'
            )

    def look(self, images: Tensor | None = None) -> Look:
        """Features and gradients for `images` (N, 3, H, W), by default the subject's own."""
        images = self.images if images is None else images
        size = (images.shape[2], images.shape[3])
        seen: list[Tensor] = []

        def note(_module: nn.Module, _inputs: object, output: Any) -> Any:
            # A leaf: gradients end here, whether or not the weights below want any, and what
            # follows works on a copy, so that it may write in place.
            leaf = tensor_of(output, self.layer).detach().requires_grad_()
            seen.append(leaf)
            return (leaf.clone(), *output[1:]) if isinstance(output, tuple) else leaf.clone()

        with _as_it_was(self.network), torch.inference_mode(False), torch.enable_grad():
            hook = self.network.get_submodule(self.layer).register_forward_hook(note)
            try:
                output = self.network(images.clone() if images.is_inference() else images)
            finally:
                hook.remove()
            if not seen:
                raise InputError(f'layer {self.layer!r} is not part of the forward pass')
            logits = _logits(output)
            scores = self._scores(output, logits)
            # A layer that is called repeatedly, as some activations are: the last call counts.
            (gradient,) = torch.autograd.grad(scores.sum(), seen[-1], allow_unused=True)
        features = to_map(seen[-1].detach(), size)
        if features is None:
            raise InputError(
                f'layer {self.layer!r} gives {tuple(seen[-1].shape)}, which is no map of patches '
                f'of images of {size[0]}x{size[1]}; list_layers(network, images) lists those'
            )
        gradient = torch.zeros_like(seen[-1]) if gradient is None else gradient
        gradients = to_map(gradient, size)
        assert gradients is not None
        return Look(_full(features), _full(gradients), _full(logits.detach()))

    def classes(self, logits: Tensor) -> Tensor:
        """The class that is explained in each image, (N,), from `logits` (N, K)."""
        if callable(self.target):
            raise InputError('this method explains classes: give the target as an index')
        if self.target is None:
            return logits.argmax(1)
        if not -logits.shape[1] <= self.target < logits.shape[1]:
            raise InputError(f'target {self.target}: the network has {logits.shape[1]} classes')
        return torch.full((len(logits),), self.target % logits.shape[1], device=logits.device)

    def _scores(self, output: Any, logits: Tensor) -> Tensor:
        if callable(self.target):
            scores = self.target(output)
            if scores.shape != self.images.shape[:1]:
                raise InputError(
                    f'target gives scores of shape {tuple(scores.shape)}, expected one an image'
                )
            return scores
        return logits.gather(1, self.classes(logits)[:, None])[:, 0]


def find_layer(network: nn.Module) -> str:
    """The layer whose features the head of one of this package's networks pools."""
    for kind, layer in ((LiquidClassifier, 'fusion'), (PublishedNetwork, 'encoder.norm4')):
        if isinstance(network, kind):
            return layer
    raise InputError(
        f'{type(network).__name__}: name the layer to look at, such as the last convolution; '
        'list_layers(network, images) lists those with a map'
    )


def _logits(output: Any) -> Tensor:
    """Logits (N, K) among what a network returns: a tensor, `.logits`, `.presence` or a tuple."""
    for name in ('logits', 'presence'):
        output = getattr(output, name, output)
    output = output[0] if isinstance(output, tuple | list) else output
    if not isinstance(output, Tensor) or output.ndim > 2:
        raise InputError('the network returns no logits (N, K); give a target that picks a score')
    return output[:, None] if output.ndim == 1 else output


def _full(values: Tensor) -> Tensor:
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values


@contextmanager
def _as_it_was(network: nn.Module) -> Iterator[None]:
    """Evaluation mode within the block, each module's own mode after it."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
