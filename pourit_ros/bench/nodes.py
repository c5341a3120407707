# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Measure the live nodes at camera rate, each in its own process, over the real middleware.

Imports no rclpy: the parent may be any Python program.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..bags.make import write_pour_bag
from ..errors import InputError
from ..live.processes import RosProcesses
from ..messages.contract import NAMESPACE
from ..pipeline import NANOSECONDS, Frame
from ..synth.sets.sequence import PourPlan, pour_sequence

PERCEPTION, MONITOR, CAMERA = 'liquid_perception', 'pour_monitor', 'camera_feed'
# A frame is answered when all of these have come.
RESULTS = {PERCEPTION: ('liquid/probability', 'liquid/points'), MONITOR: ('markers',)}
# Parts of a node's work on a frame, as on /diagnostics, without the model.
OWN_PARTS = {
    PERCEPTION: ('receive', 'lift', 'publish'),
    MONITOR: ('receive', 'measure', 'publish'),
}
# By how many subscriptions everybody is heard: by monitor and camera, by the camera, by both.
AWAITED = {PERCEPTION: 4, MONITOR: 2, CAMERA: 8}
# Four frames of it have a stream, and all the same poses: shown over and over at any rate, poses
# that jump would be refused.
PLAN = PourPlan(duration=4.4, tilt_by=0.75, flow_from=0.81, first_offset=0.003)
PLAN_RATE = 1.25
RENDERED = round(PLAN.duration * PLAN_RATE)
# Caches, allocators and the first second's waiting for poses settle in this time, s.
WARM_UP = 30.0
RSS_PERIOD, RSS_WINDOW = 1.0, 10.0
MINUTE = 60.0
# From the start of the processes to the first image: imports, weights, discovery.
START_TIMEOUT = 120.0
POLL = 0.1
SHORTEST = 5.0
SIDES = (64, 4096)

Progress = Callable[[int], None]


@dataclass(frozen=True)
class NodesRun:
    """What to run: `size` (width, height) px at `rate` Hz for `seconds`. Raises InputError.

    `whole_image`: send no source pose, so that the model processes the whole image.
    """

    seconds: float = 60.0
    rate: float = 30.0
    size: tuple[int, int] = (640, 480)
    weights: str = 'default'
    threads: int | None = None
    whole_image: bool = False

    def __post_init__(self) -> None:
        if not SHORTEST <= self.seconds <= 1e6:
            raise InputError(f'seconds is {self.seconds:g}, but must be at least {SHORTEST:g}')
        if not 1 <= self.rate <= 1000:
            raise InputError(f'rate is {self.rate:g}, but must be from 1 to 1000 Hz')
        low, high = SIDES
        if not all(low <= side <= high for side in self.size):
            width, height = self.size
            raise InputError(
                f'size is {width}x{height}, but sides must be from {low} to {high} px'
            )
        if self.threads is not None and not 1 <= self.threads <= 256:
            raise InputError(f'threads is {self.threads}, but must be from 1 to 256')

    @property
    def warm_up(self) -> float:
        """Time (s) from the first image that the medians leave out."""
        return min(WARM_UP, self.seconds / 3)


def wet_frames(size: tuple[int, int]) -> Iterator[Frame | None]:
    """Render a pour of RENDERED frames; yield those with a stream, and None for the others."""
    for pour in pour_sequence(PLAN, PLAN_RATE, size):
        yield pour.frame if pour.landing_point is not None else None


def measure_nodes(
    run: NodesRun, frames: Iterable[Frame], progress: Progress | None = None
) -> dict[str, Any]:
    """Send frames to the nodes in a loop and listen; return the figures of the report.

    Runs on Linux. `progress(sent)`. Raises InputError when a node fails; then, and on Ctrl-C, no
    process and no file remains.
    """
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix='pourit_bench.') as folder:
        write_pour_bag(Path(folder) / 'bag', frames)
        with RosProcesses(Path(folder), NAMESPACE) as nodes:
            _start(nodes, run, f'{folder}/bag')
            record = _watch(nodes, run, progress)
    conditions = {
        'seconds': run.seconds,
        'rate_hz': run.rate,
        'size': list(run.size),
        'whole_image': run.whole_image,
        'weights': run.weights,
        'threads': run.threads,
        'cpus': os.cpu_count(),
        'load_1min': [round(load, 2), round(os.getloadavg()[0], 2)],
    }
    return {**conditions, **_figures(run, record)}


