# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from live_pour import (
    ACTIVATE,
    BOTTLE,
    CAMERA,
    CLEANUP,
    CONFIGURE,
    CUP,
    DEACTIVATE,
    PATIENCE,
    PERIOD,
    PICTURES,
    T0,
    T_BASE_CAM,
    Client,
    pour_frame,
)
from processes import interruptible

from pourit_ros.bags.feed import BagFeed
from pourit_ros.bags.make import TOPICS, write_pour_bag
from pourit_ros.bags.reader import BagReader, ReaderOptions
from pourit_ros.bags.replay import replay
from pourit_ros.bags.rows import rows_from_bag
from pourit_ros.bags.writer import BagWriter
from pourit_ros.errors import InputError
from pourit_ros.geometry import Pose
from pourit_ros.live.processes import RosProcesses
from pourit_ros.live.replay import replay_live
from pourit_ros.messages import encode
from pourit_ros.messages.contract import MONITOR, PERCEPTION
from pourit_ros.messages.decode import stamp_to_ns
from pourit_ros.messages.ros import message_class
from pourit_ros.perception import Segmenter
from pourit_ros.pipeline import PourPipeline
from pourit_ros.sync.assembler import AssemblerOptions

FRAMES = 300
# Of frames with liquid only.
SPARSE = ('offset', 'offset_covariance', 'lowest_point', 'landing_point', 'flow')


def wet(k):
    return 2 <= k % 12 < 9


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    path = tmp_path_factory.mktemp('bag') / 'pour'
    write_pour_bag(path, (pour_frame(k, wet(k)) for k in range(FRAMES)))
    return path


def tf_only(path):
    """The poses on /tf only, at 10 Hz between images at 30 Hz, moving."""
    with BagWriter(path) as bag:
        for k in range(12):
            frame = pour_frame(k)
            stamp = frame.stamp_ns

            def write(place, kind, fields, stamp=stamp):
                bag.write(TOPICS[place], kind, fields, stamp)

            if k % 3 == 0:
                moved = Pose(np.eye(3), frame.T_base_target.translation + [0.001 * k, 0, 0])
                edges = [
                    (stamp, 'base', 'cam', T_BASE_CAM),
                    (stamp, 'cam', 'bottle', frame.T_cam_source),
                    (stamp, 'base', 'cup', moved),
                ]
                write('tf', 'tf2_msgs/msg/TFMessage', encode.transforms(edges))
            info = encode.camera_info(stamp, 'cam', CAMERA)
            write('info', 'sensor_msgs/msg/CameraInfo', info)
            write('color', 'sensor_msgs/msg/Image', encode.image(stamp, 'cam', frame.color))
    return path


