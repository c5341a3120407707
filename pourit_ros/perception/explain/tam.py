# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""TAM: what each word of a multimodal language model's answer is about, in its image.

Li et al., "Token Activation Map to Visually Explain Multimodal LLMs", ICCV 2025, arXiv 2506.23270.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Answer:
    """The last layer of a language model over one sequence of T tokens: prompt, then answer."""

    states: Tensor
    """(T, D), as the head reads them."""
    ids: Tensor
    """(T,) int."""
    head: Tensor
    """(V, D) weights of the language head."""
    image: Tensor
    """(T,) bool: the tokens of the image, h · w of them."""
    grid: tuple[int, int]
    """(h, w)."""
    start: int
    """Position of the answer's first token."""


def token_map(answer: Answer, position: int, filtered: bool = True) -> Tensor:
    """The map (h, w) of the answer's token at `position`: where the image supports this word.

    With w_t the head's row of a token t, F the states of the image's tokens and A_t = ReLU(F w_t):
    later words repeat what earlier ones activate. The context E = Σ_j r_j A_j / (Σ r_j + 10⁻⁸) of
    the earlier text tokens other than t, r_j = ReLU(h_j · w_t) their relevance for it, is taken
    off (estimated causal inference, section 3.2): ReLU(A_t − s E), s = ⟨A_t, E⟩ / ⟨E, E⟩ the
    least-squares factor, which the released code searches for. `filtered`: then
    `rank_gaussian_filter`. It erases what is one cell wide, as a distant stream is.

    Raises ValueError for a position outside of the answer.
    """
    if not answer.start <= position < len(answer.ids):
        raise ValueError(f'position {position} is not in {answer.start}..{len(answer.ids) - 1}')
    states, head = answer.states.float(), answer.head.float()
    word = answer.ids[position]
    features = states[answer.image]
    raw = (features @ head[word]).relu()
    earlier = torch.arange(len(answer.ids), device=raw.device) < position
    text = earlier & ~answer.image & (answer.ids != word)
    relevance = (states[text] @ head[word]).relu()
    maps = (features @ head[answer.ids[text]].T).relu()
    context = maps @ (relevance / (relevance.sum() + 1e-8))
    power = context @ context
    factor = raw @ context / power if power > 0 else 0.0
    result = (raw - factor * context).relu().reshape(answer.grid)
    return rank_gaussian_filter(result) if filtered else result


def rank_gaussian_filter(values: Tensor) -> Tensor:
    """Filter (h, w) ≥ 0: a mean of each 3 × 3 window's sorted values, weighted about the median.

    Section 3.3: the weight of rank k = 0..8 is exp(−(k − 4)² / 2σ²), σ the window's deviation over
    its mean: a median where values agree, nearly a mean where they do not. Windows of zeros give
    0, flat ones (σ = 0, where the released code divides 0 by 0) their value. Edges are mirrored.
    """
    h, w = values.shape
    rows, columns = (_mirror(side, values.device) for side in (h, w))
    windows = values[rows][:, columns].unfold(0, 3, 1).unfold(1, 3, 1).reshape(h, w, 9)
    ordered = windows.sort(-1).values
    mean = ordered.mean(-1, keepdim=True)
    spread = ordered.std(-1, keepdim=True, correction=0) / mean.clamp_min(1e-30)
    rank = torch.arange(9, device=values.device) - 4
    # As a softmax, whose largest weight is that of the median: no width makes it 0 / 0.
    weights = (-(rank**2) / (2 * spread**2).clamp_min(1e-12)).softmax(-1)
    return torch.where(mean > 0, (weights * ordered), 0.0).sum(-1)


def _mirror(side: int, device: torch.device) -> Tensor:
    """Indices −1 .. side of a mirrored axis."""
    at = torch.arange(-1, side + 1, device=device).abs()
    return (side - 1 - (side - 1 - at).abs()).clamp_min(0)
