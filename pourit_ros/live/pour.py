# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Pour once in the simulated cell, by the real nodes, each in its process, over DDS.

Imports no rclpy: the parent may be any Python program.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bags.reader import BagReader
from ..errors import InputError
from ..messages.contract import MILLILITRES, NAMESPACE
from ..messages.decode import scalars_from_msg, stamp_to_ns, twist_from_twist_stamped
from ..messages.images import image_to_rgb
from ..sim.rerun import Recording
from ..sim.setup import Setup
from .processes import RosProcesses
from .replay import POLL, RECORDER_TIMEOUT, latencies_ms

NODES = ('pour_simulator', 'liquid_perception', 'pour_monitor', 'pour_controller')
# One step of the simulator, s.
STEP = 0.01
# From the start of the processes to the simulator's first word: imports, weights, discovery.
START_TIMEOUT = 90.0
NANOSECONDS = 1e9
# What the camera of the cell surely sees, ml/s (docs/simulation.md).
VISIBLE = 2.2

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class LivePour:
    """What came of a pour over DDS.

    `poured`, `caught`, `spilled`: the simulator's last word, m3; `real_time_factor`: simulated by
    real time while it poured; `latency_ms`: from an image's arrival to the offset's, by image.
    """

    bag: Path
    recording: Recording
    images: int
    poured: float
    caught: float
    spilled: float
    real_time_factor: float
    latency_ms: tuple[float, ...]


def pour_live(
    setup: Setup,
    disturbances: Sequence[str],
    out_dir: Path,
    *,
    correct: bool = True,
    weights: str | Path = 'default',
    progress: Progress | None = None,
) -> LivePour:
    """Start simulator, perception, monitor and controller; pour; record all of it.

    setup: the trial that the simulator draws for its seed and `disturbances`. Writes `out_dir`/bag.
    `progress(state of the controller, ml poured)`. Raises InputError when a node fails or the
    controller does not start; then, and on Ctrl-C, no process and no file remains.
    """
    bag = out_dir / 'bag'
    if bag.exists():
        raise InputError(f'{bag}: already exists')
    out_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='.live.', dir=out_dir) as folder:
        with RosProcesses(Path(folder), NAMESPACE) as nodes:
            for name, parameters in _parameters(
                setup, disturbances, f'{folder}/bag', correct, str(weights)
            ).items():
                nodes.start(name, parameters)
            _watch(nodes, progress)
            nodes.stop('recorder', RECORDER_TIMEOUT)
        logs = nodes.logs()
        (Path(folder) / 'bag').rename(bag)
    return read_pour(bag, logs['pour_controller'])


def _parameters(
    setup: Setup, disturbances: Sequence[str], bag: str, correct: bool, weights: str
) -> dict[str, dict[str, Any]]:
    """The nodes' parameters, in the order in which they are started."""
    ml = MILLILITRES
    clock = {'use_sim_time': True}
    return {
        'recorder': {'bag': bag, 'overlay': True, 'simulation': True},
        'pour_simulator': {
            'seed': setup.seed,
            'disturbances': ','.join(disturbances),
            # At simulated time, a slow machine takes longer, and pours no worse.
            'clock': True,
        },
        'liquid_perception': {**clock, 'weights': weights},
        'pour_monitor': clock,
        'pour_controller': {
            **clock,
            'dry_run': False,
            'correct': correct,
            'fill': ml * setup.told_fill,
            'content': ml * setup.cup_fill,
            'target_volume': ml * setup.target_volume,
            'visible_flow': VISIBLE,
        },
        'pour_starter': {'recorded': True, 'progress': True},
    }


def _watch(nodes: RosProcesses, progress: Progress | None) -> None:
    """Wait for the end of pour_starter, which is that of the pour."""
    heard = False
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        pouring = nodes.running('pour_starter')
        nodes.check()
        for line in nodes.new_lines('pour_starter'):
            heard, told = True, json.loads(line)
            if progress is not None:
                progress(told['state'], told['poured_ml'])
        if not pouring:
            return
        if not heard and time.monotonic() > deadline:
            raise InputError(f'the nodes did not discover each other within {START_TIMEOUT:.0f} s')
        time.sleep(POLL)


def read_pour(bag: Path, log: str = '') -> LivePour:
    """Read the recording of a pour; `log`: of the controller. Raises BagError, and InputError."""
    twists: dict[int, NDArray[np.float64]] = {}
    states: list[tuple[int, str]] = []
    seen: list[tuple[int, bool]] = []
    views: list[tuple[int, NDArray[np.uint8]]] = []
    # Arrival, stamp and time of the trial, of what the simulator says 50 times a second.
    clock: list[tuple[int, int, float]] = []
    taken: list[tuple[int, NDArray[np.float64]]] = []
    truth: dict[str, float] = {}
    names = {
        f'/{NAMESPACE}/{name}': name
        for name in (
            'truth/liquid', 'truth/twist', 'controller_state', 'liquid/probability',
            'liquid/overlay',
        )
    }  # fmt: skip
    with BagReader(bag) as reader:
        for message in reader.messages(names.keys() & reader.topics.keys()):
            name, arrival, content = names[message.topic], message.stamp_ns, reader.decode(message)
            if name == 'truth/liquid':
                truth = scalars_from_msg(content)
                clock.append((arrival, stamp_to_ns(content.header.stamp), truth['trial_s']))
            elif name == 'truth/twist':
                stamp = stamp_to_ns(content.header.stamp)
                taken.append((stamp, twist_from_twist_stamped(content)))
            elif name == 'controller_state':
                states.append((arrival, content.data))
            elif name == 'liquid/probability':
                seen.append((arrival, bool(scalars_from_msg(content)['present'])))
            else:
                views.append((arrival, image_to_rgb(content).copy()))
    moving = [tick for tick in clock if tick[2] > 0]
    if not moving:
        raise InputError(f'{bag}: nothing of a pour in it')
    start_ns = moving[0][1] - round(moving[0][2] * NANOSECONDS)
    for stamp, twist in taken:
        # A step ends at its stamp, and follows the twist from its beginning on.
        step = round((stamp - start_ns) / NANOSECONDS / STEP) - 1
        if step >= 0:
            twists[step] = twist
    arrivals = np.array([tick[0] for tick in clock], dtype=float)
    times = np.array([tick[1] - start_ns for tick in clock]) / NANOSECONDS

    def at(arrival: int) -> float:
        return float(np.interp(arrival, arrivals, times))

    ended = next((arrival for arrival, state in states if state in ('done', 'fault')), arrivals[-1])
    real = (ended - moving[0][0]) / NANOSECONDS
    faults = [line.partition('fault: ')[2] for line in log.splitlines() if 'fault: ' in line]
    return LivePour(
        bag,
        Recording(
            twists,
            [(at(arrival), state) for arrival, state in states],
            [(at(arrival), present) for arrival, present in seen],
            [(at(arrival), view) for arrival, view in views],
            faults[0] if faults else '',
        ),
        len(seen),
        *(truth[f'{name}_ml'] / MILLILITRES for name in ('poured', 'caught', 'spilled')),
        real_time_factor=at(ended) / real if real > 0 else 0.0,
        latency_ms=tuple(latencies_ms(bag).values()),
    )
