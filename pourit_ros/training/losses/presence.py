# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether liquid is there: cross-entropy of the image's logit."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def presence_loss(presence: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy of the pooled presence: mean of softplus(s) − y·s.

    presence: (B,) logits s, log-sum-exp pooled from the CAM. labels: (B,) y in {0, 1}.
    """
    return F.binary_cross_entropy_with_logits(presence, labels)
