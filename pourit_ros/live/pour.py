# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Pour once in the simulated cell, by the real nodes, each in its process, over DDS.

Imports no rclpy: the parent may be any Python program.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..bags.reader import BagReader
from ..control.controller import ENDED
from ..errors import InputError
from ..messages.contract import MILLILITRES, NAMESPACE
from ..messages.decode import scalars_from_msg, stamp_to_ns, twist_from_twist_stamped
from ..messages.images import image_to_rgb
from ..report.account import Account
from ..sim.arm import PERIOD
from ..sim.rerun import Recording
from ..sim.setup import Setup
from ..sim.trial import cell_settings
from .processes import RosProcesses
from .replay import RECORDER_TIMEOUT, latencies_ms
from .report import DEPTH_LATE, PERCEPTION_MISSED
from .truth import compare

NODES = ('pour_simulator', 'liquid_perception', 'pour_monitor', 'pour_controller')
# From the start of the processes to the simulator's first word: imports, weights, discovery.
START_TIMEOUT = 90.0
NANOSECONDS = 1e9

T = TypeVar('T')
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class LivePour:
    """What came of a pour over DDS.

    `account`: of the images; `poured`, `caught`, `spilled`: the simulator's last word, m3;
    `real_time_factor`: simulated by real time, from the start to the end of the controller's work;
    `latency_ms`: of each image, from its arrival to that of the last message about it.
    """

    bag: Path
    recording: Recording
    account: Account
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

    setup: the trial that the simulator draws for its seed and `disturbances`. Writes bag/ into
    `out_dir`. `progress`: takes the controller's state and the volume poured, ml. Raises
    InputError when a node fails or the controller does not start; then, and on Ctrl-C, no process
    and no file remains.
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
            for told in nodes.follow('pour_starter', START_TIMEOUT):
                if progress is not None:
                    progress(told['state'], told['poured_ml'])
            nodes.stop('recorder', RECORDER_TIMEOUT)
        logs = nodes.logs()
        (Path(folder) / 'bag').rename(bag)
    return read_pour(bag, logs['pour_controller'])


def _parameters(
    setup: Setup, disturbances: Sequence[str], bag: str, correct: bool, weights: str
) -> dict[str, dict[str, Any]]:
    """The nodes' parameters, in the order in which they are started."""
    ml, settings = MILLILITRES, cell_settings(setup, correct)
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
            'correct': settings.correct,
            'fill': ml * setup.told_fill,
            'content': ml * setup.cup_fill,
            'target_volume': ml * settings.target_volume,
            'visible_flow': ml * settings.visible_flow,
            'max_pose_age': settings.max_pose_age,
        },
        'pour_starter': {'recorded': True, 'progress': True},
    }


def read_pour(bag: Path, log: str = '') -> LivePour:
    """Read the recording of a pour; `log`: of the controller. Raises BagError, and InputError."""
    said = _Said()
    prefix = f'/{NAMESPACE}/'
    with BagReader(bag) as reader:
        for message in reader.messages({prefix + name for name in _READ} & reader.topics.keys()):
            said.hear(message.topic.removeprefix(prefix), message.stamp_ns, reader.decode(message))
    moving = [tick for tick in said.clock if tick.trial_s > 0]
    if not moving:
        raise InputError(f'{bag}: the arm has not moved')
    start_ns = moving[0].stamp_ns - round(moving[0].trial_s * NANOSECONDS)
    # A step ends at its stamp, and follows the twist from its beginning on.
    steps = {
        round((stamp_ns - start_ns) / NANOSECONDS / PERIOD) - 1: twist
        for stamp_ns, twist in said.twists
    }
    arrivals = np.array([tick.arrival_ns for tick in said.clock], dtype=float)
    times = np.array([tick.stamp_ns - start_ns for tick in said.clock]) / NANOSECONDS

    def timed(told: Iterable[tuple[int, T]]) -> list[tuple[float, T]]:
        return [(float(np.interp(came, arrivals, times)), what) for came, what in told]

    states = timed(said.states)
    ended = next((k for k, (_, state) in enumerate(states) if state in ENDED), -1)
    real = (said.states[ended][0] - moving[0].arrival_ns) / NANOSECONDS
    faults = [line.partition('fault: ')[2] for line in log.splitlines() if 'fault: ' in line]
    recording = Recording(
        {step: twist for step, twist in steps.items() if step >= 0},
        states,
        timed(said.seen),
        timed(said.views),
        faults[0] if faults else '',
    )
    truth = moving[-1].truth
    return LivePour(
        bag,
        recording,
        _account(said),
        poured=truth['poured_ml'] / MILLILITRES,
        caught=truth['caught_ml'] / MILLILITRES,
        spilled=truth['spilled_ml'] / MILLILITRES,
        real_time_factor=states[ended][0] / real if real > 0 else 0.0,
        latency_ms=tuple(latencies_ms(bag).values()),
    )