class TestFeed:
    def test_recorded_order_and_content(self, bag):
        feed = BagFeed(bag, {}, AssemblerOptions())
        assert feed.count == FRAMES
        assert feed.places == [
            'color',
            'info',
            'depth',
            'source_pose',
            'target_pose',
            'camera_pose',
        ]
        steps = list(feed.steps(0))
        with BagReader(bag) as reader:
            names = reader.camera
            recorded = [m for m in reader.messages() if not m.topic.startswith('/tf')]
        assert sorted(s.content for s in steps) == sorted(m.data for m in recorded)
        assert [s.stamp_ns for s in steps if s.place == 'color'] == [
            T0 + k * PERIOD for k in range(FRAMES)
        ]
        assert {getattr(names, s.place) for s in steps} == {m.topic for m in recorded}

    def test_lead_brings_companions_early(self, bag):
        steps = list(BagFeed(bag, {}, AssemblerOptions()).steps(150_000_000))
        camera = [s for s in steps if s.place in ('color', 'info')]
        assert camera[0].place == 'info'
        assert [s.stamp_ns for s in camera] == sorted(s.stamp_ns for s in camera)
        for k, step in enumerate(steps):
            if step.place == 'color':
                later = [s.recorded_ns for s in steps[k:] if s.place not in ('color', 'info')]
                assert all(t > step.recorded_ns + 100_000_000 for t in later)

    def test_tf_becomes_the_poses_of_an_offline_replay(self, tmp_path):
        path = tf_only(tmp_path / 'tf')
        options = AssemblerOptions(source_frame='bottle', target_frame='cup')
        with BagReader(path) as reader:
            frames = {frame.stamp_ns: frame for frame in reader.frames(options)}
        steps = [s for s in BagFeed(path, {}, options).steps(150_000_000) if s.place != 'info']
        targets = []
        for k in range(12):
            camera, source, target, color = steps[4 * k : 4 * k + 4]
            assert [s.place for s in (camera, source, target, color)] == [
                'camera_pose', 'source_pose', 'target_pose', 'color'
            ]  # fmt: skip
            assert {s.stamp_ns for s in (camera, source, target, color)} == {T0 + k * PERIOD}
            assert source.content['header']['frame_id'] == 'cam'
            assert target.content['header']['frame_id'] == 'base'
            x = target.content['pose']['position']['x']
            assert x == frames[color.stamp_ns].T_base_target.translation[0]
            targets.append(x)
        # Interpolated between the samples at images 0, 3, 6, 9; the nearest after the last.
        expected = 0.06 + 0.001 * np.minimum(np.arange(12), 9)
        np.testing.assert_allclose(targets, expected, atol=1e-9)


@pytest.fixture(scope='module')
def offline(bag, stripe_weights, tmp_path_factory):
    torch.set_num_threads(1)
    pipeline = PourPipeline(Segmenter(stripe_weights, 'cpu'), BOTTLE, CUP)
    return replay(bag, tmp_path_factory.mktemp('offline'), pipeline)


@pytest.fixture(scope='module')
def out(tmp_path_factory):
    return tmp_path_factory.mktemp('live') / 'out'


@pytest.fixture(scope='module')
def calls():
    return []


@pytest.fixture(scope='module')
def live(bag, stripe_weights, out, calls):
    return replay_live(
        bag, out, stripe_weights, device='cpu', threads=1,
        progress=lambda answered, total: calls.append((answered, total)),
    )  # fmt: skip


@pytest.mark.live
class TestLockStep:
    def test_every_frame_is_answered(self, live, out, calls):
        assert (live.frames, live.answered) == (FRAMES, FRAMES)
        assert calls[-1] == (FRAMES, FRAMES)
        assert sorted(calls) == calls
        assert [item.name for item in out.iterdir()] == ['bag']
        assert live.bag == out / 'bag'
        assert set(live.logs) == {'recorder', 'pour_monitor', 'liquid_perception', 'bag_player'}
        assert not re.search(r'WARN|ERROR|FATAL|Traceback', ''.join(live.logs.values()))

    def test_latency_of_every_frame(self, live):
        assert list(live.latency_ms) == [T0 + k * PERIOD for k in range(FRAMES)]
        assert all(0 < ms < 5000 for ms in live.latency_ms.values())

    def test_equals_offline(self, live, offline):
        rows = rows_from_bag(live.bag, CUP.rim_radius, live.latency_ms)
        assert [r.stamp_ns for r in rows] == [r.stamp_ns for r in offline.rows]
        assert [r.present for r in rows] == [wet(k) for k in range(FRAMES)]
        assert [r.present for r in rows] == [r.present for r in offline.rows]
        assert [r.valid for r in rows] == [r.valid for r in offline.rows]
        both = [(a, b) for a, b in zip(rows, offline.rows, strict=True) if b.present]
        assert len({round(b.distance, 4) for _, b in both}) > 1
        for a, b in both:
            # The cloud travels in float32: pixels as near to one point of the medial axis as to
            # another may change sides, and the fit of so short a stream with them.
            assert abs(a.distance - b.distance) < 1e-5
            assert abs(a.margin - b.margin) < 1e-3
            np.testing.assert_allclose(a.landing, b.landing, atol=1e-3)
            assert a.flow == pytest.approx(b.flow, rel=0.02)
            assert a.flow_sigma == pytest.approx(b.flow_sigma, rel=0.1)
        for a, b in zip(rows, offline.rows, strict=True):
            assert a.poured == pytest.approx(b.poured, rel=0.02)
            assert a.poured_sigma == pytest.approx(b.poured_sigma, rel=0.1)
        assert rows[-1].poured > 0

    def test_recording_is_complete(self, live):
        with BagReader(live.bag) as recorded:
            counts = dict.fromkeys(recorded.topics, 0)
            states = []
            for message in recorded.messages():
                counts[message.topic] += 1
                if message.topic == '/pourit/pour_state':
                    states.append(recorded.decode(message).data)
        for topic in (*PERCEPTION, *MONITOR):
            # Its depth images show no bottle.
            if topic.name not in ('liquid/overlay', 'pour_state', 'source_pose_seen'):
                sparse = topic.name.split('/')[-1] in SPARSE
                expected = sum(map(wet, range(FRAMES))) if sparse else FRAMES
                assert counts[f'/pourit/{topic.name}'] == expected, topic.name
        assert counts['/pourit/color/camera_info'] == FRAMES
        # The pauses of 0.2 s are too short for 'stopped'.
        assert states == ['idle', 'searching', 'flowing']


