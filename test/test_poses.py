# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pourit_ros.geometry import Pose
from pourit_ros.messages import encode
from pourit_ros.messages.errors import MessageError
from pourit_ros.sync.poses import PoseInputs
from pourit_ros.sync.transforms import NoTransform

SECOND = 1_000_000_000
MS = 1_000_000
TOLERANCE = 100 * MS


def message(fields):
    """Fields as attributes, as in a message."""
    if isinstance(fields, dict):
        return SimpleNamespace(**{name: message(value) for name, value in fields.items()})
    return [message(f) for f in fields] if isinstance(fields, list) else fields


def stamped(stamp_ns, frame_id, pose):
    return message(encode.pose_stamped(stamp_ns, frame_id, pose))


def at(x, y=0.0, z=0.0, turn=0.0):
    return Pose(Rotation.from_euler('z', turn).as_matrix(), np.array([x, y, z]))


def test_target_given_in_the_camera_frame():
    poses = PoseInputs('base', {})
    T_base_cam, T_cam_target = at(1, turn=0.3), at(0, 2, turn=0.1)
    poses.pose('camera', stamped(SECOND, 'base', T_base_cam))
    poses.pose('target', stamped(SECOND, 'cam', T_cam_target))
    camera = poses.camera('cam', SECOND, TOLERANCE)
    target = poses.target('cam', camera, SECOND, TOLERANCE)
    np.testing.assert_allclose(camera.matrix, T_base_cam.matrix, atol=1e-12)
    np.testing.assert_allclose(target.matrix, T_base_cam.matrix @ T_cam_target.matrix, atol=1e-12)


def test_everything_on_tf():
    poses = PoseInputs('base', {'target': 'cup'})
    T_base_hand, T_hand_cam, T_base_cup = at(0, 0, 1, 0.5), at(0.1, turn=1.0), at(3)
    poses.transforms(message(encode.transforms([(0, 'hand', '/cam', T_hand_cam)])), True)
    poses.transforms(
        message(
            encode.transforms(
                [(SECOND, 'base', 'hand', T_base_hand), (SECOND, 'base', 'cup', T_base_cup)]
            )
        ),
        False,
    )
    camera = poses.camera('cam', SECOND, TOLERANCE)
    np.testing.assert_allclose(camera.matrix, T_base_hand.matrix @ T_hand_cam.matrix)
    target = poses.target('cam', camera, SECOND, TOLERANCE)
    np.testing.assert_allclose(target.translation, [3, 0, 0])


def test_interpolates_and_knows_its_limits():
    poses = PoseInputs('base', {})
    for tenths in (0, 2):
        poses.pose('camera', stamped(tenths * 100 * MS, 'base', at(0.1 * tenths)))
    assert poses.camera('cam', 50 * MS, TOLERANCE).translation[0] == pytest.approx(0.05)
    assert poses.camera('cam', 300 * MS, TOLERANCE).translation[0] == 0.2
    with pytest.raises(NoTransform, match=r'0\.150 s before'):
        poses.camera('cam', 350 * MS, TOLERANCE)


