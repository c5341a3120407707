# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""pour_controller as a process: what it refuses, what it commands, and how it ends."""

import threading
import time

import numpy as np
import pytest
from ros_listener import PATIENCE, Listener
from scipy.spatial.transform import Rotation

from pourit_ros.geometry import Container, Pose
from pourit_ros.live.processes import RosProcesses
from pourit_ros.messages import encode
from pourit_ros.messages.contract import CONTROLLER
from pourit_ros.messages.decode import (
    pose_from_pose_stamped,
    stamp_to_ns,
    twist_from_twist_stamped,
)

pytestmark = pytest.mark.live
TYPES = {topic.name: topic.type for topic in CONTROLLER}
POSE = 'geometry_msgs/msg/PoseStamped'
CUP = Container.load('cup')
# The bottle stands 12 cm beside the cup: it has somewhere to go.
T_BASE_SOURCE = Pose(np.eye(3), np.array([0.5, -0.12, 0.2]))
T_BASE_TIP = T_BASE_SOURCE @ Pose(
    Rotation.from_euler('y', 90, degrees=True).as_matrix(), np.array([-0.1, 0, 0.085])
)
T_BASE_TARGET = Pose(np.eye(3), np.array([0.5, 0.0, 0.0]))
DEACTIVATE, ACTIVATE = 4, 3


