# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""How faithful a map is to the network: what happens to the score when pixels go or come."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

Score = Callable[[Tensor], Tensor]

STEPS = 20
BATCH = 8
# Deviation of the blur that insertion starts from, as a share of the longer side.
BLUR = 0.025


class Removal(NamedTuple):
    """Score (K + 1,) while the pixels go or come in K equal parts, strongest first."""

    deletion: Tensor
    insertion: Tensor


def removal(score: Score, image: Tensor, heat: Tensor, steps: int = STEPS) -> Removal:
    """Deletion and insertion curves of one map.

    Petsiuk et al., "RISE: Randomized Input Sampling for Explanation of Black-box Models", BMVC
    2018. Deletion replaces pixels by 0, the mean colour of normalised images; insertion puts them
    into a blurred image. Pixels of equal heat go in order of rows.

    score: images (N, 3, h, w) -> (N,). image: (1, 3, h, w), normalised. heat: (h, w).
    """
    order = heat.flatten().argsort(descending=True, stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device)
    counts = torch.linspace(0, len(order), steps + 1, device=order.device).round()
    gone = (rank < counts[:, None]).reshape(-1, 1, *heat.shape)
    blurred = blur(image)
    return Removal(
        _score(score, image, torch.zeros_like(image), gone), _score(score, blurred, image, gone)
    )


def area_under(curve: Tensor) -> float:
    """Area under a curve (K + 1,) over [0, 1], by trapezoids."""
    return float(torch.trapezoid(curve.double()) / (len(curve) - 1))


def drop_and_increase(score: Score, image: Tensor, heat: Tensor) -> tuple[float, bool]:
    """What of the score is lost, as a share of it, when only the hot parts stay; whether it rises.

    Chattopadhay et al., "Grad-CAM++", WACV 2018, section 4.1: drop = max(0, y − o) / y with o the
    score of the image times its map, (h, w) in [0, 1]. Their means over images are the average
    drop and the average increase.
    """
    both = score(torch.cat((image, image * heat.to(image))))
    whole, part = both.double().tolist()
    return max(0.0, whole - part) / max(whole, 1e-12), part > whole


def blur(images: Tensor) -> Tensor:
    """Gaussian blur of (N, C, h, w) by BLUR of the longer side, edges repeated."""
    deviation = BLUR * max(images.shape[2:])
    reach = max(1, round(3 * deviation))
    at = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-0.5 * (at / deviation) ** 2)
    kernel = (kernel / kernel.sum()).expand(images.shape[1], 1, -1)
    padded = F.pad(images, (reach, reach, reach, reach), mode='replicate')
    across = F.conv2d(padded, kernel[:, :, None], groups=images.shape[1])
    return F.conv2d(across, kernel[..., None], groups=images.shape[1])


def _score(score: Score, start: Tensor, end: Tensor, replaced: Tensor) -> Tensor:
    parts = [score(torch.where(part, end, start)) for part in replaced.split(BATCH)]
    return torch.cat(parts).cpu()
