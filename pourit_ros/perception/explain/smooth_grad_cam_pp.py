# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Smooth Grad-CAM++: Grad-CAM++ on gradients averaged over noisy copies of the image."""

import torch
from torch import Tensor

from .grad_cam_pp import weigh
from .subject import Subject


def smooth_grad_cam_pp(subject: Subject, copies: int = 8, noise: float = 0.1) -> Tensor:
    """Smooth Grad-CAM++: the powers of g that Grad-CAM++ needs are means over noisy copies.

    Omeiza et al., "Smooth Grad-CAM++: An Enhanced Inference Level Visualization Technique for Deep
    Convolutional Neural Network Models", arXiv 1908.01224, with
    D_p = mean of g^p: α = D₂ / (2D₂ + D₃ Σ A), w_k = Σ_ij α ReLU(D₁).

    The paper's numerator is D₁, which does not give Grad-CAM++ for one copy without noise; this
    one does. A are the features of the image itself. `noise`: deviation as a share of each
    image's range, as in SmoothGrad, the same in every call; `copies`: of each image.
    """
    images = subject.images
    spread = (images.amax((1, 2, 3), keepdim=True) - images.amin((1, 2, 3), keepdim=True)) * noise
    generator = torch.Generator().manual_seed(0)
    powers: list[Tensor] = []
    for _ in range(copies):
        # Drawn on the CPU and for one image, so that neither device nor batch plays a part.
        drawn = torch.randn(images.shape[1:], generator=generator).to(images)
        g = subject.look(images + spread * drawn).gradients
        moments = [g, g**2, g**3]
        powers = [a + b for a, b in zip(powers, moments, strict=True)] if powers else moments
    return weigh(subject.look().features, *(total / copies for total in powers))
