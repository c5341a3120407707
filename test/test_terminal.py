# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What every command has in common at a terminal."""

import json
import subprocess
import sys

import pytest
from typer.main import get_command

from pourit_ros.bags.reader import BagReader
from pourit_ros.cli import main as cli
from pourit_ros.cli.progress import long_task
from pourit_ros.cli.terminal import terminal

HEAVY = ('torch', 'scipy', 'rosbags', 'open3d', 'skimage', 'plotly', 'lightning_fabric')


def leaves(command):
    for name, child in command.commands.items():
        if hasattr(child, 'commands'):
            yield from leaves(child)
        else:
            yield name, {option for p in child.params for option in p.opts}


def test_every_command_can_be_quiet_and_those_that_measure_speak_json():
    found = dict(leaves(get_command(cli.app)))
    assert all({'--quiet', '-q'} <= options for options in found.values())
    assert {name for name, options in found.items() if '--json' not in options} <= {
        'synth', 'export', 'view',
    }  # fmt: skip


def test_version_and_completion(pourit):
    assert pourit('-V') == pourit('--version')
    assert '--install-completion' in pourit('--help')[1]


@pytest.mark.parametrize(
    'words',
    [
        'segment nowhere --out o',
        'segment HERE --weights nobody --out o',
        'lift nowhere --out o',
        'replay nowhere --out o',
        'collect nowhere --liquid 1:2 --out o',
        'collect HERE --marks nowhere --out o',
        'eval nowhere --out o',
        'train --data nowhere --val nowhere --out o',
        'train --data HERE --val HERE --config nobody --out o',
        'export --weights nobody --out o.onnx',
        'synth --backdrops nowhere --out o',
        'bench chain nowhere',
        'bench speed --weights nobody',
        'bench nodes --weights nobody',
    ],
)
def test_missing_input_is_said_before_anything_heavy_is_imported(words, tmp_path):
    here = tmp_path / 'here'
    here.mkdir()
    arguments = [str(here) if word == 'HERE' else word for word in words.split()]
    script = (
        'import sys; from pourit_ros.cli.main import main\n'
        'try: main()\n'
        f'finally: print([m for m in {HEAVY} if m in sys.modules])'
    )
    done = subprocess.run(
        [sys.executable, '-c', script, *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert 'nowhere' in done.stderr or 'nobody' in done.stderr
    assert done.stdout == '[]\n'


def test_an_unknown_name_brings_the_known_ones(pourit, tmp_path, monkeypatch):
    (tmp_path / 'mine.safetensors').touch()
    monkeypatch.setenv('POURIT_MODEL_DIR', str(tmp_path))
    said = pourit('bench', 'speed', '--weights', 'nobody')[2]
    assert 'choose one of default, default-small, weak, mine' in said


def test_two_sequences_have_different_names(pourit, tmp_path):
    for name in ('tea', 'milk'):
        out = tmp_path / name
        words = ('--size', 64, '--rate', 1, '--liquid', name, '--out', out)
        status, said, _ = pourit('synth', '--sequence', '--quiet', *words)
        assert (status, said) == (0, '')
        with BagReader(out / name) as reader:
            assert reader.path.name == name


def test_json_is_all_that_is_on_stdout(pourit, tmp_path):
    out = tmp_path / 'pour'
    assert pourit('synth', '--sequence', '--size', 96, '--rate', 1, '--out', out)[0] == 0
    status, said, _ = pourit('replay', out / 'pour', '--json', '--out', tmp_path / 'replayed')
    document = json.loads(said)
    assert document['status'] == status
    assert document['answered'] == document['input'] > 3
    assert str(tmp_path / 'replayed' / 'report.html') in document['results']
    status, said, _ = pourit('segment', tmp_path / 'replayed' / 'overlay.mp4', '--json',
                             '--no-overlay', '--out', tmp_path / 'masks')  # fmt: skip
    assert json.loads(said)['answered'] == document['answered']
    status, said, err = pourit('replay', tmp_path / 'nowhere', '--json', '--out', tmp_path / 'no')
    assert (status, said) == (2, '')
    assert 'nowhere' in err


def test_quiet_says_nothing(monkeypatch, capfd):
    monkeypatch.setattr(terminal, 'quiet', True)
    with long_task('steps', 3) as report:
        report(1)
        report(3)
    assert capfd.readouterr() == ('', '')
