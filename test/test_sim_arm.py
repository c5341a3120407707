# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The arm does what a twist says, within its limits and in its direction."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from sim_cell import needs_sim

from pourit_ros.errors import InputError
from pourit_ros.sim.arm import LIMIT_MARGIN, PERIOD, SPEEDS, Arm, damped_inverse, find_start
from pourit_ros.sim.scene import TABLE, build, camera_poses
from pourit_ros.sim.setup import SWITCHES, Setup, draw
from pourit_ros.sim.vessels import BOTTLE, grip

pytestmark = needs_sim
MOUTH = np.array([0.66, 0.045, TABLE + 0.205])
TILT = 0.65


@pytest.fixture(scope='module')
def model():
    return build(Setup(), (320, 240))


@pytest.fixture(scope='module')
def start(model):
    return find_start(model, MOUTH, TILT)


def turned(a, b):
    """Angle between two rotations, rad."""
    return Rotation.from_matrix(b @ a.T).magnitude()


def test_the_start_holds_the_mouth_where_it_is_wanted(model, start):
    bottle = Arm(model, start).T_base_tip @ grip(np.zeros(3))
    np.testing.assert_allclose(bottle.apply([0, 0, BOTTLE.height]), MOUTH, atol=1e-4)
    # Tilted towards -y.
    np.testing.assert_allclose(bottle.rotation[:, 2], [0, -np.sin(TILT), np.cos(TILT)], atol=1e-4)


def test_it_follows_a_twist(model, start):
    arm, t = Arm(model, start), 0.0
    first = arm.T_base_tip
    place, angle = first.translation.copy(), 0.0
    for k in range(300):
        share = np.sin(np.pi * k / 300)
        twist = share * np.array([0.02, -0.03, 0.01, 0.4, 0, 0])
        arm.command(twist)
        arm.step()
        place, angle = place + PERIOD * twist[:3], angle + PERIOD * twist[3]
        t += PERIOD
        now = arm.T_base_tip
        assert np.abs(now.translation - place).max() < 1e-3
        wanted = Rotation.from_rotvec([angle, 0, 0]).as_matrix() @ first.rotation
        assert turned(wanted, now.rotation) < np.radians(0.2)
    assert angle > 0.7


def test_it_halts_when_commands_stop(model, start):
    arm = Arm(model, start)
    for _ in range(50):
        arm.command([0, 0, 0.05, 0, 0, 0])
        arm.step()
    assert np.abs(arm.dq).max() > 0.02
    for _ in range(20):
        arm.step()
    still = arm.T_base_tip.translation
    for _ in range(20):
        arm.step()
    assert np.abs(arm.T_base_tip.translation - still).max() < 5e-4
    assert np.abs(arm.dq).max() < 1e-3


def test_too_fast_a_twist_is_slowed_and_not_bent(model, start):
    arm = Arm(model, start)
    twist = np.array([0.0, -1.0, 1.0, 0, 0, 0])
    # So much acceleration takes its time; the speed limit then binds.
    for _ in range(25):
        arm.command(3 * twist)
        arm.step()
    before = arm.T_base_tip.translation
    arm.command(3 * twist)
    arm.step()
    moved = arm.T_base_tip.translation - before
    direction = twist[:3] / np.linalg.norm(twist[:3])
    assert np.linalg.norm(moved) > 0.003
    assert moved @ direction / np.linalg.norm(moved) > 0.98
    assert (np.abs(arm.dq) < 1.02 * SPEEDS).all()
    assert np.abs(arm.dq / SPEEDS).max() > 0.8


@pytest.mark.parametrize(
    'twist', [[0, 0, 0.3, 0, 0, 0], [0, 0, 0, 1.0, 0, 0], [-0.3, 0, 0, 0, 0, 0]]
)
def test_no_joint_passes_its_limit(model, start, twist):
    arm = Arm(model, start)
    low, high = model.jnt_range[:7].T
    for _ in range(1000):
        arm.command(twist)
        arm.step()
        assert (arm.q > low + 0.5 * LIMIT_MARGIN).all()
        assert (arm.q < high - 0.5 * LIMIT_MARGIN).all()
    if twist[3]:
        # It has arrived there, and stands.
        assert np.minimum(arm.q - low, high - arm.q).min() < 0.05
        assert np.abs(arm.dq).max() < 0.02


def test_damping_keeps_speeds_small_where_the_arm_is_stretched():
    rng = np.random.default_rng(0)
    left, _, right = np.linalg.svd(rng.standard_normal((6, 7)))
    values = np.array([1.0, 0.8, 0.6, 0.4, 0.3, 1e-6])
    jacobian = left @ np.column_stack([np.diag(values), np.zeros(6)]) @ right
    assert np.abs(damped_inverse(jacobian, left[:, 5], np.zeros(7))).max() < 0.01
    regular = left @ np.column_stack([np.diag(values + 0.1), np.zeros(6)]) @ right
    twist = rng.standard_normal(6)
    speed = damped_inverse(regular, twist, rng.standard_normal(7))
    np.testing.assert_allclose(regular @ speed, twist, atol=1e-9)


def test_every_drawn_trial_can_be_poured_at_both_ends():
    for seed in range(6):
        setup = draw(seed, SWITCHES)
        model = build(setup, (320, 240))
        for time in (0.0, 99.0):
            above = [0.0, 0.045, 0.105 + setup.start_height]
            find_start(model, np.array([*setup.target_at(time), TABLE]) + above, setup.start_tilt)


def test_what_it_cannot_do_is_refused(model, start):
    with pytest.raises(InputError, match='six finite numbers'):
        Arm(model, start).command([0, 0, np.nan, 0, 0, 0])
    with pytest.raises(InputError, match='cannot pour at'):
        find_start(model, np.array([1.5, 0, 0.4]), TILT)


def test_cameras_look_at_the_pour():
    setup = draw(3, SWITCHES)
    for pose in camera_poses(setup).values():
        seen = pose.inverse().apply([*setup.target_place, TABLE + 0.15])
        assert seen[2] > 0.4
        assert np.abs(seen[:2] / seen[2]).max() < 0.25
