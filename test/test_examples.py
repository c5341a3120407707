# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The scripts of the documentation, examples/ and the notebook: each runs, and is type-checked."""

import ast
import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from live_pour import PATIENCE, pour_frame
from PIL import Image
from processes import interruptible
from synth_backdrops import save_backdrops

from pourit_ros.bags.make import write_pour_bag
from pourit_ros.live.processes import RosProcesses
from pourit_ros.live.replay import PLAYED_SUBSCRIPTIONS
from pourit_ros.synth.sets.dataset import make_dataset
from pourit_ros.synth.sets.engines import CompositeEngine

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / 'examples'
NOTEBOOK = EXAMPLES / 'pour.ipynb'
PYTHON_PAGE = (ROOT / 'docs' / 'howto' / 'python.md').read_text()
MARKED = re.compile(r'<!-- script: (\S+) -->\n```python\n(.*?)```', re.DOTALL)
CODE = re.compile(r'```python\n(.*?)```', re.DOTALL)

# What the documentation shows, by name: what a reader saves beside his files and runs.
SHOWN = dict(MARKED.findall(PYTHON_PAGE))
SHOWN['readme.py'] = CODE.findall((ROOT / 'README.md').read_text())[0]
SHOWN['first_image.py'] = CODE.findall(
    (ROOT / 'docs' / 'tutorials' / 'first_image.md').read_text()
)[0]


@pytest.fixture
def run(desk, monkeypatch, capsys):
    """Run a script among the reader's files; returns what it prints."""

    def run(path, *arguments):
        monkeypatch.chdir(desk)
        monkeypatch.setattr(sys, 'argv', [str(path), *map(str, arguments)])
        runpy.run_path(str(path), run_name='__main__')
        return capsys.readouterr().out

    return run


# What the documentation shows


def run_shown(run, tmp_path, name):
    (tmp_path / name).write_text(SHOWN[name])
    return run(tmp_path / name)


def test_the_shown_scripts_are_short():
    for name in ('mask.py', 'distance.py', 'plot.py', 'readme.py'):
        assert len(SHOWN[name].strip().splitlines()) <= 10


def test_mask_of_an_image(run, tmp_path, desk):
    present, probability, pixels = run_shown(run, tmp_path, 'mask.py').split()
    assert present == 'True'
    assert float(probability) > 0.5
    assert int(pixels) > 100
    assert cv2.imread(str(desk / 'overlay.png')).shape == (480, 640, 3)


@pytest.mark.parametrize('name', ['readme.py', 'first_image.py'])
def test_first_lines(run, tmp_path, name):
    said = run_shown(run, tmp_path, name)
    assert said.startswith('True ')
    assert said.endswith('(480, 640)\n')


def test_distance_from_a_scene(run, tmp_path):
    name, present, distance, margin = run_shown(run, tmp_path, 'distance.py').split()
    assert (name, present) == ('000001', 'True')
    assert 0 < float(distance) < 0.1
    assert 0 < float(margin) < 0.04


def test_plot_of_a_bag(run, tmp_path, desk):
    shutil.rmtree(desk / 'replayed', ignore_errors=True)
    assert 'report.html' in run_shown(run, tmp_path, 'plot.py')
    assert 'plotly' in (desk / 'replayed' / 'report.html').read_text().lower()


def test_frames_of_ones_own(run, tmp_path):
    said = run_shown(run, tmp_path, 'frame.py')
    assert said.count('<Frame') == 2
    assert "<Frame '000001_rgb' of 640x480: depth, T_base_cam>" in said


def test_the_page_on_consuming_shows_the_example():
    (shown,) = CODE.findall((ROOT / 'docs' / 'howto' / 'consume.md').read_text())
    assert (EXAMPLES / 'watch_pour.py').read_text().endswith(shown)


def test_every_example_is_named_where_a_reader_looks():
    names = sorted(path.name for path in EXAMPLES.iterdir() if path.is_file())
    assert len(names) == 7
    for name in names:
        assert f'](../../examples/{name})' in PYTHON_PAGE


