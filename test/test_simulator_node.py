# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""pour_simulator as a process: what its messages hold, and what it does with twists."""

import threading

import numpy as np
import pytest
from ros_listener import Listener
from sim_cell import MISSING

from pourit_ros.live.processes import RosProcesses
from pourit_ros.messages.contract import SIMULATOR
from pourit_ros.messages.decode import pose_from_pose_stamped, scalars_from_msg, stamp_to_ns
from pourit_ros.messages.encode import twist_stamped
from pourit_ros.messages.images import image_to_depth, image_to_rgb

pytestmark = pytest.mark.live
TYPES = {topic.name: topic.type for topic in SIMULATOR}


class Operator(Listener):
    """Hears the simulator, and answers every tick of its clock with a twist."""

    def __init__(self, nodes):
        super().__init__(nodes, {**TYPES, '/clock': 'rosgraph_msgs/msg/Clock'})
        self.twist = None
        self.frame = 'base'
        self.late = 0.0
        self.publisher = self.offer('cmd_twist', 'geometry_msgs/msg/TwistStamped')
        self.start()

    def on_message(self, name, message):
        if name == '/clock' and self.twist is not None:
            stamp_ns = stamp_to_ns(message.clock) - round(self.late * 1e9)
            self.send(self.publisher, twist_stamped(stamp_ns, self.frame, self.twist))

    def tip(self):
        """Pose of the tip, newer than this call."""
        return pose_from_pose_stamped(self.next('tip_pose'))

    def wait(self, seconds):
        """Let so much simulated time pass."""
        end = stamp_to_ns(self.next('/clock').clock) + round(seconds * 1e9)
        while stamp_to_ns(self.next('/clock').clock) < end:
            pass


@pytest.fixture(scope='module')
def operator(tmp_path_factory):
    pytest.importorskip('rclpy')
    if MISSING:
        pytest.skip(MISSING)
    with RosProcesses(tmp_path_factory.mktemp('nodes'), 'pourit') as nodes:
        nodes.start('pour_simulator', {'clock': True, 'rate': 2.0})
        operator = Operator(nodes)
        yield operator
        operator.twist = None
        operator.close()
        nodes.stop('pour_simulator', 20.0)


@pytest.fixture(autouse=True)
def _at_rest(operator):
    operator.twist, operator.frame, operator.late = None, 'base', 0.0
    operator.wait(0.3)


def test_images_as_a_driver_sends_them(operator):
    color, depth = operator.next('color/image'), operator.next('depth/image')
    info = operator.next('color/camera_info')
    assert (color.encoding, color.width, color.height) == ('rgb8', 320, 240)
    assert (depth.encoding, depth.width, depth.height) == ('16UC1', 320, 240)
    assert color.header.frame_id == info.header.frame_id == 'camera_optical_frame'
    assert image_to_rgb(color).std() > 10
    metres = image_to_depth(depth)
    T_base_cam = pose_from_pose_stamped(operator.next('camera_pose'))
    # The table's height, from a pixel at the lower edge, where it lies.
    u, v = 40, 235
    K = np.array(info.k).reshape(3, 3)
    point = metres[v, u] * np.linalg.solve(K, [u, v, 1.0])
    assert T_base_cam.apply(point)[2] == pytest.approx(0.2, abs=0.02)


def test_an_image_has_poses_of_its_stamp(operator):
    stamp = stamp_to_ns(operator.next('color/image').header.stamp)
    for name in ('color/camera_info', 'depth/image', 'camera_pose', 'target_pose'):
        assert stamp in operator.stamps(name)


def test_what_draws_the_stream_is_loaded_before_the_first_drop(operator):
    # Loaded later, it would stop everything for a second in the middle of the pour.
    pid = operator.nodes.pid('pour_simulator')
    with open(f'/proc/{pid}/maps') as maps:
        assert 'open3d' in maps.read()


def test_it_stands_still_until_the_first_twist(operator):
    before = operator.tip()
    operator.twist = np.zeros(6)
    operator.wait(0.3)
    after = operator.tip()
    np.testing.assert_array_equal(before.matrix, after.matrix)
    assert scalars_from_msg(operator.next('truth/liquid'))['trial_s'] == 0


def test_a_twist_moves_the_tip_and_silence_halts_it(operator):
    before = operator.tip()
    operator.twist = np.array([0, 0, 0.05, 0, 0, 0])
    operator.wait(1.0)
    operator.twist = None
    operator.wait(0.4)
    halted = operator.tip()
    moved = halted.translation - before.translation
    # The twist counts for 0.1 s beyond its last.
    assert moved[2] == pytest.approx(0.055, abs=0.01)
    assert np.abs(moved[:2]).max() < 0.003
    operator.wait(0.5)
    assert np.linalg.norm(operator.tip().translation - halted.translation) < 1e-3


@pytest.mark.parametrize('kind', ['stale', 'frame', 'nan'])
def test_twists_that_are_not_followed(operator, kind):
    before = operator.tip()
    if kind == 'stale':
        operator.late = 0.15
    elif kind == 'frame':
        operator.frame = 'tool'
    operator.twist = np.array([0, 0, 0.05, 0, 0, np.nan if kind == 'nan' else 0])
    operator.wait(0.5)
    assert np.linalg.norm(operator.tip().translation - before.translation) < 1e-3


def test_tilted_it_pours_and_the_truth_says_where(operator):
    # About the bottle's own mouth: the tip swings round it.
    source = pose_from_pose_stamped(operator.next('truth/source_pose'))
    turn = np.array([0.5, 0, 0])
    mouth = source.apply([0, 0.105, 0])
    done = threading.Event()

    def steer():
        while not done.is_set():
            tip = operator.tip()
            lever = tip.translation - mouth
            operator.twist = np.concatenate([np.cross(turn, lever), turn])

    thread = threading.Thread(target=steer)
    thread.start()
    try:
        for _ in range(400):
            truth = scalars_from_msg(operator.next('truth/liquid'))
            if truth['poured_ml'] > 5:
                break
    finally:
        done.set()
        thread.join()
    operator.twist = None
    landed = truth['caught_ml'] + truth['spilled_ml'] + truth['in_air_ml']
    assert truth['poured_ml'] > 5
    assert landed == pytest.approx(truth['poured_ml'], abs=0.1)
    # A halted arm with a tilted bottle keeps pouring.
    operator.wait(0.5)
    later = scalars_from_msg(operator.next('truth/liquid'))
    assert later['poured_ml'] > truth['poured_ml'] + 1
    assert operator.next('truth/landing_point').point.z > 0.2


def test_reset_begins_again(operator):
    from std_srvs.srv import Trigger

    assert operator.call(Trigger, 'pour_simulator/reset', Trigger.Request()).success
    operator.wait(0.3)
    truth = scalars_from_msg(operator.next('truth/liquid'))
    assert truth['poured_ml'] == 0
    assert truth['trial_s'] == 0
