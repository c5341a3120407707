# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""config/pour.foxglove.json against what the nodes publish."""

import json

import pytest

from pourit_ros.messages.contract import DIAGNOSTICS, MONITOR, NAMESPACE, PERCEPTION
from pourit_ros.resources import find_resource

PUBLISHED = {f'/{NAMESPACE}/{topic.name}': topic for topic in (*PERCEPTION, *MONITOR)}
# Where a plotted value lies in its message.
FIELDS = {
    'sensor_msgs/msg/Range': {'range'},
    'geometry_msgs/msg/Vector3Stamped': {'vector.x', 'vector.y', 'vector.z'},
    'sensor_msgs/msg/JointState': {'position[0]'},
    'std_msgs/msg/String': {'data'},
}


@pytest.fixture(scope='module')
def layout():
    return json.loads(find_resource('config/pour.foxglove.json').read_text())


def leaves(node):
    """Panels that a layout tree places."""
    if isinstance(node, str):
        return [node]
    return [*leaves(node['first']), *leaves(node['second'])]


def test_every_panel_is_placed_once(layout):
    assert sorted(leaves(layout['layout'])) == sorted(layout['configById'])


def test_panels_show_topics_of_the_nodes(layout):
    panels = layout['configById']
    image = PUBLISHED[panels['Image!overlay']['imageMode']['imageTopic']]
    assert image.type == 'sensor_msgs/msg/Image'
    assert {PUBLISHED[name].type for name in panels['3D!pour']['topics']} == {
        'sensor_msgs/msg/PointCloud2',
        'visualization_msgs/msg/MarkerArray',
    }
    assert panels['DiagnosticSummary!nodes']['topicToRender'] == DIAGNOSTICS.name


def test_curves_are_fields_of_the_messages(layout):
    paths = [
        path['value'] for panel in layout['configById'].values() for path in panel.get('paths', ())
    ]
    assert len(paths) == 8
    for path in paths:
        topic, _, field = path.partition('.')
        assert field in FIELDS[PUBLISHED[topic].type], path
