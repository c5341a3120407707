# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest
import yaml

from pourit_ros.messages import encode
from pourit_ros.messages.errors import MessageError
from pourit_ros.nodes.cdr import stamp_of
from pourit_ros.resources import find_resource

ROOT = Path(__file__).resolve().parents[1]
SECOND = 1_000_000_000


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


@pytest.mark.parametrize('name', ['pour.launch.py', 'replay.launch.py', 'rviz.launch.py'])
def test_launch_files_compile(name):
    path = ROOT / 'launch' / name
    compile(path.read_text(), str(path), 'exec')
