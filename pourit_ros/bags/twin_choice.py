# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Choose the dry twin of a wet image: the one with the most similar robot pose."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

# Longer side of what is compared, px: a shift of a pixel at 640 px still changes its grey levels.
SIDE = 64
# Differences count up to this, grey levels: a stream is small, an arm elsewhere is not.
CAP = 24.0
# Of two pictures of one camera and place most of the cells are alike; with a larger mean
# difference (of at most CAP) there is nothing to learn from comparing them.
UNLIKE = 0.5 * CAP


def thumbnail(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Shrink (H, W, 3) by area to a longer side of `SIDE` pixels, or leave it as it is."""
    scale = min(1.0, SIDE / max(rgb.shape[:2]))
    size = tuple(max(1, round(n * scale)) for n in rgb.shape[1::-1])
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def likest(wet: NDArray[np.uint8], dry: Sequence[NDArray[np.uint8]]) -> int | None:
    """Return the index of the dry thumbnail most similar to the wet one, or None.

    Similarity is the mean absolute difference of the cells, each counted up to `CAP`. Images of
    another size are from another camera.
    """
    alike = [k for k, picture in enumerate(dry) if picture.shape == wet.shape]
    if not alike:
        return None
    change = np.stack([dry[k] for k in alike]).astype(np.int16) - wet
    means = np.minimum(np.abs(change), CAP).mean((1, 2, 3))
    best = int(means.argmin())
    return alike[best] if means[best] <= UNLIKE else None
