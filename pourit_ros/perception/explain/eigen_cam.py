# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Eigen-CAM: the features along their principal direction, whatever the class."""

import torch
from torch import Tensor

from .subject import Subject


def eigen_cam(subject: Subject, centre: bool = False) -> Tensor:
    """Eigen-CAM: ReLU(X v₁), X (hw, C) the features, v₁ its first right singular vector.

    Muhammad and Yeasin, "Eigen-CAM: Class Activation Map using Principal Components", IJCNN 2020,
    arXiv 2008.00299. It shows what stands out, liquid or not.

    `centre`: subtract each channel's mean first, as pytorch-grad-cam does: the first principal
    component then, not the first singular vector. The sign of a singular vector is arbitrary; here
    the cell that lies farthest along it is positive, without which the same image has two maps.
    """
    features = subject.look().features
    cells = features.flatten(2).transpose(1, 2).double()
    if centre:
        cells = cells - cells.mean(1, keepdim=True)
    # Of the (C, C) moments, in float64: much smaller than X where layers are fine.
    direction = torch.linalg.eigh(cells.transpose(1, 2) @ cells).eigenvectors[:, :, -1:]
    projected = (cells @ direction)[:, :, 0]
    farthest = projected.gather(1, projected.abs().argmax(1, keepdim=True))
    return (projected * farthest.sign()).relu().reshape(features[:, 0].shape).to(features)


def eigen_cam_centred(subject: Subject) -> Tensor:
    """Eigen-CAM of the features less each channel's mean, see `eigen_cam`."""
    return eigen_cam(subject, centre=True)
