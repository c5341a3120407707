# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""pour_monitor: from 3D points of the liquid and the target's pose to distance and state."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..control.pour_state import PourStateMachine
from ..control.poured import PouredVolume
from ..geometry import Container, Pose
from ..messages.contract import MONITOR, monitor_messages
from ..messages.decode import cloud_from_msg, scalars_from_msg, stamp_to_ns
from ..messages.encode import string
from ..messages.errors import MessageError
from ..perception.segmentation import Segmentation
from ..pipeline import Observation, PourEstimator
from ..sync.poses import PoseInputs
from ..sync.transforms import NoTransform
from .parameters import BASE_FRAME, POSE_TOLERANCE, TARGET_FRAME, Parameter
from .qos import POSE_DEPTH
from .switch import SwitchedNode
from .tf import subscribe_tf

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
        'Successive frames with liquid before the state becomes flowing.',
        low=1,
        high=100,
        dynamic=True,
    ),
    Parameter(
        'stop_after',
        0.3,
        'Time without liquid, in two frames at least, before the state becomes stopped, s.',
        high=10.0,
        dynamic=True,
    ),
    Parameter(
        'lost_after',
        1.0,
        'Time of flow without a distance before the state becomes fault, s.',
        high=60.0,
        dynamic=True,
    ),
    Parameter(
        'stale_after',
        1.0,
        "Silence of the input before the state becomes fault, s, in real time and by the node's "
        'clock; 0: never.',
        high=60.0,
        dynamic=True,
    ),
)


