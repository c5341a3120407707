# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Grad-CAM++: every cell's gradient weighted by its share."""

from torch import Tensor

from .subject import Subject


def grad_cam_pp(subject: Subject) -> Tensor:
    """Grad-CAM++: ReLU(Σ_k w_k A_k), w_k = Σ_ij α_kij ReLU(g_kij), g = ∂y/∂A.

    Chattopadhay et al., "Grad-CAM++: Generalized Gradient-based Visual Explanations for Deep
    Convolutional Networks", WACV 2018, eq. 5 to 7 and 19, for a score that enters the loss
    through an exponential: α = g² / (2g² + g³ Σ_ab A_ab).
    """
    look = subject.look()
    g = look.gradients
    return weigh(look.features, g, g**2, g**3)


def weigh(features: Tensor, first: Tensor, second: Tensor, third: Tensor) -> Tensor:
    """Combine features (N, C, h, w) by (means of) the powers g, g² and g³ of their gradients.

    α is 0 where the gradient is, and where its denominator is.
    """
    denominator = 2 * second + features.sum((2, 3), keepdim=True) * third
    defined = denominator != 0
    alpha = (second / denominator.masked_fill(~defined, 1)).masked_fill(~defined, 0)
    weights = (alpha * first.relu()).sum((2, 3), keepdim=True)
    return (weights * features).sum(1).relu()
