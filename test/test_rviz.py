# SPDX-License-Identifier: Apache-2.0
"""config/pour.rviz against what the nodes publish."""

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


def test_displays(manager):
    assert manager['Global Options']['Fixed Frame'] == 'base'
    classes = [display['Class'].split('/')[1] for display in manager['Displays']]
    assert classes == ['Grid', 'TF', 'Image', 'PointCloud2', 'MarkerArray']
    # A display takes part when both are true.
    assert all(display['Enabled'] and display['Value'] for display in manager['Displays'])


def test_topics_and_quality_of_service_are_the_publishers(manager):
    displays = [display for display in manager['Displays'] if 'Topic' in display]
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


@pytest.mark.parametrize('name', ['pour.launch.py', 'replay.launch.py'])
def test_launch_files_move_what_is_shown_into_their_namespace(manager, name):
    text = (ROOT / 'launch' / name).read_text()
    [table] = re.findall(r'^SHOWN = (.+)$', text, re.M)
    shown = [d['Topic']['Value'] for d in manager['Displays'] if 'Topic' in d]
    assert re.findall(r"'([a-z/]+)'[,)]", table) == [s.removeprefix('/pourit/') for s in shown]
    assert "(f'/pourit/{topic}', topic)" in text
