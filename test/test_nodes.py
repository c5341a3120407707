# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from pourit_ros.messages import encode
from pourit_ros.messages.cdr import stamp_of
from pourit_ros.messages.errors import MessageError
from pourit_ros.resources import find_resource

ROOT = Path(__file__).resolve().parents[1]
SECOND = 1_000_000_000


def test_stamps_of_serialised_messages():
    serialization = pytest.importorskip('rclpy.serialization')
    from pourit_ros.messages.cdr import MARKERS
    from pourit_ros.messages.ros import fill, message_class

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
    from pourit_ros.nodes import controller_parameters, monitor_node, perception_node
    from pourit_ros.nodes.base import COMMON

    shipped = yaml.safe_load(find_resource('config/pourit.yaml').read_text())
    for node, table in (
        ('liquid_perception', perception_node.PARAMETERS),
        ('pour_monitor', monitor_node.PARAMETERS),
        ('pour_controller', controller_parameters.PARAMETERS),
    ):
        declared = {row.name: row.default for row in (*COMMON, *table)}
        values = shipped[f'/**/{node}']['ros__parameters']
        assert values == {name: declared[name] for name in values}
        assert [type(v) for v in values.values()] == [type(declared[n]) for n in values]
        assert set(declared) - set(values) == {'autostart', 'await_subscriptions'}


@pytest.mark.parametrize(
    'name',
    ['pour.launch.py', 'replay.launch.py', 'rviz.launch.py', 'gazebo.launch.py', 'sim.launch.py'],
)
def test_launch_files_compile(name):
    path = ROOT / 'launch' / name
    compile(path.read_text(), str(path), 'exec')


def monitor_and_its_work():
    from pourit_ros.geometry import LiquidCloud, Pose
    from pourit_ros.nodes.monitor_node import PourMonitor, _Seen
    from pourit_ros.perception.segmentation import Segmentation
    from pourit_ros.pipeline import Observation

    dry = Segmentation(0.0, False, np.zeros((4, 4), np.float32), np.zeros((4, 4), np.bool_))
    seen = Observation(SECOND, 'f', dry, LiquidCloud.empty())
    still = Pose.identity()
    return PourMonitor(), lambda epoch: _Seen(seen, 'cam', epoch, still, still)


def perception_and_its_work():
    from live_pour import pour_frame

    from pourit_ros.nodes.perception_node import LiquidPerception

    return LiquidPerception(), lambda epoch: (pour_frame(0), 'cam', epoch)


@pytest.mark.parametrize('made', [monitor_and_its_work, perception_and_its_work])
def test_a_frame_of_the_time_before_is_not_answered(monkeypatch, made):
    """`~/reset` and `~/enable` have answered while the worker still had a frame."""
    rclpy = pytest.importorskip('rclpy')
    from pourit_ros.live.processes import free_domain

    monkeypatch.setenv('ROS_DOMAIN_ID', str(free_domain()))
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    rclpy.init()
    try:
        node, work = made()
        node.autostart()
        sent = []
        monkeypatch.setattr(node, 'send', lambda name, fields: sent.append(name))

        def answer(epoch):
            sent.clear()
            node.answer(work(epoch))
            return bool(sent)

        before = node.epoch
        assert answer(before)
        node.begin_anew()
        assert not answer(before)
        assert answer(node.epoch)
        node.end()
        node.destroy_node()
    finally:
        rclpy.shutdown()


@pytest.mark.parametrize('arguments', [[], ['pour_watcher'], ['--help']])
def test_who_names_no_node_is_told_the_nodes(arguments):
    done = subprocess.run(
        [sys.executable, '-m', 'pourit_ros.nodes', *arguments], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        'python -m pourit_ros.nodes NODE: one of liquid_perception, pour_monitor, '
        'pour_controller, pour_simulator, pour_starter, bag_player, recorder, camera_feed'
    ]
