# SPDX-License-Identifier: Apache-2.0
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pourit_ros.bags.make import TOPICS, write_pour_bag
from pourit_ros.bags.reader import BagReader, ReaderOptions
from pourit_ros.bags.replay import replay
from pourit_ros.bags.rows import rows_from_bag
from pourit_ros.bags.writer import BagWriter
from pourit_ros.frames import AssemblerOptions
from pourit_ros.geometry import Container, PinholeCamera, Pose
from pourit_ros.live import LiveError, replay_live
from pourit_ros.messages import encode
from pourit_ros.messages.contract import MONITOR, PERCEPTION
from pourit_ros.messages.decode import scalars_from_msg, stamp_to_ns
from pourit_ros.messages.ros import fill, message_class
from pourit_ros.nodes.bag_feed import BagFeed
from pourit_ros.perception import Segmenter
from pourit_ros.perception.classifier import LiquidClassifier
from pourit_ros.perception.letterbox import Letterbox
from pourit_ros.perception.weights import WeightsMetadata, save_weights
from pourit_ros.pipeline import Frame, PourPipeline
from pourit_ros.ros_processes import RosProcesses

T0 = 1_700_000_000_123_456_789
PERIOD = 33_333_333
INPUT = 320
BOTTLE, CUP = Container.load('pourit_bottle'), Container.load('cup')
CAMERA = PinholeCamera(320, 240, 300.0, 300.0, 159.5, 119.5)
# Level, 0.8 m before the pouring plane y = 0, looking along +y.
T_BASE_CAM = Pose(np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]), np.array([0.06, -0.8, 0.2]))
MOUTH = np.array([0.0, 0.0, 0.30])
# Imports and the first discovery on a busy machine take most of it.
PATIENCE = 60.0


