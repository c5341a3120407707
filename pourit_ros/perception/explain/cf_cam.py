# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""CF-CAM: gradients filtered within clusters of similar channels."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .dbscan import dbscan
from .subject import Subject

SIGMA = 1.0


def cf_cam(subject: Subject) -> Tensor:
    """CF-CAM: ReLU(Σ_k w_k A_k) over the channels that are strong or resemble others.

    Cluster Filter Class Activation Mapping, arXiv 2504.00060 v2. Channels in the top quarter by
    the norm of A_k keep w_k = mean(g_k), as in Grad-CAM. DBSCAN clusters the others by A_k
    (radius: lower quartile of their distances; at least max(2, n/20) neighbours); those of a
    cluster share the mean of its Gaussian-filtered mean gradient, and noise is dropped.

    The released code passes the weights through a softmax over channels. Mean gradients are
    small, so the softmax is almost uniform and the map almost the mean activation, whatever the
    class; here the weights are used as they are. Its filter is called bilateral there, Gaussian
    in the paper: this is the paper's (1 cell). It pads with zeros, and since a filter keeps the
    mean, all it does is to count cells at the border less.
    """
    look = subject.look()
    weights = [_weights(*image) for image in zip(look.features, look.gradients, strict=True)]
    return (torch.stack(weights)[:, :, None, None] * look.features).sum(1).relu()


def _weights(features: Tensor, gradients: Tensor) -> Tensor:
    """Weights (C,) of one image's channels from (C, h, w) features and gradients."""
    flat = features.flatten(1)
    norms = flat.norm(dim=1)
    rest = (norms < norms.quantile(0.75)).nonzero()[:, 0]
    weights = gradients.mean((1, 2))
    if len(rest) < 2:
        return weights.index_fill(0, rest, 0)
    distances = torch.cdist(flat[rest], flat[rest], compute_mode='donot_use_mm_for_euclid_dist')
    apart = ~torch.eye(len(rest), dtype=torch.bool, device=flat.device)
    radius = max(quartile(distances[apart]), 1e-5)
    labels = dbscan(distances, radius, max(2, len(rest) // 20))
    weights[rest] = 0
    for label in range(int(labels.max()) + 1):
        members = rest[labels == label]
        weights[members] = gaussian(gradients[members].mean(0)).mean()
    return weights


def quartile(values: Tensor) -> float:
    """The lower quartile of any number of values, interpolated linearly."""
    ordered, at = values.sort().values, 0.25 * (values.numel() - 1)
    low = int(at)
    high = min(low + 1, values.numel() - 1)
    return float(ordered[low] + (at - low) * (ordered[high] - ordered[low]))


def gaussian(values: Tensor) -> Tensor:
    """(h, w) filtered by a Gaussian of SIGMA cells, 0 beyond the border."""
    reach = round(4 * SIGMA)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1).to(values) / SIGMA) ** 2)
    kernel = kernel / kernel.sum()
    rows = F.conv2d(values[None, None], kernel.view(1, 1, -1, 1), padding=(reach, 0))
    return F.conv2d(rows, kernel.view(1, 1, 1, -1), padding=(0, reach))[0, 0]
