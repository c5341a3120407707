# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Area prior: a stream is small."""

from __future__ import annotations

from torch import Tensor


def area_prior(cam: Tensor, labels: Tensor) -> Tensor:
    """Mean of σ(cam) over wet images (0 without any): a stream is a small part of an image.

    cam: (B, 1, h, w) logits. labels: (B,) in {0, 1}.
    """
    area = cam.sigmoid().mean((1, 2, 3))
    return (area * labels).sum() / labels.sum().clamp_min(1)