def pour_frame(k, flows=True):
    """Frame k: a bright stream in a dark picture, faster from frame to frame."""
    axis = np.array([np.cos(0.2), 0.0, -np.sin(0.2)])
    side = np.array([0.0, 1.0, 0.0])
    rotation = np.column_stack([np.cross(axis, side), axis, side])
    color = np.full((240, 320, 3), 50, np.uint8)
    if flows:
        t = np.linspace(0, 0.17, 30)
        curve = MOUTH + np.column_stack([(0.3 + 0.01 * k) * t, 0 * t, -0.05 * t - 4.905 * t * t])
        pixels = CAMERA.project(T_BASE_CAM.inverse().apply(curve))
        stroke = np.round(pixels * 16).astype(np.int32)
        cv2.polylines(color, [stroke], False, (235, 240, 250), 8, cv2.LINE_AA, 4)
    stamp_ns = T0 + k * PERIOD
    return Frame(
        stamp_ns=stamp_ns,
        name=str(stamp_ns),
        color=color,
        camera=CAMERA,
        depth=np.full((240, 320), 1.5, np.float32),
        T_cam_source=T_BASE_CAM.inverse() @ Pose(rotation, MOUTH - rotation @ BOTTLE.mouth),
        T_base_cam=T_BASE_CAM,
        T_base_target=Pose(np.eye(3), np.array([0.06, 0.0, 0.12]) - CUP.mouth),
    )


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    """A network that finds the stripe: random features, its head by least squares."""
    torch.manual_seed(0)
    model = LiquidClassifier(channels=64).eval()
    frames = [*(pour_frame(k) for k in range(12)), pour_frame(0, False)]
    letterbox = Letterbox.fit((240, 320), (INPUT, INPUT))
    valid = torch.from_numpy(letterbox.valid())[None, None]
    images = [letterbox.apply(frame.color) for frame in frames]
    batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)

    def run():
        return model(model.normalise(batch), valid.expand(len(frames), -1, -1, -1))

    with torch.inference_mode():
        cells = INPUT // 4
        small = [cv2.resize(i, (cells, cells), interpolation=cv2.INTER_AREA) for i in images]
        bright = (np.stack(small).mean(-1) > 90).ravel()
        features = run().features.permute(0, 2, 3, 1).reshape(len(bright), -1).numpy()
        weight = np.where(bright, 5.0, 1.0)
        head = np.linalg.lstsq(
            features * weight[:, None], np.where(bright, 4.0, -4.0) * weight, rcond=None
        )[0]
        model.head.weight.copy_(torch.from_numpy(head).float().view(1, -1, 1, 1))
        presence = run().presence
        wet, dry = presence[:-1].min(), presence[-1]
        assert wet > dry
        model.presence.scale.copy_(8 / (wet - dry))
        model.presence.bias.copy_(-4 * (wet + dry) / (wet - dry))
    path = tmp_path_factory.mktemp('weights') / 'stripe.safetensors'
    recipe = WeightsMetadata(INPUT, 0.5, 0.5, 'least squares', 'Apache-2.0', 'drawn stripes')
    save_weights(path, model, recipe)
    return path


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    path = tmp_path_factory.mktemp('bag') / 'pour'
    write_pour_bag(path, (pour_frame(k, 2 <= k < 9) for k in range(12)))
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
        assert feed.count == 12
        assert feed.places == list(
            ('color', 'info', 'depth', 'source_pose', 'target_pose', 'camera_pose')
        )
        steps = list(feed.steps(0))
        with BagReader(bag) as reader:
            names = reader.camera
            recorded = [m for m in reader.messages() if not m.topic.startswith('/tf')]
        assert sorted(s.content for s in steps) == sorted(m.data for m in recorded)
        assert [s.stamp_ns for s in steps if s.place == 'color'] == [
            T0 + k * PERIOD for k in range(12)
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
def offline(bag, weights, tmp_path_factory):
    torch.set_num_threads(1)
    pipeline = PourPipeline(Segmenter.load(weights, 'cpu'), BOTTLE, CUP)
    return replay(bag, tmp_path_factory.mktemp('offline'), pipeline)


@pytest.fixture(scope='module')
def out(tmp_path_factory):
    return tmp_path_factory.mktemp('live') / 'out'


@pytest.fixture(scope='module')
def calls():
    return []


@pytest.fixture(scope='module')
def live(bag, weights, out, calls):
    return replay_live(
        bag, out, weights, device='cpu', threads=1,
        progress=lambda answered, total: calls.append((answered, total)),
    )  # fmt: skip


@pytest.mark.live
class TestLockStep:
    def test_every_frame_is_answered(self, live, out, calls):
        assert (live.frames, live.answered) == (12, 12)
        assert calls[-1] == (12, 12)
        assert sorted(calls) == calls
        assert [item.name for item in out.iterdir()] == ['bag']
        assert live.bag == out / 'bag'
        assert set(live.logs) == {'recorder', 'pour_monitor', 'liquid_perception', 'bag_player'}
        assert not re.search(r'WARN|ERROR|FATAL|Traceback', ''.join(live.logs.values()))

    def test_latency_of_every_frame(self, live):
        assert list(live.latency_ms) == [T0 + k * PERIOD for k in range(12)]
        assert all(0 < ms < 5000 for ms in live.latency_ms.values())

    def test_equals_offline(self, live, offline):
        rows = rows_from_bag(live.bag, CUP.rim_radius, live.latency_ms)
        assert [r.stamp_ns for r in rows] == [r.stamp_ns for r in offline.rows]
        assert [r.present for r in rows] == [2 <= k < 9 for k in range(12)]
        assert [r.present for r in rows] == [r.present for r in offline.rows]
        assert [r.valid for r in rows] == [r.valid for r in offline.rows]
        wet = [(a, b) for a, b in zip(rows, offline.rows, strict=True) if b.present]
        assert len({round(b.distance, 4) for _, b in wet}) > 1
        for a, b in wet:
            # The cloud travels in float32, and the iterative fit ends elsewhere in its valley.
            assert abs(a.distance - b.distance) < 1e-5
            assert abs(a.margin - b.margin) < 1e-3
            np.testing.assert_allclose(a.landing, b.landing, atol=1e-3)

    def test_recording_is_complete(self, live):
        with BagReader(live.bag) as recorded:
            counts = {t: 0 for t in recorded.topics}
            states = []
            for message in recorded.messages():
                counts[message.topic] += 1
                if message.topic == '/pourit/pour_state':
                    states.append(recorded.decode(message).data)
        for topic in (*PERCEPTION, *MONITOR):
            if topic.name not in ('liquid/overlay', 'pour_state'):
                expected = 7 if topic.name.split('/')[-1] in (
                    'offset', 'lowest_point', 'landing_point'
                ) else 12  # fmt: skip
                assert counts[f'/pourit/{topic.name}'] == expected, topic.name
        assert counts['/pourit/color/camera_info'] == 12
        # 0.1 s without liquid at the end is too short for 'stopped'.
        assert states == ['idle', 'searching', 'flowing']


@pytest.mark.live
def test_tf_bag_at_twice_its_speed_in_another_namespace(tmp_path, weights):
    path = tf_only(tmp_path / 'tf')
    options = ReaderOptions(frames=AssemblerOptions(source_frame='bottle', target_frame='cup'))
    live = replay_live(
        path, tmp_path / 'out', weights, device='cpu', threads=1, rate=2.0,
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
            [sys.executable, '-m', f'pourit_ros.nodes.{name}', '--ros-args', *arguments],
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
        with pytest.raises(LiveError, match=r'^liquid_perception: .*none.pth: no such weights'):
            replay_live(bag, out, tmp_path / 'none.pth')
        assert list(out.iterdir()) == []
        assert processes_with(str(out)) == []

    def test_live_replay_without_rclpy(self, bag, tmp_path, monkeypatch):
        find_spec = __import__('importlib.util').util.find_spec
        monkeypatch.setattr(
            'importlib.util.find_spec', lambda name: None if name == 'rclpy' else find_spec(name)
        )
        with pytest.raises(LiveError, match=r'source a ROS 2 installation, or .*\[ros\]'):
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
        'from pourit_ros.ros_processes import RosProcesses\n'
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
        [sys.executable, '-m', f'pourit_ros.nodes.{node}', '--ros-args']
        + (['-p', f'bag:={tmp_path}/bag'] if node == 'recorder' else []),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {'ROS_DOMAIN_ID': '100', 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'},
    )
    while 'active' not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert (out, err) == ('', '')


class Client:
    """A camera without depth, and a listener, in this process."""

    def __init__(self, domain):
        import rclpy
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = rclpy.create_node('client', namespace='/pourit', context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.came = threading.Condition()
        self.answers = {}
        self.states = []
        self.services = {}
        best_effort = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
        reliable = QoSProfile(depth=5)
        # A camera driver that offers best effort, poses that are reliable.
        self.publishers = {
            name: self.node.create_publisher(message_class(kind), name, qos)
            for name, kind, qos in (
                ('color/image', 'sensor_msgs/msg/Image', best_effort),
                ('color/image/compressed', 'sensor_msgs/msg/CompressedImage', best_effort),
                ('color/camera_info', 'sensor_msgs/msg/CameraInfo', best_effort),
                ('source_pose', 'geometry_msgs/msg/PoseStamped', reliable),
                ('camera_pose', 'geometry_msgs/msg/PoseStamped', reliable),
                ('target_pose', 'geometry_msgs/msg/PoseStamped', reliable),
            )
        }
        self.node.create_subscription(
            message_class('sensor_msgs/msg/JointState'), 'liquid/probability', self._answer, 10
        )
        self.node.create_subscription(
            message_class('std_msgs/msg/String'), 'pour_state', self._state,
            QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL),
        )  # fmt: skip
        self.thread = threading.Thread(target=self.executor.spin, daemon=True)
        self.thread.start()

    def close(self):
        self.executor.shutdown()
        self.thread.join()
        self.node.destroy_node()
        self.context.try_shutdown()

    def _answer(self, message):
        with self.came:
            self.answers[stamp_to_ns(message.header.stamp)] = scalars_from_msg(message)
            self.came.notify_all()

    def _state(self, message):
        with self.came:
            self.states.append(message.data)
            self.came.notify_all()

    def wait(self, condition):
        with self.came:
            return self.came.wait_for(condition, PATIENCE)

    def subscribed(self, count, image='color/image'):
        """Wait until the image has so many subscribers; nothing announces them."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if all(
                self.publishers[name].get_subscription_count() == count
                for name in (image, 'color/camera_info', 'source_pose')
            ):
                return True
            time.sleep(0.01)
        return False

    def send(self, name, fields):
        publisher = self.publishers[name]
        publisher.publish(fill(publisher.msg_type, fields))

    def show(self, k, flows=True, **changes):
        frame = pour_frame(k, flows)
        stamp = frame.stamp_ns
        self.send('camera_pose', encode.pose_stamped(stamp, 'base', frame.T_base_cam))
        self.send('source_pose', encode.pose_stamped(stamp, 'cam', frame.T_cam_source))
        self.send('target_pose', encode.pose_stamped(stamp, 'base', frame.T_base_target))
        self.send('color/camera_info', encode.camera_info(stamp, 'cam', frame.camera))
        self.send('color/image', encode.image(stamp, 'cam', frame.color) | changes)
        data = cv2.imencode('.png', frame.color[..., ::-1])[1].reshape(-1)
        packed = {'header': encode.header(stamp, 'cam'), 'format': 'png', 'data': data}
        self.send('color/image/compressed', packed)
        return stamp

    def service(self, service_type, name):
        """A client of a service, made once."""
        if name not in self.services:
            self.services[name] = self.node.create_client(service_type, name)
        assert self.services[name].wait_for_service(PATIENCE)
        return self.services[name]

    def call(self, service_type, name, request, attempts=1, patience=PATIENCE / 6):
        """The response of a service, None without one.

        The middleware drops a response that leaves before its reader was discovered: what can be
        asked twice has several `attempts`.
        """
        for _ in range(attempts):
            done = threading.Event()
            future = self.service(service_type, name).call_async(request)
            future.add_done_callback(lambda _, done=done: done.set())
            if done.wait(patience):
                return future.result()
        return None

    def change_state(self, node, transition, **options):
        from lifecycle_msgs.srv import ChangeState

        request = ChangeState.Request()
        request.transition.id = transition
        return self.call(ChangeState, f'{node}/change_state', request, **options)


CONFIGURE, CLEANUP, ACTIVATE, DEACTIVATE = 1, 2, 3, 4


@pytest.fixture(scope='module')
def nodes(weights, tmp_path_factory):
    pytest.importorskip('rclpy')
    with RosProcesses(tmp_path_factory.mktemp('nodes'), 'pourit') as nodes:
        parameters = {'weights': str(weights), 'device': 'cpu', 'threads': 1}
        nodes.start('liquid_perception', parameters)
        nodes.start('pour_monitor', {'stale_after': 0.5})
        yield nodes


@pytest.fixture(scope='module')
def client(nodes):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in nodes.environment.items():
            if name.startswith(('ROS_', 'FAST')):
                patch.setenv(name, value)
        client = Client(int(nodes.environment['ROS_DOMAIN_ID']))
    yield client
    client.close()


@pytest.mark.live
class TestNodes:
    def test_best_effort_camera_without_depth(self, nodes, client):
        assert client.subscribed(1)
        for k, flows in ((0, False), (1, True), (2, True)):
            stamp = client.show(k, flows)
            assert client.wait(lambda stamp=stamp: stamp in client.answers)
            assert client.answers[stamp]['present'] == flows
        nodes.check()

    def test_silence_is_a_fault(self, client):
        assert client.wait(lambda: 'fault' in client.states)
        assert client.states[-1] == 'fault'

    def test_unusable_image_is_skipped(self, nodes, client):
        bad = client.show(3, encoding='yuv999')
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and 'yuv999' not in nodes.logs()['liquid_perception']:
            time.sleep(0.02)
        good = client.show(4)
        assert client.wait(lambda: good in client.answers)
        assert bad not in client.answers
        nodes.check()

    def test_deactivate_and_activate(self, nodes, client):
        client.change_state('liquid_perception', DEACTIVATE)
        assert client.subscribed(0)
        client.change_state('liquid_perception', ACTIVATE)
        assert client.subscribed(1)
        client.answers.clear()
        # A stamp before the ones that it saw in its former life.
        stamp = client.show(1)
        assert client.wait(lambda: stamp in client.answers)
        nodes.check()

    def test_impossible_transition_is_survived(self, nodes, client):
        # rclpy does not answer it.
        assert client.change_state('liquid_perception', CONFIGURE, patience=0.5) is None
        stamp = client.show(5)
        assert client.wait(lambda: stamp in client.answers)
        nodes.check()

    def test_failed_configuration_leaves_the_node_waiting(self, nodes, client):
        nodes.start('recorder', {'autostart': False})
        assert not client.change_state('recorder', CONFIGURE, attempts=6).success
        lines = set(nodes.logs()['recorder'].splitlines())
        assert lines == {'ERROR: parameter bag: give the folder to write'}
        assert nodes.running('recorder')

    def test_parameters_are_locked_while_configured(self, client):
        from rcl_interfaces.srv import SetParameters
        from rclpy.parameter import Parameter

        request = SetParameters.Request()
        request.parameters = [Parameter('wait', value=0.5).to_parameter_msg()]
        [result] = client.call(
            SetParameters, 'liquid_perception/set_parameters', request, attempts=6
        ).results
        assert not result.successful
        assert 'clean it up first' in result.reason

    def test_a_disabled_node_answers_nothing(self, nodes, client):
        from std_srvs.srv import SetBool

        def enable(data):
            request = SetBool.Request(data=data)
            return client.call(SetBool, 'liquid_perception/enable', request, attempts=6).success

        assert enable(False)
        ignored = client.show(6)
        time.sleep(0.3)
        assert enable(True)
        answered = client.show(7)
        assert client.wait(lambda: answered in client.answers)
        assert ignored not in client.answers
        nodes.check()

    def test_reset_ends_a_fault(self, nodes, client):
        from std_srvs.srv import Trigger

        assert client.wait(lambda: client.states[-1] == 'fault')
        assert client.call(Trigger, 'pour_monitor/reset', Trigger.Request(), attempts=6).success
        assert client.wait(lambda: client.states[-1] == 'idle')
        assert client.call(Trigger, 'liquid_perception/reset', Trigger.Request(), attempts=6)
        # Poses were forgotten with the images, and come again with the next one.
        stamp = client.show(2)
        assert client.wait(lambda: stamp in client.answers)
        nodes.check()

    def test_a_disabled_monitor_is_idle(self, nodes, client):
        from std_srvs.srv import SetBool

        for data in (False, True):
            request = SetBool.Request(data=data)
            assert client.call(SetBool, 'pour_monitor/enable', request, attempts=6).success
            assert client.wait(lambda: client.states[-1] == 'idle')
            stamp = client.show(4)
            assert client.wait(lambda stamp=stamp: stamp in client.answers)
            client.answers.clear()
            if data:
                assert client.wait(lambda: client.states[-1] != 'idle')
            else:
                # Longer than `stale_after`: silence is no fault of a node that was told to be.
                time.sleep(0.7)
                assert client.states[-1] == 'idle'
        nodes.check()

    def test_compressed_images(self, nodes, client):
        from rcl_interfaces.srv import SetParameters
        from rclpy.parameter import Parameter

        for transition in (DEACTIVATE, CLEANUP):
            client.change_state('liquid_perception', transition)
        request = SetParameters.Request()
        parameter = Parameter('image_transport', value='compressed')
        request.parameters = [parameter.to_parameter_msg()]
        name = 'liquid_perception/set_parameters'
        [result] = client.call(SetParameters, name, request, attempts=6).results
        assert result.successful, result.reason
        for transition in (CONFIGURE, ACTIVATE):
            client.change_state('liquid_perception', transition)
        assert client.subscribed(1, 'color/image/compressed')
        assert client.publishers['color/image'].get_subscription_count() == 0
        client.answers.clear()
        stamp = client.show(3)
        assert client.wait(lambda: stamp in client.answers)
        assert client.answers[stamp]['present']
        nodes.check()

    def test_ends_cleanly(self, nodes, client):
        for node in ('liquid_perception', 'pour_monitor', 'recorder'):
            nodes.stop(node, PATIENCE)
        assert 'Traceback' not in ''.join(nodes.logs().values())
