# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The cell as a MuJoCo model: arm, hand, bottle, cup, table, wall, lamp and cameras.

Base frame: that of the arm, z up. The table is higher than the arm's base: level with it, the
wrist has no room to hold a bottle over a cup.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from ..geometry import Pose
from ..synth.render.textures import texture
from ..synth.scene.description import Material
from ..synth.scene.scenario import look_at
from .franka import fr3_model, load_mujoco
from .setup import Setup
from .vessels import add_cup, add_hand

STEP = 0.001
JOINTS = 7
# Stiffness (N m/rad) and damping (N m s/rad) of the joint servo, as of Franka's own position
# control, and the filter (s) on the speed that is fed forward.
STIFFNESS = (4500.0, 4500.0, 3500.0, 3500.0, 2000.0, 2000.0, 2000.0)
DAMPING = (450.0, 450.0, 350.0, 350.0, 200.0, 200.0, 200.0)
FEED_FILTER = 0.005
TABLE = 0.2
FOVY = 43.2
# The collision meshes, and what is only in people's pictures.
COARSE_GROUP, FINE_GROUP = 3, 2
PAPER = (0.93, 0.93, 0.94, 1.0)
WALL = Material('opaque', (0.5, 0.5, 0.5), 0.8, 1.5, 'marble', 4)
TOP = Material('opaque', (0.5, 0.5, 0.5), 0.5, 1.5, 'wood', 3)


def camera_poses(setup: Setup) -> dict[str, Pose]:
    """True poses of the cameras' optical frames in the base frame.

    'rgbd' is the robot's; 'cell' and 'pour' take the pictures for people.
    """
    x, y = setup.target_place
    distance, azimuth, elevation = setup.camera_from
    flat = np.cos(elevation)
    towards = np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)])
    at = np.array([x, y + 0.03, TABLE + 0.17])
    whole, near = at + [-0.2, 0.0, 0.03], at - [0, 0.01, 0]
    return {
        'rgbd': look_at(at + distance * towards, at),
        'cell': look_at(whole + [0.85, 0.95, 0.4], whole),
        'pour': look_at(near + [0.42, -0.34, 0.14], near),
    }


def build(setup: Setup, size: tuple[int, int], fine: bool = False) -> Any:
    """Compile the model (mujoco.MjModel); `fine`: with the arm's 232,000 visual triangles.

    `size`: width and height of the largest image to draw. Raises InputError without MuJoCo or the
    arm's model.
    """
    mujoco = load_mujoco()
    spec = mujoco.MjSpec.from_file(str(fr3_model()))
    spec.option.timestep = STEP
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    # What touches what is not simulated: nothing is to touch.
    spec.option.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_CONTACT)
    for body in spec.bodies:
        # As the robot's own control does; some models leave it out.
        body.gravcomp = 1
    for key in list(spec.keys):
        spec.delete(key)
    _drop_geometry(spec, COARSE_GROUP if fine else FINE_GROUP)
    _servo(mujoco, spec)
    _light(mujoco, spec, setup, size, fine)
    _room(mujoco, spec, setup.lamp)
    flange = next(b for b in spec.bodies if b.name.endswith('link7'))
    add_hand(mujoco, spec, flange, setup)
    add_cup(mujoco, spec, setup, TABLE)
    for name, pose in camera_poses(setup).items():
        x, y = pose.rotation[:, 0], -pose.rotation[:, 1]
        spec.worldbody.add_camera(name=name, pos=pose.translation, xyaxes=np.r_[x, y], fovy=FOVY)
    return spec.compile()


def _drop_geometry(spec: Any, group: int) -> None:
    """Leave out the arm's geometry of one group: the servo needs none."""
    for geom in list(spec.geoms):
        if geom.group == group:
            spec.delete(geom)
        elif geom.group == COARSE_GROUP:
            geom.rgba = PAPER
    used = {geom.meshname for geom in spec.geoms}
    for mesh in list(spec.meshes):
        if mesh.name not in used:
            spec.delete(mesh)


