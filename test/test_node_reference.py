# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""docs/nodes.md against the code, and against what running nodes show of themselves."""

import importlib
import importlib.util
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from sim_cell import MISSING

from pourit_ros.bags.make import write_pour_bag
from pourit_ros.geometry import PinholeCamera, Pose
from pourit_ros.live.processes import free_domain
from pourit_ros.nodes.runner import NODES
from pourit_ros.pipeline import Frame

rclpy = pytest.importorskip('rclpy')

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / 'docs' / 'nodes.md'
SCRIPT = ROOT / 'scripts' / 'node_reference.py'
NAMESPACE = '/pourit'

# Parameters with which a node shows, one after the other, all that the page lists.
VARIATIONS = {
    'liquid_perception': [
        {},
        {'image_transport': 'compressed', 'depth_image_transport': 'compressed'},
        {'depth_image_transport': 'compressedDepth'},
    ],
    'pour_monitor': [{}],
    'pour_controller': [{}],
    'pour_simulator': [{'clock': True, 'render': False}],
    'bag_player': [{'bag': '{folder}/pour', 'clock': True}],
    'recorder': [{'bag': '{folder}/recorded', 'overlay': True, 'simulation': True}],
}
# What every rclpy lifecycle node has.
USUAL_TOPICS = {'/rosout', '/parameter_events', '~/transition_event'}
USUAL_SERVICE = re.compile(
    r'~/(describe|get|list|set)_parameter\w*|~/(get|change)_state|~/get_available_\w+|'
    r'~/get_transition_graph|~/get_type_description'
)
USUAL_PARAMETERS = {'use_sim_time', 'start_type_description_service'}


