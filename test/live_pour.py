# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A drawn pour, a network that sees it, and a client of the live nodes: for several tests."""

import threading
import time

import cv2
import numpy as np
import torch
from ros_listener import join

from pourit_ros.geometry import Container, PinholeCamera, Pose
from pourit_ros.messages import encode
from pourit_ros.messages.decode import scalars_from_msg, stamp_to_ns
from pourit_ros.messages.ros import fill, message_class
from pourit_ros.perception.classifier import LiquidClassifier
from pourit_ros.perception.views import whole_view
from pourit_ros.perception.weights import WeightsMetadata, save_weights
from pourit_ros.pipeline import Frame

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
INPUTS = {
    'color/image': 'sensor_msgs/msg/Image',
    'color/image/compressed': 'sensor_msgs/msg/CompressedImage',
    'color/camera_info': 'sensor_msgs/msg/CameraInfo',
    'depth/image': 'sensor_msgs/msg/Image',
    'source_pose': 'geometry_msgs/msg/PoseStamped',
    'camera_pose': 'geometry_msgs/msg/PoseStamped',
    'target_pose': 'geometry_msgs/msg/PoseStamped',
}
# So many different pictures of a pour there are.
PICTURES = 12
CONFIGURE, CLEANUP, ACTIVATE, DEACTIVATE = 1, 2, 3, 4


def pour_frame(k, flows=True):
    """Frame k: a bright stream in a dark picture, its speed another from frame to frame."""
    axis = np.array([np.cos(0.2), 0.0, -np.sin(0.2)])
    side = np.array([0.0, 1.0, 0.0])
    rotation = np.column_stack([np.cross(axis, side), axis, side])
    color = np.full((240, 320, 3), 50, np.uint8)
    if flows:
        t = np.linspace(0, 0.17, 30)
        speed = 0.3 + 0.01 * (k % PICTURES)
        curve = MOUTH + np.column_stack([speed * t, 0 * t, -0.05 * t - 4.905 * t * t])
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


def write_weights(path):
    """A network that finds the stripe: random features, its head by least squares."""
    torch.manual_seed(0)
    model = LiquidClassifier(channels=64).eval()
    frames = [*(pour_frame(k) for k in range(12)), pour_frame(0, False)]
    letterbox = whole_view((240, 320), INPUT).letterbox
    valid = torch.from_numpy(letterbox.valid())[None, None]
    images = [letterbox.apply(frame.color) for frame in frames]
    batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)

    def run():
        return model(model.normalise(batch), valid.expand(len(frames), -1, -1, -1))

    with torch.inference_mode():
        cells = letterbox.size[1] // 4, letterbox.size[0] // 4
        small = [cv2.resize(i, cells, interpolation=cv2.INTER_AREA) for i in images]
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
    recipe = WeightsMetadata(INPUT, 0.5, 0.5, 'least squares', 'Apache-2.0', 'drawn stripes')
    save_weights(path, model, recipe)


