# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Detect impossible container poses: in another unit, inverted, in another frame."""

from __future__ import annotations

import numpy as np

from .container import Container
from .pose import Pose

# Nothing is poured nearer to the camera than this, or further off than an arm reaches, m.
NEAREST = 0.05
FURTHEST = 3.0
# From here on a distance in metres would be one in millimetres that an arm can reach.
MILLIMETRES = 100.0
CENTIMETRES = 10.0


def implausible(what: str, container: Container, T_cam_container: Pose) -> str:
    """Return why a container cannot be where its pose puts it, '' if it can.

    The text names the likely cause. `what`: the container's role, `source` or `target`.
    """
    mouth = container.mouth_in(T_cam_container)
    away = float(np.linalg.norm(mouth))
    if away > FURTHEST:
        if away >= MILLIMETRES:
            reason = 'poses are in metres, but this one looks like millimetres'
        elif away >= CENTIMETRES:
            reason = 'is its pose in millimetres or centimetres, or in another frame?'
        else:
            reason = 'is its pose in another frame?'
        return (
            f"the {what}'s mouth is {away:.3g} m from the camera, out of any arm's reach: {reason}"
        )
    if mouth[2] < NEAREST:
        if mouth[2] > -NEAREST:
            where = f'{1000 * max(mouth[2], 0):.0f} mm in front of the camera'
            if mouth[2] < 0:
                where = 'at the camera'
            reason = 'does its tracker send an empty or inverted pose?'
        else:
            where = f'{-mouth[2]:.2f} m behind the camera'
            reason = 'is its pose inverted, or not in an optical frame (z forward)?'
        return f"the {what}'s mouth is {where}: {reason}"
    return ''
