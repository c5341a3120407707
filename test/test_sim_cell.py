# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The whole cell: twists in; poses, images and the liquid's account out."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from sim_cell import needs_drawing, needs_sim

from pourit_ros.control.outflow import lip_of, tilt_of
from pourit_ros.sim import SWITCHES, Cell, Setup, draw

pytestmark = needs_sim
# As the bottle begins to pour, so that tests need not wait for it.
READY = Setup(start_tilt=1.35)
MOVED = {'target_move': (0.0, -0.08), 'move_at': 1.0, 'move_for': 0.5}


def tilted(cell, rate):
    """The tip's twist that turns the bottle about its lip, towards -y."""
    turn = np.array([rate, 0, 0])
    arm = cell.T_base_tip.translation - lip_of(cell.source, cell.T_base_source)
    return np.r_[np.cross(turn, arm), turn]


def pour(cell, seconds, flow=14e-6):
    """Keep about this flow; yields the cell after each step."""
    while cell.time < seconds:
        rate = np.clip(3e4 * (flow - cell.flow), -0.5, 0.3)
        cell.command(tilted(cell, rate))
        cell.step()
        yield cell


def balance(cell):
    return cell.poured - cell.caught - cell.spilled - cell.in_air


def test_it_pours_into_the_cup_and_every_drop_is_accounted_for():
    cell = Cell(READY)
    for _ in pour(cell, 5):
        assert abs(balance(cell)) < 1e-9
        assert abs(cell.poured + cell.left - READY.fill) < 1e-9
    assert cell.poured > 30e-6
    assert cell.spilled == 0
    assert 0.5e-6 < cell.in_air < 4e-6
    np.testing.assert_allclose(cell.landing[:2], READY.target_place, atol=0.03)
    assert cell.landing[2] == pytest.approx(cell.target.mouth_in(cell.T_base_target)[2])


@pytest.mark.parametrize('seed', range(3))
def test_the_account_balances_whatever_the_arm_does(seed):
    rng = np.random.default_rng(seed)
    setup = replace(draw(seed, SWITCHES), start_tilt=1.3, cup_capacity=40e-6, move_at=0.5)
    cell = Cell(setup)
    for k in range(500):
        if k % 40 == 0:
            push = rng.uniform(-1, 1, 6) * [0.1, 0.1, 0.05, 0.5, 0.2, 0.2]
        cell.command(push + tilted(cell, 0.4 if cell.poured < 60e-6 else -0.4))
        cell.step()
        assert abs(balance(cell)) < 1e-9
        assert abs(cell.poured + cell.left - setup.fill) < 1e-9
        assert cell.caught <= setup.cup_capacity + 1e-12
    assert cell.poured > 5e-6


def test_a_cup_that_is_taken_away_catches_no_more():
    cell = Cell(replace(READY, **MOVED))
    caught = {}
    for _ in pour(cell, 4):
        caught[round(cell.time, 2)] = cell.caught
    assert caught[1.0] > 3e-6
    assert caught[4.0] == caught[1.6]
    assert cell.spilled > 15e-6
    place = cell.T_base_target.translation
    np.testing.assert_allclose(place[:2], np.add(READY.target_place, [0, -0.08]), atol=1e-9)


def test_a_small_cup_runs_over():
    cell = Cell(replace(READY, cup_capacity=30e-6, cup_fill=20e-6))
    for _ in pour(cell, 4):
        pass
    assert cell.caught == pytest.approx(10e-6)
    assert cell.spilled > 5e-6


def test_the_same_trial_gives_the_same_numbers():
    setup = replace(draw(5, SWITCHES), start_tilt=1.3)
    ends = []
    for _ in range(2):
        cell = Cell(setup)
        for _ in pour(cell, 2.5):
            pass
        ends.append(
            [*cell.joints, cell.poured, cell.caught, *cell.reported_source().translation]
            + [*cell.reported_target().translation, *cell.reported_cam().translation]
        )
    assert ends[0] == ends[1]


def test_liquid_leaves_at_the_speed_that_the_setup_says():
    reached = []
    for factor in (0.7, 1.4):
        cell = Cell(replace(READY, speed_factor=factor))
        for _ in pour(cell, 3):
            pass
        reached.append(lip_of(cell.source, cell.T_base_source)[1] - cell.landing[1])
    assert reached[0] > 0.01
    assert reached[1] / reached[0] == pytest.approx(2, rel=0.1)


