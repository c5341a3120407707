# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The lever from lip to tip, poses known or lost; the leash of set-point poses."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pourit_ros.control.lever import LEASH, Lever, leashed, moved
from pourit_ros.control.outflow import lip_of, tilt_of
from pourit_ros.geometry import Container, Pose

BOTTLE = Container.load('bottle')
HELD = Pose(Rotation.from_euler('y', -90, degrees=True).as_matrix(), np.array([0.085, 0, 0.1]))


def tip_for(tilt):
    """Pose of a tip that holds the bottle at a tilt (rad) towards +y."""
    R = Rotation.from_euler('x', -tilt).as_matrix()
    return Pose(R, np.array([0.5, 0.1, 0.4])) @ HELD.inverse()


def known(tilt=0.8):
    lever = Lever(BOTTLE, 0.4)
    assert not lever.known
    lever.set_tip(0.0, tip_for(tilt))
    assert not lever.known
    lever.set_source(0.0, tip_for(tilt) @ HELD)
    assert lever.known
    return lever


def turned_back(lever, give, seconds=1.0, rate=-0.5):
    """Turn back about the lip for a second; the true tip follows every twist. Its last pose."""
    tip, dt = tip_for(0.8), 0.02
    lip = lip_of(BOTTLE, tip @ HELD)
    for k in range(round(seconds / dt)):
        now = k * dt
        give(lever, now, tip)
        twist = lever.tip_twist(np.array([0, 0, 0, -rate, 0, 0]), now, dt)
        tip = moved(tip, twist, dt)
    return lip, tip


def both(lever, now, tip):
    lever.set_tip(now, tip)
    lever.set_source(now, tip @ HELD)


def no_source(lever, now, tip):
    lever.set_tip(now, tip)


def no_tip(lever, now, tip):
    lever.set_source(now, tip @ HELD)


def neither(lever, now, tip):
    pass


@pytest.mark.parametrize('give', [both, no_source, no_tip, neither])
def test_the_lip_stays_where_it_is_whatever_is_known(give):
    lip, tip = turned_back(known(), give)
    source = tip @ HELD
    assert tilt_of(BOTTLE, source) == pytest.approx(0.8 - 0.5, abs=0.02)
    # In the first 0.4 s without poses, the old ones are taken to hold.
    far = 0.03 if give is neither else 0.005
    assert np.linalg.norm(lip_of(BOTTLE, source) - lip) < far


def test_noise_of_the_sources_poses_is_averaged():
    rng = np.random.default_rng(0)
    lever = known()
    tip = tip_for(0.8)
    for k in range(1, 200):
        lever.set_tip(0.02 * k, tip)
        noise = 0.005 * rng.standard_normal(3)
        lever.set_source(0.02 * k, Pose(np.eye(3), noise) @ tip @ HELD)
    twist = lever.tip_twist(np.array([0, 0, 0, 1.0, 0, 0]), 4.0, 0.02)
    lip = lip_of(BOTTLE, tip @ HELD)
    assert np.linalg.norm(twist[:3] - np.cross([1, 0, 0], tip.translation - lip)) < 0.005


def test_a_pose_is_held_on_its_leash():
    here = Pose(Rotation.from_euler('z', 0.3).as_matrix(), np.array([0.4, 0, 0.3]))
    far = Pose(Rotation.from_euler('z', 1.3).as_matrix(), here.translation + [0, 0.3, 0.4])
    held = leashed(far, here)
    apart = held.translation - here.translation
    np.testing.assert_allclose(apart, LEASH[0] * np.array([0, 0.6, 0.8]), atol=1e-12)
    turn = Rotation.from_matrix(held.rotation @ here.rotation.T).as_rotvec()
    np.testing.assert_allclose(turn, [0, 0, LEASH[1]], atol=1e-12)
    near = Pose(Rotation.from_euler('z', 0.35).as_matrix(), here.translation + [0, 0, 0.01])
    np.testing.assert_allclose(leashed(near, here).matrix, near.matrix, atol=1e-12)
