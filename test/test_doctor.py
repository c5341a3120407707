# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

import pourit_ros
from pourit_ros.cli import doctor
from pourit_ros.cli.doctor import examine


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, '-m', 'pourit_ros', 'doctor', *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


def test_a_sound_installation(monkeypatch):
    for name in ('POURIT_MODEL_DIR', 'ROS_DISTRO', 'RMW_IMPLEMENTATION', *doctor.PROFILES):
        monkeypatch.delenv(name, raising=False)
    done = run('--json')
    assert done.returncode == 0, done.stdout
    said = json.loads(done.stdout)
    assert said['status'] == 0
    assert said['problems'] == []
    assert said['system']['pourit_ros'] == pourit_ros.__version__
    assert said['libraries']['numpy'] == np.__version__
    assert said['weights']['default'].endswith('default.safetensors')
    assert {'devices', 'ros', 'fast dds profile', 'extras'} <= set(said)


def test_each_problem_has_its_cure(tmp_path):
    broken = tmp_path / 'mine.safetensors'
    broken.write_bytes(b'no weights')
    done = run(
        FASTRTPS_DEFAULT_PROFILES_FILE='/nowhere/profile.xml', POURIT_MODEL_DIR=str(tmp_path)
    )
    assert done.returncode == 0, done.stderr
    assert 'FASTRTPS_DEFAULT_PROFILES_FILE=/nowhere/profile.xml: no such file' in done.stdout
    assert 'weights mine:' in done.stdout
    lines = done.stdout.split('problems\n')[1].splitlines()
    assert len(lines) == 4
    assert all(line.startswith('    cure: ') for line in lines[1::2])


def test_a_middleware_that_is_not_there():
    pytest.importorskip('rclpy')
    done = run('--json', RMW_IMPLEMENTATION='rmw_nobody_cpp')
    assert done.returncode == 0, done.stderr
    (problem,) = json.loads(done.stdout)['problems']
    assert 'rmw_nobody_cpp' in problem['what']
    assert 'unset RMW_IMPLEMENTATION' in problem['cure']


def test_ros_of_another_python(monkeypatch):
    find_spec = doctor.importlib.util.find_spec
    monkeypatch.setattr(
        doctor.importlib.util,
        'find_spec',
        lambda name: (name != 'rclpy' and find_spec(name)) or None,
    )
    found = examine({'ROS_DISTRO': 'jazzy'})
    assert any('ROS jazzy is sourced' in problem.what for problem in found.problems)


@pytest.mark.parametrize('module', ['skimage', 'rosbags'])
def test_what_is_required_and_missing_fails(module, monkeypatch, capsys):
    version = doctor._version
    monkeypatch.setattr(
        doctor, '_version', lambda name: doctor.MISSING if name == module else version(name)
    )
    with pytest.raises(doctor.typer.Exit) as ended:
        doctor.doctor()
    assert ended.value.exit_code == 1
    said = capsys.readouterr().out
    assert f'required: {module} is not installed' in said
    assert f"cure: pip install '{doctor.REQUIRED[module]}'" in said


def test_versions_of_missing_and_broken_modules(tmp_path, monkeypatch):
    (tmp_path / 'needs_nobody.py').write_text('import nobody_at_all')
    (tmp_path / 'breaks.py').write_text('raise OSError("libX.so: cannot open")')
    monkeypatch.syspath_prepend(str(tmp_path))
    assert doctor._version('nobody_at_all') == doctor.MISSING
    assert 'nobody_at_all' in doctor._version('needs_nobody')
    assert doctor._version('breaks') == 'broken (libX.so: cannot open)'


def test_required_libraries_are_those_that_are_installed_with_the_package():
    setup = (Path(__file__).parents[1] / 'setup.py').read_text()
    listed = setup.split('ros_jazzy_wheels')[0]
    for package in doctor.REQUIRED.values():
        assert f"'{package}>=" in listed
    assert listed.count('>=') == len(doctor.REQUIRED)


def test_the_issue_form_asks_for_it():
    forms = (Path(__file__).parents[1] / '.github' / 'ISSUE_TEMPLATE').glob('*.yml')
    texts = [form.read_text() for form in forms]
    assert any('pourit doctor' in text and yaml.safe_load(text) for text in texts)