@pytest.fixture(scope='module')
def script():
    spec = importlib.util.spec_from_file_location('node_reference', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def documented():
    """Cells of each table, by node, by heading, by the first cell without its marks."""
    page = {}
    for section in re.split(r'^## ', PAGE.read_text(), flags=re.M)[1:]:
        node = re.match(r'`(\w+)`', section)[1]
        page[node] = {
            heading: {} for heading in ('Subscribes', 'Publishes', 'Services', 'Parameters')
        }
        for part in re.split(r'^### ', section, flags=re.M)[1:]:
            heading, _, text = part.partition('\n')
            rows = re.findall(r'^\| `([^`]+)` \|(.*)\|$', text, re.M)
            page[node][heading] = {n: [c.strip() for c in rest.split('|')] for n, rest in rows}
    return page


class TestPage:
    def test_tables_are_those_of_the_code(self):
        done = subprocess.run(
            [sys.executable, str(SCRIPT), '--check'], capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, '')

    def test_a_difference_is_seen_and_mended(self, script, tmp_path, monkeypatch, capsys):
        old = PAGE.read_text()
        page = tmp_path / 'nodes.md'
        page.write_text(old.replace('| 0 to 2 |', '| 0 to 3 |'))
        monkeypatch.setattr(script, 'PAGE', page)
        monkeypatch.setattr(sys, 'argv', ['node_reference.py', '--check'])
        assert script.main() == 1
        assert 'out of date' in capsys.readouterr().err
        assert page.read_text() != old
        monkeypatch.setattr(sys, 'argv', ['node_reference.py'])
        assert script.main() == 0
        assert page.read_text() == old

    def test_every_block_is_there(self, script):
        blocks = {(node, what) for _, node, what, *_ in script.BLOCK.findall(PAGE.read_text())}
        assert blocks == set(script.TOPICS) | {(node, 'parameters') for node in VARIATIONS}

    def test_every_node_has_a_section(self, documented):
        assert list(documented) == list(VARIATIONS)
        setup = (ROOT / 'setup.py').read_text()
        [nodes] = re.findall(r'^nodes = (\[.+?\])$', setup, re.M | re.S)
        assert re.findall(r'\w+', nodes) == list(VARIATIONS)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """With a bag of one frame that has everything."""
    path = tmp_path_factory.mktemp('reference')
    here = Pose.identity()
    color, depth = np.zeros((48, 64, 3), np.uint8), np.ones((48, 64), np.float32)
    camera = PinholeCamera(64, 48, 60.0, 60.0, 31.5, 23.5)
    frame = Frame(
        color, camera, depth=depth, T_cam_source=here, T_base_cam=here, T_base_target=here,
        stamp_ns=10**18, name='frame',
    )  # fmt: skip
    write_pour_bag(path / 'pour', [frame])
    return path


@pytest.fixture
def ros(monkeypatch):
    """ROS in a domain of its own, in the default context, which these nodes take."""
    from rclpy.signals import SignalHandlerOptions

    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    rclpy.init(
        args=['--ros-args', '-r', f'__ns:={NAMESPACE}'],
        domain_id=free_domain(),
        signal_handler_options=SignalHandlerOptions.NO,
    )
    yield
    rclpy.shutdown()


@contextmanager
def active(name, values):
    """A node of this process, active."""
    from rclpy.lifecycle import TransitionCallbackReturn
    from rclpy.parameter import Parameter

    module, class_name = NODES[name]
    module = importlib.import_module(f'pourit_ros.nodes.{module}')
    node = getattr(module, class_name)()
    try:
        # With auto there is no subscription before there is a publisher.
        values = {'reliability': 'reliable', **values}
        for result in node.set_parameters([Parameter(k, value=v) for k, v in values.items()]):
            assert result.successful, result.reason
        for transition in (node.trigger_configure, node.trigger_activate):
            assert transition() == TransitionCallbackReturn.SUCCESS
        yield node
    finally:
        node.end()
        node.destroy_node()


def listed(node, names_and_types):
    """{name as the page has it: type} of what the graph reports."""

    def short(name):
        own = f'{NAMESPACE}/{node.get_name()}/'
        if name.startswith(own):
            return f'~/{name.removeprefix(own)}'
        return name.removeprefix(f'{NAMESPACE}/')

    report = names_and_types(node.get_name(), node.get_namespace())
    return {short(name): kind for name, [kind] in report if short(name) not in USUAL_TOPICS}


def quality(node, name):
    """QoS of a node's publisher in the words of the page."""
    from rclpy.qos import DurabilityPolicy, ReliabilityPolicy

    infos = node.get_publishers_info_by_topic(node.resolve_topic_name(name))
    [profile] = [info.qos_profile for info in infos if info.node_name == node.get_name()]
    reliable = profile.reliability == ReliabilityPolicy.RELIABLE
    latched = profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
    return ('reliable' if reliable else 'best effort') + (', latched' if latched else '')


@pytest.mark.live
@pytest.mark.parametrize('name', list(VARIATIONS))
def test_running_nodes_are_as_documented(name, documented, script, folder, ros):
    if name == 'pour_simulator' and MISSING:
        pytest.skip(MISSING)
    subscribes, publishes, services = {}, {}, {}
    for values in VARIATIONS[name]:
        values = {k: v.format(folder=folder) if k == 'bag' else v for k, v in values.items()}
        with active(name, values) as node:
            subscribes |= listed(node, node.get_subscriber_names_and_types_by_node)
            offered = listed(node, node.get_publisher_names_and_types_by_node)
            publishes |= {topic: (kind, quality(node, topic)) for topic, kind in offered.items()}
            services |= listed(node, node.get_service_names_and_types_by_node)
            there = set(node.list_parameters([], 0).names)
            shown = {p: script.shown(node.get_parameter(p).value) for p in there}
    page = documented[name]
    tf = importlib.util.find_spec('tf2_msgs') is not None
    assert subscribes == {
        topic: kind
        for topic, [kind, *_] in page['Subscribes'].items()
        if tf or not kind.startswith('tf2_msgs')
    }
    assert publishes == {
        topic: (kind, qos)
        for topic, [kind, qos, _] in page['Publishes'].items()
        if tf or not kind.startswith('tf2_msgs')
    }
    own = {s: kind for s, kind in services.items() if not USUAL_SERVICE.fullmatch(s)}
    assert own == {service: kind for service, [kind, _] in page['Services'].items()}
    assert there - USUAL_PARAMETERS == set(page['Parameters'])
    changed = {'reliability', *(p for values in VARIATIONS[name] for p in values)}
    for parameter in set(page['Parameters']) - changed:
        assert page['Parameters'][parameter][1] == f'`{shown[parameter]}`'