def _servo(mujoco: Any, spec: Any) -> None:
    """Give every joint a servo that follows a speed: its integral is held, the speed fed forward.

    Inside the engine, so that it runs at its 1 kHz without a call for every step.
    """
    for actuator in list(spec.actuators):
        spec.delete(actuator)
    joints = [j.name for j in spec.joints][:JOINTS]
    joint = mujoco.mjtTrn.mjTRN_JOINT
    affine, fixed = mujoco.mjtBias.mjBIAS_AFFINE, mujoco.mjtGain.mjGAIN_FIXED
    for name, kp, kv in zip(joints, STIFFNESS, DAMPING, strict=True):
        hold = spec.add_actuator(name=f'hold_{name}', trntype=joint, target=name)
        hold.dyntype, hold.gaintype = mujoco.mjtDyn.mjDYN_INTEGRATOR, fixed
        hold.biastype = affine
        hold.gainprm[0], hold.biasprm[1], hold.biasprm[2] = kp, -kp, -kv
    for name, kv in zip(joints, DAMPING, strict=True):
        feed = spec.add_actuator(name=f'feed_{name}', trntype=joint, target=name)
        feed.dyntype, feed.gaintype = mujoco.mjtDyn.mjDYN_FILTEREXACT, fixed
        feed.dynprm[0], feed.gainprm[0] = FEED_FILTER, kv


def _light(mujoco: Any, spec: Any, setup: Setup, size: tuple[int, int], fine: bool) -> None:
    v = spec.visual
    v.global_.offwidth, v.global_.offheight = max(size[0], 320), max(size[1], 240)
    v.quality.shadowsize, v.quality.offsamples = (2048, 4) if fine else (1024, 0)
    # In units of the extent: with one of a metre, in metres.
    spec.stat.extent = 1.0
    v.map.znear, v.map.zfar = 0.05, 8.0
    room = 0.35 if setup.lamp else 0.1
    v.headlight.ambient, v.headlight.diffuse = [room] * 3, [0.8 * room] * 3
    v.headlight.specular = [0.1] * 3
    if setup.lamp:
        x, y = setup.target_place
        spec.worldbody.add_light(
            type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
            pos=[x + 0.5, y - 0.6, 1.6], dir=[-0.35, 0.38, -1], castshadow=True,
            diffuse=[0.48, 0.47, 0.45], specular=[0.3] * 3,
        )  # fmt: skip


def _room(mujoco: Any, spec: Any, lamp: bool) -> None:
    # What is neither wall nor floor, which the lamp does not light.
    sky = [0.55 if lamp else 0.1] * 3
    world, box = spec.worldbody, mujoco.mjtGeom.mjGEOM_BOX
    spec.add_texture(
        name='sky', type=mujoco.mjtTexture.mjTEXTURE_SKYBOX, width=32, height=192,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT, rgb1=sky, rgb2=sky,
    )  # fmt: skip
    _surface(mujoco, spec, 'table', TOP, 0.8)
    _surface(mujoco, spec, 'wall', WALL, 0.6)
    world.add_geom(
        name='table', type=box, size=[0.6, 0.9, 0.02], pos=[1.0, 0, TABLE - 0.02], material='table'
    )
    world.add_geom(
        name='wall', type=box, size=[0.02, 4.0, 1.6], pos=[-0.72, 0, 1.6], material='wall'
    )
    world.add_geom(
        name='floor', type=mujoco.mjtGeom.mjGEOM_PLANE, size=[6, 6, 0.1], pos=[0, 0, 0],
        rgba=[0.3, 0.3, 0.29, 1],
    )  # fmt: skip


def _surface(mujoco: Any, spec: Any, name: str, material: Material, side: float) -> None:
    """A material with the texture of rendered scenes, `side` m long."""
    linear = cv2.resize(texture(material), (256, 256), interpolation=cv2.INTER_AREA)
    image = (255 * np.clip(linear, 0, 1) ** (1 / 2.2)).astype(np.uint8)
    drawn = spec.add_texture(
        name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, width=256, height=256, nchannel=3
    )
    drawn.data = image.tobytes()
    made = spec.add_material(name=name, texrepeat=[1 / side, 1 / side], texuniform=True)
    made.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
    made.specular, made.shininess = 0.1, 0.1