class Client:
    """A camera, a tracker and a listener, in this process; the camera offers best effort."""

    def __init__(self, nodes):
        from diagnostic_msgs.msg import DiagnosticArray
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

        self.context, self.node = join(nodes, 'client')
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.came = threading.Condition()
        self.answers = {}
        self.distances = {}
        self.states = []
        self.health = {}
        # Every status so far: (node, level, message, values).
        self.told = []
        # The last frame that was shown.
        self.k = 0
        self.services = {}
        self.publishers = {}
        self.best_effort = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
        self.reliable = QoSProfile(depth=5)
        for name in INPUTS:
            self.offer(name, self.reliable if name.endswith('pose') else self.best_effort)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        for kind, name, callback, qos in (
            ('sensor_msgs/msg/JointState', 'liquid/probability', self._answer, 10),
            ('sensor_msgs/msg/Range', 'liquid/distance', self._distance, 10),
            ('std_msgs/msg/String', 'pour_state', self._state, latched),
        ):
            self.node.create_subscription(message_class(kind), name, callback, qos)
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._diagnose, 10)
        self.thread = threading.Thread(target=self.executor.spin, daemon=True)
        self.thread.start()

    def offer(self, name, qos):
        """Publish an input, with another QoS than before where it was published already."""
        self.withdraw(name)
        self.publishers[name] = self.node.create_publisher(message_class(INPUTS[name]), name, qos)

    def withdraw(self, name):
        if name in self.publishers:
            self.node.destroy_publisher(self.publishers.pop(name))

    def close(self):
        self.executor.shutdown()
        self.thread.join()
        self.node.destroy_node()
        self.context.try_shutdown()

    def _answer(self, message):
        with self.came:
            self.answers[stamp_to_ns(message.header.stamp)] = scalars_from_msg(message)
            self.came.notify_all()

    def _distance(self, message):
        with self.came:
            self.distances[stamp_to_ns(message.header.stamp)] = message.range
            self.came.notify_all()

    def _diagnose(self, message):
        with self.came:
            for status in message.status:
                values = {value.key: value.value for value in status.values}
                node = status.name.partition(':')[0]
                self.health[node] = (ord(status.level), status.message, values)
                self.told.append((node, *self.health[node]))
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

    def show(self, k, flows=True, changes=None, without=(), depth=False, moved=0.0):
        """Publish frame k; `changes`: of fields, by topic; `moved` m: the target, along x."""
        self.k = k
        frame = pour_frame(k, flows)
        stamp = frame.stamp_ns
        target = Pose(np.eye(3), frame.T_base_target.translation + [moved, 0, 0])
        data = cv2.imencode('.png', frame.color[..., ::-1])[1].reshape(-1)
        messages = {
            'camera_pose': encode.pose_stamped(stamp, 'base', frame.T_base_cam),
            'source_pose': encode.pose_stamped(stamp, 'cam', frame.T_cam_source),
            'target_pose': encode.pose_stamped(stamp, 'base', target),
            'color/camera_info': encode.camera_info(stamp, 'cam', frame.camera),
            'depth/image': encode.image(stamp, 'cam', frame.depth),
            'color/image': encode.image(stamp, 'cam', frame.color),
            'color/image/compressed': {
                'header': encode.header(stamp, 'cam'), 'format': 'png', 'data': data
            },
        }  # fmt: skip
        if not depth:
            del messages['depth/image']
        for name, fields in messages.items():
            if name not in without:
                self.send(name, fields | (changes or {}).get(name, {}))
        return stamp

    def until(self, condition, picture=0, **options):
        """Show a picture again and again, in later frames, until `condition(stamps shown)` holds.

        Images go by best effort and the newest one wins: on a busy machine one may get lost. What
        the nodes say of silence comes and goes with the time that this process gets. Returns the
        stamps.
        """
        shown = []
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            self.k += 1 + (picture - self.k - 1) % PICTURES
            shown.append(self.show(self.k, **options))
            with self.came:
                if self.came.wait_for(lambda: condition(shown), 0.5):
                    return shown
        raise AssertionError(f'not after {len(shown)} frames: {self.states[-3:]} {self.health}')

    def answer(self, picture=0, **options):
        """What is said of a picture."""
        shown = self.until(lambda shown: self.answers.keys() & set(shown), picture, **options)
        return next(self.answers[stamp] for stamp in shown if stamp in self.answers)

    def measure(self, picture=0):
        """The distance of a picture."""
        shown = self.until(lambda shown: self.distances.keys() & set(shown), picture)
        return next(self.distances[stamp] for stamp in shown if stamp in self.distances)

    def until_state(self, state, picture=0):
        """Show a picture until the pour's state is `state`."""
        self.until(lambda _: self.states and self.states[-1] == state, picture)

    def service(self, service_type, name):
        """A client of a service, made once."""
        if name not in self.services:
            self.services[name] = self.node.create_client(service_type, name)
            assert self.services[name].wait_for_service(PATIENCE)
            # The server must discover the reader of its responses too, which nothing tells.
            time.sleep(0.5)
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

    def set_parameters(self, node, **values):
        """Set parameters of a node, all or none; what is said against it, '' for nothing."""
        from rcl_interfaces.srv import SetParametersAtomically
        from rclpy.parameter import Parameter

        request = SetParametersAtomically.Request()
        request.parameters = [
            Parameter(name, value=value).to_parameter_msg() for name, value in values.items()
        ]
        name = f'{node}/set_parameters_atomically'
        result = self.call(SetParametersAtomically, name, request, attempts=6).result
        return '' if result.successful else result.reason