def table(figures: Mapping[str, Any]) -> list[str]:
    """The figures as lines of text."""
    width, height = figures['size']
    look = 'whole image' if figures['whole_image'] else 'region from poses'
    load = ' to '.join(f'{value:g}' for value in figures['load_1min'])
    lines = [
        f'{figures["sent"]} frames of {width}x{height} sent at {_shown(figures["sent_rate_hz"])} '
        f'Hz ({look}), liquid seen in {figures["with_liquid"]}, '
        f'distance in {figures["with_distance"]}; load {load} on {figures["cpus"]} cores',
        f'{"":<28}{"perception":>26}{"monitor":>26}',
    ]
    for title, cell in ROWS.items():
        cells = [f'{cell(figures[node]):>26}' for node in ('perception', 'monitor')]
        lines.append(f'{title:<28}{"".join(cells)}')
    for node in ('perception', 'monitor'):
        for cause, count in figures[node]['dropped'].items():
            lines.append(f'{node} dropped {count}: {cause}')
    verdicts = [
        f'{node} {VERDICTS[figures[node]["within_bound"]]}' for node in ('perception', 'monitor')
    ]
    lines.append(
        f'inference {_shown(figures["inference_ms_p50"])} ms; one period and one inference: '
        f'{_shown(figures["bound_ms"])} ms; median age: {", ".join(verdicts)}'
    )
    return lines


def _shown(*values: float | None) -> str:
    return ' / '.join('-' if value is None else f'{value:g}' for value in values)


VERDICTS = {True: 'within', False: 'beyond', None: 'unknown'}
# Title and cell of each row of the table, from one node's figures.
ROWS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    'answered': lambda f: str(f['answered']),
    'dropped, unaccounted': lambda f: f'{sum(f["dropped"].values())}, {f["unaccounted"]}',
    'age p50 / p95 / max, ms': lambda f: _shown(*f['age_ms'].values()),
    'age p50 by minute, ms': lambda f: ' '.join(f'{age:g}' for age in f['age_p50_by_minute_ms']),
    'own work a frame p50, ms': lambda f: _shown(f['own_ms_p50']),
    'RSS warm / end / swing, MB': lambda f: _shown(*f['rss_mb'].values()),
}


def _start(nodes: RosProcesses, run: NodesRun, bag: str) -> None:
    nodes.start(
        PERCEPTION,
        {
            'weights': run.weights,
            'threads': run.threads or 0,
            'await_subscriptions': AWAITED[PERCEPTION],
        },
    )
    nodes.start(MONITOR, {'await_subscriptions': AWAITED[MONITOR]})
    nodes.start(
        CAMERA,
        {
            'bag': bag,
            'rate': float(run.rate),
            'seconds': float(run.seconds),
            'source_pose': not run.whole_image,
            'await_subscriptions': AWAITED[CAMERA] - run.whole_image,
        },
    )