class _Tick(NamedTuple):
    """The simulator's word on its time, 50 times a second."""

    arrival_ns: int
    stamp_ns: int
    truth: dict[str, float]

    @property
    def trial_s(self) -> float:
        return self.truth['trial_s']


@dataclass
class _Said:
    """What was recorded: by time of arrival where it counts when something was known."""

    clock: list[_Tick] = field(default_factory=list)
    twists: list[tuple[int, NDArray[np.float64]]] = field(default_factory=list)
    states: list[tuple[int, str]] = field(default_factory=list)
    seen: list[tuple[int, bool]] = field(default_factory=list)
    # By stamp: whether liquid was seen, where it lands; where it truly does.
    present: dict[int, bool] = field(default_factory=dict)
    landing: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    true_landing: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    views: list[tuple[int, NDArray[np.uint8]]] = field(default_factory=list)
    images: int = 0
    depth: int = 0

    def hear(self, name: str, arrival_ns: int, content: Any) -> None:
        if name == 'controller_state':
            self.states.append((arrival_ns, content.data))
            return
        stamp_ns = stamp_to_ns(content.header.stamp)
        if name == 'truth/liquid':
            self.clock.append(_Tick(arrival_ns, stamp_ns, scalars_from_msg(content)))
        elif name == 'truth/twist':
            self.twists.append((stamp_ns, twist_from_twist_stamped(content)))
        elif name == 'truth/landing_point':
            self.true_landing[stamp_ns] = _point(content)
        elif name == 'color/image':
            self.images += 1
        elif name == 'liquid/probability':
            told = scalars_from_msg(content)
            self.present[stamp_ns] = bool(told['present'])
            self.seen.append((arrival_ns, self.present[stamp_ns]))
            self.depth += bool(told['depth'])
        elif name == 'liquid/landing_point':
            self.landing[stamp_ns] = _point(content)
        else:
            self.views.append((arrival_ns, image_to_rgb(content).copy()))


def _point(message: Any) -> NDArray[np.float64]:
    """(3,) m of a PointStamped."""
    return np.array([message.point.x, message.point.y, message.point.z])


_READ = (
    'truth/liquid', 'truth/twist', 'truth/landing_point', 'controller_state', 'color/image',
    'liquid/probability', 'liquid/landing_point', 'liquid/overlay',
)  # fmt: skip


def _account(said: _Said) -> Account:
    """What happened to the images, and how what was said of them compares with the truth."""
    answered, wet = len(said.present), sum(said.present.values())
    measured = sum(said.present.get(stamp_ns, False) for stamp_ns in said.landing)
    causes = (
        (PERCEPTION_MISSED, said.images - answered),
        (DEPTH_LATE, answered - said.depth),
        ('no landing point', wet - measured),
    )
    dropped, late, unmeasured = (Counter({why: n} if n > 0 else {}) for why, n in causes)
    account = Account(
        'demo', max(said.images, answered), answered, wet, measured, dropped=dropped,
        depth_used=said.depth, depth_unused=late, not_measured=unmeasured, what='images',
    )  # fmt: skip
    ticks = np.array([tick.stamp_ns for tick in said.clock])
    truth = {}
    for stamp_ns in said.present:
        # Images are stamped between two words of the simulator on the truth.
        nearest = int(ticks[np.abs(ticks - stamp_ns).argmin()])
        truth[stamp_ns] = said.true_landing.get(nearest)
    seen = {stamp_ns: (said.present[stamp_ns], said.landing.get(stamp_ns)) for stamp_ns in truth}
    compare(seen, truth).into(account)
    return account
