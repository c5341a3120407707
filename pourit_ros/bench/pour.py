# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Closed loop against open loop on the same trials of the simulated cell."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..perception.find_weights import find_weights
from ..resources import find_resource
from ..sim.disturbances import disturbances_of, name_of
from ..sim.eyes import Eyes, PerceptionEyes, TrueEyes
from ..sim.setup import SWITCHES, draw
from ..sim.trial import Trial, Watch, cell_settings, run_trial
from ..workers.processes import end_workers, start_worker

LOOPS = ('open', 'closed')
SCENES = 'cell'
"""Name of the distribution that `sim.setup.draw` draws from."""
BOOTSTRAPS = 2000
RESAMPLING_SEED = 7
# What decides a pour, besides its task and the weights.
PARTS = ('containers', 'control', 'geometry', 'perception', 'pipeline.py', 'sim', 'synth')


@dataclass(frozen=True)
class Task:
    """One pour: which trial, which disturbances, which loop, seen by what."""

    seed: int
    disturbances: tuple[str, ...]
    loop: str
    perception: str
    weights: str

    def key(self) -> str:
        """Identifies the pour among stored rows."""
        return json.dumps(asdict(self), sort_keys=True)


def tasks(
    trials: int, seed: int, groups: Iterable[tuple[str, ...]], perception: str, weights: str
) -> list[Task]:
    """All pours of a benchmark: each trial with each group of disturbances, open and closed."""
    return [
        Task(seed + k, group, loop, perception, weights if perception == 'network' else '')
        for group in groups
        for k in range(trials)
        for loop in LOOPS
    ]


def groups_of(text: str) -> list[tuple[str, ...]]:
    """The groups of disturbances that `text` names: one of `disturbances_of`, or each.

    each: none, then each disturbance alone. Raises InputError.
    """
    if text == 'each':
        return [(), *((name,) for name in SWITCHES)]
    return [disturbances_of(text)]


def run_task(task: Task) -> dict[str, Any]:
    """Pour once; the row of `Trial.row` with the task's fields."""
    return {**asdict(task), **_pour(task, _eyes(task)).row()}


def _pour(task: Task, eyes: Eyes, watch: Watch | None = None) -> Trial:
    setup = draw(task.seed, task.disturbances)
    settings = cell_settings(setup, task.loop == 'closed')
    return run_trial(setup, eyes, settings, watch=watch)


def _eyes(task: Task) -> Eyes:
    if task.perception == 'truth':
        return TrueEyes(task.seed)
    return PerceptionEyes(_segmenter(task.weights))


_loaded: dict[str, Any] = {}


def _segmenter(weights: str) -> Any:
    from ..perception import Segmenter

    if weights not in _loaded:
        _loaded[weights] = Segmenter(weights, threads=1)
    return _loaded[weights]


def run_all(wanted: Sequence[Task], rows_file: Path | None, jobs: int) -> Iterator[dict[str, Any]]:
    """Run the tasks in `jobs` processes; yields each row as it is known, stored ones first.

    Every new row is appended to `rows_file` at once, so that a run that was cut off goes on.
    Raises InputError where stored rows come from other code or other weights.
    """
    stored = {} if rows_file is None else read_rows(rows_file)
    kept = [task for task in wanted if task.key() in stored]
    for task in kept:
        if stored[task.key()].get('made_by') != made_by(task.weights):
            raise InputError(
                f'{rows_file}: its rows were made by other weights or another state of this '
                'package; choose another file'
            )
    yield from (stored[task.key()] for task in kept)
    todo = [task for task in wanted if task.key() not in stored]
    if not todo:
        return
    # Each process is one thread: two of them fill two cores.
    for name in ('OMP_NUM_THREADS', 'LP_NUM_THREADS'):
        os.environ.setdefault(name, '1')
    context = get_context('spawn')
    with ProcessPoolExecutor(min(jobs, len(todo)), context, start_worker) as pool:
        futures: list[Future[dict[str, Any]]] = [pool.submit(run_task, task) for task in todo]
        try:
            for future in as_completed(futures):
                row = future.result()
                row['made_by'] = made_by(row['weights'])
                if rows_file is not None:
                    _append(rows_file, row)
                yield row
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            # Only whole pours are kept: nobody waits for those that have begun.
            end_workers()
            raise


@lru_cache
def made_by(weights: str) -> str:
    """Hash of the code that decides a pour, and of the weights ('' for none)."""
    package = Path(__file__).resolve().parents[1]
    digest = hashlib.blake2b(digest_size=8)
    for part in PARTS:
        path = package / part
        for file in [path] if path.is_file() else sorted(path.rglob('*.py')):
            digest.update(file.read_bytes())
    digest.update(find_resource('config/containers.yaml').read_bytes())
    if weights:
        digest.update(find_weights(weights).read_bytes())
    return digest.hexdigest()


def _append(path: Path, row: dict[str, Any]) -> None:
    with path.open('a', encoding='ascii') as file:
        file.write(json.dumps(row) + '\n')


