# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The fault drill of pour_controller: simulator and controller as processes, and what fails.

Perception is played from the simulator's truth, with its latency, so that each fault is exactly
what its name says and nothing else. Between simulator and controller stands `Relay`, which passes
on poses, time and what is seen, and lets one of them fail. Everything runs at simulated time.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..control.outflow import tilt_at
from ..errors import InputError
from ..geometry import Container
from ..messages import encode
from ..messages.decode import (
    ns_to_stamp,
    pose_from_pose_stamped,
    scalars_from_msg,
    stamp_to_ns,
)
from ..messages.ros import fill, message_class
from .processes import RosProcesses

POSE = 'geometry_msgs/msg/PoseStamped'
TWIST = 'geometry_msgs/msg/TwistStamped'
SCALARS = 'sensor_msgs/msg/JointState'
NAMESPACE = 'pourit'
# What is to be poured, ml; and the share of the cup's capacity that a full cup holds with it.
TARGET, ROOM = 100.0, 0.945
# A fault strikes when so much has been poured, ml.
STRIKES_AT = 20.0
# How long it is watched after that, s of simulated time.
WATCHED = 6.0
# Images a second, their latency (s), and the noise of what is seen in them.
RATE, LATENCY, OFFSET_SIGMA, FLOW_SIGMA = 15.0, 0.1, 0.003, 0.2
# By how much a clock is set back, ns.
SET_BACK = 5_000_000_000
# A flow below this is not seen, ml/s.
SEEN_FROM = 6.0
# What the drill allows, s: the last forward tilt, and the beginning of the return-tilt.
FORWARD_UNTIL, RETURN_WITHIN = 0.4, 0.6
# Tilting by less than this is none, rad; faster back than this is a return, rad/s.
TILTS, RETURNS = 0.004, 0.1
START_TIMEOUT, REAL_TIMEOUT = 60.0, 240.0

FAULTS = {
    'perception killed': 'nothing more is seen',
    'camera frozen': 'the same image comes again and again',
    'stamps from the future': 'images are stamped 1 s ahead',
    'poses gone': 'no pose of source, target and tip',
    'target gone': 'no pose of the target',
    'NaN offset': 'the offset is not a number',
    'clock back': "everybody's clock goes back by 5 s",
    'liquid unseen': 'images come, and show no liquid while it flows',
    'cup full': 'the target has room for less than is asked for',
    '~/stop': 'somebody calls ~/stop',
    'controller SIGTERM': 'the controller is told to end',
    'controller SIGKILL': 'the controller is gone',
}
NO_CONTROLLER = 'controller SIGKILL'


class EndedEarlyError(InputError):
    """The pour ended before the fault could strike: a busy machine stalls the controller."""


