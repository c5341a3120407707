# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""USAGE: pooling with a temperature, and agreement with a teacher on where the evidence lies.

Peng et al., "USAGE: A Unified Seed Area Generation Paradigm for Weakly Supervised Semantic
Segmentation", ICCV 2023, arXiv 2303.07806. Its code is not public; the form is read from the
abstract and the overview figure, and what they leave open is said below.
"""

from __future__ import annotations

from torch import Tensor


def temperature_pooling(cam: Tensor, temperature: float, valid: Tensor | None = None) -> Tensor:
    """Pool logits by their own softmax: s = Σ_i α_i c_i, α = softmax(c / τ).

    Between the maximum (τ -> 0) and the mean (τ -> ∞): a small τ keeps over-activated maps tight,
    a large one lets under-activated maps grow. The generation loss is the cross-entropy of s. The
    figure may mean 1 / τ; this is the convention here.

    cam: (B, 1, h, w) logits. valid: (B, 1, h, w) bool, True somewhere in each image. Returns (B,).
    """
    flat = cam.float().flatten(1)
    scaled = flat / temperature
    if valid is not None:
        scaled = scaled.masked_fill(~valid.flatten(1), -float('inf'))
    return (scaled.softmax(1) * flat).sum(1)


def agreement(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Regularisation loss: KL(teacher ‖ student) between where both find the liquid.

    Both maps become distributions over the cells, softmax(c / τ); the mean over wet images, 0
    without any. The paper does not say which distance; the teacher is an exponential moving
    average of the student, which sees more (the student drops activations).

    student, teacher: (B, 1, h, w) logits; no gradient flows through the teacher's. labels: (B,).
    """
    ours = (student.float().flatten(1) / temperature).log_softmax(1)
    theirs = (teacher.detach().float().flatten(1) / temperature).log_softmax(1)
    each = (theirs.exp() * (theirs - ours)).sum(1)
    return (each * labels).sum() / labels.sum().clamp_min(1)
