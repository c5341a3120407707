# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The Gazebo world and its bridge, without Gazebo: the SDF, its numbers, and its topics."""

import itertools
import math
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy.spatial.transform import Rotation

from pourit_ros.geometry import Container, PinholeCamera, Pose

ROOT = Path(__file__).resolve().parents[1]
WORLD = ROOT / 'worlds' / 'pour.sdf'
BRIDGE = ROOT / 'config' / 'gazebo_bridge.yaml'
# Newer readers than the schema know it; older ones ignore it.
BEYOND_THE_SCHEMA = {('camera', 'optical_frame_id')}
# ROS and Gazebo type pairs that ros_gz_bridge knows in every distribution from Humble on.
PAIRS = {
    'rosgraph_msgs/msg/Clock': 'gz.msgs.Clock',
    'sensor_msgs/msg/CameraInfo': 'gz.msgs.CameraInfo',
    'sensor_msgs/msg/Image': 'gz.msgs.Image',
    'std_msgs/msg/Float64': 'gz.msgs.Double',
    'tf2_msgs/msg/TFMessage': 'gz.msgs.Pose_V',
}
# Systems that it takes, by their libraries.
SYSTEMS = {
    'gz-sim-physics-system': 'gz::sim::systems::Physics',
    'gz-sim-user-commands-system': 'gz::sim::systems::UserCommands',
    'gz-sim-scene-broadcaster-system': 'gz::sim::systems::SceneBroadcaster',
    'gz-sim-sensors-system': 'gz::sim::systems::Sensors',
    'gz-sim-joint-position-controller-system': 'gz::sim::systems::JointPositionController',
    'gz-sim-pose-publisher-system': 'gz::sim::systems::PosePublisher',
}


@pytest.fixture(scope='module')
def world():
    root = ElementTree.parse(WORLD).getroot()
    assert root.get('version') == '1.9'
    return root.find('world')


@pytest.fixture(scope='module')
def bridge():
    return yaml.safe_load(BRIDGE.read_text())


def pose_of(element):
    """Pose of an element in what it lies in."""
    text = element.findtext('pose') or '0 0 0 0 0 0'
    numbers = np.array([float(word) for word in text.split()])
    return Pose(Rotation.from_euler('xyz', numbers[3:]).as_matrix(), numbers[:3])


def model(world, name):
    return world.find(f"model[@name='{name}']")


# --- the format ------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def schema():
    folders = sorted(Path('/usr/share').glob('sdformat*/1.9'))
    if not folders:
        pytest.skip('no SDF schema here: apt-get install libsdformat-dev')
    return folders[-1]


def problems(schema, element, name='root.sdf'):
    """What the schema's description does not know of an element, and what it requires."""
    described = ElementTree.parse(schema / name).getroot()
    return list(_problems(schema, element, described, element.tag))


def _children(schema, described):
    """Descriptions of an element's children by their tags."""
    found = {}
    for child in described:
        if child.tag == 'include':
            file = schema / child.get('filename')
            if not file.is_file():
                # Debian's package lacks one (navsat.sdf).
                continue
            child = ElementTree.parse(file).getroot()
        if child.tag == 'element' and child.get('name'):
            found[child.get('name')] = child
    return found


def _problems(schema, element, described, place):
    attributes = {a.get('name'): a for a in described.findall('attribute')}
    for name in element.attrib:
        if name not in attributes:
            yield f'{place}: no attribute {name}'
    for name, attribute in attributes.items():
        if attribute.get('required') == '1' and name not in element.attrib:
            yield f'{place}: lacks attribute {name}'
    if any(child.get('copy_data') for child in described.findall('element')):
        return
    children = _children(schema, described)
    if described.get('name') == 'model':
        children['model'] = described
    for child in element:
        where = f'{place}/{child.tag}'
        if (element.tag, child.tag) in BEYOND_THE_SCHEMA:
            continue
        if child.tag not in children:
            yield f'{where}: unknown'
        else:
            yield from _problems(schema, child, children[child.tag], where)
    for name, child in children.items():
        # Whatever else is required has a default.
        needed = child.get('required') in ('1', '+') and child.get('default') == '__default__'
        if needed and element.find(name) is None:
            yield f'{place}: lacks {name}'


def test_gazebos_reader_takes_the_world():
    if shutil.which('ign') is None:
        pytest.skip('no `ign sdf` here: apt-get install libsdformat-dev ignition-tools')
    done = subprocess.run(['ign', 'sdf', '-k', WORLD], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, 'Valid.'), done.stderr


def test_the_schema_knows_every_element(schema):
    assert problems(schema, ElementTree.parse(WORLD).getroot()) == []


