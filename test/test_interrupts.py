# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Commands that are killed at work change nothing of the user's and can be given again."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
from synth_backdrops import save_backdrops

from pourit_ros.files import MANIFEST, PARTIAL, check_folder
from pourit_ros.formats.images import write_image
from pourit_ros.synth.sets.dataset import make_dataset
from pourit_ros.synth.sets.engines import CompositeEngine

DATA = Path(__file__).parent / 'data' / 'pour_small'
KINDS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL]
# Only for a command that hangs.
PATIENCE = 600.0


def tree(folder):
    return {p: p.read_bytes() for p in folder.rglob('*') if p.is_file()}


@pytest.fixture(scope='module')
def pairs(tmp_path_factory):
    backdrops = save_backdrops(tmp_path_factory.mktemp('backdrops'), 2, 128)
    folder = tmp_path_factory.mktemp('pairs')
    engine = CompositeEngine(tuple(backdrops), seed=0, split='train', size=128)
    assert not [done.problem for done in make_dataset(folder, engine, 4) if done.problem]
    return folder


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp('pictures')
    for k in range(100):
        write_image(folder / f'{k:03d}.png', np.full((480, 640, 3), k, np.uint8))
    return folder


# Each long run by its name: (arguments, what in the results folder tells that it is at work).
def segment(tmp_path, pictures, pairs):
    return [pictures], f'{PARTIAL}*/000_mask.png'


def replay(tmp_path, pictures, pairs):
    return [DATA / 'pour'], f'{PARTIAL}*/bag'


def collect(tmp_path, pictures, pairs):
    return [DATA / 'pour', '--liquid', '1.3:4.7'], f'{PARTIAL}*/images'


def synth(tmp_path, pictures, pairs):
    return ['--sequence', '--size', 160, '--rate', 3], f'{PARTIAL}*/.out.*'


def lift(tmp_path, pictures, pairs):
    scenes = [tmp_path / f'scene{k}' for k in range(2)]
    for k, scene in enumerate(scenes):
        scene.mkdir()
        for path in pairs.glob('0*'):
            # The number is the frame's name, which no two scenes share.
            shutil.copy(path, scene / f'{k}{path.name[1:]}')
    return [*scenes, '--masks'], f'{PARTIAL}*/*'


def evaluate(tmp_path, pictures, pairs):
    return [pairs], f'{PARTIAL}*'


def train(tmp_path, pictures, pairs):
    data = ['--data', pairs, '--val', pairs, '--config', 'weak', '--init', 'default']
    return [*data, '--steps', 2], MANIFEST


def demo(tmp_path, pictures, pairs):
    return [], f'{PARTIAL}*/*'


LONG = {
    **{run.__name__: run for run in (segment, replay, collect, synth, lift, train, demo)},
    'eval': evaluate,
}


@pytest.fixture
def start():
    """Starts a command; none of them outlives its test."""
    with ExitStack() as running:
        yield lambda *words: running.enter_context(killed_at_end(*words))


@contextmanager
def killed_at_end(name, arguments, out):
    process = subprocess.Popen(
        [sys.executable, '-m', 'pourit_ros', name, *map(str, arguments), '--out', str(out)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        # Whatever ran the tests may ignore SIGINT, and children inherit that.
        preexec_fn=lambda: [signal.signal(s, signal.SIG_DFL) for s in KINDS[:3]],
    )  # fmt: skip
    with process:
        try:
            yield process
        finally:
            process.kill()


def until_at_work(process, out, sign):
    end = time.monotonic() + PATIENCE
    while not any(out.glob(sign)):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.002)


@pytest.mark.parametrize('name', LONG)
@pytest.mark.parametrize('number', KINDS, ids=lambda number: number.name)
def test_a_killed_command(tmp_path, pictures, pairs, start, name, number):
    arguments, sign = LONG[name](tmp_path, pictures, pairs)
    mine = tmp_path / 'mine.txt'
    mine.write_text('mine')
    before = tree(tmp_path)
    out = tmp_path / 'out'
    for _ in range(3):
        process = start(name, arguments, out)
        until_at_work(process, out, sign)
        process.send_signal(number)
        status = process.wait(PATIENCE)
        said = process.stderr.read()
        if name == 'train' or not (out / MANIFEST).exists():
            break
        # On a busy machine the signal may come when the results are there: they stay, whole.
        check_folder(out, overwrite=True)
        shutil.rmtree(out)
    if number == signal.SIGKILL:
        assert status == -signal.SIGKILL
        # What is left lies in a folder of ours; a training goes on in its own.
        left = [p.name for p in out.iterdir() if not p.name.startswith(PARTIAL)]
        assert left == ([MANIFEST] if name == 'train' else [])
    else:
        assert status == 128 + number, said
        assert said.splitlines()[-1] == 'pourit: interrupted'
        assert 'Traceback' not in said
        assert not out.exists()
    assert {p: b for p, b in tree(tmp_path).items() if out not in p.parents} == before
    # A demo takes a minute; its folder is made as that of a replay is.
    if number == signal.SIGKILL and name != 'demo':
        again = start(name, arguments, out)
        assert again.wait(PATIENCE) == 0, again.stderr.read()
        assert (out / MANIFEST).is_file()
        assert not list(out.glob(f'{PARTIAL}*'))


