# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""ToCo: contrast of patch tokens, and of class tokens of crops.

Ru et al., "Token Contrast for Weakly-Supervised Semantic Segmentation", CVPR 2023,
arXiv 2303.01267.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def relation(activation: Tensor, above: float, below: float) -> tuple[Tensor, Tensor]:
    """Which pairs of cells are alike, and which are not: two (B, n, n) bool.

    Cells above `above` are liquid, those up to `below` background; others belong to no pair, and
    no cell is paired with itself. activation: (B, 1, h, w) in 0..1.
    """
    flat = activation.flatten(1)
    liquid, background = flat > above, flat <= below
    known = liquid | background
    both = known[:, :, None] & known[:, None, :]
    same = liquid[:, :, None] == liquid[:, None, :]
    others = ~torch.eye(flat.shape[1], dtype=torch.bool, device=flat.device)
    return both & same & others, both & ~same & others


def patch_contrast(features: Tensor, alike: Tensor, unlike: Tensor) -> Tensor:
    """Patch token contrast (PTC), eq. 3: cells of one kind together, of two kinds apart.

    With s_ij = |cos(f_i, f_j)|, n₊ and n₋ the numbers of pairs over the batch:
    ½ (1 − Σ_alike s / (n₊ + 1)) + ½ Σ_unlike s / (n₋ + 1). It differs from PourIt!'s contrast by
    its ignored band and in that background is drawn together, too.

    features: (B, C, h, w). alike, unlike: (B, hw, hw), of `relation`.
    """
    flat = F.normalize(features.float().flatten(2), dim=1)
    similar = (flat.transpose(1, 2) @ flat).abs()
    together = (similar * alike).sum() / (alike.sum() + 1)
    apart = (similar * unlike).sum() / (unlike.sum() + 1)
    return 0.5 * (1 - together) + 0.5 * apart


def class_contrast(
    teacher: Tensor,
    student: Tensor,
    positive: Tensor,
    negative: Tensor,
    temperature: float = 0.5,
) -> Tensor:
    """Class token contrast (CTC), eq. 5: crops with liquid as the whole image, those without not.

    InfoNCE of each teacher's vector q against each positive crop p and all negative crops n of
    the image: the mean of −log(e^{q·p/τ} / (e^{q·p/τ} + Σ_n e^{q·n/τ})) over its (q, p), then
    over images with a positive crop; 0 without any.

    The released code exponentiates dot products of vectors without unit length, which overflows,
    and always adds a term for no positive at all. Here vectors have unit length and the softmax is
    taken in logarithms. The paper's vectors are class tokens behind a projector; networks without
    a class token give pooled features.

    teacher: (B, Q, D), no gradient flows through it. student: (B, M, D). positive, negative:
    (B, M) bool; a crop may be neither.
    """
    q = F.normalize(teacher.detach().float(), dim=2)
    p = F.normalize(student.float(), dim=2)
    logits = q @ p.transpose(1, 2) / temperature
    mask = positive[:, None, :]
    # Finite where there are no negatives, so that the gradient is: every positive is certain then.
    away = torch.where(negative[:, None, :], logits, -1e4).logsumexp(2, keepdim=True)
    terms = torch.logaddexp(logits, away) - logits
    counts = positive.sum(1) * logits.shape[1]
    each = (terms * mask).sum((1, 2)) / counts.clamp_min(1)
    some = counts > 0
    return (each * some).sum() / some.sum().clamp_min(1)
