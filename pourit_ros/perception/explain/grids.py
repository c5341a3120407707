# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Outputs of layers as maps: feature maps of CNNs, tokens of Transformers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...errors import InputError

# Tokens in front of those of the image: class, distillation and register tokens.
MOST_PREFIX = 8


def token_grid(count: int, size: tuple[int, int]) -> tuple[int, int, int] | None:
    """How many of `count` tokens come before those of the image, and the grid (h, w) of these.

    The grid is that of square patches over images of `size` (H, W) pixels; None if none fits.

    >>> token_grid(197, (224, 224))
    (1, 14, 14)
    """
    for prefix in range(min(MOST_PREFIX, count - 1) + 1):
        for stride in range(1, max(size) + 1):
            for up in (stride - 1, 0):  # Padded at the border, or cut off there.
                h, w = ((side + up) // stride for side in size)
                if h * w == count - prefix:
                    return prefix, h, w
    return None


def to_map(output: Tensor, size: tuple[int, int]) -> Tensor | None:
    """An output for images of `size` (H, W) -> (N, C, h, w); None where it is no map.

    Takes maps with channels first or last, and tokens (N, T, C) on a grid of square patches.
    """
    if output.ndim == 4:
        first, last = output.shape[2:], output.shape[1:3]
        if not _similar(first, size) and _similar(last, size):
            return output.permute(0, 3, 1, 2)
        return output
    found = token_grid(output.shape[1], size) if output.ndim == 3 else None
    if found is None:
        return None
    prefix, h, w = found
    return output[:, prefix:].transpose(1, 2).unflatten(2, (h, w))


def list_layers(network: nn.Module, images: Tensor) -> dict[str, tuple[int, int, int]]:
    """Names of the layers that can be explained, in order of their call, with (C, h, w).

    Runs `network` on `images` (N, 3, H, W) once.
    """
    found: dict[str, tuple[int, int, int]] = {}
    size = (images.shape[2], images.shape[3])
    names = {module: name for name, module in network.named_modules() if name}

    def note(module: nn.Module, _: object, output: object) -> None:
        if isinstance(output, Tensor):
            features = to_map(output, size)
            if features is not None and features.shape[2] * features.shape[3] > 1:
                found[names[module]] = tuple(features.shape[1:])

    hooks = [module.register_forward_hook(note) for module in names]
    try:
        with torch.no_grad():
            network(images)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def tensor_of(output: object, layer: str) -> Tensor:
    """The tensor of a layer's output; raises InputError where it gives several in a list."""
    if isinstance(output, tuple) and output and isinstance(output[0], Tensor):
        output = output[0]
    if not isinstance(output, Tensor):
        raise InputError(
            f'layer {layer!r} returns a {type(output).__name__}; name one that returns a tensor'
        )
    return output


def _similar(grid: torch.Size, size: tuple[int, int]) -> bool:
    """Whether square cells make a grid of images of `size`, up to a cell."""
    (h, w), (height, width) = grid, size
    return abs(h * width - w * height) < max(height, width)
