# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Whole pours in the simulated cell, seen with the errors of the network's masks."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sim_cell import MISSING, needs_drawing
from typer.testing import CliRunner

from pourit_ros.cli.main import app
from pourit_ros.control.outflow import tilt_of
from pourit_ros.errors import InputError
from pourit_ros.pipeline import Frame, PourObserver
from pourit_ros.sim.cell import Cell
from pourit_ros.sim.disturbances import disturbances_of, name_of
from pourit_ros.sim.eyes import TrueEyes
from pourit_ros.sim.setup import SWITCHES, draw
from pourit_ros.sim.trial import cell_settings, run_trial

if MISSING:
    pytest.skip(MISSING, allow_module_level=True)

MOVED = ('start', 'move', 'latency', 'drops')


def pour(setup, correct, watch=None):
    return run_trial(setup, TrueEyes(setup.seed), cell_settings(setup, correct), watch=watch)


def setup_of(seed, switches):
    return replace(draw(seed, switches), target_volume=50e-6)


def test_the_closed_loop_follows_the_cup_that_the_open_loop_misses():
    setup = setup_of(2, MOVED)
    balance = []

    def watch(cell, moment, imaged):
        balance.append(cell.poured - cell.caught - cell.spilled - cell.in_air)

    closed, opened = pour(setup, True, watch), pour(setup, False)
    assert closed.state == opened.state == 'done'
    assert closed.caught_share > 0.97
    assert closed.clean
    assert opened.caught_share < closed.caught_share
    assert abs(closed.volume_error) < 20e-6
    assert np.abs(balance).max() < 1e-10
    assert closed.caught + closed.spilled == pytest.approx(closed.poured, abs=1e-10)
    assert 0 < closed.seen < closed.images
    # The same trial again is the same pour.
    assert pour(setup, True).row() == closed.row()


@needs_drawing
@pytest.mark.parametrize('seed', range(4))
def test_the_camera_shows_how_the_bottle_has_slipped(seed):
    """Its tilt against the vertical, although the camera's own place is not quite known."""
    slip = (0.01, (-1) ** seed * 0.12, 0.03)
    drawn = draw(seed, ('camera', 'color', 'lamp'))
    cell = Cell(replace(drawn, slip=slip, slip_at=-1.0, slip_for=0.1))
    color, depth = cell.observe()
    T_base_cam = cell.reported_cam()
    told = cell.reported_source()
    frame = Frame(
        color, cell.camera, depth=depth, T_cam_source=T_base_cam.inverse() @ told,
        T_base_cam=T_base_cam,
    )  # fmt: skip
    observer = PourObserver(None, cell.source)
    seen = observer.find_source(frame)
    true, was, is_seen = (
        tilt_of(cell.source, pose) for pose in (cell.T_base_source, told, seen.pose)
    )
    assert abs(was - true) > 0.08
    # 1 degree is the camera's own.
    assert is_seen == pytest.approx(true, abs=0.026)
    cell.close()


def test_a_slip_that_the_camera_shows_costs_little():
    setup = replace(setup_of(3, ()), slip=(0.0, 0.12, 0.0), slip_at=4.0)
    trial = pour(setup, True)
    assert trial.state == 'done'
    assert abs(trial.volume_error) < 15e-6


def test_a_start_that_is_refused_is_said():
    setup = replace(setup_of(1, ()), told_fill=20e-6)
    trial = pour(setup, True)
    assert trial.state == 'idle'
    assert '50 ml are asked for, 20 ml are in the source' in trial.reason
    assert trial.poured == 0
    assert trial.caught_share == 0


def test_disturbances_by_name():
    assert disturbances_of('all') == SWITCHES
    assert disturbances_of('none') == ()
    assert disturbances_of('fill, start') == ('start', 'fill')
    assert [name_of(g) for g in (SWITCHES, (), ('start', 'fill'))] == ['all', 'none', 'start,fill']
    with pytest.raises(InputError, match=r"no disturbance 'wind'.*move"):
        disturbances_of('wind')


def test_sim_writes_a_page_and_its_numbers(tmp_path):
    out = tmp_path / 'sim'
    words = ['sim', '--out', str(out), '--perception', 'truth', '--no-video', '--seed', '4',
             '--disturbances', 'none', '--loop', 'closed']  # fmt: skip
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert 'closed loop: done' in result.output
    document = json.loads((out / 'sim.json').read_text())
    assert document['trials']['closed']['caught_share'] > 0.97
    assert document['setup']['seed'] == 4
    page = (out / 'sim.html').read_text()
    assert '<h1>In the cup: closed loop 100 %</h1>' in page
    assert '<video' not in page
    # Nothing of an earlier run is replaced unasked.
    again = CliRunner().invoke(app, words)
    assert again.exit_code != 0
