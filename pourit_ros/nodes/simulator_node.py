# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""pour_simulator: a Franka with a bottle before a camera; twists in, images and poses out."""

from __future__ import annotations

import importlib.util
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rclpy.qos import QoSProfile
from std_srvs.srv import Trigger

from ..errors import InputError
from ..messages import encode
from ..messages.contract import SIMULATOR, Topic
from ..messages.decode import ns_to_stamp, stamp_to_ns, twist_from_twist_stamped
from ..messages.encode import Fields
from ..messages.errors import MessageError
from .base import ManagedNode
from .parameters import BASE_FRAME, Parameter

if TYPE_CHECKING:
    from ..sim.cell import Cell

# One step of the cell, s.
PERIOD = 0.01
# Poses of the arm go out so many steps apart: 50 Hz.
ARM_EVERY = 2
# Behind by more than this, simulated time is slowed down instead of hurried, s.
MAX_LAG = 0.1
# As MoveIt Servo's `incoming_command_timeout`: older twists are not followed, s.
STALE = 0.1
# Where simulated time starts on /clock: zero means that there is none yet, ns.
CLOCK_START = 1_000_000_000
ML = 1e6
TIP_FRAME, SOURCE_FRAME, TARGET_FRAME = 'fr3_link8', 'bottle', 'cup'
JOINTS = [f'fr3_joint{k}' for k in range(1, 8)]
CLOCK = Topic('/clock', 'rosgraph_msgs/msg/Clock', 'simulated time; with `clock: true`')
TF = Topic('/tf', 'tf2_msgs/msg/TFMessage', 'what the poses say; where tf2_msgs is installed')

PARAMETERS = (
    Parameter('seed', 0, 'Of the trial: what differs between any two of them, and all noise.',
              high=2**31 - 1),
    Parameter(
        'disturbances',
        '',
        'Names with commas between them: start, move, camera, noise, latency, drops, slip, fill, '
        'speed, color, lamp; all; empty: none, and the usual trial for every seed.',
    ),
    Parameter('render', True, 'Take images; without, the arm and the liquid alone are simulated.'),
    Parameter('width', 320, 'Width of the images.', low=64, high=1920),
    Parameter('height', 240, 'Height of the images.', low=48, high=1080),
    Parameter('rate', 15.0, 'Images per second.', low=0.5, high=60.0),
    Parameter('depth_encoding', '16UC1', '16UC1: mm, 32FC1: m.', choices=('16UC1', '32FC1')),
    Parameter('clock', False, 'Publish simulated time on /clock, and stamp with it.'),
    Parameter('optical_frame', 'camera_optical_frame', "Frame of the images, as in a driver's."),
    BASE_FRAME,
)  # fmt: skip


