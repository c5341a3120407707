# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The arm follows a twist of its tip, as MoveIt Servo makes it do, within its limits.

Differential inverse kinematics by damped least squares (Nakamura & Hanafusa 1986; the damping
grows near singularities only, Chiaverini 1997), 100 times a second; the joint servo runs in the
engine at 1 kHz.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from ..geometry import Pose
from .franka import load_mujoco
from .scene import JOINTS, STEP
from .vessels import BOTTLE, grip

PERIOD = 0.01
SUBSTEPS = round(PERIOD / STEP)
# A posture with the hand level, pointing away from the base; the search for starts begins here.
POSTURE = np.array([0.0, 0.1, 0.0, -2.3, 0.0, 3.9, 0.785])
ROLLS = (1.6, 0.8, 0.0, -0.8)
# Joint speeds (rad/s) of the FR3's data sheet, of which this share is used, and accelerations.
SPEEDS = 0.5 * np.array([2.62, 2.62, 2.62, 2.62, 5.26, 4.18, 5.26])
ACCELERATION = 10.0
# Kept free of the joint limits, rad, and the time (s) over which a joint slows down before them.
LIMIT_MARGIN, LIMIT_TIME = 0.03, 0.1
# An older command is none: MoveIt Servo's `incoming_command_timeout`, s.
TIMEOUT = 0.1
# Below this singular value the inverse is damped, at most so much.
NEAR_SINGULAR, MOST_DAMPING = 0.05, 0.04
POSTURE_GAIN = 0.3
# So far (rad) a bottle has to be able to tilt from its start.
FURTHEST_TILT = 2.2


class Arm:
    """The arm of a model and its state `data`; its joints start at `q` (7,) rad, at rest."""

    def __init__(self, model: Any, q: NDArray[np.float64]) -> None:
        self._mujoco = load_mujoco()
        self.model, self.data = model, self._mujoco.MjData(model)
        self._tip = model.site('tip').id
        self._jacobian = np.zeros((6, model.nv))
        self._low = model.jnt_range[:JOINTS, 0] + LIMIT_MARGIN
        self._high = model.jnt_range[:JOINTS, 1] - LIMIT_MARGIN
        self._rest = q.copy()
        self._speed = np.zeros(JOINTS)
        self._twist, self._stamp = np.zeros(6), -np.inf
        self.data.qpos[:JOINTS] = self.data.act[:JOINTS] = q
        self._mujoco.mj_forward(model, self.data)

    @property
    def q(self) -> NDArray[np.float64]:
        """Joint positions (7,) rad."""
        return np.array(self.data.qpos[:JOINTS])

    @property
    def dq(self) -> NDArray[np.float64]:
        """Joint speeds (7,) rad/s."""
        return np.array(self.data.qvel[:JOINTS])

    @property
    def T_base_tip(self) -> Pose:
        """Pose of the flange (fr3_link8)."""
        rotation = self.data.site_xmat[self._tip].reshape(3, 3).copy()
        return Pose(rotation, self.data.site_xpos[self._tip].copy())

    def command(self, twist: ArrayLike) -> None:
        """Follow `twist` (6,) of the tip in base axes, m/s and rad/s, until it is TIMEOUT old.

        Raises InputError for numbers that are not finite.
        """
        twist = np.asarray(twist, dtype=float)
        if twist.shape != (6,) or not np.isfinite(twist).all():
            raise InputError('cell: a twist is six finite numbers, m/s and rad/s')
        self._twist, self._stamp = twist.copy(), self.data.time

    def step(self) -> None:
        """Move on by PERIOD."""
        data = self.data
        data.ctrl[:JOINTS] = data.ctrl[JOINTS:] = self._speeds()
        self._mujoco.mj_step(self.model, data, nstep=SUBSTEPS)

    def locate(self) -> None:
        """Bring the places of all bodies up to date with the joints and the model."""
        self._mujoco.mj_kinematics(self.model, self.data)
        self._mujoco.mj_comPos(self.model, self.data)

    def copied(self, model: Any) -> Any:
        """State of another model of the same cell, in this posture."""
        data = self._mujoco.MjData(model)
        data.qpos[:], data.mocap_pos[:] = self.data.qpos, self.data.mocap_pos
        bottle, own = model.body('bottle').id, self.model.body('bottle').id
        model.body_pos[bottle] = self.model.body_pos[own]
        model.body_quat[bottle] = self.model.body_quat[own]
        self._mujoco.mj_kinematics(model, data)
        self._mujoco.mj_comPos(model, data)
        self._mujoco.mj_camlight(model, data)
        return data

    def _speeds(self) -> NDArray[np.float64]:
        """Joint speeds (7,) for the present twist, changed no faster than ACCELERATION allows."""
        wanted = np.zeros(JOINTS)
        if self.data.time - self._stamp <= TIMEOUT + 1e-9:
            wanted = self._inverse()
        change = wanted - self._speed
        share = min(1.0, ACCELERATION * PERIOD / max(float(np.abs(change).max()), 1e-12))
        self._speed = self._within(self._speed + share * change)
        return self._speed

    def _inverse(self) -> NDArray[np.float64]:
        jac = self._jacobian
        self._mujoco.mj_jacSite(self.model, self.data, jac[:3], jac[3:], self._tip)
        return damped_inverse(jac[:, :JOINTS], self._twist, POSTURE_GAIN * (self._rest - self.q))

    def _within(self, speed: NDArray[np.float64]) -> NDArray[np.float64]:
        """The speeds, all scaled alike until none breaks a limit: the tip keeps its direction."""
        set_point = self.data.act[:JOINTS]
        room = np.where(speed > 0, self._high - set_point, set_point - self._low)
        allowed = np.minimum(SPEEDS, np.maximum(room, 0) / LIMIT_TIME)
        return speed * min(1.0, float((allowed / np.maximum(np.abs(speed), 1e-9)).min()))