CONFIGURATION = """
[mypy]
strict = true
[mypy-torch.*]
follow_imports = skip
"""
UNTYPED = ''.join(
    f'[mypy-{name}.*]\nignore_missing_imports = true\n'
    for name in ('cv2', 'plotly', 'rclpy', 'sensor_msgs')
)


def check_types(folder, cache):
    return subprocess.run(
        [sys.executable, '-m', 'mypy', '--cache-dir', str(cache), '.'],
        cwd=folder,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
    )


def test_types_as_a_user_sees_them(tmp_path, tmp_path_factory):
    """The package is found on the path, as an installed one: its types count by py.typed."""
    cache = tmp_path_factory.mktemp('types')
    for name, text in SHOWN.items():
        (tmp_path / name).write_text(text)
    (tmp_path / 'mypy.ini').write_text(CONFIGURATION)
    done = check_types(tmp_path, cache)
    assert done.returncode == 0, done.stdout
    for path in EXAMPLES.glob('*.py'):
        shutil.copy(path, tmp_path)
    (tmp_path / 'mypy.ini').write_text(CONFIGURATION + UNTYPED)
    done = check_types(tmp_path, cache)
    assert done.returncode == 0, done.stdout
    # And it is really the package's types that were looked at.
    (tmp_path / 'mask.py').write_text(SHOWN['mask.py'].replace('seen.present', 'seen.presence'))
    done = check_types(tmp_path, cache)
    assert 'mask.py:9: error: "Segmentation" has no attribute "presence"' in done.stdout


# examples/


def test_segment_image(run, desk, monkeypatch):
    seen = []
    monkeypatch.setattr(Image.Image, 'show', lambda image: seen.append(image.size))
    assert '<Segmentation of 640x480: liquid' in run(EXAMPLES / 'segment_image.py', 'photo.jpg')
    assert seen == [(640, 480)]
    run(EXAMPLES / 'segment_image.py', 'photo.jpg', '--out', 'shown.png')
    assert cv2.imread(str(desk / 'shown.png')).shape == (480, 640, 3)
    assert len(seen) == 1


def test_segment_video(run, desk, capsys):
    said = run(EXAMPLES / 'segment_video.py', 'video.mp4', 'overlay.mp4')
    assert said == 'liquid in 3 of 3 frames: overlay.mp4\n'
    video = cv2.VideoCapture(str(desk / 'overlay.mp4'))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 3
    assert video.get(cv2.CAP_PROP_FPS) == 5
    with pytest.raises(SystemExit):
        run(EXAMPLES / 'segment_video.py', 'photo.txt', 'overlay.mp4')
    assert 'photo.txt: cannot be read as a video' in capsys.readouterr().err


def test_lift_scene(run, desk):
    said = run(EXAMPLES / 'lift_scene.py', 'scene', '--out', 'lifted')
    assert re.fullmatch(r'000001: \d+ mm to the mouth\n', said)
    assert cv2.imread(str(desk / 'lifted' / '000001.png')).shape[2] == 3


def test_plot_bag(run, desk):
    said = run(EXAMPLES / 'plot_bag.py', 'my_bag', '--out', 'pour.html')
    frames, measured = map(int, re.match(r'(\d+) frames, (\d+) measured', said).groups())
    assert frames == 30
    assert measured > 10
    page = (desk / 'pour.html').read_text()
    assert '"distance"' in page
    assert '"margin"' in page


def test_fine_tune(run, tmp_path):
    pytest.importorskip('lightning_fabric')
    backdrops = save_backdrops(tmp_path / 'backdrops', 2, 128)
    engine = CompositeEngine(tuple(backdrops), seed=0, split='train', size=128)
    pairs = tmp_path / 'pairs'
    pairs.mkdir()
    assert not [done.problem for done in make_dataset(pairs, engine, 2) if done.problem]
    threads = cv2.getNumThreads()
    try:
        said = run(
            EXAMPLES / 'fine_tune.py', pairs, pairs, '--out', tmp_path / 'run', '--steps', 1
        )
    finally:
        cv2.setNumThreads(threads)
    assert (tmp_path / 'run' / 'weights.safetensors').is_file()
    assert 'weights.safetensors' in said.splitlines()[-1]


