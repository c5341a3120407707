# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""pour_controller: from what is seen and where everything is to the twist of the arm's tip."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from std_srvs.srv import Trigger

from ..control.controller import MOVES, Command, PourController
from ..control.lever import Lever, leashed, moved
from ..control.settings import ML
from ..control.sighting import Sighting
from ..errors import InputError
from ..geometry import Container, Pose
from ..messages import encode
from ..messages.contract import CONTROLLER
from ..messages.errors import MessageError
from ..sync.transforms import NoTransform
from .arm_poses import ROLES, ArmPoses
from .base import ManagedNode
from .controller_parameters import PARAMETERS, settings
from .failures import line
from .sightings import Sightings

# Zero twists after the last motion, and at deactivation: some may get lost.
HALTS = 5
# How long the return-tilt may take when the process is told to end, s.
LAST_RETURN = 6.0
# Below this a twist (m/s, rad/s) moves nothing.
STILL = 1e-4
QUEUE = 10
OUTPUTS = {'twist': 'cmd_twist', 'pose': 'cmd_pose'}


class PourControllerNode(ManagedNode):
    """Publishes twists from `~/start` until the source is back upright, and zeros after that.

    Everything runs in the executor's one thread: the step of the controller follows real time,
    and takes `now` from the node's clock. Told to end while it pours, it first tilts back; another
    signal ends it at once.
    """

    # Since configure.
    _controller: PourController
    _lever: Lever

    def __init__(self) -> None:
        super().__init__('pour_controller', PARAMETERS)
        self._sightings = Sightings()
        self._poses = ArmPoses('base', dict.fromkeys(ROLES, ''), 0.1)
        self._timer = self.every(1.0, self._step)
        self._timer.cancel()
        self._told = ''
        self._halts = 0
        self._last = 0.0
        self._set_point: Pose | None = None
        self._ending: float | None = None
        self.create_service(Trigger, '~/start', self._on_start)
        self.create_service(Trigger, '~/stop', self._on_stop)

    # --- transitions -------------------------------------------------------------------------

    def configure(self) -> None:
        """Read containers and settings, make the outflow's tables, advertise."""
        source, target = (Container.load(self.value(role)) for role in ('source', 'target'))
        with self.interruptible():
            self._controller = PourController(source, target, settings(self.value))
        margin = self._controller.delay_margin()
        self.health.fact('greatest latency (s)', f'{margin.latency_max:.2f}')
        self.advertise_contract(CONTROLLER)

    def activate(self) -> None:
        """Subscribe and run the loop; nothing is commanded before ~/start."""
        source, target = self._controller.source, self._controller.target
        # Whatever it did before: it begins at rest.
        self._controller = PourController(source, target, self._controller.settings)
        self._lever = Lever(source, self.value('max_pose_age'))
        self._sightings.clear()
        self._poses = ArmPoses(
            self.value('base_frame'),
            {role: self.value(f'{role}_frame') for role in ROLES},
            self.value('max_pose_age'),
        )
        self._poses.watch(source, target)
        self._poses.subscribe(self, self._feed)
        sightings = self._sightings
        for topic, kind, take in (
            ('liquid/probability', 'sensor_msgs/msg/JointState', sightings.probability),
            ('liquid/offset_covariance', 'geometry_msgs/msg/PoseWithCovarianceStamped',
             sightings.offset),
            ('liquid/flow', 'sensor_msgs/msg/JointState', sightings.flow),
            ('liquid/poured', 'sensor_msgs/msg/JointState', sightings.poured),
        ):  # fmt: skip
            # The one-slot rule of images does not hold for what is said of them: all counts.
            self.subscribe(kind, topic, partial(self._hear, take), QUEUE, required=True)
        # Not required: a bottle that depth does not show is poured from as well.
        kind = 'geometry_msgs/msg/PoseWithCovarianceStamped'
        self.subscribe(kind, 'source_pose_seen', partial(self._hear, self._see_source), QUEUE)
        self.subscribe('std_msgs/msg/String', 'pour_state', self._on_pour_state, 1)
        self._halts, self._told, self._ending, self._set_point = 0, '', None, None
        self._last = self._now()
        self._tell(Command(np.zeros(6), self._controller.state, self._controller.reason))
        self._timer.timer_period_ns = round(1e9 / self.value('rate'))
        self._timer.reset()

    def deactivate(self) -> None:
        """Halt. A bottle that is tilted stays so: see `request_stop`."""
        if self._timer.is_canceled():
            return
        self._timer.cancel()
        for _ in range(HALTS):
            self._publish(np.zeros(6), 0.0)
        self.send('controller_state', encode.string('idle'))

    def request_stop(self) -> None:
        """Told to end: tilt back first, while a pour is under way."""
        pouring = self.health.active and self._controller.state in (*MOVES, 'fault')
        if pouring and self._ending is None:
            # The loop does the rest, in its own thread.
            self._ending = self._now() + LAST_RETURN
        else:
            super().request_stop()

    def change(self, values: dict[str, Any]) -> None:
        """Take other settings, between two pours."""
        if self.health.active and self._controller.state in MOVES:
            raise InputError('a pour is under way: call ~/stop first')
        made = settings(lambda name: values.get(name, self.value(name)))
        if made != self._controller.settings:
            before = self._controller
            self._controller = PourController(before.source, before.target, made)

    # --- inputs ------------------------------------------------------------------------------

    def _feed(self, take_in: Callable[..., None], *arguments: Any) -> None:
        try:
            take_in(*arguments)
        except MessageError as error:
            self.unusable(error)

    def _hear(self, take: Callable[[Any, float], None], message: Any) -> None:
        self._feed(take, message, self._now())

    def _see_source(self, message: Any, now: float) -> None:
        frame, base = message.header.frame_id, self.value('base_frame')
        if frame != base:
            raise MessageError(f'source_pose_seen is in {frame!r}, not in base_frame {base!r}')
        self._sightings.source(message, now)

    def _on_pour_state(self, message: Any) -> None:
        if message.data == 'fault' and self._controller.state in ('start', 'pour'):
            self._controller.stop(self._now(), 'pour_monitor reports a fault')

    # --- services ----------------------------------------------------------------------------

    def _on_start(self, request: Any, response: Any) -> Any:
        response.success = False
        output = OUTPUTS[self.value('output')]
        others = [
            info.node_name
            for info in self.get_publishers_info_by_topic(output)
            if info.node_name != self.get_name()
        ]
        dry = self.value('dry_run')
        if not self.health.active:
            response.message = 'the node is not active'
        elif not self.value('fill'):
            response.message = 'set the parameter fill: the volume in the source, ml'
        elif not self._lever.known:
            response.message = "no pose of the arm's tip: see tip_frame and tip_pose"
        elif not dry and others:
            response.message = f'{output} has another publisher: {", ".join(others)}'
        elif not dry and not self.wanted(output):
            response.message = f'nobody subscribes to {self.resolve_topic_name(output)}'
        else:
            try:
                self._controller.start(
                    self._now(), ML * self.value('fill'), ML * self.value('content')
                )
            except InputError as error:
                response.message = line(error)
            else:
                response.success = True
                response.message = f'dry run: on {output}_dry' if dry else ''
        if not response.success:
            self.get_logger().warning(f'not started: {response.message}')
        return response

    def _on_stop(self, request: Any, response: Any) -> Any:
        response.success = self.health.active
        response.message = '' if response.success else 'the node is not active'
        if response.success:
            self._controller.stop(self._now(), '~/stop')
        return response

    # --- the loop ----------------------------------------------------------------------------

    def _now(self) -> float:
        return float(self.get_clock().now().nanoseconds) * 1e-9

    def _step(self) -> None:
        now = self._now()
        dt, self._last = now - self._last, now
        if dt < 0:
            self._poses.set_back(round(now * 1e9))
            self._sightings.clear()
        self._take_in(now)
        if self._ending is not None:
            self._controller.stop(now, 'told to end')
        command = self._controller.step(now)
        self._tell(command)
        if command.state in MOVES or np.abs(command.twist).max() > STILL:
            self._halts = HALTS
        if self._halts and self._lever.known:
            # Then silence: MoveIt Servo would go on to publish.
            self._halts -= 1
            self._publish(self._lever.tip_twist(command.twist, now, max(dt, 0.0)), max(dt, 0.0))
        else:
            self._set_point = None
        if self._ending is not None and (not self._halts or now > self._ending):
            self.finish(0)

    def _take_in(self, now: float) -> None:
        for role in ROLES:
            try:
                found = self._poses.latest(role, round(now * 1e9))
            except NoTransform as error:
                self.health.problem(f'{role} pose: {error.reason}')
                continue
            if found is None:
                continue
            stamp, pose = found
            if role == 'tip':
                self._lever.set_tip(stamp, pose)
            elif role == 'source':
                self._lever.set_source(stamp, pose)
                self._controller.set_source(stamp, pose, now)
            else:
                self._controller.set_target(stamp, pose, now)
        for seen in self._sightings.take(now):
            self.health.received()
            self._controller.see(
                Sighting(
                    seen.stamp_ns * 1e-9, seen.present, seen.offset, seen.covariance,
                    seen.flow, seen.flow_sigma, seen.source,
                ),
                now,
            )  # fmt: skip
            self.health.answered(seen.stamp_ns)

    def _publish(self, twist: np.ndarray, dt: float) -> None:
        """Send the tip's twist (6,), or the pose to which it leads in `dt` s."""
        stamp_ns, base = self.get_clock().now().nanoseconds, self.value('base_frame')
        dry = '_dry' if self.value('dry_run') else ''
        if self.value('output') == 'twist':
            self.send(f'cmd_twist{dry}', encode.twist_stamped(stamp_ns, base, twist))
        elif self._lever.known:
            tip = self._lever.T_base_tip
            self._set_point = leashed(moved(self._set_point or tip, twist, dt), tip)
            self.send(f'cmd_pose{dry}', encode.pose_stamped(stamp_ns, base, self._set_point))

    def _tell(self, command: Command) -> None:
        account = self._controller.account.believed
        self.health.fact('state', command.state)
        self.health.fact('reason', command.reason)
        self.health.fact('poured, as believed (ml)', f'{account.poured / ML:.0f}')
        if command.state == self._told:
            return
        self._told = command.state
        self.send('controller_state', encode.string(command.state))
        reason = f': {command.reason}' if command.reason else ''
        if command.state == 'fault':
            self.get_logger().warning(f'{command.state}{reason}')
        else:
            self.get_logger().info(f'{command.state}{reason}')
        if command.state == 'fault':
            self.health.problem(command.reason)
