# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The part of the image where a pour can be visible."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .camera import PinholeCamera
from .container import Container
from .fall import GRAVITY
from .pose import Pose
from .reach import NEAREST

# What a pose may be off without the stream leaving the region.
POSITION_ERROR = 0.02
ANGLE_ERROR = float(np.radians(5.0))
# How far liquid is followed below the mouth where no target is known, m.
FALL = 0.35
# Liquid leaves a bottle at up to this speed, m/s; it carries the stream away from the mouth.
EXIT_SPEED = 0.5
# A target further off than this is not what is poured into, m.
REACH = 0.6
# Less than this of a region says nothing about a stream, px.
LEAST_SIDE = 16


@dataclass(frozen=True)
class Region:
    """Box of an image: columns x0..x1, rows y0..y1, px, ends excluded.

    `pixels_per_metre`: how large a metre at the mouth's depth looks in the image.
    """

    x0: int
    y0: int
    x1: int
    y1: int
    pixels_per_metre: float


def pour_region(
    camera: PinholeCamera,
    T_cam_source: Pose,
    source: Container,
    T_cam_target: Pose | None = None,
    target: Container | None = None,
    up_cam: ArrayLike | None = None,
) -> Region | None:
    """Bound the projections of both mouths and of the fall between them.

    The fall reaches down to the target's mouth, or 0.35 m where none is known within 0.6 m, and
    away from the source as far as liquid leaving at 0.5 m/s travels in that time. Everything is
    enlarged by the effect of a pose error of 2 cm and 5 degrees about the container's origin.
    `up_cam` (3,): unit vector against gravity in the optical frame; None: the image's upward
    direction. Returns None when the source's mouth is behind the camera or less than 16 px of the
    box, either way, lie in the image.
    """
    mouth = source.mouth_in(T_cam_source)
    if mouth[2] < NEAREST:
        return None
    up = np.array([0.0, -1.0, 0.0]) if up_cam is None else np.asarray(up_cam, dtype=float)
    points, margins = [_rim(source, T_cam_source)], [_margin(source)]
    fall = FALL
    if T_cam_target is not None and target is not None:
        receiver = target.mouth_in(T_cam_target)
        if np.linalg.norm(receiver - mouth) < REACH:
            points.append(_rim(target, T_cam_target))
            margins.append(_margin(target))
            fall = max(0.0, float((mouth - receiver) @ up))
    points.append(_fall(mouth, source.axis_in(T_cam_source), up, fall))
    margins.append(margins[0])

    boxes = []
    for group, margin in zip(points, margins, strict=True):
        group = group[group[:, 2] > NEAREST]
        if len(group):
            pixels = camera.project(group)
            reach = margin * np.array([camera.fx, camera.fy]) / group[:, 2:]
            boxes += [pixels - reach, pixels + reach]
    corners = np.concatenate(boxes)
    size = np.array([camera.width, camera.height])
    # Pixel centres lie at integers: a pixel reaches half a pixel to both sides.
    low = np.clip(np.floor(corners.min(0) + 0.5), 0, size).astype(int)
    high = np.clip(np.ceil(corners.max(0) + 0.5), 0, size).astype(int)
    if (high - low).min() < min(LEAST_SIDE, size.min()):
        return None
    return Region(
        int(low[0]), int(low[1]), int(high[0]), int(high[1]), float(camera.fx / mouth[2])
    )


def _margin(container: Container) -> float:
    """Error of the mouth, m, from that of the pose, which turns about the frame's origin."""
    return POSITION_ERROR + ANGLE_ERROR * float(np.linalg.norm(container.mouth))


def _rim(container: Container, T_cam_container: Pose) -> NDArray[np.float64]:
    """Eight points (8, 3) of the rim."""
    _, _, basis = np.linalg.svd(container.axis[None])
    turn = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    circle = np.column_stack([np.cos(turn), np.sin(turn)]) @ basis[1:]
    return T_cam_container.apply(container.mouth + container.rim_radius * circle)


def _fall(
    mouth: NDArray[np.float64], axis: NDArray[np.float64], up: NDArray[np.float64], fall: float
) -> NDArray[np.float64]:
    """Points (N, 3) of the slowest and the fastest stream."""
    t = np.linspace(0, np.sqrt(2 * fall / GRAVITY), 8)[:, None]
    straight = mouth - 0.5 * GRAVITY * t**2 * up
    away = axis - (axis @ up) * up
    size = float(np.linalg.norm(away))
    drift = away / size if size > 1e-6 else np.zeros(3)
    return np.concatenate([straight, straight + EXIT_SPEED * t * drift])