class TestCameraPoseBesideTf:
    def poses(self):
        poses = PoseInputs('base', {})
        for tenths in range(0, 41):
            stamp = tenths * 100 * MS
            poses.transforms(message(encode.transforms([(stamp, 'base', 'cam', at(2))])), False)
        poses.pose('camera', stamped(2 * SECOND, 'base', at(1)))
        return poses

    def test_goes_before_tf_while_it_is_heard(self):
        poses = self.poses()
        assert poses.camera('cam', 2 * SECOND + 50 * MS, TOLERANCE).translation[0] == 1
        assert poses.notice == ''
        # It may be late by a moment, and TF must not take turns with it.
        with pytest.raises(NoTransform, match=r'nearest sample is 0\.900 s before'):
            poses.camera('cam', 2 * SECOND + 900 * MS, TOLERANCE)

    @pytest.mark.parametrize('stamp', [SECOND // 2, 3 * SECOND + 50 * MS])
    def test_a_single_message_does_not_disable_tf_for_good(self, stamp):
        poses = self.poses()
        assert poses.camera('cam', stamp, TOLERANCE).translation[0] == 2
        assert poses.notice == 'camera_pose is silent, using TF'
        assert abs(poses.skew_ns('cam', stamp)['camera']) <= 50 * MS
        poses.pose('camera', stamped(stamp, 'base', at(3)))
        assert poses.camera('cam', stamp, TOLERANCE).translation[0] == 3
        assert poses.notice == ''

    def test_says_so_where_tf_does_not_help_either(self):
        poses = self.poses()
        with pytest.raises(NoTransform, match='camera_pose is silent, and no transform connects'):
            poses.camera('other', 4 * SECOND, TOLERANCE)

    def test_forgotten_with_the_poses(self):
        poses = self.poses()
        poses.clear()
        poses.transforms(message(encode.transforms([(SECOND, 'base', 'cam', at(2))])), False)
        assert poses.camera('cam', SECOND, TOLERANCE).translation[0] == 2


def test_poses_that_come_with_a_jump_back_survive_it():
    poses = PoseInputs('base', {})
    poses.pose('camera', stamped(60 * SECOND, 'base', at(6)))
    # A bag that loops: its first pose comes just before its first image tells of the jump.
    poses.pose('camera', stamped(SECOND, 'base', at(1)))
    poses.set_back(SECOND)
    assert poses.camera('cam', SECOND, TOLERANCE).translation[0] == 1
    with pytest.raises(NoTransform):
        poses.camera('cam', 60 * SECOND, TOLERANCE)
    poses.pose('camera', stamped(60 * SECOND, 'base', at(6)))
    poses.set_back(SECOND)
    with pytest.raises(NoTransform):
        poses.camera('cam', 60 * SECOND, TOLERANCE)


def test_says_what_is_missing():
    poses = PoseInputs('base', {})
    with pytest.raises(NoTransform, match="on camera_pose, and no transform connects 'base'"):
        poses.camera('cam', 0, TOLERANCE)
    poses.pose('camera', stamped(0, 'base', at(0)))
    with pytest.raises(NoTransform, match='no message on target_pose'):
        poses.target('cam', poses.camera('cam', 0, TOLERANCE), 0, TOLERANCE)
    named = PoseInputs('base', {'target': 'cup'})
    with pytest.raises(NoTransform, match="connects 'base' and 'cup'"):
        named.target('cam', at(0), 0, TOLERANCE)


def test_refuses_a_pose_without_frame():
    with pytest.raises(MessageError, match='target pose has no frame_id'):
        PoseInputs('base', {}).pose('target', stamped(0, '', at(0)))


def heard(*xs, step=33 * MS):
    """Poses of a target on its topic at these places along x (m), every 33 ms from 1 s on."""
    poses = PoseInputs('base', {})
    for k, x in enumerate(xs):
        poses.pose('target', stamped(SECOND + k * step, 'base', at(x)))
    return poses


def target_x(poses, stamp_ns):
    return poses.target('cam', None, stamp_ns, TOLERANCE).translation[0]


def test_a_pose_that_jumps_is_none_until_it_stays():
    poses = heard(0.0, 0.01, 0.41, 0.42)
    assert target_x(poses, SECOND + 33 * MS) == 0.01
    for stamp in (SECOND + 50 * MS, SECOND + 66 * MS):
        with pytest.raises(NoTransform, match=r'target_pose>: jumped by 0\.40 m within 0\.033 s'):
            target_x(poses, stamp)
    assert target_x(poses, SECOND + 99 * MS) == 0.42
    # Nothing came after the jump: nothing confirms it.
    with pytest.raises(NoTransform, match='jumped'):
        target_x(heard(0.0, 0.4), SECOND + 60 * MS)


def test_what_an_arm_can_do_is_no_jump():
    # 2 m/s, and the noise of a tracker that sends at 1 kHz.
    assert target_x(heard(0.0, 0.066), SECOND + 33 * MS) == 0.066
    assert target_x(heard(0.0, 0.02, step=MS), SECOND + MS) == 0.02
    # After a second of silence a container may have been put elsewhere.
    assert target_x(heard(0.0, 2.0, step=1100 * MS), SECOND + 1100 * MS) == 2.0


def tilted(*degrees, axis='x', mouth=(0, 0, 0.2), frame=''):
    """A target that turns in its place, every 33 ms from 1 s on."""
    poses = PoseInputs('base', {'target': frame} if frame else {})
    poses.watch('target', np.array(mouth))
    for k, angle in enumerate(degrees):
        turned = Pose(Rotation.from_euler(axis, angle, degrees=True).as_matrix(), [1.0, 0, 0])
        poses.pose('target', stamped(SECOND + k * 33 * MS, 'base', turned))
    return poses


def test_a_container_that_is_turned_over_has_jumped():
    # Trackers take a bottle's mouth for its bottom now and then: the origin stays where it is.
    with pytest.raises(NoTransform, match=r'jumped by 0\.40 m within 0\.033 s'):
        target_x(tilted(0, 180), SECOND + 33 * MS)
    assert target_x(tilted(0, 180, 180), SECOND + 66 * MS) == 1
    # A wrist that pours, at 5 rad/s, and a turn about the axis.
    assert target_x(tilted(0, 10), SECOND + 33 * MS) == 1
    assert target_x(tilted(0, 180, axis='z'), SECOND + 33 * MS) == 1
    # Containers are changed at work, and so is where their pose comes from.
    poses = tilted(0, 180)
    poses.watch('target', np.zeros(3))
    assert target_x(poses, SECOND + 33 * MS) == 1
    poses = tilted(0, 180, frame='cup')
    poses.follow('target', '')
    with pytest.raises(NoTransform, match='jumped'):
        target_x(poses, SECOND + 33 * MS)


def test_source_through_the_base_when_the_camera_is_outside_the_tree():
    poses = PoseInputs('base', {})
    T_base_cam, T_base_source = at(1, turn=0.3), at(0, 2, turn=0.1)
    poses.pose('camera', stamped(SECOND, 'base', T_base_cam))
    poses.pose('source', stamped(SECOND, 'base', T_base_source))
    source = poses.source('cam', T_base_cam, SECOND, TOLERANCE)
    np.testing.assert_allclose(
        source.matrix, (T_base_cam.inverse() @ T_base_source).matrix, atol=1e-12
    )
    with pytest.raises(NoTransform, match="connects 'cam' and '<source_pose>'"):
        poses.source('cam', None, SECOND, TOLERANCE)


def test_a_container_can_be_taken_from_another_frame():
    poses = PoseInputs('base', {'target': 'cup'})
    edges = [(SECOND, 'base', 'cup', at(1)), (SECOND, 'base', 'bowl', at(2))]
    poses.transforms(message(encode.transforms(edges)), False)
    assert target_x(poses, SECOND) == 1
    poses.follow('target', 'bowl')
    assert target_x(poses, SECOND) == 2
    poses.follow('target', '')
    with pytest.raises(NoTransform, match='no message on target_pose'):
        target_x(poses, SECOND)
    poses.pose('target', stamped(SECOND, 'base', at(3)))
    assert target_x(poses, SECOND) == 3


def test_skew_is_that_of_the_furthest_sample_on_the_way():
    poses = PoseInputs('base', {'source': 'bottle'})
    poses.transforms(message(encode.transforms([(0, 'hand', 'cam', at(0.1))])), True)
    edges = [(SECOND - 5 * MS, 'base', 'hand', at(0)), (SECOND + 2 * MS, 'cam', 'bottle', at(1))]
    poses.transforms(message(encode.transforms(edges)), False)
    assert poses.skew_ns('cam', SECOND) == {'source': 2 * MS, 'camera': -5 * MS}
    poses.pose('target', stamped(SECOND - 40 * MS, 'cam', at(0)))
    assert poses.skew_ns('cam', SECOND)['target'] == -40 * MS
    # A camera that never moves has no skew.
    assert PoseInputs('base', {}).skew_ns('cam', SECOND) == {}