# Python ignores exceptions in a destructor.
DEAF = """
import os, signal, sys, time
from pourit_ros.cli import main

class Deaf:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)

def work():
    Deaf()
    time.sleep(60)
    print('not interrupted')

main.app = work
main.main()
"""


def test_a_signal_in_a_destructor_is_not_lost():
    done = subprocess.run([sys.executable, '-c', DEAF], capture_output=True, text=True)
    assert done.returncode == 128 + signal.SIGTERM, done.stderr
    assert done.stdout == ''
    assert done.stderr == 'pourit: interrupted\n'


# While a results folder ends, a signal comes before every call of one kind.
CUT_OFF = """
import os, signal, sys
from pathlib import Path
from pourit_ros.cli import main
from pourit_ros.files import result_folder, working_folder

out, name, ends = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
plain = getattr(os, name)

def cut_off(*arguments, **options):
    os.kill(os.getpid(), signal.SIGTERM)
    return plain(*arguments, **options)

def work():
    if ends == 'before it made anything':
        with working_folder(out, 'train'):
            setattr(os, name, cut_off)
            raise ValueError
    with result_folder(out, 'replay') as folder:
        (folder / 'images').mkdir()
        (folder / 'images' / '0.png').write_text('0')
        (folder / 'table.csv').write_text('1')
        setattr(os, name, cut_off)
        if ends == 'badly':
            raise ValueError

main.app = work
main.main()
"""


@pytest.mark.parametrize('name', ['close', 'rmdir', 'unlink', 'replace'])
@pytest.mark.parametrize('ends', ['well', 'badly'])
def test_a_signal_while_a_results_folder_ends(tmp_path, name, ends):
    out = tmp_path / 'out'
    done = subprocess.run(
        [sys.executable, '-c', CUT_OFF, out, name, ends], capture_output=True, text=True
    )
    if ends == 'badly':
        # All that was begun is gone.
        assert not out.exists()
    else:
        # Finished results are whole, and a later run recognises them.
        assert {p.relative_to(out).as_posix() for p in out.rglob('*') if p.is_file()} == {
            MANIFEST, 'images/0.png', 'table.csv',
        }  # fmt: skip
        check_folder(out, overwrite=True)
    if ends == 'well' or name != 'replace':
        assert done.returncode == 128 + signal.SIGTERM, done.stderr
        assert done.stderr == 'pourit: interrupted\n'


@pytest.mark.parametrize('name', ['rmdir', 'unlink'])
def test_a_signal_while_an_empty_working_folder_goes(tmp_path, name):
    command = [sys.executable, '-c', CUT_OFF, tmp_path / 'out', name, 'before it made anything']
    done = subprocess.run(command, capture_output=True, text=True)
    assert not (tmp_path / 'out').exists()
    assert done.returncode == 128 + signal.SIGTERM, done.stderr


# A signal comes before every call of one kind while what was begun is removed.
CUT_OFF_FILE = """
import os, signal, sys
from pathlib import Path
from pourit_ros.bags.writer import BagWriter
from pourit_ros.cli import main
from pourit_ros.files import replacing

out, kind, name = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
plain = getattr(os, name)

def cut_off(*arguments, **options):
    os.kill(os.getpid(), signal.SIGTERM)
    return plain(*arguments, **options)

def work():
    with replacing(out) if kind == 'file' else BagWriter(out) as begun:
        if kind == 'file':
            begun.write_text('half')
        setattr(os, name, cut_off)
        raise ValueError

main.app = work
main.main()
"""


@pytest.mark.parametrize(
    ('kind', 'name'), [('file', 'unlink'), ('bag', 'unlink'), ('bag', 'rmdir')]
)
def test_a_signal_while_a_partial_file_goes(tmp_path, kind, name):
    command = [sys.executable, '-c', CUT_OFF_FILE, tmp_path / 'out', kind, name]
    done = subprocess.run(command, capture_output=True, text=True)
    assert list(tmp_path.iterdir()) == []
    assert done.returncode == 128 + signal.SIGTERM, done.stderr
    assert done.stderr == 'pourit: interrupted\n'


def test_an_error_that_follows_from_an_interruption_is_reported_as_one():
    cause = """
import os, signal, sys
from pourit_ros.cli import main

def work():
    file = os.open(os.devnull, os.O_RDONLY)
    try:
        os.close(file)
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        os.close(file)

main.app = work
main.main()
"""
    done = subprocess.run([sys.executable, '-c', cause], capture_output=True, text=True)
    assert done.returncode == 128 + signal.SIGTERM, done.stderr
    assert done.stderr == 'pourit: interrupted\n'


def test_weights_are_as_readable_as_other_files(tmp_path):
    from pourit_ros.perception.weights import load_weights, save_weights

    model, metadata = load_weights('default')
    save_weights(tmp_path / 'w.safetensors', model, metadata)
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / 'w.safetensors').stat().st_mode & 0o777 == 0o666 & ~mask
