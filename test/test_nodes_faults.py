# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The fault drill of docs/ros_interface.md, over Fast DDS between processes, fault by fault.

After each fault the node lives, /diagnostics names it, `pour_state` is what the table says, and
good frames end it.
"""

import contextlib
import os
import random
import signal
import time

import numpy as np
import pytest
from live_pour import (
    ACTIVATE,
    CLEANUP,
    CONFIGURE,
    DEACTIVATE,
    PATIENCE,
    PERIOD,
    T0,
    Client,
    pour_frame,
)
from ros_listener import Listener

from pourit_ros.bags.make import write_pour_bag
from pourit_ros.geometry import LiquidCloud
from pourit_ros.live.processes import RosProcesses
from pourit_ros.messages import encode
from pourit_ros.messages.decode import ns_to_stamp
from pourit_ros.messages.ros import fill, message_class

pytestmark = pytest.mark.live
OK, WARN, ERROR, STALE = range(4)
PERCEPTION, MONITOR = 'liquid_perception', 'pour_monitor'


class Cell(Client):
    """The client with the nodes beside it and a count of frames."""

    def __init__(self, nodes):
        super().__init__(nodes)
        self.nodes = nodes
        self.k = 0

    def frame(self, **options):
        """Show the next frame; its stamp."""
        self.k += 1
        return self.show(self.k, **options)

    def answered(self, **options):
        """Show frames until one of them is answered; its stamp."""
        return self._until(self.answers, options)

    def measured(self, **options):
        """Show frames until one of them has a distance; its stamp."""
        return self._until(self.distances, options)

    def _until(self, results, options):
        shown = []
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            shown.append(self.frame(**options))
            with self.came:
                self.came.wait_for(lambda: any(s in results for s in shown), 0.25)
            for stamp in shown:
                if stamp in results:
                    return stamp
        raise AssertionError(f'no answer to {len(shown)} frames: {self.health}')

    def healthy(self, **options):
        """Show frames until the pour is measured, flows, and both nodes are content anew."""
        self.health.clear()
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            stamp = self.measured(**options)
            assert 0 < self.distances[stamp] < 1
            content = [self.health.get(node, (ERROR,))[0] for node in (PERCEPTION, MONITOR)]
            if content == [OK, OK] and self.states[-1] == 'flowing':
                self.nodes.check()
                return
        raise AssertionError(f'not healthy: {self.states[-3:]} {self.health}')

    def says(self, node, level, *words, **options):
        """Show frames until the node's diagnostics has the level and the words; its values."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            self.frame(**options)
            with self.came:
                self.came.wait(0.05)
                status = self.health.get(node, (ERROR, '', {}))
            if status[0] == level and all(word in status[1] for word in words):
                self.nodes.check()
                return status[2]
        raise AssertionError(f'{node} does not say {words}: {status}')

    def takes(self, topic, reliability):
        """Show frames until perception takes an input so; subscribing anew takes its time."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            taken = self.says(PERCEPTION, OK)[f'input {topic}']
            if taken.endswith(f'1 publisher, {reliability}'):
                return
        raise AssertionError(f'{topic}: {taken}')

    def reconfigure(self, **parameters):
        """Begin anew, with other parameters."""
        for transition in (DEACTIVATE, CLEANUP):
            self.change_state(PERCEPTION, transition)
        assert self.set_parameters(PERCEPTION, **parameters) == ''
        for transition in (CONFIGURE, ACTIVATE):
            self.change_state(PERCEPTION, transition)


@pytest.fixture(scope='module')
def nodes(stripe_weights, tmp_path_factory):
    pytest.importorskip('rclpy')
    with RosProcesses(tmp_path_factory.mktemp('nodes'), 'pourit') as nodes:
        nodes.start(PERCEPTION, {'weights': str(stripe_weights), 'device': 'cpu', 'threads': 1})
        nodes.start(MONITOR, {'stale_after': 1.5, 'lost_after': 0.3})
        yield nodes


@pytest.fixture(scope='module')
def cell(nodes):
    cell = Cell(nodes)
    assert cell.subscribed(1)
    yield cell
    cell.close()


@pytest.fixture(autouse=True)
def _recovers(cell):
    """Every fault begins and ends with a pour that is measured."""
    cell.healthy()
    yield
    cell.healthy()


def test_camera_gone_and_back(cell):
    cell.withdraw('color/image')
    trouble = 'no publisher on /pourit/color/image'
    cell.says(PERCEPTION, STALE, trouble, without=['color/image'])
    assert cell.wait(lambda: cell.states[-1] == 'fault')
    cell.says(MONITOR, STALE, 'no liquid/points for', without=['color/image'])
    # Back with another reliability than before.
    cell.offer('color/image', cell.reliable)
    cell.takes('color/image', 'reliable')
    cell.offer('color/image', cell.best_effort)
    cell.takes('color/image', 'best effort')


def test_depth_gone(cell):
    cell.healthy(depth=True)
    values = cell.says(PERCEPTION, WARN, 'depth: no image within 0.017 s')
    assert float(values['skew of depth (ms)']) < -17
    # The pouring plane does without.
    cell.measured()
    assert cell.wait(lambda: cell.states[-1] == 'flowing')
    # It is missed no longer once the node begins anew.
    cell.reconfigure()


def test_no_camera_info(cell):
    cell.reconfigure()
    values = cell.says(PERCEPTION, WARN, 'no camera info received', without=['color/camera_info'])
    assert int(values['dropped: no_info']) > 0
    assert cell.wait(lambda: cell.states[-1] == 'fault')


def test_stale_poses(cell):
    before = len(cell.states)
    shown = [cell.frame(without=['source_pose']) for _ in range(5)]
    text = 'source pose: cam -> <source_pose>: nearest sample is'
    cell.says(PERCEPTION, WARN, text, 'before the image', without=['source_pose'])
    cell.says(MONITOR, WARN, 'could not be lifted', without=['source_pose'])
    assert cell.wait(lambda: 'fault' in cell.states[before:])
    # Liquid is seen all the same, and no distance is made up for it.
    stamp = cell.answered(without=['source_pose'])
    assert cell.answers[stamp]['present']
    time.sleep(0.2)
    assert stamp not in cell.distances
    assert shown[-1] not in cell.distances


def test_a_pose_that_jumps(cell):
    # The image may be lost: it is put back, and jumps again.
    for _ in range(10):
        stamp = cell.frame(moved=0.5)
        with cell.came:
            if cell.came.wait_for(lambda: stamp in cell.answers, 3.0):  # noqa: B023
                break
        cell.healthy()
    cell.says(PERCEPTION, WARN, 'target pose', 'jumped by 0.50 m within', moved=0.5)
    assert stamp not in cell.distances
    # It stays there: the cup has been put elsewhere, and is measured again.
    cell.healthy(moved=0.5)


@pytest.mark.parametrize(
    ('topic', 'change', 'words'),
    [
        ('color/image', {'encoding': 'yuv999'}, 'yuv999'),
        ('color/image', {'data': b'\0' * 1000}, 'cut short'),
        ('color/image', {'height': 0}, '320x0'),
    ],
)
def test_unusable_images(cell, topic, change, words):
    change = change | ({'data': encode_bytes(change['data'])} if 'data' in change else {})
    values = cell.says(PERCEPTION, WARN, words, changes={topic: change})
    assert int(values['dropped: unusable message']) > 0
    assert cell.wait(lambda: cell.states[-1] == 'fault')


def encode_bytes(data):
    return np.frombuffer(data, np.uint8)


def test_cut_depth(cell):
    changes = {'depth/image': {'data': encode_bytes(b'\0' * 8)}}
    cell.says(PERCEPTION, WARN, 'cut short', changes=changes, depth=True)
    cell.measured(changes=changes, depth=True)


@pytest.mark.parametrize(('value', 'words'), [(float('nan'), 'finite'), (0.0, 'uncalibrated')])
def test_bad_intrinsics(cell, value, words):
    changes = {'color/camera_info': {'k': np.full(9, value)}}
    cell.says(PERCEPTION, WARN, words, changes=changes)
    # The last good ones still hold: a camera's intrinsics do not change at work.
    cell.measured(changes=changes)


def test_a_4k_frame(cell):
    import cv2

    frame = pour_frame(cell.k + 1)
    big = cv2.resize(frame.color, (3840, 2880), interpolation=cv2.INTER_LINEAR)
    cell.k += 1
    changes = {
        'color/image': encode.image(frame.stamp_ns, 'cam', big),
        'color/camera_info': encode.camera_info(
            frame.stamp_ns, 'cam', frame.camera.resize(3840, 2880)
        ),
    }
    for _ in range(20):
        cell.show(cell.k, changes=changes)
        with cell.came:
            if cell.came.wait_for(lambda: frame.stamp_ns in cell.distances, 1.0):
                break
    assert 0 < cell.distances[frame.stamp_ns] < 0.3


def test_qos_mismatch(cell):
    cell.reconfigure(reliability='reliable')
    text = 'color/image: reliable is requested, but a publisher offers best effort'
    cell.says(PERCEPTION, STALE, 'no input', text)
    assert cell.wait(lambda: cell.states[-1] == 'fault')
    cell.reconfigure(reliability='auto')


def test_time_jumps_back(cell):
    newest = T0 + cell.k * PERIOD
    cell.k -= 100_000
    stamp = cell.answered()
    assert stamp < newest - 1000 * 10**9
    cell.healthy()
    cell.k += 100_000


def test_two_cameras_then_a_bag_that_loops(cell, tmp_path):
    bag = tmp_path / 'pour'
    write_pour_bag(bag, (pour_frame(k) for k in range(30)))
    cell.nodes.start('bag_player', {'bag': str(bag), 'loop': True, 'rate': 1.0})
    cell.says(PERCEPTION, WARN, 'color/image: 2 publishers, expected one')
    camera = ('color/image', 'color/camera_info')
    for topic in camera:
        cell.withdraw(topic)
    try:
        # What the client had sent is still under way.
        time.sleep(2.0)
        # The second round is answered as the first, from its beginning on.
        for _ in range(2):
            cell.distances.clear()
            assert cell.wait(lambda: len(cell.distances) > 5)
            assert set(cell.distances) <= {T0 + k * PERIOD for k in range(30)}
            time.sleep(1.0)
    finally:
        cell.nodes.stop('bag_player', PATIENCE)
        for topic in camera:
            cell.offer(topic, cell.best_effort)
    # The bag had depth, which would be missed from now on.
    cell.reconfigure()


def test_a_thousand_malformed_messages(cell):
    """Valid messages with bytes changed, cut off or added, as raw CDR on every input."""
    from rclpy.serialization import serialize_message

    frame, dice = pour_frame(0), random.Random(0)
    kinds = {
        'color/image': encode.image(T0, 'cam', frame.color[:8, :8]),
        'color/camera_info': encode.camera_info(T0, 'cam', frame.camera),
        'depth/image': encode.image(T0, 'cam', frame.depth[:8, :8]),
        'source_pose': encode.pose_stamped(T0, 'cam', frame.T_cam_source),
        'camera_pose': encode.pose_stamped(T0, 'base', frame.T_base_cam),
        'target_pose': encode.pose_stamped(T0, 'base', frame.T_base_target),
    }
    good = {
        name: serialize_message(fill(cell.publishers[name].msg_type, fields))
        for name, fields in kinds.items()
    }
    extra = {
        'liquid/points': 'sensor_msgs/msg/PointCloud2',
        'liquid/probability': 'sensor_msgs/msg/JointState',
    }
    publishers = {name: cell.publishers[name] for name in kinds}
    for name, kind in extra.items():
        publishers[name] = cell.node.create_publisher(message_class(kind), name, 10)
        good[name] = serialize_message(message_class(kind)())
    for k in range(1000):
        name = dice.choice(sorted(good))
        publishers[name].publish(malformed(good[name], dice))
        if k % 20 == 0:
            time.sleep(0.02)
    for name in extra:
        cell.node.destroy_publisher(publishers[name])
    # Some could not be read as a message at all, others held what makes no sense.
    assert cell.wait(lambda: 'dropped: unusable message' in cell.health[MONITOR][2])
    for log in (cell.nodes.logs()[node] for node in (PERCEPTION, MONITOR)):
        assert log.count('Fast CDR exception deserializing') > 5
    cell.nodes.check()
    # Whatever was believed of it is forgotten again.
    cell.reconfigure()


def malformed(data, dice):
    """The message with its encapsulation intact and anything wrong behind it."""
    body = bytearray(data[4:])
    for _ in range(dice.choice([1, 1, 2, 8, 40])):
        with contextlib.suppress(ValueError):
            body[dice.randrange(len(body))] = dice.choice([0, 1, 127, 128, 255])
    what = dice.random()
    if what < 0.3:
        del body[dice.randrange(len(body)) :]
    elif what < 0.4:
        body += dice.randbytes(dice.randrange(64))
    return bytes(data[:4] + body)


def test_interrupted_twice(cell, stripe_weights, tmp_path):
    with RosProcesses(tmp_path, 'other') as others:
        others.start(PERCEPTION, {'weights': str(stripe_weights), 'device': 'cpu', 'threads': 1})
        deadline = time.monotonic() + PATIENCE
        while 'active' not in others.logs()[PERCEPTION] and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(others.pid(PERCEPTION), signal.SIGINT)
        # The second one; raises unless it ends with status 0.
        others.stop(PERCEPTION, PATIENCE)
        assert 'Traceback' not in others.logs()[PERCEPTION]


class Clocked(Listener):
    """The monitor's input, at times of a simulated clock."""

    def __init__(self, nodes):
        topics = {
            'pour_state': 'std_msgs/msg/String',
            'liquid/distance': 'sensor_msgs/msg/Range',
            '/diagnostics': 'diagnostic_msgs/msg/DiagnosticArray',
        }
        super().__init__(nodes, topics, latched=('pour_state',))
        self.clock = self.offer('/clock', 'rosgraph_msgs/msg/Clock')
        self.probability = self.offer('liquid/probability', 'sensor_msgs/msg/JointState')
        self.points = self.offer('liquid/points', 'sensor_msgs/msg/PointCloud2')
        self.start()

    def tick(self, stamp_ns):
        self.send(self.clock, {'clock': ns_to_stamp(stamp_ns)})

    def show(self, stamp_ns):
        """A dry image."""
        said = {'probability': 0.1, 'present': 0.0, 'depth': 0.0}
        self.tick(stamp_ns)
        self.send(self.probability, encode.scalars(stamp_ns, 'cam', said))
        self.send(self.points, encode.point_cloud(stamp_ns, 'cam', LiquidCloud.empty()))

    def states(self):
        with self.came:
            return [message.data for message in self.heard['pour_state']]

    def until(self, act, condition):
        deadline = time.monotonic() + PATIENCE
        stamp_ns = T0
        while not condition():
            assert time.monotonic() < deadline, self.nodes.logs()
            stamp_ns += PERIOD
            act(stamp_ns)
            time.sleep(0.05)
        return stamp_ns


def test_a_simulation_that_pauses_is_no_silence(tmp_path):
    pytest.importorskip('rclpy')
    with RosProcesses(tmp_path, 'pourit') as nodes:
        nodes.start(MONITOR, {'use_sim_time': True, 'stale_after': 0.5})
        cell = Clocked(nodes)
        try:
            last_ns = cell.until(cell.show, lambda: cell.heard['liquid/distance'])
            # Diagnostics come once a second of real time.
            for _ in range(3):
                cell.next('/diagnostics')
            assert 'fault' not in cell.states()
            # The clock goes on, and nothing comes.
            cell.until(
                lambda stamp_ns: cell.tick(last_ns + stamp_ns - T0),
                lambda: 'fault' in cell.states(),
            )
        finally:
            cell.close()
