# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""LayerCAM: every cell weighted by its own gradient."""

from torch import Tensor

from .subject import Subject


def layer_cam(subject: Subject) -> Tensor:
    """LayerCAM: ReLU(Σ_k ReLU(g_k) A_k), cell by cell, g = ∂y/∂A.

    Jiang et al., "LayerCAM: Exploring Hierarchical Class Activation Maps for Localization", IEEE
    TIP 2021, eq. 5 and 6. Meant for early layers, whose channels mean different things in
    different places. Behind a maximum pooling, only the maxima have a gradient.
    """
    look = subject.look()
    return (look.gradients.relu() * look.features).sum(1).relu()