@pytest.mark.live
def test_tf_bag_at_twice_its_speed_in_another_namespace(tmp_path, stripe_weights):
    path = tf_only(tmp_path / 'tf')
    options = ReaderOptions(frames=AssemblerOptions(source_frame='bottle', target_frame='cup'))
    live = replay_live(
        path, tmp_path / 'out', stripe_weights, device='cpu', threads=1, rate=2.0,
        namespace='left/arm', reader_options=options, storage='sqlite3',
    )  # fmt: skip
    rows = rows_from_bag(live.bag, CUP.rim_radius, live.latency_ms, namespace='left/arm')
    assert rows
    assert {r.stamp_ns for r in rows} <= {T0 + k * PERIOD for k in range(12)}
    # Nothing replaces the last image, so it is answered however slow the machine is.
    assert rows[-1].stamp_ns == T0 + 11 * PERIOD
    assert rows[-1].valid
    assert live.answered >= 1


@pytest.mark.live
class TestRefusals:
    def node(self, name, *parameters):
        arguments = [word for p in parameters for word in ('-p', p)]
        return subprocess.run(
            [sys.executable, '-m', 'pourit_ros.nodes', name, '--ros-args', *arguments],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env=os.environ | {'ROS_DOMAIN_ID': '101', 'RCUTILS_COLORIZED_OUTPUT': '0'},
        )

    def test_missing_weights(self, tmp_path):
        done = self.node('liquid_perception', f'weights:={tmp_path}/none.safetensors')
        assert done.returncode == 1
        assert done.stdout == ''
        [line] = done.stderr.splitlines()
        assert line.endswith('none.safetensors: no such weights file')

    def test_foreign_weights(self, tmp_path):
        path = tmp_path / 'foreign.safetensors'
        path.write_bytes(b'not tensors')
        done = self.node('liquid_perception', f'weights:={path}')
        assert done.returncode == 1
        [line] = done.stderr.splitlines()
        assert 'foreign.safetensors: damaged or not safetensors' in line

    @pytest.mark.parametrize(
        ('node', 'parameter', 'words'),
        [
            ('pour_monitor', 'stop_after:=99.0', 'parameter stop_after: .*out of range'),
            ('pour_monitor', 'start_after:=1.5', 'parameter start_after: .*expecting.*INTEGER'),
            ('recorder', 'storage:=paper', "storage is 'paper', choose one of: mcap, sqlite3"),
            ('bag_player', 'bag:=/no/bag', '/no/bag: no such file or folder'),
        ],
    )
    def test_one_line_says_what_is_wrong(self, node, parameter, words):
        done = self.node(node, parameter)
        assert done.returncode == 1
        [line] = done.stderr.splitlines()
        assert re.search(words, line)

    def test_live_replay_names_the_failing_node_and_cleans_up(self, bag, tmp_path):
        out = tmp_path / 'out'
        with pytest.raises(InputError, match=r'^liquid_perception: .*none.pth: no such weights'):
            replay_live(bag, out, tmp_path / 'none.pth')
        assert list(out.iterdir()) == []
        assert processes_with(str(out)) == []

    def test_live_replay_without_rclpy(self, bag, tmp_path, monkeypatch):
        find_spec = __import__('importlib.util').util.find_spec
        monkeypatch.setattr(
            'importlib.util.find_spec', lambda name: None if name == 'rclpy' else find_spec(name)
        )
        with pytest.raises(InputError, match=r'source a ROS 2 installation, or .*\[ros\]'):
            replay_live(bag, tmp_path / 'out')


