# SPDX-License-Identifier: Apache-2.0
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from scipy.spatial.transform import Rotation

from pourit_ros.geometry import Pose
from pourit_ros.messages import encode
from pourit_ros.messages.errors import MessageError
from pourit_ros.nodes.cdr import stamp_of
from pourit_ros.nodes.pose_inputs import PoseInputs
from pourit_ros.resources import find_resource
from pourit_ros.transforms import NoTransform

ROOT = Path(__file__).resolve().parents[1]
SECOND = 1_000_000_000


def message(fields):
    """Fields as attributes, as in a message."""
    if isinstance(fields, dict):
        return SimpleNamespace(**{name: message(value) for name, value in fields.items()})
    return [message(f) for f in fields] if isinstance(fields, list) else fields


def stamped(stamp_ns, frame_id, pose):
    return message(encode.pose_stamped(stamp_ns, frame_id, pose))


def at(x, y=0.0, z=0.0, turn=0.0):
    return Pose(Rotation.from_euler('z', turn).as_matrix(), np.array([x, y, z]))


class TestPoseInputs:
    def test_target_given_in_the_camera_frame(self):
        poses = PoseInputs('base', '', 0.1)
        T_base_cam, T_cam_target = at(1, turn=0.3), at(0, 2, turn=0.1)
        poses.pose('camera', stamped(SECOND, 'base', T_base_cam))
        poses.pose('target', stamped(SECOND, 'cam', T_cam_target))
        camera = poses.camera('cam', SECOND)
        target = poses.target('cam', camera, SECOND)
        np.testing.assert_allclose(camera.matrix, T_base_cam.matrix, atol=1e-12)
        np.testing.assert_allclose(
            target.matrix, T_base_cam.matrix @ T_cam_target.matrix, atol=1e-12
        )

    def test_everything_on_tf(self):
        poses = PoseInputs('base', 'cup', 0.1)
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
        camera = poses.camera('cam', SECOND)
        np.testing.assert_allclose(camera.matrix, T_base_hand.matrix @ T_hand_cam.matrix)
        np.testing.assert_allclose(poses.target('cam', camera, SECOND).translation, [3, 0, 0])

    def test_interpolates_and_knows_its_limits(self):
        poses = PoseInputs('base', '', 0.1)
        for tenths in (0, 2):
            poses.pose('camera', stamped(tenths * SECOND // 10, 'base', at(tenths)))
        assert poses.camera('cam', SECOND // 20).translation[0] == pytest.approx(0.5)
        assert poses.camera('cam', 3 * SECOND // 10).translation[0] == 2
        with pytest.raises(NoTransform, match=r'0\.150 s before'):
            poses.camera('cam', 35 * SECOND // 100)

    def test_poses_that_come_with_a_jump_back_survive_it(self):
        poses = PoseInputs('base', '', 0.1)
        poses.pose('camera', stamped(60 * SECOND, 'base', at(6)))
        # A bag that loops: its first pose comes just before its first image tells of the jump.
        poses.pose('camera', stamped(SECOND, 'base', at(1)))
        poses.set_back(SECOND)
        assert poses.camera('cam', SECOND).translation[0] == 1
        with pytest.raises(NoTransform):
            poses.camera('cam', 60 * SECOND)
        poses.pose('camera', stamped(60 * SECOND, 'base', at(6)))
        poses.set_back(SECOND)
        with pytest.raises(NoTransform):
            poses.camera('cam', 60 * SECOND)

    def test_says_what_is_missing(self):
        poses = PoseInputs('base', '', 0.1)
        with pytest.raises(NoTransform, match="on camera_pose, and no transform connects 'base'"):
            poses.camera('cam', 0)
        poses.pose('camera', stamped(0, 'base', at(0)))
        with pytest.raises(NoTransform, match='nothing on target_pose'):
            poses.target('cam', poses.camera('cam', 0), 0)
        named = PoseInputs('base', 'cup', 0.1)
        with pytest.raises(NoTransform, match="connects 'base' and 'cup'"):
            named.target('cam', at(0), 0)

    def test_refuses_a_pose_without_frame(self):
        with pytest.raises(MessageError, match='no edge'):
            PoseInputs('base', '', 0.1).pose('target', stamped(0, '', at(0)))


def test_stamps_of_serialised_messages():
    serialization = pytest.importorskip('rclpy.serialization')
    from pourit_ros.messages.ros import fill, message_class
    from pourit_ros.nodes.cdr import MARKERS

    header = encode.header(-3 * SECOND + 7, 'base')
    for kind, fields, offset in (
        ('geometry_msgs/msg/PoseStamped', {'header': header}, 4),
        ('visualization_msgs/msg/MarkerArray', {'markers': [{'header': header}] * 2}, MARKERS),
    ):
        data = serialization.serialize_message(fill(message_class(kind), fields))
        assert stamp_of(data, offset) == -3 * SECOND + 7
    with pytest.raises(MessageError, match='no header'):
        stamp_of(b'\0\1\0\0')


def test_shipped_parameters_are_the_defaults():
    pytest.importorskip('rclpy')
    from pourit_ros.nodes import monitor_node, perception_node
    from pourit_ros.nodes.base import COMMON

    shipped = yaml.safe_load(find_resource('config/pourit.yaml').read_text())
    for node, table in (
        ('liquid_perception', perception_node.PARAMETERS),
        ('pour_monitor', monitor_node.PARAMETERS),
    ):
        declared = {row.name: row.default for row in (*COMMON, *table)}
        values = shipped[f'/**/{node}']['ros__parameters']
        assert values == {name: declared[name] for name in values}
        assert [type(v) for v in values.values()] == [type(declared[n]) for n in values]
        assert set(declared) - set(values) == {'autostart', 'await_subscriptions'}


@pytest.mark.parametrize('name', ['pour.launch.py', 'replay.launch.py'])
def test_launch_files_compile(name):
    path = ROOT / 'launch' / name
    compile(path.read_text(), str(path), 'exec')