class PourMonitor(SwitchedNode['_Seen']):
    """Measures the lifted liquid against the target and publishes the state of the pour."""

    # Since configure.
    _estimator: PourEstimator

    def __init__(self) -> None:
        super().__init__('pour_monitor', PARAMETERS)
        self._machine = PourStateMachine()
        self._volume = PouredVolume()
        self._poses = PoseInputs('', {})
        self._halves: dict[int, dict[str, Any]] = {}
        self._seen: _Seen | None = None
        # The worker and the watch over silence both move the state and tell it, with `answering`
        # held from the decision until it is told: the last one told is the last one decided.
        self._state = ''
        self._newest_ns: int | None = None
        # When it last came, s: by the node's clock, and in real time.
        self._last_input: tuple[float, float] | None = None
        self._watch = self.every(0.1, self._check_stale)
        self._watch.cancel()

    def configure(self) -> None:
        """Read the target and advertise."""
        target = Container.load(self.value('target'))
        self._estimator = PourEstimator(target)
        self.advertise_contract(MONITOR)

    def activate(self) -> None:
        """Subscribe; the state starts as idle."""
        super().activate()
        self._set_limits({})
        self._poses = PoseInputs(self.value('base_frame'), {'target': self.value('target_frame')})
        self._poses.watch('target', self._estimator.target.mouth)
        self.forget(poses=False)
        for role in ('camera', 'target'):
            self.subscribe(
                'geometry_msgs/msg/PoseStamped',
                f'{role}_pose',
                partial(self.feed, self._poses.pose, role),
                POSE_DEPTH,
            )
        subscribe_tf(self, partial(self.feed, self._poses.transforms))
        self.subscribe(
            'sensor_msgs/msg/JointState', 'liquid/probability',
            partial(self._on_half, 'probability'), MAX_HALVES, required=True,
        )  # fmt: skip
        self.subscribe(
            'sensor_msgs/msg/PointCloud2', 'liquid/points',
            partial(self._on_half, 'points'), MAX_HALVES, required=True,
        )  # fmt: skip
        self.begin_anew()
        self.worker.start()
        self._watch.reset()

    def deactivate(self) -> None:
        """Let the worker finish its frame and stop; the latched state must not remain flowing."""
        self._watch.cancel()
        if not self.worker.stop():
            return
        with self.answering:
            self._machine.reset()
            self._tell(self._machine.fault('ended') if self.status else self._machine.state)

    def change(self, values: dict[str, Any]) -> None:
        """Change the limits, or the target, which resets the state."""
        if 'target' in values:
            self._estimator = PourEstimator(Container.load(values['target']))
        with self.answering:
            self._set_limits(values)
        with self.worker.lock:
            self._poses.watch('target', self._estimator.target.mouth)
            if 'target_frame' in values:
                self._poses.follow('target', values['target_frame'])
        if self.health.active and values.keys() & {'target', 'target_frame'}:
            self.begin_anew()

    def forget(self, poses: bool) -> None:
        """See SwitchedNode."""
        self._halves.clear()
        self._seen = self._newest_ns = self._last_input = None
        if poses:
            self._poses.clear()

    def begin_anew(self) -> None:
        """See SwitchedNode; the state, even a fault, returns to idle, the volume to 0."""
        with self.answering:
            self.epoch += 1
            self._machine.reset()
            self._volume.restart()
            self._tell(self._machine.state)

    def _set_limits(self, values: dict[str, Any]) -> None:
        start_after, stop_after, lost_after = (
            values.get(name, self.value(name)) for name in LIMITS
        )
        self._machine.set_limits(start_after, stop_after, lost_after)
        self._volume.set_limits(start_after, stop_after)

    def _tell(self, state: str) -> None:
        """Publish the state; with `answering` held."""
        self._state = state
        self.send('pour_state', string(state))
        self.health.fact('state', state)

    def _on_half(self, name: str, message: Any) -> None:
        if self.enabled:
            self.feed(self._join, name, message)

    def _join(self, name: str, message: Any) -> None:
        """Join probability and points of one frame by their stamp; raises MessageError."""
        stamp_ns = stamp_to_ns(message.header.stamp)
        halves = self._halves.setdefault(stamp_ns, {})
        halves[name] = message
        if len(halves) == 2:
            del self._halves[stamp_ns]
            self._on_both(stamp_ns, **halves)
        elif len(self._halves) > MAX_HALVES:
            del self._halves[next(iter(self._halves))]
            self.health.dropped('its other message was lost')

    def _on_both(self, stamp_ns: int, probability: Any, points: Any) -> None:
        self.health.received()
        self._last_input = self._times()
        if self._newest_ns is not None and stamp_ns < self._newest_ns:
            # Time was set back: a bag that loops, a simulation restarted.
            self._poses.set_back(stamp_ns)
        self._newest_ns = stamp_ns
        with self.health.timed('receive'):
            observation = _observation(stamp_ns, probability, points)
        if self._seen is not None:
            self.health.dropped('replaced')
        self._seen = _Seen(observation, points.header.frame_id, self.epoch)

    def take(self) -> _Seen | None:
        """The newest frame, with the poses at its stamp."""
        seen, self._seen = self._seen, None
        if seen is None:
            return None
        stamp_ns = seen.observation.stamp_ns
        here = seen.frame_id
        tolerance_ns = round(self.value('pose_tolerance') * 1e9)
        try:
            camera = seen.T_base_cam = self._poses.camera(here, stamp_ns, tolerance_ns)
            seen.problem = self._poses.notice
            seen.T_base_target = self._poses.target(here, camera, stamp_ns, tolerance_ns)
        except NoTransform as error:
            seen.problem = error.reason
        return seen

    def answer(self, seen: _Seen) -> None:
        """Measure a frame and move the state."""
        with self.health.timed('measure'):
            estimate = self._estimator.estimate(
                seen.observation, seen.T_base_cam, seen.T_base_target
            )
        with self.answering, self.health.timed('publish'):
            if seen.epoch != self.epoch:
                return
            state = self._machine.update(
                estimate.stamp_ns, estimate.present, estimate.valid, estimate.probability
            )
            changed = state if state != self._state else None
            geometry = estimate.geometry
            poured = self._volume.update(
                estimate.stamp_ns, estimate.present, geometry.flow, geometry.flow_sigma
            )
            for name, fields in monitor_messages(
                estimate, self.value('base_frame'), changed, self.wanted, poured
            ):
                self.send(name, fields)
            self._state = state
            self.health.fact('state', state)
        if estimate.reason:
            detail = f' ({seen.problem})' if seen.problem else ''
            self.health.problem(f'{estimate.reason}{detail}')
        elif seen.problem:
            self.health.problem(seen.problem)
        self.health.answered(estimate.stamp_ns)

    def _times(self) -> tuple[float, float]:
        """Now, s: by the node's clock, and in real time."""
        return self.get_clock().now().nanoseconds * 1e-9, time.monotonic()

    def _check_stale(self) -> None:
        limit = self.value('stale_after')
        with self.answering:
            if limit == 0 or self._last_input is None or self._state == 'fault':
                return
            # By both clocks: a simulation that is paused, or faster than the nodes, is no failure.
            silence = min(
                now - then for now, then in zip(self._times(), self._last_input, strict=True)
            )
            if silence < 0:
                # The clock was set back.
                self._last_input = self._times()
            if silence < limit:
                return
            reason = f'no liquid/points for {silence:.1f} s'
            self._tell(self._machine.fault(reason))
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
    """The observation of liquid_perception, from its messages; raises MessageError."""
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