def processes_with(text):
    """Ids of the processes that have a text in their command line."""
    found = []
    for entry in Path('/proc').iterdir():
        try:
            if entry.name.isdigit() and text in (entry / 'cmdline').read_text():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.mark.live
@pytest.mark.parametrize('blow', [signal.SIGINT, signal.SIGKILL])
def test_nodes_go_with_their_parent(tmp_path, blow):
    script = (
        'import sys, time\n'
        'from pathlib import Path\n'
        'from pourit_ros.live.processes import RosProcesses\n'
        'folder = Path(sys.argv[1])\n'
        "with RosProcesses(folder, 'pourit') as nodes:\n"
        "    nodes.start('recorder', {'bag': str(folder / 'bag')})\n"
        "    while 'active' not in nodes.logs()['recorder']:\n"
        '        time.sleep(0.02)\n'
        "    print('active', flush=True)\n"
        '    time.sleep(600)\n'
    )
    parent = subprocess.Popen(
        [sys.executable, '-c', script, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=interruptible,
    )
    assert parent.stdout.readline() == 'active\n'
    [node] = [p for p in processes_with(str(tmp_path)) if p != parent.pid]
    parent.send_signal(blow)
    parent.wait(PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while Path(f'/proc/{node}').exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f'/proc/{node}').exists()


@pytest.mark.live
@pytest.mark.parametrize('node', ['pour_monitor', 'recorder'])
def test_two_interrupts_leave_no_traceback(node, tmp_path):
    process = subprocess.Popen(
        [sys.executable, '-m', 'pourit_ros.nodes', node, '--ros-args']
        + (['-p', f'bag:={tmp_path}/bag'] if node == 'recorder' else []),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=interruptible,
        env=os.environ | {'ROS_DOMAIN_ID': '100', 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'},
    )
    while 'active' not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert (out, err) == ('', '')


@pytest.fixture(scope='module')
def nodes(stripe_weights, tmp_path_factory):
    pytest.importorskip('rclpy')
    with RosProcesses(tmp_path_factory.mktemp('nodes'), 'pourit') as nodes:
        parameters = {'weights': str(stripe_weights), 'device': 'cpu', 'threads': 1}
        nodes.start('liquid_perception', parameters)
        nodes.start('pour_monitor', {'stale_after': 0.5})
        yield nodes


@pytest.fixture(scope='module')
def client(nodes):
    client = Client(nodes)
    yield client
    client.close()


@pytest.mark.live
class TestNodes:
    def test_best_effort_camera_without_depth(self, nodes, client):
        assert client.subscribed(1)
        for flows in (False, True, True):
            assert client.answer(flows=flows)['present'] == flows
        nodes.check()

    def test_silence_is_a_fault(self, client):
        assert client.wait(lambda: 'fault' in client.states)
        assert client.states[-1] == 'fault'

    def test_unusable_image_is_skipped(self, nodes, client):
        bad = client.until(
            lambda _: 'yuv999' in nodes.logs()['liquid_perception'],
            changes={'color/image': {'encoding': 'yuv999'}},
        )
        client.answer()
        assert not client.answers.keys() & set(bad)
        nodes.check()

    def test_every_output_carries_the_stamp_of_its_image(self, nodes, client):
        """Joined by stamps alone, over DDS: all topics of the contract, each stamp once."""
        # No depth, no source to be seen.
        left_out = ('pour_state', 'source_pose_seen')
        stamps = {t.name: [] for t in (*PERCEPTION, *MONITOR) if t.name not in left_out}
        # The stripe is where the picture has it, so that content tells one frame from another.
        masks, said = {}, []

        def note(name, message):
            messages = message.markers if name == 'markers' else [message]
            own = {stamp_to_ns(m.header.stamp) for m in messages}
            with client.came:
                said.extend((name, stamp) for stamp in own)
                stamps[name].extend(own)
                if name == 'liquid/mask':
                    masks.update(dict.fromkeys(own, bytes(message.data)))
                client.came.notify_all()

        ears = [
            client.node.create_subscription(
                message_class(topic.type),
                topic.name,
                partial(note, topic.name),
                client.best_effort,
            )
            for topic in (*PERCEPTION, *MONITOR)
            if topic.name not in left_out
        ]
        shown = set()
        try:
            for picture in range(6):

                def complete(stamps_shown):
                    shown.update(stamps_shown)
                    return any(all(s in told for told in stamps.values()) for s in stamps_shown)

                client.until(complete, picture)
        finally:
            for ear in ears:
                client.node.destroy_subscription(ear)
        begin = min(shown)
        for name, told in stamps.items():
            own = [stamp for stamp in told if stamp >= begin]
            assert set(own) <= shown, name
            assert len(own) == len(set(own)), name
        # The right frame's content, not its neighbour's.
        for picture in range(6):
            same = [s for s in shown & masks.keys() if (s - T0) // PERIOD % PICTURES == picture]
            seen = {masks[s] for s in same}
            assert len(seen) == 1
        assert len(set(masks.values())) > 1
        nodes.check()

    def test_deactivate_and_activate(self, nodes, client):
        client.change_state('liquid_perception', DEACTIVATE)
        assert client.subscribed(0)
        client.change_state('liquid_perception', ACTIVATE)
        assert client.subscribed(1)
        client.answers.clear()
        # Stamps before the ones that it saw in its former life.
        client.k = 0
        client.answer()
        nodes.check()

    def test_impossible_transition_is_survived(self, nodes, client):

        answer = client.change_state('liquid_perception', CONFIGURE, patience=0.5)
        # Kilted says no, Jazzy says nothing.
        assert answer is None or not answer.success
        client.answer()
        nodes.check()

    def test_failed_configuration_leaves_the_node_waiting(self, nodes, client):
        nodes.start('recorder', {'autostart': False})
        assert not client.change_state('recorder', CONFIGURE, attempts=6).success
        log = nodes.logs()['recorder']
        # rclpy itself may add that an answer found no client yet.
        errors = {line for line in log.splitlines() if line.startswith('ERROR')}
        assert errors == {'ERROR: parameter bag: give the folder to write'}
        assert 'Traceback' not in log
        assert nodes.running('recorder')

    def test_most_parameters_are_locked_while_configured(self, client):
        said = client.set_parameters('liquid_perception', wait=0.5)
        assert said == 'wait is read when the node is configured: run the cleanup transition first'

    def test_thresholds_change_at_work(self, client):
        def present(**values):
            assert client.set_parameters('liquid_perception', **values) == ''
            return client.answer()['present']

        assert present()
        assert not present(presence_threshold=1.0)
        # 0: the weights' own.
        assert present(presence_threshold=0.0)
        for value in (1.5, -0.1, float('nan')):
            assert client.set_parameters('liquid_perception', presence_threshold=value) != ''
        # One bad value, and none is taken.
        said = client.set_parameters('liquid_perception', mask_threshold=0.9, source='teapot')
        assert 'teapot' in said
        assert present()

    def test_another_target_at_work(self, nodes, client):
        def distance():
            client.until_state('flowing')
            return client.measure(picture=5)

        cup = distance()
        assert 'no container' in client.set_parameters('pour_monitor', target='teapot')
        states = len(client.states)
        for node in ('liquid_perception', 'pour_monitor'):
            assert client.set_parameters(node, target='mug') == ''
        # It is another pour.
        assert client.wait(lambda: 'idle' in client.states[states:])
        # The mug's mouth is 1 cm lower than the cup's.
        assert abs(distance() - cup) > 0.002
        for node in ('liquid_perception', 'pour_monitor'):
            assert client.set_parameters(node, target='cup') == ''
        assert distance() == pytest.approx(cup, abs=2e-3)
        nodes.check()

    def test_limits_change_at_work(self, client):
        # More than will be shown.
        assert client.set_parameters('pour_monitor', start_after=100) == ''
        assert 'out of range' in client.set_parameters('pour_monitor', start_after=0)
        from std_srvs.srv import Trigger

        assert client.call(Trigger, 'pour_monitor/reset', Trigger.Request(), attempts=6).success
        assert client.wait(lambda: client.states[-1] == 'idle')
        begin, states = client.k, len(client.states)
        for _ in range(6):
            client.measure()
        assert 'flowing' not in client.states[states:]
        assert (client.k - begin) // PICTURES < 100
        assert client.set_parameters('pour_monitor', start_after=2) == ''
        client.until_state('flowing')

    def test_a_disabled_node_answers_nothing(self, nodes, client):
        from std_srvs.srv import SetBool

        def enable(data):
            request = SetBool.Request(data=data)
            return client.call(SetBool, 'liquid_perception/enable', request, attempts=6).success

        def disabled(since):
            """How often the node has said so: as often it has looked after its inputs."""
            said = [
                text for node, _, text, _ in client.told[since:] if node == 'liquid_perception'
            ]
            return said.count('disabled by ~/enable')

        client.answer()
        assert enable(False)
        since = len(client.told)
        ignored = client.until(lambda _: disabled(since))
        since = len(client.told)
        assert client.wait(lambda: disabled(since) >= 2)
        assert enable(True)
        client.answer()
        assert not client.answers.keys() & set(ignored)
        nodes.check()

    def test_reset_ends_a_fault(self, nodes, client):
        from std_srvs.srv import Trigger

        assert client.wait(lambda: client.states[-1] == 'fault')
        assert client.call(Trigger, 'pour_monitor/reset', Trigger.Request(), attempts=6).success
        assert client.wait(lambda: client.states[-1] == 'idle')
        assert client.call(Trigger, 'liquid_perception/reset', Trigger.Request(), attempts=6)
        # Poses were forgotten with the images, and come again with the next one.
        client.answer()
        nodes.check()

    def test_a_disabled_monitor_is_idle(self, nodes, client):
        from std_srvs.srv import SetBool

        def enable(data):
            request = SetBool.Request(data=data)
            assert client.call(SetBool, 'pour_monitor/enable', request, attempts=6).success

        client.until_state('flowing')
        enable(False)
        assert client.wait(lambda: client.states[-1] == 'idle')
        client.answer()
        # Longer than `stale_after`: silence is no fault of a node that was told to be silent.
        time.sleep(0.7)
        assert client.states[-1] == 'idle'
        enable(True)
        client.until_state('flowing')
        nodes.check()

    def test_compressed_images(self, nodes, client):
        for transition in (DEACTIVATE, CLEANUP):
            client.change_state('liquid_perception', transition)
        assert client.set_parameters('liquid_perception', image_transport='compressed') == ''
        for transition in (CONFIGURE, ACTIVATE):
            client.change_state('liquid_perception', transition)
        assert client.subscribed(1, 'color/image/compressed')
        assert client.publishers['color/image'].get_subscription_count() == 0
        client.answers.clear()
        assert client.answer()['present']
        nodes.check()

    def test_ends_cleanly(self, nodes, client):
        for node in ('liquid_perception', 'pour_monitor', 'recorder'):
            nodes.stop(node, PATIENCE)
        assert 'Traceback' not in ''.join(nodes.logs().values())
