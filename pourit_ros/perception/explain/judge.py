# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""One map of one image with all its scores."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from torch import Tensor

from .explainer import Explainer
from .faithfulness import STEPS, area_under, drop_and_increase, removal
from .verdicts import Verdict, cut_ious, points_at


def judge(
    explainer: Explainer,
    method: str,
    image: Tensor,
    size: tuple[int, int],
    truth: npt.NDArray[np.bool_] | None = None,
    faithful: bool = True,
    steps: int = STEPS,
) -> tuple[npt.NDArray[np.float32], Verdict]:
    """Compute the map of an image of `size` (H, W) and score it; the map is (H, W) in [0, 1].

    image: what the network sees of it, of `Explainer.view`. truth: (H, W); empty ones count as
    unknown. faithful: whether to score faithfulness, which says little where the network sees no
    liquid; `steps` of deletion and insertion, 0 to leave these two out.
    """
    heat, seconds = explainer.map(method, image)
    large = cv2.resize(heat.cpu().numpy(), size[::-1], interpolation=cv2.INTER_LINEAR)
    known = truth is not None and truth.any()
    drop, increase = (
        drop_and_increase(explainer.probability, image, heat) if faithful else (None, None)
    )
    curves = removal(explainer.probability, image, heat, steps) if faithful and steps else None
    return large, Verdict(
        method,
        seconds,
        ious=cut_ious(large, truth) if truth is not None and known else None,
        pointed=points_at(large, truth) if truth is not None and known else None,
        deletion=None if curves is None else area_under(curves.deletion),
        insertion=None if curves is None else area_under(curves.insertion),
        drop=drop,
        increase=increase,
    )