@dataclass
class Drilled:
    """What a fault led to; times from the fault on in s, volumes in ml."""

    fault: str
    reason: str
    """The last warning of the controller's log."""
    forward_for: float
    """Until when the source was still tilted forward."""
    return_after: float | None
    """When the return-tilt began; None: never."""
    poured_after: float
    spilled_after: float
    still_pours: bool
    """Whether liquid still flows at the end."""
    states: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether it was what the drill asks for; without a controller only that nothing tilts."""
        returned = self.return_after is not None and self.return_after <= RETURN_WITHIN
        halted = self.forward_for <= FORWARD_UNTIL
        return halted and (returned or self.fault == NO_CONTROLLER)


def drill(fault: str, folder: Path, seed: int = 0) -> Drilled:
    """Run a pour over DDS until `fault` strikes, and say what it led to.

    `folder`: for logs, existing. Raises InputError where the nodes or the simulation cannot run,
    and EndedEarlyError where another fault came first.
    """
    if fault not in FAULTS:
        raise InputError(f'no fault {fault!r}; there are {", ".join(FAULTS)}')
    with RosProcesses(folder, NAMESPACE) as nodes:
        nodes.start('pour_simulator', {'clock': True, 'render': False, 'rate': 30.0, 'seed': seed})
        others = {'/clock': 'drill/clock', 'cmd_twist': 'drill/cmd_twist'}
        nodes.start('pour_controller', _parameters(fault), {**_RELAYED, **others})
        relay = Relay(nodes, fault)
        try:
            return relay.run()
        finally:
            relay.close()


# What reaches the controller through the relay.
_RELAYED = {name: f'drill/{name}' for name in ('source_pose', 'target_pose', 'tip_pose')}


def _parameters(fault: str) -> dict[str, Any]:
    content = 0.0
    if fault == 'cup full':
        cup = Container.load('cup').cavity
        assert cup is not None  # the preset has one
        content = ROOM * 1e6 * cup.capacity - TARGET
    return {
        'use_sim_time': True,
        'dry_run': False,
        'fill': 330.0,
        'target_volume': TARGET,
        'content': content,
    }


@dataclass
class _Track:
    """Tilt of the source by simulated time (s), rad."""

    times: list[float] = field(default_factory=list)
    tilts: list[float] = field(default_factory=list)

    def add(self, time: float, tilt: float) -> None:
        self.times.append(time)
        self.tilts.append(tilt)

    def after(self, struck: float) -> tuple[float, float | None]:
        """Until when it was tilted forward, and when the return began, s from `struck`."""
        t, tilt = np.array(self.times) - struck, np.array(self.tilts)
        later = t >= 0
        t, tilt = t[later], tilt[later]
        ahead = np.maximum.accumulate(tilt)
        forward = t[np.flatnonzero(ahead < ahead[-1] - TILTS)]
        rate = np.gradient(tilt, t)
        back = t[np.flatnonzero(rate < -RETURNS)]
        return (
            float(forward[-1]) if len(forward) else 0.0,
            float(back[0]) if len(back) else None,
        )


class Relay:
    """A node between simulator and controller that lets `fault` strike."""

    def __init__(self, nodes: RosProcesses, fault: str) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.qos import DurabilityPolicy, QoSProfile

        self.nodes, self.fault = nodes, fault
        self._came = threading.Condition()
        self._rng = np.random.default_rng(0)
        self._context = rclpy.Context()
        with _environment(nodes):
            rclpy.init(context=self._context, domain_id=int(nodes.environment['ROS_DOMAIN_ID']))
            self.node = rclpy.create_node('relay', namespace=NAMESPACE, context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self.now = self.struck = -np.inf
        self._struck_at: dict[str, float] = {}
        self.truth: dict[str, float] = {}
        self.landing: NDArray[np.float64] | None = None
        self.mouth: NDArray[np.float64] | None = None
        self.track, self.states = _Track(), list[str]()
        self._source, self._cup = Container.load('pourit_bottle'), Container.load('cup')
        self._late: deque[tuple[float, int, dict[str, float], Any]] = deque()
        self._next_image, self._poured = 0.0, 0.0
        self._frozen: tuple[int, dict[str, float], Any] | None = None
        offered = {
            'drill/clock': 'rosgraph_msgs/msg/Clock',
            'cmd_twist': TWIST,
            **dict.fromkeys(_RELAYED.values(), POSE),
            **dict.fromkeys(('liquid/probability', 'liquid/flow', 'liquid/poured'), SCALARS),
            'liquid/offset_covariance': 'geometry_msgs/msg/PoseWithCovarianceStamped',
        }
        self._out = {
            name: self.node.create_publisher(message_class(kind), name, 10)
            for name, kind in offered.items()
        }
        latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        for name, kind, callback, qos in (
            ('/clock', 'rosgraph_msgs/msg/Clock', self._on_clock, 50),
            *((n, POSE, self._passer(n), 50) for n in _RELAYED),
            ('drill/cmd_twist', TWIST, self._on_twist, 50),
            ('truth/source_pose', POSE, self._on_source, 50),
            ('truth/target_pose', POSE, self._on_target, 50),
            ('truth/landing_point', 'geometry_msgs/msg/PointStamped', self._on_landing, 50),
            ('truth/liquid', SCALARS, self._on_truth, 50),
            ('controller_state', 'std_msgs/msg/String', self._on_state, latched),
        ):
            self.node.create_subscription(message_class(kind), name, callback, qos)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the node."""
        self._executor.shutdown()
        self._thread.join()
        self.node.destroy_node()
        self._context.try_shutdown()

    # --- the drill ---------------------------------------------------------------------------

    def run(self) -> Drilled:
        """Start the pour, wait for the fault, watch what follows."""
        self._wait(lambda: self.truth and self.mouth is not None, START_TIMEOUT)
        self._start()
        self._wait(self._may_strike, REAL_TIMEOUT)
        with self._came:
            before = dict(self.truth)
            self.struck = self.now
        self._strike()
        self._wait(lambda: self.now > self.struck + WATCHED, REAL_TIMEOUT)
        with self._came:
            forward, back = self.track.after(self.struck)
            return Drilled(
                self.fault,
                _last_words(self.nodes),
                forward,
                back,
                self.truth['poured_ml'] - before['poured_ml'],
                self.truth['spilled_ml'] - before['spilled_ml'],
                self.truth['flow_ml_s'] > 0.1,
                tuple(self.states),
            )

    def _may_strike(self) -> bool:
        ended = self.states[-1:] in (['fault'], ['done'])
        if self.fault == 'cup full':
            # It strikes by itself.
            return ended
        if ended:
            raise EndedEarlyError(f'{self.fault}: the pour ended before it struck: {self._tail()}')
        return self.truth['poured_ml'] > STRIKES_AT

    def _start(self) -> None:
        from std_srvs.srv import Trigger

        deadline = time.monotonic() + START_TIMEOUT
        answer = 'no answer'
        while time.monotonic() < deadline:
            response = self._call(Trigger, 'pour_controller/start')
            # Where the answer was lost, the states tell that it started.
            if (response is not None and response.success) or {*self.states} - {'idle'}:
                return
            answer = answer if response is None else response.message
            time.sleep(0.3)
        raise InputError(f'the controller does not start: {answer}')

    def _strike(self) -> None:
        from std_srvs.srv import Trigger

        if self.fault == '~/stop':
            self._call(Trigger, 'pour_controller/stop')
        elif self.fault.startswith('controller'):
            number = getattr(signal, self.fault.split()[-1])
            os.kill(self.nodes.pid('pour_controller'), number)

    def _call(self, kind: Any, name: str) -> Any:
        client = self.node.create_client(kind, name)
        try:
            if not client.wait_for_service(2.0):
                return None
            done = threading.Event()
            future = client.call_async(kind.Request())
            future.add_done_callback(lambda _: done.set())
            return future.result() if done.wait(3.0) else None
        finally:
            self.node.destroy_client(client)

    def _wait(self, condition: Any, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        with self._came:
            while not condition():
                self._came.wait(0.2)
                if time.monotonic() > deadline:
                    raise InputError(f'{self.fault}: not in {timeout:g} s: {self._tail()}')

    def _tail(self) -> str:
        logs = {name: log.strip()[-200:] for name, log in self.nodes.logs().items()}
        return f'states {self.states}, {self.truth}, {logs}'

    # --- what is passed on -------------------------------------------------------------------

    def _strikes(self, *faults: str) -> bool:
        return self.now >= self.struck > -np.inf and self.fault in faults

    def _send(self, name: str, fields: Any) -> None:
        self._out[name].publish(fill(self._out[name].msg_type, fields))

    def _on_clock(self, message: Any) -> None:
        stamp_ns = stamp_to_ns(message.clock)
        with self._came:
            self.now = stamp_ns * 1e-9
            self._came.notify_all()
        self._send('drill/clock', {'clock': ns_to_stamp(self._told(stamp_ns))})
        self._look()

    def _told(self, stamp_ns: int) -> int:
        """What the simulator's time is called by everybody."""
        return stamp_ns - (SET_BACK if self._strikes('clock back') else 0)

    def _on_twist(self, message: Any) -> None:
        # The arm's clock is the controller's.
        back = SET_BACK if self._strikes('clock back') else 0
        stamp = ns_to_stamp(stamp_to_ns(message.header.stamp) + back)
        fill(message.header.stamp, stamp)
        self._out['cmd_twist'].publish(message)

    def _passer(self, name: str) -> Any:
        gone = ['poses gone', *(['target gone'] if name == 'target_pose' else [])]

        def pass_on(message: Any) -> None:
            if not self._strikes(*gone):
                stamp = message.header.stamp
                fill(stamp, ns_to_stamp(self._told(stamp_to_ns(stamp))))
                self._out[_RELAYED[name]].publish(message)

        return pass_on

    def _on_source(self, message: Any) -> None:
        axis = self._source.axis_in(pose_from_pose_stamped(message))
        tilt = tilt_at(axis)
        with self._came:
            self.track.add(stamp_to_ns(message.header.stamp) * 1e-9, tilt)

    def _on_target(self, message: Any) -> None:
        with self._came:
            self.mouth = self._cup.mouth_in(pose_from_pose_stamped(message))

    def _on_landing(self, message: Any) -> None:
        p = message.point
        self.landing = np.array([p.x, p.y, p.z])

    def _on_truth(self, message: Any) -> None:
        with self._came:
            self.truth = scalars_from_msg(message)

    def _on_state(self, message: Any) -> None:
        with self._came:
            self.states.append(message.data)

    # --- what is seen ------------------------------------------------------------------------

    def _look(self) -> None:
        """Take an image, and hand on those whose latency is over."""
        if self.now >= self._next_image and self.truth:
            self._next_image = self.now + 1 / RATE
            seen = None
            flow = self.truth['flow_ml_s']
            if flow > SEEN_FROM and self.landing is not None and self.mouth is not None:
                seen = self.landing - self.mouth + OFFSET_SIGMA * self._rng.standard_normal(3)
            self._late.append((self.now + LATENCY, round(self.now * 1e9), dict(self.truth), seen))
        while self._late and self._late[0][0] <= self.now:
            _, stamp_ns, truth, seen = self._late.popleft()
            self._tell(stamp_ns, truth, seen)

    def _tell(self, stamp_ns: int, truth: dict[str, float], seen: Any) -> None:
        if self._strikes('perception killed'):
            return
        if self._strikes('camera frozen'):
            stamp_ns, truth, seen = self._frozen or (stamp_ns, truth, seen)
        self._frozen = stamp_ns, truth, seen
        stamp_ns = self._told(stamp_ns)
        if self._strikes('stamps from the future'):
            stamp_ns += 1_000_000_000
        if self._strikes('liquid unseen'):
            seen = None
        scalars = {'probability': 0.5, 'present': float(seen is not None), 'depth': 1.0}
        self._send('liquid/probability', encode.scalars(stamp_ns, 'cam', scalars))
        if seen is not None:
            if self._strikes('NaN offset'):
                seen = np.full(3, np.nan)
            covariance = OFFSET_SIGMA**2 * np.eye(3)
            fields = encode.position_with_covariance(stamp_ns, 'base', seen, covariance)
            self._send('liquid/offset_covariance', fields)
            flow = truth['flow_ml_s']
            flows = {'flow_ml_s': flow, 'flow_sigma_ml_s': FLOW_SIGMA * flow}
            self._send('liquid/flow', encode.scalars(stamp_ns, 'base', flows))
        volume = {'poured_ml': truth['poured_ml'], 'poured_sigma_ml': 5.0}
        self._send('liquid/poured', encode.scalars(stamp_ns, 'base', volume))


class _environment:  # noqa: N801 - a context, used as a function
    """The nodes' ROS environment in this process, for as long as a participant is made."""

    def __init__(self, nodes: RosProcesses) -> None:
        self._wanted = {
            name: value
            for name, value in nodes.environment.items()
            if name.startswith(('ROS_', 'FAST'))
        }

    def __enter__(self) -> None:
        self._before = {name: os.environ.get(name) for name in self._wanted}
        os.environ.update(self._wanted)

    def __exit__(self, *_: object) -> None:
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _last_words(nodes: RosProcesses) -> str:
    lines = [line for line in nodes.logs()['pour_controller'].splitlines() if line.strip()]
    told = [line for line in lines if ': fault' in line or ': return' in line]
    return (told or lines or [''])[-1].partition(': ')[2]
