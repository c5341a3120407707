# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The rerun recording of a replay, read back by rerun's own command."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pourit_ros.bags.output import RECORDING
from pourit_ros.cli import view
from pourit_ros.formats.estimates_csv import Row
from pourit_ros.geometry import LiquidCloud, PinholeCamera, PourGeometry
from pourit_ros.perception.segmentation import Segmentation
from pourit_ros.pipeline import Frame, Observation

BAG = Path(__file__).parent / 'data' / 'pour_small' / 'pour'


@pytest.fixture
def no_rerun(monkeypatch):
    find_spec = importlib.util.find_spec

    def without(name, *more):
        return None if name == 'rerun' else find_spec(name, *more)

    monkeypatch.setattr(importlib.util, 'find_spec', without)


@pytest.mark.parametrize('words', [('replay', BAG, '--rrd', '--out', 'OUT'), ('view', BAG)])
def test_without_the_extra_one_line_says_so(pourit, no_rerun, tmp_path, words):
    out = tmp_path / 'out'
    status, said, err = pourit(*(out if word == 'OUT' else word for word in words))
    assert (status, said) == (2, '')
    assert err == "pourit: rerun is not installed: pip install 'pourit_ros[rerun]'\n"
    assert not out.exists()


def test_view_opens_what_it_is_given(pourit, monkeypatch, tmp_path):
    opened = []
    monkeypatch.setattr(view, '_open', lambda path: opened.append((path, path.is_file())))
    monkeypatch.setattr('pourit_ros.report.rerun_recording.require_rerun', lambda: None)
    (tmp_path / 'folder').mkdir()
    for path in (tmp_path / 'some.rrd', tmp_path / 'folder' / RECORDING):
        path.touch()
    assert pourit('view', tmp_path / 'some.rrd')[0] == 0
    assert pourit('view', tmp_path / 'folder')[0] == 0
    assert opened == [(tmp_path / 'some.rrd', True), (tmp_path / 'folder' / RECORDING, True)]
    status, _, err = pourit('view', tmp_path / 'nowhere')
    assert status == 2
    assert 'nowhere: no such file' in err


def printed(recording):
    done = subprocess.run(
        [sys.executable, '-m', 'rerun', 'rrd', 'print', '-vvv', str(recording)],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_view_replays_a_bag_and_keeps_nothing(pourit, monkeypatch):
    pytest.importorskip('rerun')
    opened = []
    monkeypatch.setattr(view, '_open', lambda path: opened.append((path, path.stat().st_size)))
    assert pourit('view', BAG)[0] == 0
    ((path, size),) = opened
    assert size > 10_000
    assert not path.parents[1].exists()


def test_recording_holds_everything_on_one_timeline(pourit, tmp_path):
    pytest.importorskip('rerun')
    out = tmp_path / 'out'
    status, said, _ = pourit('replay', BAG, '--rrd', '--out', out)
    assert status == 0
    assert str(out / RECORDING) in said
    text = printed(out / RECORDING)
    for entity in (
        'world/camera/image/colour', 'world/camera/image/mask', 'world/camera/image/depth',
        'world/camera/liquid', 'world/stream/seen', 'world/landing', 'world/rim',
        'world/source', 'world/target', 'curves/distance', 'curves/margin', 'curves/offset/x',
        'curves/probability', 'curves/latency',
    ):  # fmt: skip
        assert entity in text, entity
    # The layout has timelines of its own.
    lines = [line for line in text.splitlines() if 'index_name: blueprint' not in line]
    assert {name for line in lines for name in re.findall(r'index_name: (\w+)', line)} == {'stamp'}


def test_a_frame_of_which_nothing_is_known_is_logged(tmp_path):
    pytest.importorskip('rerun')
    from pourit_ros.report.rerun_recording import RerunRecording

    camera = PinholeCamera(64, 48, 100.0, 100.0, 32.0, 24.0)
    frame = Frame(np.zeros((48, 64, 3), np.uint8), camera, stamp_ns=5, name='f')
    dry = Segmentation(0.1, False, np.zeros((48, 64), np.float32), np.zeros((48, 64), bool))
    row = Row(5, 'f', False, 0.1, False)
    with RerunRecording(tmp_path / 'a.rrd') as recording:
        recording.add(frame, Observation(5, 'f', dry, LiquidCloud.empty()), PourGeometry(), row)
    assert 'curves/probability' in printed(tmp_path / 'a.rrd')
