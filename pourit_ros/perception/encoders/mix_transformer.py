# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Mix Transformer (MiT), the encoder of SegFormer.

Xie et al., "SegFormer: Simple and Efficient Design for Semantic Segmentation with
Transformers", NeurIPS 2021, arXiv 2105.15203, section 3.1 and table 6. Written from the paper;
parameter names are those of published checkpoints.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import WeightsError
from .normalisation import IMAGENET, Normalisation

_NORM_EPS = 1e-6


def _to_tokens(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H * W, C)."""
    return x.flatten(2).transpose(1, 2)


def _to_map(tokens: Tensor, size: Sequence[int]) -> Tensor:
    """(B, H * W, C) -> (B, C, H, W)."""
    return tokens.transpose(1, 2).unflatten(2, tuple(size))


class OverlapPatchEmbed(nn.Module):
    """Overlapping patches by a strided convolution (3.1, overlapped patch merging)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2)
        self.norm = nn.LayerNorm(outputs)

    def forward(self, x: Tensor) -> tuple[Tensor, Sequence[int]]:
        """(B, C, H, W) -> tokens (B, N, C') and their (H', W')."""
        x = self.proj(x)
        return self.norm(_to_tokens(x)), x.shape[2:]


class EfficientAttention(nn.Module):
    """Self-attention whose keys and values live on a grid `reduction` times coarser (eq. 2)."""

    def __init__(self, width: int, heads: int, reduction: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.reduction = reduction
        self.dropout = dropout
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)
        if reduction > 1:
            self.sr = nn.Conv2d(width, width, reduction, reduction)
            self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, size: Sequence[int]) -> Tensor:
        """(B, N, C) tokens of a grid of `size` -> (B, N, C)."""
        context = x
        if self.reduction > 1:
            context = self.norm(_to_tokens(self.sr(_to_map(x, size))))
        query = self.q(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
        # (B, M, 2C) -> (2, B, heads, M, C / heads)
        key, value = self.kv(context).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        dropout = self.dropout if self.training else 0.0
        x = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
        return F.dropout(self.proj(x.transpose(1, 2).flatten(2)), dropout)


class DepthwiseConv(nn.Module):
    """3x3 depthwise convolution over tokens; it leaks position, which replaces an embedding."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 3, padding=1, groups=width)

    def forward(self, x: Tensor, size: Sequence[int]) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        return _to_tokens(self.dwconv(_to_map(x, size)))


class MixFeedForward(nn.Module):
    """MLP with a depthwise convolution inside (eq. 3)."""

    def __init__(self, width: int, ratio: int, dropout: float) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, width * ratio)
        self.dwconv = DepthwiseConv(width * ratio)
        self.fc2 = nn.Linear(width * ratio, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, size: Sequence[int]) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        x = self.dropout(F.gelu(self.dwconv(self.fc1(x), size)))
        return self.dropout(self.fc2(x))


class DropPath(nn.Module):
    """Stochastic depth: drop a residual branch for whole samples (arXiv 1603.09382)."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) -> (B, ...), the mean over draws unchanged."""
        if not self.training or self.probability == 0:
            return x
        keep = 1 - self.probability
        shape = (x.shape[0],) + (1,) * (x.ndim - 1)
        return x * torch.empty(shape, device=x.device, dtype=x.dtype).bernoulli_(keep) / keep


class Block(nn.Module):
    """Transformer block, norms first."""

    def __init__(
        self, width: int, heads: int, reduction: int, dropout: float, drop_path: float
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, _NORM_EPS)
        self.attn = EfficientAttention(width, heads, reduction, dropout)
        self.norm2 = nn.LayerNorm(width, _NORM_EPS)
        self.mlp = MixFeedForward(width, 4, dropout)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, size: Sequence[int]) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        x = x + self.drop_path(self.attn(self.norm1(x), size))
        return x + self.drop_path(self.mlp(self.norm2(x), size))


class MixTransformer(nn.Module):
    """Four stages of two blocks each (B0 and B1 differ in width only).

    widths: channels of the stages. strides: of the patch embeddings; their running products are
    the output strides. dropout, drop_path: probabilities in training, drop_path growing linearly
    from 0 over the blocks. Images must be at least 32 pixels on each side.
    """

    normalise: ClassVar[Normalisation] = IMAGENET
    # Traced, attention keeps the example's size.
    exportable: ClassVar[bool] = False
    freezable: ClassVar[tuple[nn.Module, ...]] = ()

    def __init__(
        self,
        widths: tuple[int, int, int, int],
        strides: tuple[int, int, int, int] = (4, 2, 2, 2),
        dropout: float = 0.0,
        drop_path: float = 0.1,
    ) -> None:
        super().__init__()
        self.channels = widths
        depth = 2
        inputs = 3
        rates = torch.linspace(0, drop_path, depth * len(widths)).tolist()
        stages = zip(widths, strides, (1, 2, 5, 8), (8, 4, 2, 1), strict=True)
        for i, (width, stride, heads, reduction) in enumerate(stages):
            kernel = 7 if i == 0 else 3
            blocks = [
                Block(width, heads, reduction, dropout, rates[depth * i + k]) for k in range(depth)
            ]
            self.add_module(
                f'patch_embed{i + 1}', OverlapPatchEmbed(inputs, width, kernel, stride)
            )
            self.add_module(f'block{i + 1}', nn.ModuleList(blocks))
            self.add_module(f'norm{i + 1}', nn.LayerNorm(width, _NORM_EPS))
            inputs = width
        self.apply(_initialise)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Normalised (B, 3, H, W) -> the four stages, (B, C, ceil(H / s), ceil(W / s))."""
        x = images
        features = []
        for i in range(1, len(self.channels) + 1):
            tokens, size = self.get_submodule(f'patch_embed{i}')(x)
            for block in self.get_submodule(f'block{i}'):
                tokens = block(tokens, size)
            x = _to_map(self.get_submodule(f'norm{i}')(tokens), size)
            features.append(x)
        return features

    def load_imagenet(self, path: str | Path) -> None:
        """Raise WeightsError: MiT starts from random weights, or from a whole weights file."""
        raise WeightsError(f'{path}: MiT does not start from ImageNet weights')


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode='fan_out')
        nn.init.zeros_(module.bias)


mit_b0 = partial(MixTransformer, (32, 64, 160, 256))
mit_b1 = partial(MixTransformer, (64, 128, 320, 512))
