# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Clean-up of masks."""

import cv2
import numpy as np
import numpy.typing as npt

# Share of the image diagonal that a piece reaches out, and share of the image area below which
# it is a speck: 7 and 9 pixels at 480 x 480.
_REACH = 0.01
_SPECK = 4e-5


def keep_stream(
    mask: npt.NDArray[np.bool_], cam: npt.NDArray[np.float32]
) -> npt.NDArray[np.bool_]:
    """Keep the one stream that carries the most activation.

    There is one source, so there is one stream; far blobs are reflections and would ruin its
    lowest point. Specks are removed first. Pieces closer than 2 % of the diagonal (drops, a rim or
    a finger in front) then form a group, and the group with the largest sum of `cam` wins.

    mask: (H, W). cam: (H, W), non-negative. Returns (H, W), a subset of `mask`.
    """
    result = np.zeros_like(mask)
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    box = slice(y, y + height), slice(x, x + width)
    pieces, activation = mask[box], cam[box]
    if pieces.size == 0:
        return result

    _, labels, stats, _ = cv2.connectedComponentsWithStats(pieces.astype(np.uint8))
    large = stats[:, cv2.CC_STAT_AREA] >= max(2, _SPECK * mask.size)
    large[0] = False
    pieces = large[labels]
    if large.sum() > 1:
        reach = max(1, round(_REACH * float(np.hypot(*mask.shape))))
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
        _, groups = cv2.connectedComponents(cv2.dilate(pieces.astype(np.uint8), disc))
        sums = np.bincount(groups[pieces], weights=activation[pieces])
        pieces &= groups == sums.argmax()
    result[box] = pieces
    return result
