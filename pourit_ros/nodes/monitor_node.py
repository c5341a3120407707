# SPDX-License-Identifier: Apache-2.0
"""pour_monitor: 3D points of the liquid and the target's pose in; distance, offset, state out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..control.pour_state import PourStateMachine
from ..geometry import Container, Pose
from ..messages.contract import MONITOR, monitor_messages
from ..messages.decode import cloud_from_msg, scalars_from_msg, stamp_to_ns
from ..messages.encode import string
from ..messages.errors import MessageError
from ..perception.segmentation import Segmentation
from ..pipeline import Observation, PourEstimator
from ..poses import PoseInputs
from ..transforms import NoTransform
from .parameters import BASE_FRAME, POSE_TOLERANCE, TARGET_FRAME, Parameter
from .qos import POSE_DEPTH
from .switch import SwitchedNode
from .tf import subscribe_tf
from .worker import Worker

# Halves of frames that wait for their other half; of more than these it was lost.
MAX_HALVES = 30
# Parameters of the state machine, in its order.
LIMITS = ('start_after', 'stop_after', 'lost_after')

PARAMETERS = (
    Parameter(
        'target',
        'cup',
        'Target container: a name in containers.yaml, or a YAML file.',
        dynamic=True,
    ),
    TARGET_FRAME,
    BASE_FRAME,
    POSE_TOLERANCE,
    Parameter(
        'start_after',
        2,
        'Successive frames with liquid after which it flows.',
        low=1,
        high=100,
        dynamic=True,
    ),
    Parameter(
        'stop_after',
        0.3,
        'Time without liquid after which it has stopped, s.',
        high=10.0,
        dynamic=True,
    ),
    Parameter(
        'lost_after',
        1.0,
        'Time of flow without distance that is a fault, s.',
        high=60.0,
        dynamic=True,
    ),
    Parameter(
        'stale_after',
        1.0,
        'Silence of the input that is a fault, s; 0: none is.',
        high=60.0,
        dynamic=True,
    ),
)


class PourMonitor(SwitchedNode):
    """Measures the lifted liquid against the target, and says how the pour stands."""

    def __init__(self) -> None:
        super().__init__('pour_monitor', PARAMETERS)
        self._estimator: PourEstimator | None = None
        self._machine = PourStateMachine()
        self._poses = PoseInputs('', {})
        self._halves: dict[int, dict[str, Any]] = {}
        self._seen: _Seen | None = None
        self._worker: Worker[_Seen] | None = None
        # The worker and the watch over silence both move the state.
        self._state_lock = threading.Lock()
        self._state = ''
        # Counts the beginnings of the state: a frame of a former one no longer moves it.
        self._epoch = 0
        self._newest_ns: int | None = None
        self._last_input: float | None = None
        self._watch = self.create_timer(0.1, self._check_stale)
        self._watch.cancel()

    def configure(self) -> None:
        """Read the target and advertise."""
        target = Container.load(self.value('target'))
        self._estimator = PourEstimator(target)
        self.advertise_contract(MONITOR)

    def activate(self) -> None:
        """Subscribe; the state starts as idle."""
        super().activate()
        self._machine.set_limits(*(self.value(name) for name in LIMITS))
        self._poses = PoseInputs(self.value('base_frame'), {'target': self.value('target_frame')})
        assert self._estimator is not None
        self._poses.watch('target', self._estimator.target.mouth)
        self._forget()
        self._worker = Worker(self._take, self._answer, self.failed)
        for role in ('camera', 'target'):
            self.subscribe(
                'geometry_msgs/msg/PoseStamped',
                f'{role}_pose',
                partial(self._on_pose, self._poses.pose, role),
                POSE_DEPTH,
            )
        subscribe_tf(self, partial(self._on_pose, self._poses.transforms))
        self.subscribe(
            'sensor_msgs/msg/JointState', 'liquid/probability',
            partial(self._on_half, 'probability'), MAX_HALVES, required=True,
        )  # fmt: skip
        self.subscribe(
            'sensor_msgs/msg/PointCloud2', 'liquid/points',
            partial(self._on_half, 'points'), MAX_HALVES, required=True,
        )  # fmt: skip
        self._restart()
        self._worker.start()
        self._watch.reset()

    def deactivate(self) -> None:
        """Let the worker finish its frame, and stop watching."""
        self._watch.cancel()
        if self._worker is not None:
            self._worker.stop()
        self._worker = None

    def cleanup(self) -> None:
        """Forget the target."""
        self._estimator = None

    def change(self, values: dict[str, Any]) -> None:
        """Other limits, or another target, with which the state starts anew."""
        if 'target' in values:
            self._estimator = PourEstimator(Container.load(values['target']))
        with self._state_lock:
            self._machine.set_limits(*(values.get(name, self.value(name)) for name in LIMITS))
        if self._worker is None:
            return
        with self._worker.lock:
            self._poses.watch('target', self._estimator.target.mouth)
            if 'target_frame' in values:
                self._poses.follow('target', values['target_frame'])
        if values.keys() & {'target', 'target_frame'}:
            self._restart()

    def reset(self, poses: bool) -> None:
        """See SwitchedNode; the state, a fault too, starts anew as idle."""
        assert self._worker is not None
        with self._worker.lock:
            self._forget()
            if poses:
                self._poses.clear()
        self._restart()

    def _forget(self) -> None:
        self._halves.clear()
        self._seen = self._newest_ns = self._last_input = None

    def _restart(self) -> None:
        with self._state_lock:
            self._epoch += 1
            self._machine.reset()
            self._state = self._machine.state
            self.send('pour_state', string(self._state))

    def _on_pose(self, take_in: Callable[..., None], *arguments: Any) -> None:
        assert self._worker is not None
        with self._worker.lock:
            try:
                take_in(*arguments)
            except MessageError as error:
                self.unusable(error)

    def _on_half(self, name: str, message: Any) -> None:
        """Join probability and points of one frame by their stamp."""
        if not self.enabled:
            return
        assert self._worker is not None
        stamp_ns = stamp_to_ns(message.header.stamp)
        with self._worker.lock:
            halves = self._halves.setdefault(stamp_ns, {})
            halves[name] = message
            if len(halves) == 2:
                del self._halves[stamp_ns]
                self._on_both(stamp_ns, **halves)
            elif len(self._halves) > MAX_HALVES:
                del self._halves[next(iter(self._halves))]
                self.health.dropped('other half lost')

    def _on_both(self, stamp_ns: int, probability: Any, points: Any) -> None:
        assert self._worker is not None
        self.health.received()
        self._last_input = time.monotonic()
        if self._newest_ns is not None and stamp_ns < self._newest_ns:
            # Time was set back: a bag that loops, a simulation restarted.
            self._poses.set_back(stamp_ns)
        self._newest_ns = stamp_ns
        try:
            with self.health.timed('receive'):
                observation = _observation(stamp_ns, probability, points)
        except MessageError as error:
            self.unusable(error)
            return
        if self._seen is not None:
            self.health.dropped('replaced')
        self._seen = _Seen(observation, points.header.frame_id, self._epoch)
        self._worker.wake()

    def _take(self) -> _Seen | None:
        """The newest frame, with the poses at its stamp."""
        seen, self._seen = self._seen, None
        if seen is None:
            return None
        stamp_ns = seen.observation.stamp_ns
        here = seen.frame_id
        tolerance_ns = round(self.value('pose_tolerance') * 1e9)
        try:
            camera = seen.T_base_cam = self._poses.camera(here, stamp_ns, tolerance_ns)
            seen.T_base_target = self._poses.target(here, camera, stamp_ns, tolerance_ns)
        except NoTransform as error:
            seen.problem = error.reason
        return seen

    def _answer(self, seen: _Seen) -> None:
        assert self._estimator is not None
        with self.health.timed('measure'):
            estimate = self._estimator.estimate(
                seen.observation, seen.T_base_cam, seen.T_base_target
            )
        with self._state_lock:
            if seen.epoch != self._epoch:
                return
            state = self._machine.update(estimate.stamp_ns, estimate.present, estimate.valid)
            changed = state if state != self._state else None
            self._state = state
        with self.health.timed('publish'):
            base_frame = self.value('base_frame')
            for name, fields in monitor_messages(estimate, base_frame, changed, self.wanted):
                self.send(name, fields)
        if estimate.reason:
            detail = f' ({seen.problem})' if seen.problem else ''
            self.health.problem(f'{estimate.reason}{detail}')
        self.health.fact('state', state)
        self.health.answered(estimate.stamp_ns)

    def _check_stale(self) -> None:
        if self._last_input is None or self._state == 'fault':
            return
        silence, limit = time.monotonic() - self._last_input, self.value('stale_after')
        if limit == 0 or silence < limit:
            return
        reason = f'no liquid/points for {silence:.1f} s'
        with self._state_lock:
            self._state = self._machine.fault(reason)
            self.send('pour_state', string(self._state))
        self.health.fact('state', 'fault')
        self.health.problem(reason)


@dataclass
class _Seen:
    """One frame of liquid_perception, and the poses at its stamp."""

    observation: Observation
    frame_id: str
    epoch: int
    T_base_cam: Pose | None = None
    T_base_target: Pose | None = None
    problem: str = ''


def _observation(stamp_ns: int, probability: Any, points: Any) -> Observation:
    """What liquid_perception saw, from its messages; raises MessageError."""
    scalars = scalars_from_msg(probability)
    try:
        seen = Segmentation(
            probability=scalars['probability'],
            present=bool(scalars['present']),
            cam=np.zeros((0, 0), np.float32),
            mask=np.zeros((0, 0), np.bool_),
        )
    except KeyError as error:
        raise MessageError(f'liquid/probability has no value named {error}') from None
    return Observation(stamp_ns, str(stamp_ns), seen, cloud_from_msg(points))