@dataclass
class _Record:
    """The record of a run; times and stamps in ns of the wall clock.

    `sent`: stamps. `arrivals` and `values`: by topic and stamp. `status`: by node, (time, values)
    of /diagnostics. `resident`: by node, (time, MiB).
    """

    sent: list[int] = field(default_factory=list)
    arrivals: dict[str, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))
    values: dict[str, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    status: dict[str, list[tuple[int, dict[str, str]]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    resident: dict[str, list[tuple[int, float]]] = field(default_factory=lambda: defaultdict(list))

    def add(self, event: Mapping[str, Any]) -> None:
        """Add a line of the camera's output."""
        if 'sent' in event:
            self.sent.append(event['sent'])
        elif 'topic' in event:
            self.arrivals[event['topic']][event['stamp']] = event['arrival']
            if 'value' in event:
                self.values[event['topic']][event['stamp']] = event['value']
        else:
            self.status[event['node']].append((event['time'], event['values']))


def _watch(nodes: RosProcesses, run: NodesRun, progress: Progress | None) -> _Record:
    """Watch the camera until it ends."""
    record = _Record()
    deadline = time.monotonic() + START_TIMEOUT
    next_look = 0.0
    while True:
        running = nodes.running(CAMERA)
        nodes.check()
        for line in nodes.new_lines(CAMERA):
            record.add(json.loads(line))
        if not running:
            return record
        if progress is not None:
            progress(len(record.sent))
        now = time.monotonic()
        if not record.sent and now > deadline:
            raise InputError(f'the nodes did not discover each other within {START_TIMEOUT:.0f} s')
        if record.sent and now >= next_look:
            next_look = now + RSS_PERIOD
            for node in RESULTS:
                mib = _resident_mib(nodes.pid(node))
                record.resident[node].append((time.time_ns(), mib))
        time.sleep(POLL)


def _resident_mib(pid: int) -> float:
    status = Path(f'/proc/{pid}/status').read_text()
    [line] = [line for line in status.splitlines() if line.startswith('VmRSS:')]
    return int(line.split()[1]) / 1024


# --- figures ---------------------------------------------------------------------------------


def _figures(run: NodesRun, record: _Record) -> dict[str, Any]:
    if not record.sent:
        raise InputError('the camera sent no images')
    sent = record.sent
    elapsed = (sent[-1] - sent[0]) / NANOSECONDS
    inference = _part_p50(record, run, PERCEPTION, 'segment')
    bound = None if inference is None else _rounded(1000 / run.rate + inference)
    perception = _node_figures(run, record, PERCEPTION, sent, bound)
    seen = _answer_ages(record, PERCEPTION)
    taken_in = [stamp for stamp in sent if stamp in seen]
    distances = record.values['liquid/distance'].values()
    return {
        'sent': len(sent),
        'sent_rate_hz': round((len(sent) - 1) / elapsed, 2) if elapsed else None,
        'with_liquid': round(sum(record.values['liquid/probability'].values())),
        'with_distance': sum(map(math.isfinite, distances)),
        'inference_ms_p50': inference,
        'bound_ms': bound,
        'perception': perception,
        'monitor': _node_figures(run, record, MONITOR, taken_in, bound),
    }


def _node_figures(
    run: NodesRun, record: _Record, node: str, given: Sequence[int], bound: float | None
) -> dict[str, Any]:
    """One node's figures; `given`: stamps of the frames that it should answer."""
    start = record.sent[0]
    answers = _answer_ages(record, node)
    ages = {s: answers[s] for s in given if s in answers}
    warm = [age for s, age in ages.items() if s - start >= run.warm_up * NANOSECONDS]
    drops = _drops(record, node)
    parts = {part: _part_p50(record, run, node, part) for part in OWN_PARTS[node]}
    known = [ms for ms in parts.values() if ms is not None]
    age = _quantiles(warm)
    return {
        'answered': len(ages),
        'dropped': drops,
        'unaccounted': len(given) - len(ages) - sum(drops.values()),
        'age_ms': age,
        'age_p50_by_minute_ms': _by_minute(ages, start),
        'within_bound': None if bound is None or age['p50'] is None else age['p50'] <= bound,
        'own_ms_p50': _rounded(sum(known)) if len(known) == len(parts) else None,
        'parts_ms_p50': parts,
        'rss_mb': _resident(run, record, node),
    }


def _answer_ages(record: _Record, node: str) -> dict[int, float]:
    """Age (ms) of a node's last result, by stamp, where all results arrived."""
    topics = [record.arrivals[name] for name in RESULTS[node]]
    stamps = sorted(set.intersection(*(set(topic) for topic in topics)))
    return {s: (max(topic[s] for topic in topics) - s) / 1e6 for s in stamps}


def _by_minute(ages: Mapping[int, float], start_ns: int) -> list[float]:
    minutes: dict[int, list[float]] = defaultdict(list)
    for stamp, age in ages.items():
        minutes[int((stamp - start_ns) / NANOSECONDS // MINUTE)].append(age)
    return [_rounded(float(np.median(minutes[k]))) for k in sorted(minutes)]


def _drops(record: _Record, node: str) -> dict[str, int]:
    """Frames that a node reports as dropped, by cause."""
    if not record.status[node]:
        return {}
    _, values = record.status[node][-1]
    drops = {key: int(value) for key, value in values.items() if key.startswith('dropped: ')}
    return {key.removeprefix('dropped: '): count for key, count in drops.items() if count}


def _part_p50(record: _Record, run: NodesRun, node: str, part: str) -> float | None:
    """Median over the warm run of the time, ms, that a node reports for a part of its work."""
    key = f'{part} p50 (ms)'
    warm_ns = record.sent[0] + run.warm_up * NANOSECONDS
    said = [float(v[key]) for t, v in record.status[node] if t >= warm_ns and key in v]
    return _rounded(float(np.median(said))) if said else None


def _resident(run: NodesRun, record: _Record, node: str) -> dict[str, float | None]:
    """Resident memory, MiB: 10 s medians: the first after warm-up, the last, and max - min."""
    windows: dict[int, list[float]] = defaultdict(list)
    for time_ns, mib in record.resident[node]:
        since_warm = (time_ns - record.sent[0]) / NANOSECONDS - run.warm_up
        if since_warm >= 0:
            windows[int(since_warm // RSS_WINDOW)].append(mib)
    medians = [float(np.median(windows[k])) for k in sorted(windows)]
    if not medians:
        return {'warm': None, 'end': None, 'swing': None}
    return {
        'warm': _rounded(medians[0]),
        'end': _rounded(medians[-1]),
        'swing': _rounded(max(medians) - min(medians)),
    }


def _quantiles(ages: Sequence[float]) -> dict[str, float | None]:
    if not ages:
        return {'p50': None, 'p95': None, 'max': None}
    p50, p95 = np.quantile(ages, [0.5, 0.95])
    return {'p50': _rounded(p50), 'p95': _rounded(p95), 'max': _rounded(max(ages))}


def _rounded(value: float) -> float:
    return round(float(value), 2)
