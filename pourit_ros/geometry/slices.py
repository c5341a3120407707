# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The lifted stream cut at heights: how wide it is seen in each slice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .fall import GRAVITY, UP, fall_time
from .pose import Pose
from .stream import StreamFit

# Thinner slices hold too few pixels to be averaged.
HEIGHT = 0.006
MOST = 24
# Of the tips, where mask and stream taper, so much is left out, in widths.
TIP = 0.75
# Points farther from the fitted centre line are splashes or mirror images, in widths.
BESIDE = 3.0
LEAST_PIXELS = 2


@dataclass(frozen=True, eq=False)
class Slices:
    """Slices of a stream, from its top down.

    `drop` (N,) m: mean fall below the stream's top; `radius` (N,) m: half the width seen across
    the line of sight; `pixel` (N,) m: of an image's pixel there; `height` m: of each slice.
    """

    drop: NDArray[np.float64]
    radius: NDArray[np.float64]
    pixel: NDArray[np.float64]
    height: float

    def __len__(self) -> int:
        return len(self.drop)


def slice_stream(
    points: NDArray[np.float64],
    fit: StreamFit,
    origin: NDArray[np.float64],
    direction: NDArray[np.float64],
    T_base_cam: Pose,
) -> Slices | None:
    """Cut the lifted pixels `points` (N, 3), optical frame, m, along the fitted free fall.

    `origin`, `direction` (3,): of the vertical plane in the base frame, as in PourGeometry. The
    width of a slice is the area that its pixels cover in the plane over its length along the
    stream, turned from the plane into the line of sight: a stream's outline is as wide from any
    side as the stream is, its cut by a plane seen askew is not. Areas have no steps of a pixel, as
    the distance to a mask's border has. None where too little of the stream is in sight.
    """
    z = points[:, 2]
    rays = points[:, :2] / z[:, None]
    # In these coordinates all pixels lie 1 / focal length apart.
    # Asked once, a balanced tree costs more than it saves.
    tree = cKDTree(rays, balanced_tree=False, compact_nodes=False)
    spacing = float(np.median(tree.query(rays[:: 1 + len(rays) // 100], k=2)[0][:, 1]))
    normal = T_base_cam.rotation.T @ np.cross(UP, direction)
    # A pixel's area in the plane: its solid angle, spread over a surface seen askew.
    area = (z * spacing) ** 2 / np.abs(rays @ normal[:2] + normal[2])

    in_base = T_base_cam.apply(points)
    s, height = (in_base - origin) @ direction, in_base[:, 2]
    drop = fit.top - height
    fall = np.sqrt(fit.downward_speed**2 + 2 * GRAVITY * np.maximum(drop, 0.0))
    upright = fall / np.hypot(fit.horizontal_speed, fall)
    length = float(drop.max())
    typical = float(area.sum() * upright.mean() / max(length, 1e-6))
    lateral = np.abs(s - fit.at(height)) * upright
    near = lateral < BESIDE * max(typical, 2 * float(np.sqrt(np.median(area))))
    first, last = TIP * typical, length - TIP * typical
    count = min(MOST, int((last - first) / HEIGHT))
    if count < 2:
        return None
    step = (last - first) / count
    index = np.floor((drop - first) / step).astype(int)
    inside = near & (index >= 0) & (index < count)
    pixels = np.bincount(index[inside], minlength=count)
    covered = np.bincount(index[inside], area[inside], minlength=count)
    depth = np.bincount(index[inside], z[inside], minlength=count)
    kept = pixels >= LEAST_PIXELS
    if kept.sum() < 2:
        return None
    middle = np.asarray(first + step * (np.arange(count) + 0.5), np.float64)[kept]
    time = fall_time(middle, fit.downward_speed)
    velocity = np.outer(np.full(len(time), fit.horizontal_speed), direction)
    velocity -= np.outer(fit.downward_speed + GRAVITY * time, UP)
    tangent = velocity / np.linalg.norm(velocity, axis=1, keepdims=True)
    width = covered[kept] * np.abs(tangent[:, 2]) / step
    place = origin + np.outer(fit.at(fit.top - middle), direction)
    place += np.outer(fit.top - middle, UP)
    sight = place - T_base_cam.translation
    seen = np.cross(sight, tangent)
    seen /= np.linalg.norm(seen, axis=1, keepdims=True)
    across = np.cross(np.cross(UP, direction), tangent)
    width = width * np.abs((across * seen).sum(axis=1))
    return Slices(middle, 0.5 * width, spacing * depth[kept] / pixels[kept], step)
