# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""config/pour.rviz against what the nodes publish."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from pourit_ros.messages.contract import MONITOR, NAMESPACE, PERCEPTION
from pourit_ros.resources import find_resource

ROOT = Path(__file__).resolve().parents[1]
SUBSCRIBES = {
    'rviz_default_plugins/Image': 'sensor_msgs/msg/Image',
    'rviz_default_plugins/PointCloud2': 'sensor_msgs/msg/PointCloud2',
    'rviz_default_plugins/MarkerArray': 'visualization_msgs/msg/MarkerArray',
}
PUBLISHED = {f'/{NAMESPACE}/{topic.name}': topic for topic in (*PERCEPTION, *MONITOR)}


@pytest.fixture(scope='module')
def manager():
    return yaml.safe_load(find_resource('config/pour.rviz').read_text())['Visualization Manager']


def topics_of(manager):
    """The displays that show a topic."""
    return [display for display in manager['Displays'] if 'Topic' in display]


def test_displays(manager):
    assert manager['Global Options']['Fixed Frame'] == 'base'
    classes = [display['Class'].split('/')[1] for display in manager['Displays']]
    assert classes == ['Grid', 'TF', 'Image', 'PointCloud2', 'MarkerArray']
    # A display takes part when both are true.
    assert all(display['Enabled'] and display['Value'] for display in manager['Displays'])


def test_topics_and_quality_of_service_are_the_publishers(manager):
    displays = topics_of(manager)
    assert {display['Class'] for display in displays} == set(SUBSCRIBES)
    for display in displays:
        topic = PUBLISHED[display['Topic']['Value']]
        assert topic.type == SUBSCRIBES[display['Class']]
        offered = 'Reliable' if topic.reliable else 'Best Effort'
        assert display['Topic']['Reliability Policy'] == offered
        kept = 'Transient Local' if topic.latched else 'Volatile'
        assert display['Topic']['Durability Policy'] == kept


def test_points_are_coloured_by_a_field_that_they_have(manager):
    from pourit_ros.messages.decode import CLOUD_FIELDS

    [points] = [d for d in manager['Displays'] if d['Name'] == 'Liquid']
    assert points['Color Transformer'] == 'Intensity'
    assert points['Channel Name'] in CLOUD_FIELDS


def test_launch_file_moves_what_is_shown_into_its_namespace(manager):
    text = (ROOT / 'launch' / 'rviz.launch.py').read_text()
    [table] = re.findall(r'^SHOWN = (.+)$', text, re.M)
    shown = [d['Topic']['Value'].removeprefix('/pourit/') for d in topics_of(manager)]
    assert re.findall(r"'([a-z/]+)'", table) == shown
    assert "(f'/pourit/{topic}', topic)" in text
    # A replay waits for RViz' subscriptions, node by node.
    replay = (ROOT / 'launch' / 'replay.launch.py').read_text()
    [listeners] = re.findall(r'^LISTENERS = (.+)$', replay, re.M)
    counts = {node: shown for node, (_, _, shown) in ast.literal_eval(listeners).items()}
    names = {
        'liquid_perception': {topic.name for topic in PERCEPTION},
        'pour_monitor': {topic.name for topic in MONITOR},
    }
    assert counts == {n: len(t & set(shown)) for n, t in names.items()}
