# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`--cluster`: a real Dask scheduler with two workers on loopback, one of which is killed."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from synth_backdrops import save_backdrops
from typer.testing import CliRunner

from pourit_ros.cli.main import app
from pourit_ros.errors import InputError
from pourit_ros.perception.find_weights import find_weights
from pourit_ros.synth.sets.dataset import make_dataset
from pourit_ros.synth.sets.engines import CompositeEngine
from pourit_ros.workers.cluster import Cluster

distributed = pytest.importorskip('distributed')

BAG = Path(__file__).parent / 'data' / 'pour_small' / 'pour'
COMES_UP_WITHIN = 60.0
PAIRS, SIZE = 8, 96


class Workers:
    """A scheduler and two workers as processes."""

    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            port = free.getsockname()[1]
        self.address = f'tcp://127.0.0.1:{port}'
        self.folder, self.processes = folder, {}
        self.start('scheduler', '--host', '127.0.0.1', '--port', str(port), '--no-dashboard')

    def start(self, name, *arguments):
        command = 'scheduler' if name == 'scheduler' else 'worker'
        log = (self.folder / f'{name}.log').open('w')
        self.processes[name] = subprocess.Popen(
            [sys.executable, '-m', 'dask', command, *arguments],
            stdout=log, stderr=log, cwd=self.folder,
        )  # fmt: skip

    def start_workers(self, *names):
        for name in names:
            self.start(
                name, self.address, '--name', name, '--nthreads', '1', '--no-nanny',
                '--no-dashboard', '--local-directory', str(self.folder),
            )  # fmt: skip
        with distributed.Client(self.address, timeout=COMES_UP_WITHIN) as client:
            client.wait_for_workers(len(names), timeout=COMES_UP_WITHIN)

    def kill(self, name):
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait(10)

    def close(self):
        for process in self.processes.values():
            process.kill()
            process.wait(10)


@pytest.fixture
def workers(tmp_path):
    folder = tmp_path / 'cluster'
    folder.mkdir()
    workers = Workers(folder)
    workers.start_workers('one', 'two')
    yield workers
    workers.close()


@pytest.fixture(scope='module')
def engine(tmp_path_factory):
    return CompositeEngine(
        tuple(save_backdrops(tmp_path_factory.mktemp('rooms'), 3, SIZE)), 5, 'train', SIZE
    )


def contents(folder):
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def busy(address):
    """Names of the workers that are at something."""
    with distributed.Client(address, timeout=COMES_UP_WITHIN) as client:
        info = client.scheduler_info(n_workers=-1)['workers']
        return [info[worker]['name'] for worker, tasks in client.processing().items() if tasks]


def test_a_killed_worker_loses_nothing_and_repeats_nothing(tmp_path, workers, engine, monkeypatch):
    # All at once, so that both workers are busy when one is killed.
    monkeypatch.setattr('pourit_ros.workers.cluster.WAITING', PAIRS)
    here, there = tmp_path / 'here', tmp_path / 'there'
    assert not any(done.problem for done in make_dataset(here, engine, PAIRS))
    made = []
    with Cluster(workers.address) as cluster:
        for done in make_dataset(there, engine, PAIRS, cluster=cluster):
            if not made:
                workers.kill(busy(workers.address)[0])
            made.append(done)
    assert sorted(done.index for done in made) == list(range(PAIRS))
    assert not any(done.problem for done in made)
    assert contents(there) == contents(here)
    assert {'_meta.json', '_pos_rgb.jpg'} <= {name[6:] for name in contents(here)}


def test_a_lost_scheduler_ends_the_command_and_the_next_goes_on(tmp_path, workers, engine):
    out = tmp_path / 'out'
    made = []

    def make(cluster):
        for done in make_dataset(out, engine, PAIRS, cluster=cluster):
            made.append(done.index)
            if len(made) == 2:
                workers.kill('scheduler')

    lost = pytest.raises(InputError, match='lost its scheduler; run the command again')
    with Cluster(workers.address) as cluster, lost:
        make(cluster)
    assert 2 <= len(made) < PAIRS
    rest = [done.index for done in make_dataset(out, engine, PAIRS)]
    assert sorted(made + rest) == list(range(PAIRS))


def test_without_workers_the_command_ends(tmp_path, workers, engine, monkeypatch):
    monkeypatch.setattr('pourit_ros.workers.cluster.PATIENCE', 1.0)
    monkeypatch.setattr('pourit_ros.workers.cluster.LOOKS', 0.2)

    def make(cluster):
        for _ in make_dataset(tmp_path / 'out', engine, PAIRS, cluster=cluster):
            for name in ('one', 'two'):
                workers.kill(name)

    lost = pytest.raises(InputError, match='no worker is left; run the command again')
    with Cluster(workers.address) as cluster, lost:
        make(cluster)


