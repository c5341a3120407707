# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""All that works on a robot works where PyTorch is not installed; the rest says so."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

BLOCK = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] == 'torch':
            raise ModuleNotFoundError("No module named 'torch'", name='torch')

sys.meta_path.insert(0, Blocked())
"""
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope='module')
def environment(tmp_path_factory):
    """An environment in which, in child processes too, PyTorch cannot be imported."""
    folder = tmp_path_factory.mktemp('blocked')
    (folder / 'sitecustomize.py').write_text(BLOCK)
    return {**os.environ, 'PYTHONPATH': f'{folder}{os.pathsep}{ROOT}'}


@pytest.fixture
def run(environment, desk):
    def pourit(*arguments):
        return subprocess.run(
            [sys.executable, '-m', 'pourit_ros', *map(str, arguments)],
            capture_output=True, text=True, env=environment, cwd=desk, check=False,
        )  # fmt: skip

    return pourit


def test_torch_is_blocked_indeed(environment):
    done = subprocess.run(
        [sys.executable, '-c', 'import torch'], env=environment, capture_output=True, text=True
    )
    assert 'ModuleNotFoundError' in done.stderr


@pytest.mark.parametrize(
    ('command', 'table'),
    [
        (('segment', 'photo.jpg', '--refine', 'guided'), 'presence.csv'),
        (('lift', 'scene'), 'estimates.csv'),
        (('replay', 'my_bag'), 'estimates.csv'),
    ],
)
def test_commands(run, tmp_path, command, table):
    done = run(*command, '--out', tmp_path / 'out')
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((tmp_path / 'out' / table).open()))
    assert any(row['present'] == '1' for row in rows)


@pytest.mark.live
def test_nodes(run, tmp_path):
    pytest.importorskip('rclpy')
    done = run('replay', 'my_bag', '--live', '--out', tmp_path / 'out')
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((tmp_path / 'out' / 'estimates.csv').open()))
    assert any(row['present'] == '1' for row in rows)


@pytest.mark.parametrize(
    'command',
    [
        ('segment', 'photo.jpg', '--weights', 'published.pth', '--out', 'out'),
        ('segment', 'photo.jpg', '--refine', 'par', '--out', 'out'),
        ('explain', 'photo.jpg', '--out', 'out'),
        ('export', '--out', 'liquid.onnx'),
        ('bench', 'speed'),
        ('train', '--data', 'scene', '--val', 'scene', '--out', 'out'),
    ],
    ids=lambda command: command[0],
)
def test_what_needs_torch_says_so_in_one_line(run, desk, command):
    (desk / 'published.pth').write_bytes(b'not looked at')
    done = run(*command)
    assert done.returncode == 2, done.stderr
    assert "pip install 'pourit_ros[train]'" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (desk / 'out').exists()