class Cell(Listener):
    """An arm that stands still and a camera that sees no liquid, in a thread of their own."""

    def __init__(self, nodes):
        # Not cmd_twist: nobody takes that here.
        heard = {n: k for n, k in TYPES.items() if n not in ('cmd_twist', 'cmd_pose')}
        heard['/diagnostics'] = 'diagnostic_msgs/msg/DiagnosticArray'
        super().__init__(nodes, heard, latched=('controller_state',))
        self.poses = {
            'source_pose': T_BASE_SOURCE, 'tip_pose': T_BASE_TIP, 'target_pose': T_BASE_TARGET
        }  # fmt: skip
        self.ahead = 0.0
        self.out = {name: self.offer(name, POSE) for name in self.poses}
        for name in ('liquid/probability', 'liquid/poured'):
            self.out[name] = self.offer(name, 'sensor_msgs/msg/JointState')
        self.ended = threading.Event()
        self.start()
        self.camera = threading.Thread(target=self.report)
        self.camera.start()

    def report(self):
        while not self.ended.wait(0.03):
            now_ns = self.node.get_clock().now().nanoseconds + round(1e9 * self.ahead)
            for name, pose in list(self.poses.items()):
                self.send(self.out[name], encode.pose_stamped(now_ns, 'base', pose))
            dry = {'probability': 0.0, 'present': 0.0, 'depth': 1.0}
            self.send(self.out['liquid/probability'], encode.scalars(now_ns, 'cam', dry))
            none = {'poured_ml': 0.0, 'poured_sigma_ml': 0.0}
            self.send(self.out['liquid/poured'], encode.scalars(now_ns, 'base', none))

    def close(self):
        self.ended.set()
        self.camera.join()
        super().close()

    def trigger(self, name):
        from std_srvs.srv import Trigger

        return self.call(Trigger, f'pour_controller/{name}', Trigger.Request())

    def set(self, **values):
        from rcl_interfaces.srv import SetParametersAtomically
        from rclpy.parameter import Parameter

        request = SetParametersAtomically.Request()
        request.parameters = [
            Parameter(name, value=value).to_parameter_msg() for name, value in values.items()
        ]
        name = 'pour_controller/set_parameters_atomically'
        result = self.call(SetParametersAtomically, name, request).result
        return '' if result.successful else result.reason

    def change_state(self, transition):
        from lifecycle_msgs.srv import ChangeState

        request = ChangeState.Request()
        request.transition.id = transition
        return self.call(ChangeState, 'pour_controller/change_state', request).success

    def begin(self, **values):
        """Start a pour as soon as everything has been heard."""
        assert self.set(fill=330.0, **values) == ''
        deadline = time.monotonic() + PATIENCE
        while not (response := self.trigger('start')).success:
            assert time.monotonic() < deadline, response.message
            time.sleep(0.1)
        self.until('aim')
        return response

    def until(self, state):
        with self.came:
            assert self.came.wait_for(
                lambda: [m.data for m in self.heard['controller_state']][-1:] == [state], PATIENCE
            ), (state, self.nodes.logs())

    def refused(self, words):
        """Whether ~/start comes to be refused with these words."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            response = self.trigger('start')
            if not response.success and words in response.message:
                return True
            time.sleep(0.1)
        raise AssertionError(response)


@pytest.fixture
def cell(tmp_path):
    pytest.importorskip('rclpy')
    with RosProcesses(tmp_path, 'pourit') as nodes:
        nodes.start('pour_controller', {'source': 'bottle'})
        cell = Cell(nodes)
        yield cell
        cell.close()


def twists(cell, name='cmd_twist_dry'):
    with cell.came:
        return np.array([twist_from_twist_stamped(m) for m in cell.heard[name]])


def test_disarmed_it_says_nothing_and_refuses_what_is_not_safe(cell):
    cell.until('idle')
    assert cell.refused('set the parameter fill')
    assert cell.set(fill=330.0) == ''
    # Without a dry run somebody has to take the twists.
    assert cell.set(dry_run=False) == ''
    assert cell.refused('nobody subscribes to /pourit/cmd_twist')
    assert cell.set(dry_run=True) == ''
    cell.ahead = 3.0
    # Until what came before is too old.
    time.sleep(1.0)
    assert cell.refused('ahead of the clock')
    cell.ahead = 0.0
    cell.poses['source_pose'] = Pose(
        Rotation.from_euler('x', 100, degrees=True).as_matrix(), T_BASE_SOURCE.translation
    )
    time.sleep(1.0)
    assert cell.refused('set it upright')
    assert not cell.heard['cmd_twist_dry']
    assert 'below the 8 ml/s that are seen' in cell.set(pour_flow=5.0)


def test_a_dry_run_from_start_to_stop(cell):
    response = cell.begin()
    assert response.message == 'dry run: on cmd_twist_dry'
    for _ in range(20):
        message = cell.next('cmd_twist_dry')
    now_ns = cell.node.get_clock().now().nanoseconds
    assert message.header.frame_id == 'base'
    assert abs(now_ns - stamp_to_ns(message.header.stamp)) < 2e9
    # Towards the cup.
    assert twists(cell)[-1][1] > 0.02
    assert 'a pour is under way' in cell.set(target_volume=50.0)
    assert not cell.trigger('start').success
    assert cell.trigger('stop').success
    cell.until('done')
    time.sleep(0.5)
    said = len(twists(cell))
    np.testing.assert_array_equal(twists(cell)[-1], 0)
    time.sleep(0.5)
    assert len(twists(cell)) == said


def test_a_source_seen_in_another_frame_is_refused(cell):
    cell.until('idle')
    seen = cell.offer('source_pose_seen', 'geometry_msgs/msg/PoseWithCovarianceStamped')
    deadline, told = time.monotonic() + PATIENCE, ''
    while "source_pose_seen is in 'cam', not in base_frame 'base'" not in told:
        assert time.monotonic() < deadline, told
        now_ns = cell.node.get_clock().now().nanoseconds
        pose = encode.pose_with_covariance(now_ns, 'cam', T_BASE_SOURCE, 1e-6 * np.eye(6))
        cell.send(seen, pose)
        told = str(cell.next('/diagnostics').status)


def test_deactivated_it_halts(cell):
    cell.begin()
    for _ in range(20):
        cell.next('cmd_twist_dry')
    assert cell.change_state(DEACTIVATE)
    cell.until('idle')
    time.sleep(0.3)
    np.testing.assert_array_equal(twists(cell)[-5:], np.zeros((5, 6)))
    assert cell.change_state(ACTIVATE)
    cell.begin()


def test_poses_lead_on_a_leash(tmp_path):
    pytest.importorskip('rclpy')
    with RosProcesses(tmp_path, 'pourit') as nodes:
        nodes.start('pour_controller', {'source': 'bottle', 'output': 'pose'})
        cell = Cell(nodes)
        try:
            cell.begin()
            # The arm stands still: the set-point comes to the leash's end and stays there.
            lengths = [0.0]
            # A busy machine gives it less time between two of them.
            while len(lengths) < 1500 and lengths[-1] < 0.02 - 1e-6:
                pose = pose_from_pose_stamped(cell.next('cmd_pose_dry'))
                apart = pose.translation - T_BASE_TIP.translation
                lengths.append(float(np.linalg.norm(apart)))
            for _ in range(20):
                pose = pose_from_pose_stamped(cell.next('cmd_pose_dry'))
                apart = pose.translation - T_BASE_TIP.translation
                assert np.linalg.norm(apart) == pytest.approx(0.02, abs=1e-6)
            assert apart[1] > 0
            assert not cell.heard['cmd_twist_dry']
        finally:
            cell.close()
