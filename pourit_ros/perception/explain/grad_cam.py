# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Grad-CAM: channels weighted by the mean gradient of the score."""

from torch import Tensor

from .subject import Subject


def grad_cam(subject: Subject) -> Tensor:
    """Grad-CAM: ReLU(Σ_k α_k A_k), α_k = mean over cells of ∂y/∂A_k.

    Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
    Localization", ICCV 2017, eq. 1 and 2.

    Behind a pooled linear head it is ReLU(CAM) / HW, for mean, maximum and log-sum-exp pooling
    alike (there times the derivative of what scales the logit): all three spread a channel's
    weight over the cells, and α_k only sees the sum.
    """
    look = subject.look()
    weights = look.gradients.mean((2, 3), keepdim=True)
    return (weights * look.features).sum(1).relu()