@pytest.mark.live
def test_watch_pour(stripe_weights, tmp_path):
    """Against the live nodes: mask, probability and distance of the same frame in one line."""
    pytest.importorskip('rclpy')
    bag, folder = tmp_path / 'pour', tmp_path / 'nodes'
    folder.mkdir()
    write_pour_bag(bag, (pour_frame(k, k % 4 > 0) for k in range(12)))
    with RosProcesses(folder, 'pourit') as nodes:
        watcher = subprocess.Popen(
            [sys.executable, EXAMPLES / 'watch_pour.py'],
            stdout=(folder / 'watched').open('w'),
            stderr=subprocess.STDOUT,
            env=nodes.environment,
            preexec_fn=interruptible,
        )
        try:
            # No frame before all listen: the watcher at three topics, each node at the others'.
            nodes.start('pour_monitor', {'stale_after': 0.0, 'await_subscriptions': 2})
            perception = {'weights': str(stripe_weights), 'device': 'cpu', 'threads': 1}
            nodes.start('liquid_perception', {**perception, 'await_subscriptions': 4})
            # Without the recorder, which listens to the camera info.
            played = sum(PLAYED_SUBSCRIPTIONS.values()) - 1
            nodes.start(
                'bag_player', {'bag': str(bag), 'rate': 0.0, 'await_subscriptions': played}
            )
            deadline = time.monotonic() + PATIENCE
            while len(said(folder)) < 12 and time.monotonic() < deadline:
                nodes.check()
                time.sleep(0.05)
            watcher.send_signal(signal.SIGINT)
            watcher.wait(PATIENCE)
        finally:
            watcher.kill()
            watcher.wait()
    lines = said(folder)
    # SIGINT ended it without a word.
    assert len(lines) == 12, lines
    pattern = r'\((\d+), (\d+)\): ([\d.]+), (\d+) px, (no liquid|\d+ mm)'
    wet = 0
    for line in lines:
        _, _, probability, pixels, where = re.fullmatch(pattern, line.strip()).groups()
        liquid = where != 'no liquid'
        assert liquid == (int(pixels) > 0) == (float(probability) > 0.5)
        wet += liquid
    assert 0 < wet < len(lines)


def said(folder):
    return (folder / 'watched').read_text().splitlines()


# The notebook


@pytest.fixture(scope='module')
def notebook():
    return json.loads(NOTEBOOK.read_text())


def code_cells(notebook):
    return [cell for cell in notebook['cells'] if cell['cell_type'] == 'code']


def printed(cell):
    """What a cell printed, and how its last value was written."""
    texts = [
        output.get('text') or output.get('data', {}).get('text/plain', '')
        for output in cell['outputs']
    ]
    return ''.join(''.join(text) for text in texts).strip()


def without_numbers(text):
    return re.sub(r'[+-]?\d+(\.\d+)?', '#', text)


def test_the_notebook_is_small_and_has_its_outputs(notebook):
    assert NOTEBOOK.stat().st_size < 500_000
    cells = code_cells(notebook)
    assert [cell['execution_count'] for cell in cells] == list(range(1, len(cells) + 1))
    assert sum('image/jpeg' in out.get('data', {}) for c in cells for out in c['outputs']) >= 3
    assert 'Traceback' not in NOTEBOOK.read_text()


def test_the_notebook_runs_and_says_what_it_shows(notebook, monkeypatch, capsys):
    """Every code cell in turn, the value of its last line being written after what it prints."""
    monkeypatch.chdir(EXAMPLES)
    names = {}
    for cell in code_cells(notebook):
        tree = ast.parse(''.join(cell['source']))
        value = None
        if isinstance(tree.body[-1], ast.Expr):
            last = ast.Expression(tree.body.pop().value)
            exec(compile(tree, 'cell', 'exec'), names)
            value = eval(compile(last, 'cell', 'eval'), names)
        else:
            exec(compile(tree, 'cell', 'exec'), names)
        said = capsys.readouterr().out
        if isinstance(value, Image.Image):
            assert np.asarray(value).std() > 10
            value = f'<PIL.Image.Image image mode={value.mode} size={value.width}x{value.height}>'
        said += '' if value is None else repr(value) if not isinstance(value, str) else value
        assert without_numbers(said.strip()) == without_numbers(printed(cell))
