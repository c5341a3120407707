# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The benchmark of the closed loop: its groups, its stored rows, its figures, one real run."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sim_cell import MISSING

from pourit_ros.bench import pour
from pourit_ros.errors import InputError
from pourit_ros.sim.setup import SWITCHES

if MISSING:
    pytest.skip(MISSING, allow_module_level=True)


def row(seed, loop, caught, poured=100.0, clean=True, group=SWITCHES):
    task = pour.Task(seed, tuple(group), loop, 'truth', '')
    return {
        **pour.asdict(task), 'state': 'done', 'caught_share': caught, 'clean': clean,
        'poured_ml': poured, 'target_volume_ml': 100.0, 'duration': 10.0, 'peak_tilt_deg': 80.0,
        'peak_speed': 0.05, 'peak_turn': 0.2, 'made_by': pour.made_by(''),
    }  # fmt: skip


def test_groups_by_name():
    assert pour.groups_of('all') == [SWITCHES]
    assert pour.groups_of('none') == [()]
    assert pour.groups_of('fill,start') == [('start', 'fill')]
    assert pour.groups_of('each') == [(), *((name,) for name in SWITCHES)]
    with pytest.raises(InputError, match=r"no disturbance 'wind'.*move"):
        pour.groups_of('move,wind')


def test_every_trial_runs_with_both_loops():
    wanted = pour.tasks(2, 5, [(), ('move',)], 'network', 'weak')
    assert len(wanted) == 8
    assert {(t.seed, t.loop) for t in wanted} == {
        (5, 'open'),
        (5, 'closed'),
        (6, 'open'),
        (6, 'closed'),
    }
    assert {t.weights for t in wanted} == {'weak'}
    # Weights do not matter to the truth: rows of any serve.
    assert pour.tasks(1, 0, [()], 'truth', 'weak') == pour.tasks(1, 0, [()], 'truth', 'default')


def test_figures_and_intervals():
    rows = [row(k, 'closed', 1.0 if k else 0.6, 100 + 4 * (-1) ** k, k > 0) for k in range(10)]
    rows += [row(k, 'open', 0.2, 90.0) for k in range(10)]
    (summary,) = pour.summarise(rows)
    closed = summary['closed']
    assert summary['disturbances'] == 'all'
    assert closed['trials'] == 10
    assert closed['caught_mean'] == pytest.approx(0.96)
    assert closed['no_spill_share'] == pytest.approx(0.9)
    assert closed['volume_error_ml'] == pytest.approx(4.0)
    assert closed['volume_bias_ml'] == pytest.approx(0.0)
    assert closed['worst_seed'] == 0
    low, high = closed['caught_95']
    assert 0.85 < low < 0.96 < high <= 1.0
    assert summary['open']['volume_bias_ml'] == pytest.approx(-10)
    assert 'closed | 10 | 96.0' in pour.table_of([summary])


def test_instructive_trials():
    rows = [row(1, 'closed', 1.0), row(1, 'open', 0.9), row(2, 'closed', 0.95)]
    rows += [row(2, 'open', 0.1), row(3, 'closed', 0.3), row(3, 'open', 0.4)]
    assert pour.instructive(rows) == (2, 3)
    with pytest.raises(InputError, match='both loops'):
        pour.instructive(rows[:1])


def test_stored_rows_are_not_run_again(tmp_path, monkeypatch):
    """A run goes on where one was cut off in the middle of a line."""
    file = tmp_path / 'rows.jsonl'
    wanted = pour.tasks(2, 0, [()], 'truth', '')
    first = [row(t.seed, t.loop, 0.5, group=()) for t in wanted[:3]]
    torn = json.dumps(row(1, 'closed', 0.7, group=()))[:-9]
    file.write_text(''.join(json.dumps(r) + '\n' for r in first) + torn)

    class Now:
        def __init__(self, *_):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def submit(self, _, task):
            future = pour.Future()
            future.set_result(row(task.seed, task.loop, 0.9, group=()))
            return future

    monkeypatch.setattr(pour, 'ProcessPoolExecutor', Now)
    shares = [r['caught_share'] for r in pour.run_all(wanted, file, 2)]
    assert shares == [0.5, 0.5, 0.5, 0.9]
    assert [json.loads(line)['caught_share'] for line in file.read_text().splitlines()] == shares
    assert [r['caught_share'] for r in pour.run_all(wanted, file, 2)] == shares


def test_rows_of_other_code_or_weights_are_refused(tmp_path, monkeypatch):
    file = tmp_path / 'rows.jsonl'
    (task,) = pour.tasks(1, 0, [()], 'network', 'mine')[:1]
    monkeypatch.setenv('POURIT_MODEL_DIR', str(tmp_path))
    weights = tmp_path / 'mine.safetensors'
    weights.write_bytes(b'first')
    stored = {**row(0, 'open', 0.5, group=()), **pour.asdict(task)}
    stored['made_by'] = pour.made_by('mine')
    file.write_text(json.dumps(stored) + '\n')
    assert [r['caught_share'] for r in pour.run_all([task], file, 1)] == [0.5]
    weights.write_bytes(b'second')
    pour.made_by.cache_clear()
    with pytest.raises(InputError, match='made by other weights or another state'):
        list(pour.run_all([task], file, 1))


@pytest.mark.parametrize('text', ['{"seed": 1}\n', 'no json\n', '[1]\n'])
def test_a_file_of_something_else_is_refused(tmp_path, text):
    file = tmp_path / 'rows.jsonl'
    file.write_text(text)
    with pytest.raises(InputError, match='line 1 is no row of pourit bench pour'):
        pour.read_rows(file)
    assert file.read_text() == text


def members(group):
    """The processes of a process group that still run, by number."""
    found = set()
    for path in Path('/proc').glob('[0-9]*/stat'):
        try:
            # After the name, which may hold anything: state, parent, group.
            state, _, its = path.read_text().rpartition(')')[2].split()[:3]
        except OSError:
            continue
        if int(its) == group and state != 'Z':
            found.add(int(path.parent.name))
    return found


@pytest.mark.parametrize('how', [signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_the_command(how, tmp_path):
    command = [
        'bench',
        'pour',
        '--perception',
        'truth',
        '--trials',
        '400',
        '--jobs',
        '2',
        '--rows',
    ]
    rows = tmp_path / 'rows.jsonl'
    with subprocess.Popen(
        [sys.executable, '-m', 'pourit_ros', *command, str(rows)], start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            deadline = time.monotonic() + 120
            # The command, its resource tracker and two workers, at work.
            while not rows.exists() and time.monotonic() < deadline:
                time.sleep(0.1)
            assert len(members(process.pid)) >= 3
            os.kill(process.pid, how)
            while members(process.pid) - {process.pid} and time.monotonic() < deadline + 60:
                time.sleep(0.1)
            assert not members(process.pid) - {process.pid}
            assert process.wait(60) != 0
        finally:
            for left in members(process.pid):
                os.kill(left, signal.SIGKILL)
    for line in rows.read_text().splitlines():
        assert json.loads(line)['perception'] == 'truth'