def test_what_leaves_a_moving_lip_moves_with_it():
    cell = Cell(READY)
    for _ in pour(cell, 2):
        pass
    for _ in range(60):
        cell.command([0.05, 0, 0, 0, 0, 0])
        cell.step()
    # It keeps up with the lip; from a lip at rest it would fall 7 mm behind.
    lag = lip_of(cell.source, cell.T_base_source)[0] - cell.landing[0]
    assert abs(lag) < 0.002


def test_the_bottle_slips_unnoticed():
    slip = 0.01, np.radians(8), np.radians(3)
    cell = Cell(replace(READY, slip=slip, slip_at=0.5, slip_for=1.0))
    before = cell.T_base_source
    for _ in range(200):
        cell.step()
    after, told = cell.T_base_source, cell.reported_source()
    np.testing.assert_allclose(told.matrix, before.matrix, atol=2e-3)
    # The bottle and what is drawn of it agree.
    body = cell._arm.data.body('bottle')
    mouth = body.xpos + body.xmat.reshape(3, 3) @ [0, 0, 0.21]
    np.testing.assert_allclose(mouth, cell.source.mouth_in(after), atol=1e-4)
    turned = Rotation.from_matrix(after.rotation @ told.rotation.T).magnitude()
    assert turned == pytest.approx(np.hypot(*slip[1:]), rel=0.05)
    assert tilt_of(cell.source, after) != pytest.approx(tilt_of(cell.source, told), abs=0.05)


def test_reports_are_true_without_disturbances():
    cell = Cell(Setup())
    for true, told in (
        (cell.T_base_source, cell.reported_source()),
        (cell.T_base_target, cell.reported_target()),
        (cell.T_base_cam, cell.reported_cam()),
    ):
        np.testing.assert_allclose(true.matrix, told.matrix, atol=1e-9)


def test_a_wrong_calibration_moves_what_the_camera_finds():
    shift, turn = (0.012, -0.01, 0.008), (0.0, 0.0, np.radians(1))
    cell = Cell(Setup(camera_shift=shift, camera_turn=turn))
    np.testing.assert_allclose(cell.reported_source().matrix, cell.T_base_source.matrix, atol=1e-9)
    told = cell.reported_cam()
    np.testing.assert_allclose(told.translation - cell.T_base_cam.translation, shift, atol=1e-12)
    # Both errors agree: the camera sees the cup where it is in its own image.
    seen = told.inverse() @ cell.reported_target()
    np.testing.assert_allclose(
        seen.matrix, (cell.T_base_cam.inverse() @ cell.T_base_target).matrix, atol=1e-9
    )
    assert (
        np.linalg.norm(cell.reported_target().translation - cell.T_base_target.translation) > 0.01
    )


def test_noise_is_as_large_as_stated():
    cell = Cell(Setup(pose_shift=0.005, pose_turn=np.radians(2)))
    shifts, turns = [], []
    for _ in range(120):
        for _ in range(4):
            cell.step()
        for true, told in (
            (cell.T_base_source, cell.reported_source()),
            (cell.T_base_target, cell.reported_target()),
        ):
            shifts.append(np.linalg.norm(told.translation - true.translation))
            turn = Rotation.from_matrix(told.rotation @ true.rotation.T)
            turns.append(turn.magnitude())
    assert np.sqrt(np.mean(np.square(shifts))) == pytest.approx(0.005, rel=0.15)
    assert np.sqrt(np.mean(np.square(turns))) == pytest.approx(np.radians(2), rel=0.15)


@needs_drawing
def test_what_is_observed_shows_the_pour():
    cell = Cell(READY)
    dry, _ = cell.observe()
    for _ in pour(cell, 2):
        pass
    wet, depth = cell.observe()
    assert (wet.shape, depth.shape, depth.dtype) == ((240, 320, 3), (240, 320), np.float32)
    changed = np.abs(wet.astype(int) - dry).sum(axis=2) > 40
    lip = lip_of(cell.source, cell.T_base_source)
    into = cell.T_base_cam.inverse()
    middle = 0.5 * (lip + cell.landing) + [0, 0, 0.01]
    u, v = np.rint(cell.camera.project(into.apply([middle]))[0]).astype(int)
    assert changed[v - 6 : v + 7, u - 6 : u + 7].any()
    for view in ('cell', 'pour'):
        image = cell.portrait(view, (160, 120))
        assert (image.shape, image.dtype) == ((120, 160, 3), np.uint8)
        assert image.std() > 20
    cell.close()
