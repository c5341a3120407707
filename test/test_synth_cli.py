# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from synth_backdrops import save_backdrops

from pourit_ros.bags.reader import BagReader
from pourit_ros.synth.sets.records import written

SMALL = Path(__file__).parent / 'data' / 'pour_small'


@pytest.fixture(scope='module')
def rooms(tmp_path_factory):
    folder = tmp_path_factory.mktemp('rooms')
    save_backdrops(folder, 2, 96)
    return folder


def test_a_set_its_sheet_and_the_rest_of_it(pourit, rooms, tmp_path):
    out = tmp_path / 'pours'
    common = ('synth', '--backdrops', rooms, '--size', 96, '--jobs', 1, '--out', out)
    status, said, _ = pourit(*common, '--count', 2)
    assert status == 0
    assert f'2 pairs in {out} (2 new' in said
    status, said, _ = pourit(*common, '--count', 4, '--sheet')
    assert status == 0
    assert '4 pairs' in said
    assert '2 new' in said
    assert len(written(out)) == 4
    assert (out / 'sheet.png').stat().st_size > 10_000
    status, said, _ = pourit('bench', 'chain', out)
    assert status == 0
    assert said.startswith('plane | pose_noise | pours')
    status, said, _ = pourit('bench', 'chain', out, '--json')
    assert status == 0
    assert [set(row) >= {'landing_error_mm_p50'} for row in json.loads(said)] == [True] * 6


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (('--count', 1, '--engine', 'composite'), 'composite needs --backdrops'),
        (('--count', 1, '--backdrops', 'nowhere'), 'nowhere: no such folder'),
        (
            ('--backdrops', 'ROOMS', '--poured-from', 'tap'),
            '--poured-from does not apply to composites',
        ),
        (('--engine', 'backdrop', '--poured-from', 'bucket'), "nothing pours from a 'bucket'"),
        (('--backdrops', 'ROOMS', '--stratum', 'tap'), '--stratum does not apply to composites'),
        (
            ('--engine', 'backdrop', '--stratum', 'thick'),
            "unknown stratum 'thick'; strata: general",
        ),
        (
            ('--engine', 'backdrop', '--stratum', 'thin=0'),
            'stratum thin: a weight must be greater',
        ),
        (
            ('--engine', 'backdrop', '--stratum', 'moved'),
            'stratum moved works with pathtrace only',
        ),
        (
            ('--engine', 'pathtrace', '--stratum', 'tap', '--poured-from', 'jug'),
            'stratum tap pours from a tap, not from a jug',
        ),
        (('--count', 1, '--backdrops', 'empty'), 'holds no backdrops'),
        (('--count', 1, '--backdrops', 'ROOMS'), '--size is 320'),
        (('--count', 1, '--backdrops', 'ROOMS', '--size', 96, '--split', 'val'), 'not val'),
        (('--engine', 'backdrop', '--environment-maps', 'empty'), 'no *.hdr'),
        (('--engine', 'backdrop', '--environment-maps', 'nowhere'), 'nowhere'),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    pourit, rooms, tmp_path, monkeypatch, arguments, words
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'empty').mkdir()
    arguments = [rooms if a == 'ROOMS' else a for a in arguments]
    status, _, err = pourit('synth', '--out', tmp_path / 'out', '--jobs', 1, *arguments)
    lines = [line for line in err.splitlines() if line.startswith('pourit: ')]
    assert status == 2
    assert len(lines) == 1
    assert words in lines[0]
    assert not list(tmp_path.glob('out/[0-9]*'))


def test_a_file_is_no_folder(pourit, tmp_path):
    (tmp_path / 'out').write_text('')
    status, _, err = pourit('synth', '--out', tmp_path / 'out', '--count', 1)
    assert status == 2
    assert 'is a file' in err


def test_a_folder_of_another_recipe_is_refused(pourit, rooms, tmp_path):
    common = ('synth', '--backdrops', rooms, '--size', 96, '--jobs', 1, '--out', tmp_path)
    assert pourit(*common, '--count', 1)[0] == 0
    status, _, err = pourit(*common, '--count', 1, '--seed', 3)
    assert status == 2
    assert 'was made with seed 0, not 3' in err


def test_wrong_options_are_refused():
    for wrong in (['--engine', 'magic'], ['--size', '8'], ['--count', '-1'], ['--split', 'test']):
        command = [sys.executable, '-m', 'pourit_ros', 'synth', '--out', 'x', *wrong]
        answer = subprocess.run(
            command, capture_output=True, text=True, check=False,
            cwd=Path(__file__).resolve().parents[1],
        )  # fmt: skip
        assert answer.returncode == 2
        assert wrong[0] in answer.stderr
        assert 'Traceback' not in answer.stderr


def test_an_unknown_liquid_is_refused(pourit, tmp_path):
    status, _, err = pourit('synth', '--sequence', '--liquid', 'ink', '--out', tmp_path / 'made')
    assert status == 2
    assert 'unknown liquid' in err
    assert 'orange_juice' in err
    assert not (tmp_path / 'made').exists()


def test_sequence(pourit, tmp_path):
    status, said, _ = pourit(
        'synth', '--sequence', '--size', 64, '--rate', 2, '--liquid', 'milk',
        '--out', tmp_path / 'made',
    )  # fmt: skip
    assert status == 0
    assert '12 frames' in said
    with (tmp_path / 'made' / 'truth.csv').open() as file:
        rows = list(csv.DictReader(file))
    flowing = [bool(row['landing_x']) for row in rows]
    # Approach and tilt, flow, stop.
    assert flowing == [0.5 * k > 1.2 and 0.5 * k < 4.75 for k in range(12)]


def test_the_committed_pour_is_whole():
    """Made by `pourit synth --sequence --size 192 --rate 5 --out pour`."""
    files = [f for f in SMALL.rglob('*') if f.is_file()]
    assert sum(f.stat().st_size for f in files) < 3_000_000
    with (SMALL / 'truth.csv').open() as file:
        truth = {
            round(float(row['stamp'].replace('.', '')[:19])): row['landing_x']
            for row in csv.DictReader(file)
        }
    with BagReader(SMALL / 'pour') as bag:
        frames = list(bag.frames())
    assert [f.stamp_ns for f in frames] == list(truth)
    assert len(frames) == 30
    for frame in frames:
        assert frame.color.shape == (144, 192, 3)
        assert frame.depth is not None
        assert not frame.problem
        assert frame.T_cam_source is not None
        assert frame.T_base_target is not None
    # The correction: the stream moves towards the cup while it flows.
    landing = np.array([float(x) for x in truth.values() if x])
    assert len(landing) >= 15
    assert landing[0] - landing[-1] > 0.04