@pytest.mark.parametrize(
    ('old', 'new', 'said'),
    [
        ('<width>640</width>', '<wdth>640</wdth>', 'image/wdth: unknown'),
        ('<mass>0.2</mass>', '<mass>0.2</mass><colour/>', 'inertial/colour: unknown'),
        ('<parent>mount</parent>', '', 'joint: lacks parent'),
        ('<link name="glass">', '<link>', 'link: lacks attribute name'),
        ('<link name="glass">', '<link name="glass" kind="a">', 'link: no attribute kind'),
    ],
)
def test_the_check_finds_what_gazebos_reader_ignores(schema, old, new, said):
    text = WORLD.read_text()
    assert old in text
    found = problems(schema, ElementTree.fromstring(text.replace(old, new)))
    assert any(problem.endswith(said) for problem in found), found


# --- the scene -------------------------------------------------------------------------------


def test_every_system_is_one_that_all_versions_have(world):
    plugins = {(p.get('filename'), p.get('name')) for p in world.iter('plugin')}
    assert plugins == set(SYSTEMS.items())


def test_joints_that_are_driven_exist_and_links_have_mass(world):
    for entity in world.findall('model'):
        links = {link.get('name') for link in entity.findall('link')}
        for joint in entity.findall('joint'):
            assert joint.findtext('child') in links
            assert joint.findtext('parent') in links | {'world'}
        driven = {name.text for name in entity.iter('joint_name')}
        assert driven <= {joint.get('name') for joint in entity.findall('joint')}
        for inertia in entity.iter('inertia'):
            assert min(float(inertia.findtext(axis)) for axis in ('ixx', 'iyy', 'izz')) > 0
        if entity.findtext('static') != 'true':
            assert all(float(link.findtext('inertial/mass')) > 0 for link in entity.iter('link'))


@pytest.fixture(scope='module')
def lip(world):
    """The lip about which the bottle tilts, in the world."""
    joint = model(world, 'bottle').find("joint[@name='tilt']")
    assert joint.find('pose').get('relative_to') == 'glass'
    return pose_of(model(world, 'bottle')).apply(pose_of(joint).translation)


def test_the_bottle_tilts_about_its_lip_towards_the_cup(world, lip):
    bottle, cup = Container.load('bottle'), Container.load('cup')
    T_world_bottle = pose_of(model(world, 'bottle'))
    mouth = T_world_bottle.apply(bottle.mouth)
    target = pose_of(model(world, 'cup')).apply(cup.mouth)
    towards = (target - mouth)[:2] / np.linalg.norm((target - mouth)[:2])
    np.testing.assert_allclose(lip[:2], mouth[:2] + bottle.rim_radius * towards, atol=1e-6)
    assert lip[2] == pytest.approx(mouth[2])
    axis = np.array(model(world, 'bottle').findtext('joint/axis/xyz').split(), float)
    up = T_world_bottle.rotation @ bottle.axis
    # A positive angle turns the bottle's axis towards the cup.
    assert np.cross(axis, up)[:2] @ towards == pytest.approx(1.0)


def stream_of(world):
    """Ends of the stream's pieces when it is shown, (N, 2, 3), m, in the world."""
    stream = model(world, 'stream')
    assert stream.findtext("joint[@name='show']/axis/limit/upper") == '1'
    axis = np.array(stream.findtext("joint[@name='show']/axis/xyz").split(), float)
    shown = Pose(np.eye(3), axis) @ pose_of(stream)
    ends = []
    for visual in stream.iter('visual'):
        half = float(visual.findtext('geometry/cylinder/length')) / 2
        ends.append((shown @ pose_of(visual)).apply(np.array([[0, 0, -half], [0, 0, half]])))
    return np.array(ends)


def test_the_stream_falls_freely_from_the_lip_into_the_cup(world, lip):
    ends = stream_of(world)
    assert np.linalg.norm(ends[0] - lip, axis=1).min() < 0.003
    # Both ends of each piece on the parabola of 0.25 m/s, each 1 mm too far.
    fallen = ends.reshape(-1, 3) - lip
    times = fallen[:, 0] / 0.25
    np.testing.assert_allclose(fallen[:, 2], -0.5 * 9.81 * times**2, atol=0.0025)
    for before, after in itertools.pairwise(ends):
        assert np.abs(before[:, None] - after[None]).max(axis=2).min() < 0.004
    cup = Container.load('cup')
    mouth = pose_of(model(world, 'cup')).apply(cup.mouth)
    lowest = ends.reshape(-1, 3)[ends.reshape(-1, 3)[:, 2].argmin()]
    assert np.linalg.norm((lowest - mouth)[:2]) < cup.rim_radius / 2
    assert lowest[2] == pytest.approx(mouth[2], abs=0.01)