class PourSimulator(ManagedNode):
    """Simulates one trial at real time, or slower where the machine is too slow.

    The trial begins with the first twist that is not zero: before, only images and poses are
    published. One thread owns the cell. A twist counts for 0.1 s, as in MoveIt Servo: then the arm
    halts.
    """

    def __init__(self) -> None:
        super().__init__('pour_simulator', PARAMETERS)
        self._thread: threading.Thread | None = None
        self._lock = threading.Condition()
        self._stopping = self._again = False
        self._twist: NDArray[np.float64] | None = None
        # Newest stamp: simulated time.
        self._now_ns = 0
        self._late: deque[tuple[float, list[tuple[str, Fields]]]] = deque()
        self.create_service(Trigger, '~/reset', self._on_reset)

    def configure(self) -> None:
        """Draw the trial and advertise."""
        from ..sim.setup import SWITCHES, Setup, draw

        words = self.value('disturbances').replace(',', ' ').split()
        switches = SWITCHES if words == ['all'] else tuple(words)
        seed = self.value('seed')
        self._setup = draw(seed, switches) if words else Setup(seed=seed)
        with self.interruptible():
            self._cell = self._new_cell()
            if self.value('render'):
                from ..sim.picture import load_ray_tracer

                load_ray_tracer()
        self.advertise_contract(SIMULATOR)
        self._tf = importlib.util.find_spec('tf2_msgs') is not None
        if self._tf:
            self.advertise(TF.name, TF.type, QoSProfile(depth=100))
        if self.value('clock'):
            self.advertise(CLOCK.name, CLOCK.type, QoSProfile(depth=10))
        self.health.fact('fill, as told (ml)', f'{ML * self._setup.told_fill:.0f}')

    def activate(self) -> None:
        """Take twists and let time pass."""
        self._stopping = self._again = False
        self._twist = None
        self.subscribe('geometry_msgs/msg/TwistStamped', 'cmd_twist', self._on_twist, 1)
        self._thread = threading.Thread(target=self._run, name='simulator', daemon=True)
        self._thread.start()

    def deactivate(self) -> None:
        """Let time stand still."""
        if self._thread is None:
            return
        with self._lock:
            self._stopping = True
            self._lock.notify()
        self._thread.join()
        self._thread = None

    def cleanup(self) -> None:
        """Forget the trial."""
        if hasattr(self, '_cell'):
            del self._cell

    def _new_cell(self) -> Cell:
        from ..sim.cell import Cell

        return Cell(self._setup, (self.value('width'), self.value('height')))

    def _on_reset(self, request: Any, response: Any) -> Any:
        response.success = self.health.active
        response.message = '' if response.success else 'the node is not active'
        self._again = response.success
        return response

    def _on_twist(self, message: Any) -> None:
        self.health.received()
        try:
            twist = twist_from_twist_stamped(message)
        except MessageError as error:
            self.unusable(error)
            return
        if message.header.frame_id != self.value('base_frame'):
            self.health.dropped('frame')
            self.health.problem(
                f'cmd_twist is in {message.header.frame_id!r}, not {self.value("base_frame")!r}'
            )
            return
        age = (self._now_ns - stamp_to_ns(message.header.stamp)) * 1e-9
        if age > STALE:
            self.health.dropped('stale')
            self.health.problem(f'cmd_twist is {age:.2f} s old')
            return
        with self._lock:
            self._twist = twist

    # --- the simulator's thread -------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._simulate()
        except InputError as error:
            self.get_logger().error(str(error))
            self.finish(1)
        except Exception as error:
            self.failed(error)
        finally:
            # Its images belong to this thread.
            self._cell.close()

    def _simulate(self) -> None:
        self._late.clear()
        clock = self.value('clock')
        start_ns = CLOCK_START if clock else self.get_clock().now().nanoseconds
        anchor, steps, started, next_image = time.monotonic(), 0, False, 0.0
        while self._wait_until(anchor + steps * PERIOD):
            lag = time.monotonic() - (anchor + steps * PERIOD)
            if lag > MAX_LAG:
                # The arm seems to pause; with /clock, nobody notices.
                anchor += lag
                self.health.dropped('10 ms of real time', round(lag / PERIOD))
                if not clock:
                    start_ns += round(lag * 1e9)
            if self._again:
                self._again, started = False, False
                self._cell.close()
                self._cell = self._new_cell()
            with self._lock:
                twist, self._twist = self._twist, None
            if twist is not None:
                started = started or bool(np.any(twist))
                self._cell.command(twist)
            if started:
                self._cell.step()
            steps += 1
            now = steps * PERIOD
            stamp_ns = self._now_ns = start_ns + round(now * 1e9)
            if clock:
                self.send(CLOCK.name, {'clock': ns_to_stamp(stamp_ns)})
            if twist is not None:
                base = self.value('base_frame')
                self.send('truth/twist', encode.twist_stamped(stamp_ns, base, twist))
            if steps % ARM_EVERY == 0:
                for name, fields in self._arm(stamp_ns):
                    self.send(name, fields)
            if now >= next_image:
                next_image += 1 / self.value('rate')
                number = self._cell.images + 1
                seen = list(self._seen(stamp_ns))
                if not self._setup.dropped(number):
                    self._late.append((now + self._setup.latency, seen))
            while self._late and self._late[0][0] <= now:
                for name, fields in self._late.popleft()[1]:
                    self.send(name, fields)
                self.health.answered(stamp_ns)

    def _wait_until(self, due: float) -> bool:
        with self._lock:
            while not self._stopping and (left := due - time.monotonic()) > 0:
                self._lock.wait(left)
        return not self._stopping

    def _arm(self, stamp_ns: int) -> Iterator[tuple[str, Fields]]:
        """What is known at once: the arm's own sensors, and the truth."""
        cell, base = self._cell, self.value('base_frame')
        tip, source = cell.T_base_tip, cell.reported_source()
        yield 'tip_pose', encode.pose_stamped(stamp_ns, base, tip)
        yield 'source_pose', encode.pose_stamped(stamp_ns, base, source)
        yield (
            'joint_states',
            {
                'header': encode.header(stamp_ns, ''),
                'name': JOINTS,
                'position': cell.joints,
                'velocity': cell.joint_speeds,
            },
        )
        if self._tf:
            edges = [(stamp_ns, base, TIP_FRAME, tip), (stamp_ns, base, SOURCE_FRAME, source)]
            yield TF.name, encode.transforms(edges)
        volumes = ('poured', 'caught', 'spilled', 'in_air', 'left')
        truth = {f'{name}_ml': ML * getattr(cell, name) for name in volumes}
        truth |= {'flow_ml_s': ML * cell.flow, 'trial_s': cell.time}
        yield 'truth/liquid', encode.scalars(stamp_ns, base, truth)
        yield 'truth/source_pose', encode.pose_stamped(stamp_ns, base, cell.T_base_source)
        yield 'truth/target_pose', encode.pose_stamped(stamp_ns, base, cell.T_base_target)
        if cell.landing is not None:
            yield 'truth/landing_point', encode.point_stamped(stamp_ns, base, cell.landing)

    def _seen(self, stamp_ns: int) -> Iterator[tuple[str, Fields]]:
        """What is known through the camera, with its latency."""
        cell, base, frame = self._cell, self.value('base_frame'), self.value('optical_frame')
        camera, target = cell.reported_cam(), cell.reported_target()
        yield 'camera_pose', encode.pose_stamped(stamp_ns, base, camera)
        yield 'target_pose', encode.pose_stamped(stamp_ns, base, target)
        if self._tf:
            edges = [(stamp_ns, base, frame, camera), (stamp_ns, base, TARGET_FRAME, target)]
            yield TF.name, encode.transforms(edges)
        if self.value('render'):
            color, depth = cell.observe()
            if self.value('depth_encoding') == '16UC1':
                depth = np.round(1000 * depth).astype(np.uint16)
            yield 'color/camera_info', encode.camera_info(stamp_ns, frame, cell.camera)
            yield 'depth/image', encode.image(stamp_ns, frame, depth)
            yield 'color/image', encode.image(stamp_ns, frame, color)
