# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The launch files: what they would start, with a stand-in for launch; what they do, with launch.

No wheel has launch, so on most machines the tests of the second kind skip and say so.
"""

import contextlib
import importlib.util
import os
import shlex
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest
from live_pour import PATIENCE, pour_frame
from processes import interruptible
from scipy.spatial.transform import Rotation

from pourit_ros.bags.make import write_pour_bag
from pourit_ros.errors import InputError
from pourit_ros.live.launching import SWITCHES, require_rviz
from pourit_ros.live.processes import free_domain
from pourit_ros.messages.contract import MONITOR

ROOT = Path(__file__).resolve().parents[1]
FILES = ('pour', 'replay', 'rviz', 'gazebo', 'sim')
REPLAYED = ('liquid_perception', 'pour_monitor', 'bag_player', 'recorder')
NODES = (*REPLAYED, 'pour_controller', 'pour_simulator')


# --- with a stand-in -------------------------------------------------------------------------


class Call:
    """What a class of launch was called with."""

    def __init__(self, *arguments, **options):
        self.arguments, self.options = arguments, options

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)


class Context:
    def __init__(self, configurations):
        self.launch_configurations = configurations


class ParameterValue(Call):
    @property
    def value(self):
        return self.options['value_type'](self.arguments[0])


def stand_in():
    """Modules with the names that the launch files import."""
    names = {
        'launch': ['Action', 'LaunchContext', 'LaunchDescription'],
        'launch.actions': [
            'DeclareLaunchArgument', 'EmitEvent', 'IncludeLaunchDescription', 'OpaqueFunction',
            'RegisterEventHandler', 'SetEnvironmentVariable',
        ],
        'launch.conditions': ['IfCondition'],
        'launch.event_handlers': ['OnProcessExit'],
        'launch.events': ['Shutdown'],
        'launch.events.process': ['ProcessExited'],
        'launch_ros': [],
        'launch_ros.actions': ['Node'],
        'launch_ros.parameter_descriptions': ['ParameterFile'],
    }  # fmt: skip
    modules = {name: types.ModuleType(name) for name in names}
    for name, classes in names.items():
        for kind in classes:
            setattr(modules[name], kind, type(kind, (Call,), {}))
    modules['launch_ros.parameter_descriptions'].ParameterValue = ParameterValue
    return modules


def load(name):
    path = ROOT / 'launch' / f'{name}.launch.py'
    spec = importlib.util.spec_from_file_location(f'{name}_launch', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def fake(monkeypatch):
    for name, module in stand_in().items():
        monkeypatch.setitem(sys.modules, name, module)


@pytest.fixture
def rviz2(tmp_path, monkeypatch):
    """An installed rviz2."""
    program = tmp_path / 'prefix' / 'lib' / 'rviz2' / 'rviz2'
    program.parent.mkdir(parents=True)
    program.touch()
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path / 'prefix'))


@pytest.fixture
def ros_gz(tmp_path, monkeypatch):
    """An installed ros_gz."""
    for package in ('ros_gz_sim', 'ros_gz_bridge'):
        manifest = tmp_path / 'ros_gz' / 'share' / package / 'package.xml'
        manifest.parent.mkdir(parents=True)
        manifest.touch()
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path / 'ros_gz'))


def kind(call):
    return type(call).__name__


def start(name, **given):
    """What `name` starts with these arguments."""
    module = load(name)
    defaults = {k: default for k, (default, _) in module.ARGUMENTS.items() if default is not None}
    return module.start(Context({**defaults, **given}))


def nodes_of(actions):
    """Options of each node, its parameters as one dict of plain values."""
    nodes = {}
    for action in actions:
        if kind(action) == 'Node':
            options = dict(action.options)
            options['values'] = {
                key: value.value if isinstance(value, ParameterValue) else value
                for part in options['parameters']
                if isinstance(part, dict)
                for key, value in part.items()
            }
            options['remappings'] = dict(options.get('remappings', []))
            nodes[options['executable']] = options
    return nodes


@pytest.mark.usefixtures('fake')
class TestStructure:
    @pytest.mark.parametrize('name', FILES)
    def test_arguments_have_plain_defaults(self, name):
        [description] = load(name).generate_launch_description().arguments
        declared = [a for a in description if kind(a) == 'DeclareLaunchArgument']
        assert declared
        for argument in declared:
            assert isinstance(argument.options['default_value'], str | None)
            assert argument.options['description'].endswith('.')
        # Nothing is started before all arguments have been looked at.
        assert kind(description[-1]) == 'OpaqueFunction'
        allowed = {'DeclareLaunchArgument', 'SetEnvironmentVariable', 'OpaqueFunction'}
        assert {kind(a) for a in description} <= allowed

    def test_the_nodes_of_pour(self):
        nodes = nodes_of(start('pour'))
        assert list(nodes) == ['liquid_perception', 'pour_monitor']
        perception = nodes['liquid_perception']
        assert perception['remappings']['color/image'] == '/camera/camera/color/image_raw'
        compressed = '/camera/camera/color/image_raw/compressed'
        assert perception['remappings']['color/image/compressed'] == compressed
        assert '/tf' not in perception['remappings']
        assert perception['values']['use_sim_time'] is False
        assert perception['values']['autostart'] is True

    def test_the_controller_of_pour_is_off_and_makes_a_dry_run(self):
        nodes = nodes_of(start('pour', controller='true', fill='250', source_frame='bottle'))
        arm = nodes['pour_controller']
        assert arm['values']['dry_run'] is True
        assert (arm['values']['fill'], arm['values']['source_frame']) == (250.0, 'bottle')
        assert arm['remappings']['cmd_twist'] == '/servo_node/delta_twist_cmds'
        # A dry run never reaches the arm.
        assert not {'cmd_twist_dry', 'cmd_pose_dry'} & arm['remappings'].keys()

    def test_the_loop_of_sim_shares_one_time_and_one_base(self):
        nodes = nodes_of(start('sim', seed='3', disturbances='move,drops', fill='300'))
        assert list(nodes) == [
            'pour_simulator', 'liquid_perception', 'pour_monitor', 'pour_controller',
        ]  # fmt: skip
        simulator = nodes.pop('pour_simulator')['values']
        assert (simulator['seed'], simulator['disturbances']) == (3, 'move,drops')
        assert (simulator['clock'], simulator['use_sim_time']) == (True, False)
        for node in nodes.values():
            assert node['values']['use_sim_time'] is True
            assert node['values']['base_frame'] == simulator['base_frame']
        assert nodes['pour_controller']['values']['fill'] == 300.0
        assert nodes['pour_controller']['values']['dry_run'] is False

    def test_values_that_launch_gives_are_parameters_of_the_nodes(self):
        pytest.importorskip('rclpy')
        from pourit_ros.nodes import (
            controller_parameters,
            monitor_node,
            perception_node,
            simulator_node,
        )
        from pourit_ros.nodes.base import COMMON

        tables = {
            'pour_simulator': simulator_node, 'liquid_perception': perception_node,
            'pour_monitor': monitor_node, 'pour_controller': controller_parameters,
        }  # fmt: skip
        for name, given in (('sim', {}), ('pour', {'controller': 'true'})):
            for executable, node in nodes_of(start(name, **given)).items():
                rows = {row.name: row.default for row in (*tables[executable].PARAMETERS, *COMMON)}
                for key, value in node['values'].items():
                    if key != 'use_sim_time':
                        assert type(value) is type(rows[key]), (executable, key)

    def test_topics_of_another_camera_and_of_ones_own(self):
        for role, topic in (('color', 'color/image'), ('camera_info', 'color/camera_info')):
            given = {'camera': 'azure_kinect', f'{role}_topic': '/mine'}
            remappings = nodes_of(start('pour', **given))['liquid_perception']['remappings']
            assert remappings[topic] == '/mine'
            assert remappings['depth/image'] == '/depth_to_rgb/image_raw'

    @pytest.mark.usefixtures('rviz2')
    def test_tf_of_a_namespace(self):
        tf = {'/tf': '/robot1/tf', '/tf_static': '/robot1/tf_static'}
        for given in ('robot1', '/robot1/'):
            nodes = nodes_of(
                [*start('pour', tf_namespace=given), *start('rviz', tf_namespace=given)]
            )
            assert len(nodes) == 3
            for node in nodes.values():
                assert node['remappings'].items() >= tf.items()

    @pytest.mark.usefixtures('ros_gz')
    def test_gazebo_hands_pour_only_arguments_that_it_has(self):
        actions = start('gazebo', gui='false', weights='weak')
        pour, gz = (a for a in actions if kind(a) == 'IncludeLaunchDescription')
        given = dict(pour.options['launch_arguments'])
        assert given.keys() <= load('pour').ARGUMENTS.keys()
        perception = nodes_of(start('pour', **given))['liquid_perception']
        assert perception['remappings']['depth/image'] == '/camera/depth_image'
        assert perception['values']['use_sim_time'] is True
        assert perception['values']['weights'] == 'weak'
        assert gz.arguments[0].endswith('ros_gz_sim/launch/gz_sim.launch.py')
        words = shlex.split(dict(gz.options['launch_arguments'])['gz_args'])
        assert words[:-1] == ['-r', '-s', '--headless-rendering']
        assert Path(words[-1]).is_file()

    @pytest.mark.usefixtures('ros_gz')
    def test_gazebo_turns_the_cameras_link_into_an_optical_frame(self):
        frames = {}
        for action in start('gazebo'):
            if action.options.get('executable') == 'static_transform_publisher':
                words = action.options['arguments']
                given = dict(zip(words[::2], words[1::2], strict=True))
                assert given['--frame-id'] == 'camera/link'
                angles = [float(given[f'--{name}']) for name in ('roll', 'pitch', 'yaw')]
                turned = Rotation.from_euler('xyz', angles).as_matrix()
                frames[given['--child-frame-id']] = turned.T @ [1, 0, 0]
        # The link's x, along which the camera looks, is the optical z.
        assert len(frames) == 2
        for forward in frames.values():
            np.testing.assert_allclose(forward, [0, 0, 1], atol=1e-12)

    def test_names_stay_text(self):
        values = nodes_of(start('pour', target='007', base_frame='1'))['pour_monitor']['values']
        assert (values['target'], values['base_frame']) == ('007', '1')

    def test_replay_at_the_time_of_the_recording(self):
        for name, given in SWITCHES.items():
            actions = start('replay', bag='b', record="it's", use_sim_time=name, log_level='debug')
            nodes = nodes_of(actions)
            assert set(nodes) == set(REPLAYED)
            for executable, node in nodes.items():
                assert node['arguments'] == ['--ros-args', '--log-level', 'debug']
                # The player's own time is the one that it publishes.
                own = executable == 'bag_player'
                assert node['values']['use_sim_time'] is (given and not own)
            assert nodes['bag_player']['values']['clock'] is given
            assert nodes['recorder']['values']['bag'] == "it's"

    @pytest.mark.usefixtures('rviz2')
    @pytest.mark.parametrize(
        ('given', 'perception', 'monitor'),
        [
            ({}, 2, 1),
            ({'record': 'r'}, 6, 1 + len(MONITOR)),
            ({'rviz': 'true'}, 4, 2),
            ({'rviz': '1', 'record': 'r'}, 8, 2 + len(MONITOR)),
        ],
    )
    def test_replay_waits_for_all_that_listen(self, given, perception, monitor):
        nodes = nodes_of(start('replay', bag='b', **given))
        awaited = {name: node['values'].get('await_subscriptions') for name, node in nodes.items()}
        assert awaited['liquid_perception'] == perception
        assert awaited['pour_monitor'] == monitor

    def test_replay_ends_as_its_nodes_do(self):
        actions = start('replay', bag='b', record='r')
        handlers = [a.arguments[0] for a in actions if kind(a) == 'RegisterEventHandler']
        watched = [h.options['target_action'].options['executable'] for h in handlers]
        assert sorted(watched) == sorted(REPLAYED)
        for handler, name in zip(handlers, watched, strict=True):
            on_exit = handler.options['on_exit']
            action = on_exit(types.SimpleNamespace(returncode=0), None)
            assert kind(action.options['event']) == 'Shutdown'
            with pytest.raises(RuntimeError, match=f'^{name} ended with status 3$'):
                on_exit(types.SimpleNamespace(returncode=3), None)

    @pytest.mark.parametrize(
        ('name', 'given', 'words'),
        [
            ('pour', {'rviz': 'true'}, 'rviz:=true needs rviz2: sudo apt install ros-jazzy-rviz2'),
            ('replay', {'rviz': 'true'}, 'rviz:=true needs rviz2'),
            ('rviz', {}, 'rviz:=true needs rviz2'),
            ('pour', {'rviz': 'maybe'}, 'rviz:=maybe: expected true or false'),
            ('pour', {'autostart': 'later'}, 'autostart:=later: expected true or false'),
            ('pour', {'params_file': '/no/such.yaml'}, 'params_file:=/no/such.yaml: no such file'),
            ('replay', {'params_file': '/no/such.yaml'}, 'no such file'),
            ('replay', {'use_sim_time': ''}, 'use_sim_time:=: expected true or false'),
            ('replay', {'rate': 'fast'}, 'rate:=fast: expected a number'),
            ('sim', {'seed': 'any'}, 'seed:=any: expected a whole number'),
            ('sim', {'fill': 'full'}, 'fill:=full: expected a number'),
            ('pour', {'controller': 'maybe'}, 'controller:=maybe: expected true or false'),
            ('gazebo', {}, 'ros_gz_sim is not installed: sudo apt install ros-jazzy-ros-gz'),
        ],
    )
    def test_what_may_fail_fails_before_anything_is_started(self, name, given, words, monkeypatch):
        monkeypatch.delenv('AMENT_PREFIX_PATH', raising=False)
        monkeypatch.setenv('ROS_DISTRO', 'jazzy')
        with pytest.raises(InputError, match=f'^.*{words}'):
            start(name, **({'bag': 'b'} if name == 'replay' else {}), **given)


@pytest.mark.usefixtures('rviz2')
def test_an_installed_rviz_is_found():
    require_rviz()


# --- with launch -----------------------------------------------------------------------------

RUN = (
    'import sys\n'
    'from launch import LaunchDescription, LaunchService\n'
    'from launch.actions import IncludeLaunchDescription\n'
    'from launch.launch_description_sources import PythonLaunchDescriptionSource\n'
    'source = PythonLaunchDescriptionSource(sys.argv[1])\n'
    "given = [word.split(':=', 1) for word in sys.argv[2:]]\n"
    'service = LaunchService()\n'
    'included = IncludeLaunchDescription(source, launch_arguments=given)\n'
    'service.include_launch_description(LaunchDescription([included]))\n'
    'sys.exit(service.run())\n'
)


@pytest.fixture
def launched(tmp_path, monkeypatch):
    """Start a launch file as `ros2 launch` does; the package lies in a prefix of its own."""
    for module in ('launch', 'launch_ros', 'rclpy'):
        pytest.importorskip(module)
    prefix = tmp_path / 'prefix'
    index = prefix / 'share' / 'ament_index' / 'resource_index' / 'packages' / 'pourit_ros'
    programs = prefix / 'lib' / 'pourit_ros'
    for folder in (index.parent, programs):
        folder.mkdir(parents=True)
    index.touch()
    for node in NODES:
        program = programs / node
        program.write_text(
            f'#!{sys.executable}\nfrom pourit_ros.nodes.runner import main\n\nmain()\n'
        )
        program.chmod(0o755)
    others = os.environ.get('AMENT_PREFIX_PATH', '')
    monkeypatch.setenv('AMENT_PREFIX_PATH', f'{prefix}{os.pathsep}{others}'.rstrip(os.pathsep))
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    monkeypatch.setenv('ROS_DOMAIN_ID', str(free_domain()))
    monkeypatch.setenv('ROS_LOG_DIR', str(tmp_path / 'log'))
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join(map(str, [ROOT, *sys.path])))
    monkeypatch.delenv('_ROS_WHEELS_BOOTSTRAP_COMPLETE', raising=False)

    def run(name, **given):
        words = [f'{key}:={value}' for key, value in given.items()]
        return subprocess.Popen(
            [sys.executable, '-c', RUN, str(ROOT / 'launch' / f'{name}.launch.py'), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=interruptible,
        )

    yield run
    # Whatever a test saw: no node is left.
    assert orphans(programs) == []


def orphans(programs):
    found = []
    for entry in Path('/proc').glob('[0-9]*'):
        try:
            if str(programs) in (entry / 'cmdline').read_text():
                found.append(entry.name)
        except OSError:
            continue
    return found


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    path = tmp_path_factory.mktemp('bag') / 'pour'
    write_pour_bag(path, (pour_frame(k) for k in range(8)))
    return path


@pytest.mark.live
class TestLaunch:
    @pytest.mark.parametrize('name', FILES)
    def test_files_load(self, name):
        pytest.importorskip('launch')
        pytest.importorskip('launch_ros')
        description = load(name).generate_launch_description()
        for argument in description.get_launch_arguments():
            # One piece of text, as `--show-args` prints it.
            assert len(argument.default_value or ['']) == 1
            assert all(
                type(p).__name__ == 'TextSubstitution' for p in argument.default_value or []
            )

    @pytest.mark.parametrize(
        ('name', 'given', 'words'),
        [
            ('pour', {'rviz': 'true'}, 'rviz:=true needs rviz2'),
            ('pour', {'params_file': '/no/such.yaml'}, 'no such file'),
            ('replay', {'bag': 'b', 'rate': 'fast'}, 'expected a number'),
        ],
    )
    def test_nothing_is_started_where_something_fails(self, launched, name, given, words):
        if 'rviz' in given:
            with contextlib.suppress(InputError):
                require_rviz()
                pytest.skip('rviz2 is installed here')
        process = launched(name, **given)
        said, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 1
        assert words in said
        assert 'process started' not in said

    @pytest.mark.parametrize('sim_time', ['false', 'true'])
    def test_replay(self, launched, bag, stripe_weights, tmp_path, sim_time):
        record = tmp_path / 'recorded'
        process = launched(
            'replay', bag=bag, rate='0.0', weights=stripe_weights, record=record,
            use_sim_time=sim_time,
        )  # fmt: skip
        said, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, said
        assert (record / 'metadata.yaml').is_file()

    @pytest.mark.parametrize(
        ('given', 'node'),
        [
            ({'bag': '/no/bag'}, 'bag_player'),
            ({'weights': '/no/weights.safetensors'}, 'liquid_perception'),
        ],
    )
    def test_replay_with_something_bad_ends_with_status_1(
        self, launched, bag, stripe_weights, given, node
    ):
        process = launched('replay', **{'bag': bag, 'weights': stripe_weights, **given})
        said, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 1
        assert f'{node} ended with status 1' in said

    def test_interrupted_during_start_up_it_ends_fast(self, launched):
        process = launched('pour')
        lines = []
        while 'pour_monitor' not in (line := process.stdout.readline()):
            assert line, lines
            lines.append(line)
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=PATIENCE)
        # After 5 s launch would send SIGTERM.
        assert 'SIGTERM' not in said
        assert 'Traceback' not in said
