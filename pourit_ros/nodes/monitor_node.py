# SPDX-License-Identifier: Apache-2.0
"""pour_monitor: 3D points of the liquid and the target's pose in; distance, offset, state out."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numpy as np

from ..control.pour_state import PourStateMachine
from ..geometry import Container
from ..messages.contract import MONITOR, monitor_messages
from ..messages.decode import MessageError, cloud_from_msg, scalars_from_msg, stamp_to_ns
from ..messages.encode import string
from ..perception.segmentation import Segmentation
from ..pipeline import Observation, PourPipeline
from ..transforms import NoTransform
from .base import ManagedNode
from .parameters import BASE_FRAME, POSE_TOLERANCE, TARGET_FRAME, Parameter
from .pose_inputs import PoseInputs
from .qos import POSE_DEPTH
from .tf import subscribe_tf

# Halves of frames that wait for the other half; more are lost ones.
MAX_WAITING = 30

PARAMETERS = (
    Parameter('target', 'cup', 'Target container: a name in containers.yaml, or a YAML file.'),
    TARGET_FRAME,
    BASE_FRAME,
    POSE_TOLERANCE,
    Parameter(
        'start_after', 2, 'Successive frames with liquid after which it flows.', low=1, high=100
    ),
    Parameter('stop_after', 0.3, 'Time without liquid after which it has stopped, s.', high=10.0),
    Parameter('lost_after', 1.0, 'Time of flow without distance that is a fault, s.', high=60.0),
    Parameter(
        'stale_after', 1.0, 'Silence of the input that is a fault, s; 0: none is.', high=60.0
    ),
)


class PourMonitor(ManagedNode):
    """Measures the lifted liquid against the target, and says how the pour stands."""

    def __init__(self) -> None:
        super().__init__('pour_monitor', PARAMETERS)
        self._pipeline: PourPipeline | None = None
        self._machine = PourStateMachine()
        self._poses = PoseInputs('', '', 0.0)
        self._waiting: dict[int, dict[str, Any]] = {}
        self._state = ''
        self._newest_ns: int | None = None
        self._last_input: float | None = None
        self._watch = self.create_timer(0.1, self._check_stale)
        self._watch.cancel()

    def configure(self) -> None:
        """Read the target and advertise."""
        target = Container.load(self.value('target'))
        # It only estimates: the camera's half, and so the segmenter, is in liquid_perception.
        self._pipeline = PourPipeline(None, target, target)
        self.advertise_contract(MONITOR)

    def activate(self) -> None:
        """Subscribe; the state starts as idle."""
        self._machine = PourStateMachine(
            self.value('start_after'), self.value('stop_after'), self.value('lost_after')
        )
        self._poses = PoseInputs(
            self.value('base_frame'), self.value('target_frame'), self.value('pose_tolerance')
        )
        self._waiting.clear()
        self._newest_ns = self._last_input = None
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
            partial(self._on_half, 'probability'), MAX_WAITING,
        )  # fmt: skip
        self.subscribe(
            'sensor_msgs/msg/PointCloud2', 'liquid/points',
            partial(self._on_half, 'points'), MAX_WAITING,
        )  # fmt: skip
        self._state = self._machine.state
        self.send('pour_state', string(self._state))
        if self.value('stale_after') > 0:
            self._watch.reset()

    def deactivate(self) -> None:
        """Stop watching."""
        self._watch.cancel()

    def cleanup(self) -> None:
        """Forget the target."""
        self._pipeline = None

    def _on_pose(self, take_in: Any, *arguments: Any) -> None:
        try:
            take_in(*arguments)
        except MessageError as error:
            self.health.dropped('unusable message')
            self.health.problem(str(error))

    def _on_half(self, name: str, message: Any) -> None:
        """Join probability and points of one frame by their stamp."""
        stamp_ns = stamp_to_ns(message.header.stamp)
        halves = self._waiting.setdefault(stamp_ns, {})
        halves[name] = message
        if len(halves) == 2:
            del self._waiting[stamp_ns]
            self._on_frame(stamp_ns, **halves)
        elif len(self._waiting) > MAX_WAITING:
            del self._waiting[next(iter(self._waiting))]
            self.health.dropped('half of the frame lost')

    def _on_frame(self, stamp_ns: int, probability: Any, points: Any) -> None:
        assert self._pipeline is not None
        self.health.received()
        self._last_input = started = time.monotonic()
        if self._newest_ns is not None and stamp_ns < self._newest_ns:
            # Time was set back: a bag that loops, a simulation restarted.
            self._poses.clear()
        self._newest_ns = stamp_ns
        try:
            observation = _observation(stamp_ns, probability, points)
        except MessageError as error:
            self.health.dropped('unusable message')
            self.health.problem(str(error))
            return
        T_base_cam = T_base_target = None
        problem = ''
        try:
            T_base_cam = self._poses.camera(points.header.frame_id, stamp_ns)
            T_base_target = self._poses.target(points.header.frame_id, T_base_cam, stamp_ns)
        except NoTransform as error:
            problem = error.reason
        estimate = self._pipeline.estimate(observation, T_base_cam, T_base_target)
        state = self._machine.update(stamp_ns, estimate.present, estimate.valid)
        changed = state if state != self._state else None
        self._state = state
        measured = time.monotonic()
        for name, fields in monitor_messages(estimate, self.value('base_frame'), changed):
            self.send(name, fields)
        if estimate.reason:
            self.health.problem(f'{estimate.reason} ({problem})' if problem else estimate.reason)
        self.health.fact('state', state)
        self.health.answered(
            stamp_ns, measure=measured - started, publish=time.monotonic() - measured
        )

    def _check_stale(self) -> None:
        if self._last_input is None or self._state == 'fault':
            return
        silence = time.monotonic() - self._last_input
        if silence >= self.value('stale_after'):
            reason = f'no liquid/points for {silence:.1f} s'
            self._state = self._machine.fault(reason)
            self.send('pour_state', string(self._state))
            self.health.fact('state', self._state)
            self.health.problem(reason)


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
