# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""PPL: the rest of a network sees patches of a feature map one by one.

Li et al., "Weakly Supervised Semantic Segmentation via Progressive Patch Learning", IEEE TMM
2022, arXiv 2209.07828. Its code is not public; the form is read from the abstract and figures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor


def on_tiles(
    rest: Callable[[Sequence[Tensor]], Tensor], stages: Sequence[Tensor], grid: int, detach: bool
) -> Tensor:
    """Cut feature maps into grid × grid tiles, run `rest` on each, and put its results together.

    A tile cannot see beyond itself, so the network must find the liquid in every part of it, not
    only where it is most typical. A classifier pools the merged map (never a tile: most hold no
    liquid). `detach`: the explicit patches of the paper, whose gradients stop at the cut; without,
    the implicit ones.

    stages: (B, C_i, H_i, W_i) of any strides; the coarsest one's sides are at least `grid`, and
    tiles are cut at the same places in all. Returns (B, K, h, w) as `rest` does of the whole. With
    grid 1 it is `rest` itself.
    """
    if detach:
        stages = [stage.detach() for stage in stages]
    coarse = stages[-1].shape[2:]
    rows, columns = (_cuts(side, grid) for side in coarse)
    tiles = [
        [rest([_part(stage, coarse, row, column) for stage in stages]) for column in columns]
        for row in rows
    ]
    return merge_tiles(tiles)


def merge_tiles(tiles: Sequence[Sequence[Tensor]]) -> Tensor:
    """Rows of tiles (B, K, h_i, w_j) -> (B, K, Σh, Σw)."""
    return torch.cat([torch.cat(list(row), 3) for row in tiles], 2)


def _cuts(side: int, grid: int) -> list[tuple[int, int]]:
    at = [round(k * side / grid) for k in range(grid + 1)]
    return list(pairwise(at))


def _part(
    stage: Tensor, coarse: Sequence[int], row: tuple[int, int], column: tuple[int, int]
) -> Tensor:
    """The tile of a finer stage: the coarse one's cells, scaled; the last one goes to the edge."""
    spans = []
    for (start, end), whole, cells in zip((row, column), stage.shape[2:], coarse, strict=True):
        spans.append(slice(round(start * whole / cells), round(end * whole / cells)))
    return stage[:, :, spans[0], spans[1]]