def test_a_hidden_stream_lies_inside_the_table(world):
    table = pose_of(model(world, 'table'))
    size = np.array(model(world, 'table').find('.//box').findtext('size').split(), float)
    hidden = stream_of(world) - [0, 0, 1.0] - table.translation
    assert np.all(np.abs(hidden[..., :2]) < size[:2] / 2)
    assert hidden[..., 2].max() < size[2] / 2


def test_the_camera_sees_the_whole_pour(world, lip):
    camera_model = model(world, 'camera')
    camera = camera_model.find('.//camera')
    width, height = (int(camera.findtext(f'image/{side}')) for side in ('width', 'height'))
    f = width / 2 / math.tan(float(camera.findtext('horizontal_fov')) / 2)
    lens = PinholeCamera(width, height, f, f, (width - 1) / 2, (height - 1) / 2)
    optical = Pose(Rotation.from_euler('xyz', [-math.pi / 2, 0, -math.pi / 2]).as_matrix(),
                   np.zeros(3))  # fmt: skip
    T_cam_world = (pose_of(camera_model) @ optical).inverse()
    points = np.vstack([stream_of(world).reshape(-1, 3), lip, lip + [0, 0, 0.1],
                        pose_of(model(world, 'cup')).translation])  # fmt: skip
    seen = T_cam_world.apply(points)
    assert seen[:, 2].min() > 0.5
    pixels = lens.project(seen)
    assert np.all((pixels > 30) & (pixels < [width - 30, height - 30]))


# --- topics ----------------------------------------------------------------------------------


def gazebo_topics(world):
    """Topics of the world, and who takes (ROS_TO_GZ) or says (GZ_TO_ROS) them."""
    topics = {'/clock': ('GZ_TO_ROS', 'gz.msgs.Clock')}
    for sensor in world.iter('sensor'):
        for what, kind in (
            ('image', 'Image'), ('depth_image', 'Image'), ('camera_info', 'CameraInfo'),
        ):  # fmt: skip
            topics[f'/{sensor.findtext("topic")}/{what}'] = ('GZ_TO_ROS', f'gz.msgs.{kind}')
    for entity in world.findall('model'):
        for plugin in entity.findall('plugin'):
            if plugin.get('name').endswith('PosePublisher'):
                assert plugin.findtext('use_pose_vector_msg') == 'true'
                topics[f'/model/{entity.get("name")}/pose'] = ('GZ_TO_ROS', 'gz.msgs.Pose_V')
            else:
                topics[f'/{plugin.findtext("topic")}'] = ('ROS_TO_GZ', 'gz.msgs.Double')
    return topics


def test_the_bridge_carries_exactly_what_the_world_has(world, bridge):
    carried = {e['gz_topic_name']: (e['direction'], e['gz_type_name']) for e in bridge}
    assert carried == gazebo_topics(world)
    assert len(bridge) == len(carried)


def test_the_bridge_knows_its_types(bridge):
    keys = {'ros_topic_name', 'gz_topic_name', 'ros_type_name', 'gz_type_name', 'direction'}
    for entry in bridge:
        assert set(entry) == keys
        assert PAIRS[entry['ros_type_name']] == entry['gz_type_name']


def test_bridged_topics_have_the_types_that_the_nodes_take(bridge):
    page = (ROOT / 'docs' / 'nodes.md').read_text()
    taken = dict(re.findall(r'^\| `([\w/]+)` \| (\w+/msg/\w+) \|', page, re.M))
    launch = (ROOT / 'launch' / 'gazebo.launch.py').read_text()
    remapped = dict(re.findall(r"'(\w+)_topic': '(/[\w/]+)'", launch))
    carried = {e['ros_topic_name']: e['ros_type_name'] for e in bridge}
    nodes = {'color': 'color/image', 'camera_info': 'color/camera_info', 'depth': 'depth/image'}
    assert set(remapped) == set(nodes)
    for role, topic in remapped.items():
        assert carried[topic] == taken[nodes[role]]
    assert carried['/tf'] == taken['/tf']


def test_a_command_on_the_page_is_one_that_the_bridge_takes(bridge):
    takes = {e['ros_topic_name']: e['ros_type_name'] for e in bridge
             if e['direction'] == 'ROS_TO_GZ'}  # fmt: skip
    for path in (ROOT / 'docs' / 'howto' / 'gazebo.md', ROOT / 'launch' / 'gazebo.launch.py'):
        said = re.findall(r'ros2 topic pub --once (\S+) (\S+)', path.read_text())
        assert said
        assert set(said) <= set(takes.items())