def damped_inverse(
    jacobian: NDArray[np.float64], twist: NDArray[np.float64], drift: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Joint speeds (7,) that give `twist` (6,), and as much of `drift` (7,) as moves nothing."""
    left, value, right = np.linalg.svd(jacobian)
    lack = 1 - min(value[-1] / NEAR_SINGULAR, 1.0)
    gain = value / (value**2 + (MOST_DAMPING * lack) ** 2)
    idle = right[6]
    speed = right[:6].T @ (gain * (left.T @ twist)) + idle * (idle @ drift)
    return np.asarray(speed)


def find_start(model: Any, mouth: NDArray[np.float64], tilt: float) -> NDArray[np.float64]:
    """Joints (7,) that hold the bottle's mouth at `mouth` (3,) m, tilted towards -y by `tilt` rad.

    From there the bottle can tilt to FURTHEST_TILT; of several postures, the one that stays
    furthest from all joint limits. Raises InputError where there is none.
    """
    low, high = model.jnt_range[:JOINTS].T
    found: list[tuple[float, NDArray[np.float64]]] = []
    for roll in ROLLS:
        start, reached = _reach(model, np.r_[POSTURE[:6], roll], mouth, tilt)
        end, done = _reach(model, start, mouth, FURTHEST_TILT)
        if reached and done:
            room = min(float(np.minimum(q - low, high - q).min()) for q in (start, end))
            found.append((room, start))
    if not found:
        raise InputError(f'cell: the arm cannot pour at {np.round(mouth, 3)} m: move the cup')
    return max(found, key=lambda pair: pair[0])[1]


def _reach(
    model: Any, q: NDArray[np.float64], mouth: NDArray[np.float64], tilt: float
) -> tuple[NDArray[np.float64], bool]:
    """Joints for a mouth and a tilt, from others, and whether they hold it there."""
    mujoco = load_mujoco()
    data, tip = mujoco.MjData(model), model.site('tip').id
    c, s = np.cos(tilt), np.sin(tilt)
    R = np.array([[1.0, 0, 0], [0, c, -s], [0, s, c]])
    wanted = Pose(R, mouth - R @ [0, 0, BOTTLE.height]) @ grip(np.zeros(3)).inverse()
    jac, turn, quat = np.zeros((6, model.nv)), np.empty(3), np.empty(4)
    low = model.jnt_range[:JOINTS, 0] + 2 * LIMIT_MARGIN
    high = model.jnt_range[:JOINTS, 1] - 2 * LIMIT_MARGIN
    data.qpos[:JOINTS] = rest = q
    for _ in range(300):
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        R_now = data.site_xmat[tip].reshape(3, 3)
        mujoco.mju_mat2Quat(quat, (wanted.rotation @ R_now.T).ravel())
        mujoco.mju_quat2Vel(turn, quat, 1.0)
        error = np.r_[wanted.translation - data.site_xpos[tip], turn]
        if np.abs(error).max() < 1e-5:
            return np.array(data.qpos[:JOINTS]), True
        mujoco.mj_jacSite(model, data, jac[:3], jac[3:], tip)
        # A step no longer than the linear model holds.
        error *= min(1.0, 0.3 / float(np.linalg.norm(error)))
        drift = 0.1 * (rest - data.qpos[:JOINTS])
        change = damped_inverse(jac[:, :JOINTS], error, drift)
        data.qpos[:JOINTS] = np.clip(data.qpos[:JOINTS] + change, low, high)
    return np.array(data.qpos[:JOINTS]), False
