# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Hand, bottle and cup of the MuJoCo model, and how the bottle is held."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..geometry import Pose
from ..synth.scene.containers import Shape, preset_shape
from ..synth.scene.meshes import joined
from .setup import Setup

# From the last link to its flange (fr3_link8), and from there to between the finger tips, m.
FLANGE = 0.107
FINGER_TIPS = 0.1034
# How high above its base the bottle is held, m.
GRIP_HEIGHT = 0.085
BOTTLE, CUP = preset_shape('pourit_bottle'), preset_shape('cup')

# Held across, so that turning the hand about its own z tilts the bottle: its z is the hand's -x.
_ACROSS = np.array([[0, 0, -1.0], [0, 1, 0], [1, 0, 0]])


def grip(slip: NDArray[np.float64]) -> Pose:
    """Pose of the bottle (origin at its base's centre, z out of the mouth) in the flange's frame.

    `slip` (3,): how far it has slid along its axis (m), tilted about the hand's z and yawed about
    the line through the fingers (rad), about the place where it is held.
    """
    tilt, yaw = slip[1], slip[2]
    turn = cv2.Rodrigues(np.array([0.0, 0.0, tilt]))[0] @ cv2.Rodrigues(np.array([0.0, yaw, 0]))[0]
    R = turn @ _ACROSS
    # The hand is mounted 45 degrees about the flange's z.
    mount = cv2.Rodrigues(np.array([0.0, 0.0, -np.pi / 4]))[0]
    held = np.array([0.0, 0.0, FINGER_TIPS - 0.003])
    return Pose(mount @ R, mount @ (held + R @ np.array([0.0, 0.0, slip[0] - GRIP_HEIGHT])))


def add_hand(mujoco: Any, spec: Any, link: Any, setup: Setup) -> None:
    """Mount the hand on the last link, with the bottle in it."""
    box, mesh = mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_MESH
    flange = link.add_body(name='flange', pos=[0, 0, FLANGE], gravcomp=1)
    flange.add_site(name='tip', size=[0.001] * 3, group=5)
    turned = [np.cos(np.pi / 8), 0, 0, -np.sin(np.pi / 8)]
    hand = flange.add_body(name='hand', quat=turned, gravcomp=1)
    hand.add_geom(
        type=box, size=[0.02, 0.1, 0.03], pos=[0, 0, 0.033], mass=0.7, rgba=[0.9, 0.9, 0.92, 1]
    )
    grey = [0.25, 0.25, 0.27, 1]
    for side in (-1, 1):
        y = side * (BOTTLE.radius + 0.008)
        hand.add_geom(type=box, size=[0.01, 0.007, 0.02], pos=[0, y, 0.08], mass=0.015, rgba=grey)
        y -= side * 0.004
        hand.add_geom(type=box, size=[0.01, 0.004, 0.012], pos=[0, y, 0.1], mass=0.01, rgba=grey)
    _lathe(mujoco, spec, 'bottle', BOTTLE)
    held = grip(np.zeros(3))
    bottle = flange.add_body(
        name='bottle', pos=held.translation, quat=held.quaternion[[3, 0, 1, 2]], gravcomp=1
    )
    shown = [*np.power(setup.bottle_color, 1 / 2.2), 1]
    bottle.add_geom(type=mesh, meshname='bottle', mass=0.35, rgba=shown)
    bottle.add_geom(
        type=mujoco.mjtGeom.mjGEOM_CYLINDER, size=[0.0333, 0.022, 0], pos=[0, 0, 0.04],
        mass=0.001, rgba=[0.88, 0.86, 0.8, 1],
    )  # fmt: skip
    bottle.add_site(name='mouth', pos=[0, 0, BOTTLE.height], size=[0.001] * 3, group=5)


def add_cup(mujoco: Any, spec: Any, setup: Setup, table: float) -> None:
    """Stand the cup on a table, with its liquid and, hidden, a puddle."""
    _lathe(mujoco, spec, 'cup', CUP)
    cup = spec.worldbody.add_body(name='cup', pos=[*setup.target_place, table], mocap=True)
    cup.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname='cup', rgba=[0.85, 0.86, 0.9, 1])
    liquid = setup.liquid
    clear = 0.8 * np.exp(-0.04 * np.asarray(liquid.absorption))
    look = clear + liquid.milkiness * (np.asarray(liquid.color) - clear)
    shade = [*np.clip(look, 0, 1) ** (1 / 2.2), 1]
    disc = mujoco.mjtGeom.mjGEOM_CYLINDER
    # Both grow as liquid lands: in the cup, and beside it.
    cup.add_geom(name='content', type=disc, size=[0.001, 0.0005, 0], pos=[0, 0, 0.004], rgba=shade)
    spec.worldbody.add_body(name='puddle', pos=[0, 0, -0.1], mocap=True).add_geom(
        name='puddle', type=disc, size=[0.001, 0.001, 0], rgba=shade
    )


def _lathe(mujoco: Any, spec: Any, name: str, shape: Shape) -> None:
    """The wall of a container as a mesh of few triangles."""
    around = np.vstack([shape.outer, shape.inner[::-1]]).astype(np.float32)
    few = cv2.approxPolyDP(around[:, None], 0.0004, False)[:, 0].astype(float)
    angle = np.linspace(0, 2 * np.pi, 33)
    rings = np.stack(
        [np.outer(few[:, 0], np.cos(angle)), np.outer(few[:, 0], np.sin(angle)),
         np.outer(few[:, 1], np.ones(33))], axis=-1,
    )  # fmt: skip
    mesh = joined(rings)
    spec.add_mesh(
        name=name, uservert=mesh.vertices.ravel(), userface=mesh.triangles.ravel(),
        inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL,
    )  # fmt: skip