def test_what_waits_is_taken_back(tmp_path, workers, engine, monkeypatch):
    monkeypatch.setattr('pourit_ros.workers.cluster.WAITING', PAIRS)
    with Cluster(workers.address) as cluster:
        making = make_dataset(tmp_path / 'out', engine, 10 * PAIRS, cluster=cluster)
        next(making)
        # As Ctrl-C does.
        making.close()
    deadline = time.monotonic() + COMES_UP_WITHIN
    while busy(workers.address):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert len(list((tmp_path / 'out').glob('*_meta.json'))) == 1


def killed(item):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_task_that_kills_its_workers_is_said(tmp_path, monkeypatch):
    """With nannies, as `dask worker` has them by default, there are always new workers to kill."""
    # For `killed`.
    monkeypatch.setenv('PYTHONPATH', str(Path(__file__).parent), prepend=os.pathsep)
    workers = Workers(tmp_path)
    workers.start('nanny', workers.address, '--nthreads', '1', '--no-dashboard')
    try:
        ended = pytest.raises(InputError, match='a task ended several workers')
        with Cluster(workers.address) as cluster, ended:
            list(cluster.results(killed, [1]))
    finally:
        workers.close()


def test_commands_give_the_same_on_a_cluster(tmp_path, workers, engine):
    """synth, eval and replay as people call them."""
    cluster = ['--cluster', workers.address]
    rooms = str(engine.backdrops[0].parent)

    def run(*arguments, status=0):
        result = CliRunner().invoke(app, [str(a) for a in arguments])
        assert result.exit_code == status, (result.output, result.exception)
        return result.output

    def synth(out, *more):
        run('synth', '--backdrops', rooms, '--size', SIZE, '--count', 3, '--out', out, *more)

    here, there = tmp_path / 'here', tmp_path / 'there'
    synth(here)
    synth(there, *cluster)
    made = contents(here)
    assert {k: v for k, v in contents(there).items() if 'manifest' not in k} == {
        k: v for k, v in made.items() if 'manifest' not in k
    }

    mine = shutil.copy(find_weights('default'), tmp_path / 'mine.safetensors')
    both = ['--weights', 'default', '--weights', mine]
    run('eval', here, *both, '--out', tmp_path / 'scores')
    run('eval', here, *both, '--out', tmp_path / 'scores_there', *cluster)
    one, other = ((tmp_path / n / 'cases.csv').read_text() for n in ('scores', 'scores_there'))
    assert one == other
    assert 'mine,000000_pos' in one

    for name in ('monday', 'tuesday'):
        shutil.copytree(BAG, tmp_path / name)
    bags = tmp_path / 'monday', tmp_path / 'tuesday'
    said = run('replay', *bags, '--out', tmp_path / 'here_bags')
    assert 'monday: ' in said
    assert 'tuesday: ' in said
    run('replay', *bags, '--out', tmp_path / 'there_bags', *cluster)
    for name in ('monday', 'tuesday'):
        one, other = (
            json.loads((tmp_path / n / name / 'summary.json').read_text())
            for n in ('here_bags', 'there_bags')
        )
        assert one['answered'] == other['answered'] > 0
        assert one['with_liquid'] == other['with_liquid']
        assert (tmp_path / 'there_bags' / name / 'report.html').exists()


def test_a_bag_that_cannot_be_read_does_not_end_the_others(tmp_path):
    shutil.copytree(BAG, tmp_path / 'good')
    (tmp_path / 'bad').mkdir()
    arguments = ['replay', tmp_path / 'bad', tmp_path / 'good', '--out', tmp_path / 'out']
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == 2
    assert '1 of 2 bags' in result.output
    assert (tmp_path / 'out' / 'good' / 'report.html').exists()
    assert not (tmp_path / 'out' / 'bad').exists()


def test_bags_of_one_name_are_refused(tmp_path):
    for day in ('monday', 'tuesday'):
        shutil.copytree(BAG, tmp_path / day / 'pour')
    bags = [str(tmp_path / day / 'pour') for day in ('monday', 'tuesday')]
    result = CliRunner().invoke(app, ['replay', *bags, '--out', str(tmp_path / 'out')])
    assert isinstance(result.exception, InputError)
    assert str(result.exception) == 'pour: 2 bags have this name: rename one'
    assert not (tmp_path / 'out').exists()


def test_what_cannot_work_is_said_at_once(tmp_path, workers):
    with pytest.raises(InputError, match='no scheduler answers'):
        Cluster('tcp://127.0.0.1:9')
    with pytest.raises(InputError, match='no scheduler answers'):
        Cluster('nonsense://')
    with (
        Cluster(workers.address) as cluster,
        pytest.raises(InputError, match=r'does not find .*absent: files must lie on'),
    ):
        cluster.check_readable([tmp_path, tmp_path / 'absent'])


def test_a_cluster_without_workers_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr('pourit_ros.workers.cluster.PATIENCE', 1.0)
    # Time for the scheduler to come up.
    monkeypatch.setattr('pourit_ros.workers.cluster.ANSWERS_WITHIN', COMES_UP_WITHIN)
    workers = Workers(tmp_path)
    try:
        with pytest.raises(InputError, match='it has no workers'):
            Cluster(workers.address)
    finally:
        workers.close()
