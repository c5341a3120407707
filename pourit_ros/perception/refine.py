# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Refine a CAM by the edges of its image: pixel-adaptive refinement, and a guided filter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Cam = npt.NDArray[np.float32]

# Of the guided filter: radius in px, and the variance (of colours in 0..1) that counts as flat.
RADIUS = 4
FLAT = 1e-3
# What is refined around a mask: its box and this margin, px, or share of the box where larger.
_MARGIN = (24, 0.25)


def refine(how: str, rgb: Image, cam: Cam, mask: npt.NDArray[np.bool_]) -> Cam:
    """Refine a CAM (H, W) around the pixels of `mask`; elsewhere it stays as it is.

    how: a name of REFINEMENTS. rgb: (H, W, 3). Returns (H, W) in [0, 1]; without a mask, `cam`.
    """
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    if not width:
        return cam
    margin = round(max(_MARGIN[0], _MARGIN[1] * max(width, height)))
    window = (
        slice(max(0, y - margin), y + height + margin),
        slice(max(0, x - margin), x + width + margin),
    )
    refined = cam.copy()
    refined[window] = np.clip(REFINEMENTS[how](rgb[window], cam[window]), 0, 1)
    return refined


def guided_filter(guide: Image, cam: Cam, radius: int = RADIUS, flat: float = FLAT) -> Cam:
    """Fit the CAM in every window as a linear function of colour, and average these fits.

    He et al., "Guided Image Filtering", TPAMI 2013, eq. 19 to 21 (colour guide), windows of
    2 · radius + 1 px: in a window a = (Σ + ε 1)⁻¹ cov(I, p), b = mean(p) − a · mean(I), and the
    result at a pixel is mean(a) · I + mean(b) over the windows that hold it. ε = `flat`, the
    variance of colours in 0..1 below which a window is flat.

    guide: (H, W, 3) uint8. cam: (H, W). Returns (H, W), which may overshoot [0, 1] a little.
    """
    colour = guide.astype(np.float64) / 255
    p = cam.astype(np.float64)
    mean_colour, mean_p = _box(colour, radius), _box(p, radius)
    products = _box((colour[..., :, None] * colour[..., None, :]).reshape(*p.shape, 9), radius)
    spread = (
        products.reshape(*p.shape, 3, 3) - mean_colour[..., :, None] * mean_colour[..., None, :]
    )
    both = _box(colour * p[..., None], radius) - mean_colour * mean_p[..., None]
    a = np.linalg.solve(spread + flat * np.eye(3), both[..., None])[..., 0]
    b = mean_p - (a * mean_colour).sum(-1)
    return ((_box(a, radius) * colour).sum(-1) + _box(b, radius)).astype(np.float32)


def _par(rgb: Image, cam: Cam) -> Cam:
    import torch

    from .pixel_adaptive import pixel_adaptive

    with torch.inference_mode():
        image = torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1)[None].float()
        return pixel_adaptive(image, torch.from_numpy(cam.copy())[None, None])[0, 0].numpy()


#: By name: RGB (H, W, 3) and CAM (H, W) -> CAM.
REFINEMENTS: dict[str, Callable[[Image, Cam], Cam]] = {'par': _par, 'guided': guided_filter}


def _box(values: npt.NDArray[Any], radius: int) -> npt.NDArray[np.float64]:
    """Mean over windows of (H, W) or (H, W, C), edges mirrored."""
    side = 2 * radius + 1
    parts = np.atleast_3d(values)
    means = [
        cv2.blur(np.ascontiguousarray(parts[..., k]), (side, side)) for k in range(parts.shape[-1])
    ]
    return np.stack(means, -1).reshape(values.shape)
