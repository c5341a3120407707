# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether the depth sensor sees the liquid, and how far off the pouring plane it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .plane import PouringPlane

# A pose is good to a centimetre or so: a surface further off is the wall behind, or the rim.
MAX_OFFSET = 0.025
# The visible half of a stream is a few millimetres deep; more spread means mixed surfaces.
MAX_SPREAD = 0.008
# Clear water: a few percent of its pixels read the stream, the rest the wall or nothing.
MIN_SHARE = 0.5


@dataclass(frozen=True)
class DepthEvidence:
    """Where the depth image puts the stream relative to the plane.

    `offset` along the normal, m, and its one-sigma, m; `share` of the mask's pixels whose depth
    is near the plane; `accepted` tells whether to trust it, `reason` why not.
    """

    offset: float
    sigma: float
    share: float
    accepted: bool
    reason: str


def depth_evidence(
    rays: NDArray[np.float64], depth: ArrayLike, plane: PouringPlane, half_width: float
) -> DepthEvidence:
    """Compare sensor depth (N,), m, on the mask's rays (N, 3; z = 1) with the plane.

    The sensor reads the liquid's near surface: that of a cylinder of `half_width` m (`_bias`).
    """
    depth = np.asarray(depth, dtype=float)
    known = np.isfinite(depth) & (depth > 0)
    offsets = (rays[known] * depth[known, None] - plane.point) @ plane.normal
    # Towards the far side of the stream as seen from the camera.
    away = np.sign(plane.point @ plane.normal)
    offsets = offsets + away * _bias(rays, plane, half_width)
    near = np.abs(offsets) <= MAX_OFFSET
    share = float(near.sum() / max(len(depth), 1))
    if share < MIN_SHARE:
        reason = f'{100 * share:.0f} % of the stream has depth near the plane, at least 50 needed'
        return DepthEvidence(0.0, 0.0, share, False, reason)
    offset = float(np.median(offsets[near]))
    spread = float(1.4826 * np.median(np.abs(offsets[near] - offset)))
    if spread > MAX_SPREAD:
        reason = f'depth on the stream scatters by {1000 * spread:.0f} mm, at most 8 allowed'
        return DepthEvidence(offset, spread, share, False, reason)
    # The scatter is systematic over a stream (one matching window), so it does not average out.
    return DepthEvidence(offset, max(spread, 0.001), share, True, '')


def _bias(rays: NDArray[np.float64], plane: PouringPlane, half_width: float) -> float:
    """Distance, along the normal, m, from the plane to the near surface of a stream.

    Seen from above, a ray that passes the axis at t half widths meets the upright cylinder
    sqrt(1 - t^2) half widths in front of it, and t to the side: with the angle a between ray and
    normal, sqrt(1 - t^2) cos a + t sin a along the normal, of which this is the median over the
    stream. It is 0.87 half widths for a camera that looks along the normal, and goes to 0 with cos
    a.
    """
    level = rays - np.outer(rays @ plane.up, plane.up)
    cosine = float(np.median(np.abs(level @ plane.normal) / np.linalg.norm(level, axis=1)))
    across = np.linspace(-1, 1, 129)
    along_normal = np.sqrt(1 - across**2) * cosine + across * np.sqrt(max(1 - cosine**2, 0.0))
    return half_width * float(np.median(along_normal))