def read_rows(path: Path) -> dict[str, dict[str, Any]]:
    """Rows that an earlier run stored, by key; a last line that was cut off is left out.

    Raises InputError for a file that is none of this command's.
    """
    rows: dict[str, dict[str, Any]] = {}
    if not path.exists():
        return rows
    lines = path.read_bytes().split(b'\n')
    whole, torn = lines[:-1], lines[-1]
    for number, line in enumerate(whole, 1):
        try:
            row = json.loads(line)
            task = Task(
                row['seed'], tuple(row['disturbances']), row['loop'], row['perception'],
                row['weights'],
            )  # fmt: skip
        except (ValueError, KeyError, TypeError):
            raise InputError(
                f'{path}: line {number} is no row of pourit bench pour; choose another file'
            ) from None
        rows[task.key()] = row
    if torn:
        # The next row must begin on a line of its own.
        with path.open('r+b') as file:
            file.truncate(path.stat().st_size - len(torn))
    return rows


def summarise(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each group of disturbances: both loops, with 95 % confidence intervals."""
    by_group: dict[tuple[str, ...], dict[str, list[dict[str, Any]]]] = {}
    for row in rows:
        loops = by_group.setdefault(tuple(row['disturbances']), {name: [] for name in LOOPS})
        loops[row['loop']].append(row)
    return [
        {
            'disturbances': name_of(group),
            'scenes': SCENES,
            **{loop: _figures(found) for loop, found in loops.items() if found},
        }
        for group, loops in by_group.items()
    ]


def _figures(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    rows = sorted(rows, key=lambda row: row['seed'])
    caught = np.array([row['caught_share'] for row in rows])
    clean = np.array([row['clean'] for row in rows], float)
    error = np.array([row['poured_ml'] - row['target_volume_ml'] for row in rows])
    return {
        'trials': len(rows),
        'caught_mean': _round(caught.mean()),
        'caught_95': _interval(caught),
        'no_spill_share': _round(clean.mean()),
        'no_spill_95': _interval(clean),
        'volume_error_ml': _round(np.abs(error).mean()),
        'volume_error_95': _interval(np.abs(error)),
        'volume_bias_ml': _round(error.mean()),
        'duration_s': _round(np.mean([row['duration'] for row in rows])),
        'peak_tilt_deg': _round(np.max([row['peak_tilt_deg'] for row in rows])),
        'peak_speed': _round(np.max([row['peak_speed'] for row in rows])),
        'peak_turn': _round(np.max([row['peak_turn'] for row in rows])),
        'done': sum(row['state'] == 'done' for row in rows),
        'worst_seed': rows[int(caught.argmin())]['seed'],
    }


def _interval(values: np.ndarray) -> list[float]:
    """95 % interval of the mean, by bootstrap over trials (Efron & Tibshirani 1993)."""
    rng = np.random.default_rng(RESAMPLING_SEED)
    drawn = rng.integers(len(values), size=(BOOTSTRAPS, len(values)))
    low, high = np.quantile(values[drawn].mean(axis=1), [0.025, 0.975])
    return [_round(low), _round(high)]


def _round(value: float) -> float:
    return round(float(value), 4)


def instructive(rows: Iterable[dict[str, Any]]) -> tuple[int, int]:
    """Seeds of the success that the open loop misses most, and of the worst closed loop."""
    shares: dict[int, dict[str, float]] = {}
    for row in rows:
        shares.setdefault(row['seed'], {})[row['loop']] = row['caught_share']
    pairs = {seed: s for seed, s in shares.items() if set(s) == set(LOOPS)}
    if not pairs:
        raise InputError('no trial has run with both loops')
    success = max(pairs, key=lambda seed: pairs[seed]['closed'] - pairs[seed]['open'])
    return success, min(pairs, key=lambda seed: pairs[seed]['closed'])


def table_of(summary: Sequence[dict[str, Any]]) -> str:
    """The summary as lines of text: one a group and loop."""
    lines = [
        'disturbances | loop | trials | caught % (95 %) | no spill % (95 %) | volume error ml | '
        'bias ml | time s | peak tilt deg'
    ]
    for group in summary:
        for loop in LOOPS:
            if loop not in group:
                continue
            one = group[loop]
            lines.append(
                f'{group["disturbances"]} | {loop} | {one["trials"]} | '
                f'{_percent(one["caught_mean"], one["caught_95"])} | '
                f'{_percent(one["no_spill_share"], one["no_spill_95"])} | '
                f'{one["volume_error_ml"]:.1f} | {one["volume_bias_ml"]:+.1f} | '
                f'{one["duration_s"]:.1f} | {one["peak_tilt_deg"]:.0f}'
            )
    return '\n'.join(lines)


def _percent(mean: float, interval: Sequence[float]) -> str:
    low, high = interval
    return f'{100 * mean:.1f} ({100 * low:.1f} to {100 * high:.1f})'


def write_videos(rows: Sequence[dict[str, Any]], folder: Path) -> None:
    """Film the instructive success and the worst failure again, both loops side by side."""
    from ..sim.eyes import view_of
    from ..sim.film import Film, write_side_by_side

    chosen = instructive(rows)
    for name, seed in zip(('success', 'worst'), chosen, strict=True):
        films = []
        for loop in reversed(LOOPS):
            row = next(r for r in rows if r['seed'] == seed and r['loop'] == loop)
            task = Task(seed, tuple(row['disturbances']), loop, row['perception'], row['weights'])
            eyes = _eyes(task)
            film = Film(f'{loop} loop, trial {seed}', view_of(eyes))
            _pour(task, eyes, film)
            films.append(film)
        write_side_by_side(folder / f'{name}_{seed}.mp4', films)
