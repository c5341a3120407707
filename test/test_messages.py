# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
import math
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from rosbags.typesys import Stores, get_typestore
from scipy.spatial.transform import Rotation

from pourit_ros.containers.registration import SeenContainer
from pourit_ros.control.poured import Poured
from pourit_ros.geometry import LiquidCloud, PinholeCamera, Pose, PourGeometry
from pourit_ros.geometry.rim import Rim
from pourit_ros.geometry.stream import StreamFit
from pourit_ros.messages import MessageError, decode, encode, images
from pourit_ros.messages.camera_info import camera_from_info
from pourit_ros.messages.contract import (
    MONITOR,
    PERCEPTION,
    monitor_messages,
    perception_messages,
)
from pourit_ros.messages.markers import markers
from pourit_ros.messages.ros import fill, message_class
from pourit_ros.messages.rosbag import build
from pourit_ros.perception.segmentation import Segmentation
from pourit_ros.pipeline import Observation, PourEstimate

STAMP = 1_700_000_000_123_456_789
STORE = get_typestore(Stores.ROS2_JAZZY)
POSE = Pose.from_quaternion((0.1, -0.2, 0.3), Rotation.from_euler('xyz', (0.3, -1, 2)).as_quat())
CAMERA = PinholeCamera(64, 48, 60.0, 61.0, 31.5, 23.5, (0.1, -0.2, 0.001, 0.002, 0.05))


def rosbags_message(type_name, fields):
    """Through bytes: what a reader of the bag gets."""
    message = build(STORE, type_name, fields)
    return STORE.deserialize_cdr(STORE.serialize_cdr(message, type_name), type_name)


def rclpy_message(type_name, fields):
    package = type_name.split('/')[0]
    pytest.importorskip(f'{package}.msg')
    serialization = pytest.importorskip('rclpy.serialization')
    cls = message_class(type_name)
    data = serialization.serialize_message(fill(cls, fields))
    return serialization.deserialize_message(data, cls)


@pytest.fixture(params=[rosbags_message, rclpy_message], ids=['rosbags', 'rclpy'])
def message(request):
    return request.param


def image(pixels, **fields):
    height, width = pixels.shape[:2]
    defaults = {
        'header': SimpleNamespace(stamp=SimpleNamespace(sec=1, nanosec=2), frame_id='cam'),
        'width': width,
        'height': height,
        'encoding': 'rgb8',
        'is_bigendian': 0,
        'step': pixels.nbytes // height,
        'data': pixels.tobytes(),
    }
    return SimpleNamespace(**{**defaults, **fields})


@pytest.fixture
def rgb():
    return np.random.default_rng(1).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def cloud(count=7):
    rng = np.random.default_rng(2)
    values = rng.normal(size=(count, 5)).astype(np.float32).astype(float)
    return LiquidCloud(values[:, :3], values[:, 3], values[:, 4])


def complete_estimate():
    fit = StreamFit(0.0, 0.2, 0.3, 0.9, np.eye(3), 1e-4)
    offset, landing = np.array([0.01, 0.02, 0.0]), np.array([0.4, 0.1, 0.7])
    geometry = PourGeometry(
        lowest_point=np.array([0.4, 0.1, 0.8]),
        stream=fit,
        origin=np.array([0.4, 0.0, 0.0]),
        direction=np.array([0.0, 1.0, 0.0]),
        landing_point=landing,
        landing_covariance=np.eye(3),
        offset=offset,
        offset_covariance=np.eye(3),
        distance=0.12,
        margin=0.04 - float(np.hypot(0.01, 0.02)),
        rim=Rim(landing - offset, np.array([0.0, 0.0, 1.0]), 0.04),
        flow=25e-6,
        flow_sigma=10e-6,
    )
    return PourEstimate(STAMP, str(STAMP), True, 0.97, geometry)


def test_stamps_are_exact():
    stamp = decode.ns_to_stamp(STAMP)
    assert stamp == {'sec': 1_700_000_000, 'nanosec': 123_456_789}
    assert decode.stamp_to_ns(SimpleNamespace(**stamp)) == STAMP


# Images


def test_color_round_trip(message, rgb):
    msg = message('sensor_msgs/msg/Image', encode.image(STAMP, 'cam', rgb))
    assert (msg.encoding, msg.step, msg.header.frame_id) == ('rgb8', 192, 'cam')
    assert decode.stamp_to_ns(msg.header.stamp) == STAMP
    np.testing.assert_array_equal(images.image_to_rgb(msg), rgb)


@pytest.mark.parametrize('dtype', ['float32', 'uint16'])
def test_depth_round_trip(message, dtype):
    depth = np.random.default_rng(3).uniform(0, 5000, (48, 64)).astype(dtype)
    msg = message('sensor_msgs/msg/Image', encode.image(STAMP, 'cam', depth))
    decoded = images.image_to_depth(msg)
    assert decoded.dtype == np.float32
    if dtype == 'float32':
        np.testing.assert_array_equal(decoded, depth)
    else:
        assert msg.encoding == '16UC1'
        np.testing.assert_allclose(decoded, depth / 1000.0, rtol=2e-7)


def test_mask_is_mono8_of_0_and_255(message):
    mask = np.zeros((48, 64), dtype=bool)
    mask[10:20, 5] = True
    msg = message('sensor_msgs/msg/Image', encode.image(STAMP, 'cam', mask))
    assert msg.encoding == 'mono8'
    pixels = np.frombuffer(msg.data, np.uint8).reshape(48, 64)
    np.testing.assert_array_equal(pixels, mask * 255)


def test_images_that_are_not_contiguous_are_encoded_as_they_look(message, rgb):
    flipped = rgb[:, ::-1]
    msg = message('sensor_msgs/msg/Image', encode.image(STAMP, 'cam', flipped))
    np.testing.assert_array_equal(images.image_to_rgb(msg), flipped)


@pytest.mark.parametrize(
    ('encoding', 'channels'),
    [('rgb8', [0, 1, 2]), ('bgr8', [2, 1, 0]), ('rgba8', [0, 1, 2, 0]), ('bgra8', [2, 1, 0, 0])],
)
@pytest.mark.parametrize('padding', [0, 5])
def test_color_encodings_and_step(rgb, encoding, channels, padding):
    pixels = np.ascontiguousarray(rgb[..., channels]).reshape(48, -1)
    rows = np.pad(pixels, ((0, 0), (0, padding)), constant_values=99)
    decoded = images.image_to_rgb(image(rows, encoding=encoding, width=64))
    np.testing.assert_array_equal(decoded, rgb)


def test_mono8_becomes_grey(rgb):
    grey = np.ascontiguousarray(rgb[..., 0])
    decoded = images.image_to_rgb(image(grey, encoding='mono8'))
    np.testing.assert_array_equal(decoded, np.repeat(grey[..., None], 3, axis=2))


@pytest.mark.parametrize('pattern', ['rggb', 'bggr', 'gbrg', 'grbg'])
def test_bayer_of_one_colour_gives_it_back(pattern):
    color = {'r': 200, 'g': 100, 'b': 30}
    tile = np.array([color[c] for c in pattern], dtype=np.uint8).reshape(2, 2)
    decoded = images.image_to_rgb(image(np.tile(tile, (8, 8)), encoding=f'bayer_{pattern}8'))
    inner = decoded[2:-2, 2:-2]
    np.testing.assert_array_equal(inner, np.broadcast_to([200, 100, 30], inner.shape))


@pytest.mark.parametrize(('encoding', 'order'), [('yuv422', 'uyvy'), ('yuv422_yuy2', 'yuyv')])
def test_yuv422_of_one_colour_gives_it_back(encoding, order):
    # BT.601, limited range, of RGB (200, 100, 30) by the standard's equation.
    r, g, b = 200, 100, 30
    y = 16 + (65.481 * r + 128.553 * g + 24.966 * b) / 255
    u = 128 + (-37.797 * r - 74.203 * g + 112.0 * b) / 255
    v = 128 + (112.0 * r - 93.786 * g - 18.214 * b) / 255
    values = {'y': round(y), 'u': round(u), 'v': round(v)}
    # In a pair of pixels u comes before v.
    chroma = iter('uv')
    pair = [values['y'] if c == 'y' else values[next(chroma)] for c in order]
    rows = np.tile(np.array(pair, dtype=np.uint8), (6, 4))
    decoded = images.image_to_rgb(image(rows, encoding=encoding, width=8))
    assert decoded.shape == (6, 8, 3)
    assert np.abs(decoded.astype(int) - [r, g, b]).max() <= 3


def test_rgb8_and_32fc1_are_views(rgb):
    data = rgb.copy()
    msg = image(data)
    msg.data = data.reshape(-1)
    assert np.shares_memory(images.image_to_rgb(msg), data)
    depth = np.ones((4, 4), np.float32)
    msg = image(depth, encoding='32FC1')
    msg.data = depth.reshape(-1).view(np.uint8)
    assert np.shares_memory(images.image_to_depth(msg), depth)


@pytest.mark.parametrize('padding', [0, 3])
@pytest.mark.parametrize(
    ('encoding', 'code'), [('16UC1', 'u2'), ('mono16', 'u2'), ('32FC1', 'f4')]
)
@pytest.mark.parametrize('big', [0, 1])
def test_depth_encodings_step_and_byte_order(encoding, code, big, padding):
    values = np.array([[0, 401, 1363], [5, 65535, 2]])
    stored = values.astype(('>' if big else '<') + code)
    rows = np.pad(stored.view(np.uint8), ((0, 0), (0, padding)))
    decoded = images.image_to_depth(image(rows, encoding=encoding, width=3, is_bigendian=big))
    expected = values if encoding == '32FC1' else values / 1000.0
    np.testing.assert_allclose(decoded, expected, rtol=2e-7)
    assert decoded.dtype == np.float32


def test_last_row_may_lack_its_padding(rgb):
    rows = np.pad(rgb.reshape(48, -1), ((0, 0), (0, 8)))
    msg = image(rows, width=64)
    msg.data = msg.data[:-8]
    np.testing.assert_array_equal(images.image_to_rgb(msg), rgb)


@pytest.mark.parametrize(
    ('change', 'text'),
    [
        ({'encoding': 'jpeg'}, "'jpeg' is not supported, expected one of rgb8"),
        ({'encoding': ''}, "''"),
        ({'width': 0}, 'rgb8 image of 0x48 is empty'),
        ({'height': 0}, '64x0 is empty'),
        ({'step': 191}, 'needs 192 bytes a row, but its step is 191'),
        ({'data': b''}, 'cut short: 0 of 9216 bytes'),
        ({'data': bytes(9215)}, 'cut short: 9215 of 9216 bytes'),
        ({'height': 2**32 - 1}, 'cut short'),
        ({'width': 2**32 - 1, 'step': 2**32 - 1}, 'needs'),
        ({'encoding': 'yuv422', 'width': 63}, 'even width'),
    ],
)
def test_bad_colour_images_are_named(rgb, change, text):
    with pytest.raises(MessageError) as caught:
        images.image_to_rgb(image(rgb, **change))
    assert text in str(caught.value)
    assert '\n' not in str(caught.value)


def test_bad_depth_images_are_named(rgb):
    with pytest.raises(MessageError, match="depth encoding 'rgb8'"):
        images.image_to_depth(image(rgb))
    with pytest.raises(MessageError, match='cut short'):
        images.image_to_depth(image(np.zeros((4, 4), np.uint16), encoding='32FC1', step=16))


def compressed(format_, picture, lead=b''):
    ending = '.png' if 'png' in format_.lower() else '.jpg'
    data = lead + cv2.imencode(ending, picture)[1].tobytes()
    return {'format': format_, 'data': np.frombuffer(data, np.uint8)}


@pytest.mark.parametrize(
    ('format_', 'swapped'),
    [
        ('jpeg', False),
        ('png', False),
        ('rgb8; jpeg compressed bgr8', False),
        ('bgr8; png compressed bgr8', False),
        ('rgb8; png compressed rgb8', True),
    ],
)
def test_compressed_colour(message, format_, swapped):
    smooth = np.full((48, 64, 3), (200, 120, 40), np.uint8)
    stored = smooth if swapped else smooth[..., ::-1]
    msg = message('sensor_msgs/msg/CompressedImage', compressed(format_, stored))
    np.testing.assert_allclose(images.image_to_rgb(msg), smooth, atol=2)


def test_compressed_grey_is_grey():
    grey = np.full((8, 8), 77, np.uint8)
    msg = SimpleNamespace(**compressed('mono8; png compressed ', grey))
    np.testing.assert_array_equal(images.image_to_rgb(msg), np.full((8, 8, 3), 77))


def test_compressed_depth(message):
    depth = np.array([[0, 401], [1363, 65535]], np.uint16)
    for format_, lead in (
        ('16UC1; compressedDepth png', bytes(12)),
        ('16UC1; compressedDepth', bytes(12)),
        ('16UC1; png compressed ', b''),
    ):
        fields = compressed('png', depth, lead) | {'format': format_}
        msg = message('sensor_msgs/msg/CompressedImage', fields)
        np.testing.assert_allclose(images.image_to_depth(msg), depth / 1000.0, rtol=1e-6)


def test_compressed_float_depth_is_inverse():
    # compressed_depth_image_transport: v = A / z + B with A = D (D + 1), B = 1 - A / z_max.
    a, b = 100.0 * 101.0, 1 - 100.0 * 101.0 / 10.0
    z = np.array([[0.4, 1.3], [2.5, 9.0]])
    stored = np.r_[np.round(a / z + b), [[0, 0]]].astype(np.uint16)
    lead = np.int32(0).tobytes() + np.array([a, b], '<f4').tobytes()
    msg = SimpleNamespace(**compressed('png', stored, lead))
    msg.format = '32FC1; compressedDepth png'
    decoded = images.image_to_depth(msg)
    np.testing.assert_allclose(decoded[:2], z, rtol=0.01)
    assert np.isnan(decoded[2]).all()
    assert decoded.dtype == np.float32


@pytest.mark.parametrize(
    ('fields', 'text'),
    [
        ({'format': 'jpeg', 'data': b''}, "'jpeg' of 0 bytes cannot be decoded"),
        ({'format': 'jpeg', 'data': b'nonsense'}, 'of 8 bytes'),
        (
            {'format': '16UC1; compressedDepth rvl', 'data': bytes(40)},
            'invalid size in its header: 0x0 px',
        ),
        ({'format': '16UC1; compressedDepth png', 'data': bytes(5)}, 'of 0 bytes'),
        (compressed('jpeg', np.zeros((4, 4, 3), np.uint8)), 'does not hold 16-bit depth'),
        (
            compressed('64FC1; png compressed', np.zeros((4, 4), np.uint16)),
            "encoding '64FC1' is not supported",
        ),
    ],
)
def test_bad_compressed_images_are_named(fields, text):
    with pytest.raises(MessageError) as caught:
        images.image_to_depth(SimpleNamespace(**fields))
    assert text in str(caught.value)
    assert '\n' not in str(caught.value)


# Camera


def test_camera_info_round_trip(message):
    msg = message('sensor_msgs/msg/CameraInfo', encode.camera_info(STAMP, 'cam', CAMERA))
    assert msg.distortion_model == 'plumb_bob'
    assert camera_from_info(msg, 64, 48) == CAMERA
    np.testing.assert_array_equal(np.reshape(msg.p, (3, 4))[:, :3], CAMERA.matrix)


def test_rational_distortion_round_trip(message):
    camera = PinholeCamera(64, 48, 60.0, 61.0, 31.5, 23.5, tuple(np.linspace(0.1, 0.8, 8)))
    msg = message('sensor_msgs/msg/CameraInfo', encode.camera_info(STAMP, 'cam', camera))
    assert msg.distortion_model == 'rational_polynomial'
    assert camera_from_info(msg, 64, 48) == camera


def camera_info(**fields):
    defaults = {
        'width': 64,
        'height': 48,
        'k': [60.0, 0, 31.5, 0, 61.0, 23.5, 0, 0, 1],
        'd': [],
        'distortion_model': '',
        'binning_x': 0,
        'binning_y': 0,
        'roi': SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0, do_rectify=False),
    }
    return SimpleNamespace(**{**defaults, **fields})


def test_camera_info_of_another_size_is_scaled():
    camera = camera_from_info(camera_info(), 128, 96)
    # Pixel centres are integers: cx' = (cx + 1/2) s - 1/2.
    assert (camera.width, camera.height) == (128, 96)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (120.0, 122.0, 63.5, 47.5)
    # The same point falls on the same place of the picture.
    point = [0.1, 0.05, 1.0]
    small = camera_from_info(camera_info(), 64, 48).project(point)
    np.testing.assert_allclose((small + 0.5) * 2 - 0.5, camera.project(point))


def test_camera_info_tolerates_rounding_of_the_size():
    info = camera_info(width=1280, height=720)
    assert camera_from_info(info, 427, 240).width == 427


@pytest.mark.parametrize(
    ('change', 'text'),
    [
        ({'k': [0.0] * 9}, r'uncalibrated \(K\[0\] = 0\)'),
        ({'k': [math.nan] * 9}, 'must be nine finite'),
        ({'k': [60.0] * 4}, 'must be nine finite'),
        ({'k': [-60.0, 0, 31.5, 0, 61.0, 23.5, 0, 0, 1]}, 'must be positive'),
        ({'width': 0, 'height': 0}, '0x0'),
        ({'height': 64}, 'not a scaled copy'),
        ({'d': [0.1] * 4, 'distortion_model': 'equidistant'}, "'equidistant' is not supported"),
        ({'d': [0.0] * 4, 'distortion_model': 'equidistant'}, "'equidistant' is not supported"),
        ({'d': [], 'distortion_model': 'Kannala-Brandt'}, "'Kannala-Brandt' is not supported"),
        ({'d': [0.3, 0, 0, 0, 0], 'distortion_model': 'inverse_brown_conrady'}, 'beyond 0.25'),
        ({'k': [60.0, 0, 64.5, 0, 61.0, 23.5, 0, 0, 1]}, 'principal point lies outside'),
        ({'d': [0.1] * 3, 'distortion_model': 'plumb_bob'}, '3 coefficients'),
        ({'d': [math.nan] * 5, 'distortion_model': 'plumb_bob'}, 'not finite'),
    ],
)
def test_bad_camera_infos_are_named(change, text):
    with pytest.raises(MessageError, match=text):
        camera_from_info(camera_info(**change), 64, 48)


def test_a_pinhole_without_coefficients_may_have_any_of_its_names():
    for model in ('', 'none', 'plumb_bob', 'Brown-Conrady'):
        info = camera_info(d=[0.0] * 4, distortion_model=model)
        assert camera_from_info(info, 64, 48).distortion == ()


# Poses


def test_pose_round_trip(message):
    msg = message('geometry_msgs/msg/PoseStamped', encode.pose_stamped(STAMP, 'base', POSE))
    assert msg.header.frame_id == 'base'
    decoded = decode.pose_from_pose_stamped(msg)
    np.testing.assert_allclose(decoded.matrix, POSE.matrix, atol=1e-14)


def test_transforms_round_trip_through_rosbags():
    fields = encode.transforms([(STAMP, 'base', 'cam', POSE), (STAMP + 1, 'cam', 'cup', POSE)])
    msg = rosbags_message('tf2_msgs/msg/TFMessage', fields)
    assert [t.child_frame_id for t in msg.transforms] == ['cam', 'cup']
    assert decode.stamp_to_ns(msg.transforms[1].header.stamp) == STAMP + 1
    decoded = decode.pose_from_transform(msg.transforms[0].transform)
    np.testing.assert_allclose(decoded.matrix, POSE.matrix, atol=1e-14)


@pytest.mark.parametrize('q', [(0, 0, 0, 0), (math.nan, 0, 0, 1), (1, 1, 1, 1)])
def test_bad_quaternions_are_refused(q):
    fields = encode.pose_stamped(STAMP, 'base', POSE)
    fields['pose']['orientation'] = dict(zip('xyzw', map(float, q), strict=True))
    msg = rosbags_message('geometry_msgs/msg/PoseStamped', fields)
    with pytest.raises(MessageError, match='quaternion'):
        decode.pose_from_pose_stamped(msg)


# Clouds and scalars


@pytest.mark.parametrize('count', [0, 1, 7])
def test_cloud_round_trip(message, count):
    msg = message('sensor_msgs/msg/PointCloud2', encode.point_cloud(STAMP, 'cam', cloud(count)))
    assert (msg.height, msg.width, msg.is_dense) == (1, count, True)
    assert [(f.name, f.offset, f.datatype) for f in msg.fields] == [
        (name, 4 * k, 7) for k, name in enumerate(['x', 'y', 'z', 'intensity', 'radius'])
    ]
    decoded = decode.cloud_from_msg(msg)
    np.testing.assert_array_equal(decoded.points, cloud(count).points)
    np.testing.assert_array_equal(decoded.intensity, cloud(count).intensity)
    np.testing.assert_array_equal(decoded.radius, cloud(count).radius)
    assert decoded.plane is None


def test_cloud_of_any_layout():
    # Another order, gaps, two rows with padding, big endian.
    original = cloud(6)
    columns = {
        'radius': original.radius,
        'z': original.points[:, 2],
        'intensity': original.intensity,
        'x': original.points[:, 0],
        'y': original.points[:, 1],
    }
    dtype = np.dtype(
        {
            'names': list(columns),
            'formats': ['>f4'] * 5,
            'offsets': [4, 12, 16, 24, 20],
            'itemsize': 32,
        }
    )
    records = np.zeros(6, dtype)
    for name, values in columns.items():
        records[name] = values
    rows = np.pad(records.view(np.uint8).reshape(2, 96), ((0, 0), (0, 7)))
    msg = SimpleNamespace(
        height=2,
        width=3,
        is_bigendian=True,
        point_step=32,
        row_step=103,
        data=rows.tobytes(),
        fields=[
            SimpleNamespace(name=name, offset=dtype.fields[name][1], datatype=7)
            for name in columns
        ],
    )
    decoded = decode.cloud_from_msg(msg)
    np.testing.assert_array_equal(decoded.points, original.points)
    np.testing.assert_array_equal(decoded.intensity, original.intensity)
    np.testing.assert_array_equal(decoded.radius, original.radius)


def test_bad_clouds_are_named():
    def msg(**change):
        fields = {**encode.point_cloud(STAMP, 'cam', cloud()), **change}
        return rosbags_message('sensor_msgs/msg/PointCloud2', fields)

    fields = encode.point_cloud(STAMP, 'cam', cloud())['fields']
    with pytest.raises(MessageError, match='lacks the fields intensity radius'):
        decode.cloud_from_msg(msg(fields=fields[:3]))
    with pytest.raises(MessageError, match='field radius is not a FLOAT32'):
        decode.cloud_from_msg(msg(fields=[*fields[:4], {**fields[4], 'datatype': 8}]))
    with pytest.raises(MessageError, match='field radius is not a FLOAT32 within 20'):
        decode.cloud_from_msg(msg(fields=[*fields[:4], {**fields[4], 'offset': 17}]))
    with pytest.raises(MessageError, match='cut short'):
        decode.cloud_from_msg(msg(width=8, row_step=160))
    with pytest.raises(MessageError, match='cut short'):
        decode.cloud_from_msg(msg(row_step=10))
    bad = cloud()
    bad.points[3, 1] = np.nan
    with pytest.raises(MessageError, match='not finite'):
        decode.cloud_from_msg(
            rosbags_message('sensor_msgs/msg/PointCloud2', encode.point_cloud(STAMP, '', bad))
        )


def test_scalars_round_trip(message):
    values = {'probability': 0.123456789012345, 'present': 1.0}
    msg = message('sensor_msgs/msg/JointState', encode.scalars(STAMP, 'cam', values))
    assert decode.scalars_from_msg(msg) == values
    with pytest.raises(MessageError, match='2 names for 1'):
        decode.scalars_from_msg(SimpleNamespace(name=['a', 'b'], position=[1.0]))
    with pytest.raises(MessageError, match='a is nan'):
        decode.scalars_from_msg(SimpleNamespace(name=['a'], position=[math.nan]))


# Both backends


def frame_messages():
    segmentation = Segmentation(
        0.97, True, np.full((48, 64), 0.25, np.float32), np.eye(48, 64, dtype=bool)
    )
    seen = SeenContainer(Pose(np.eye(3), np.array([0.5, 0, 0.2])), 1e-4 * np.eye(6), 0.9)
    observation = Observation(STAMP, str(STAMP), segmentation, cloud(), source=seen)
    blank = np.zeros((48, 64, 3), np.uint8)
    yield from perception_messages(
        observation, blank, 'cam', lambda name: 'overlay' not in name, 'base'
    )
    yield from monitor_messages(
        complete_estimate(), 'base', 'flowing', lambda name: True, Poured(12e-6, 3e-6)
    )


def test_every_output_is_the_same_in_both_backends():
    serialization = pytest.importorskip('rclpy.serialization')
    types = {topic.name: topic.type for topic in (*PERCEPTION, *MONITOR)}
    sent = dict(frame_messages())
    assert set(sent) == set(types) - {'liquid/overlay'}
    for name, fields in sent.items():
        pytest.importorskip(types[name].split('/')[0] + '.msg')
        cls = message_class(types[name])
        data = STORE.serialize_cdr(build(STORE, types[name], fields), types[name])
        filled = serialization.serialize_message(fill(cls, fields))
        received = [serialization.deserialize_message(bytes(d), cls) for d in (data, filled)]
        assert received[0] == received[1], name


def test_fill_takes_the_fast_path(rgb):
    pytest.importorskip('sensor_msgs.msg')
    import time

    big = np.zeros((720, 1280, 3), np.uint8)
    fields = encode.image(STAMP, 'cam', big)
    cls = message_class('sensor_msgs/msg/Image')
    fill(cls, fields)
    start = time.perf_counter()
    msg = fill(cls, fields)
    # The setter takes 100 ms for a numpy array of this size.
    assert time.perf_counter() - start < 0.03
    fill(msg, encode.image(STAMP, 'cam', rgb))
    assert len(msg.data) == rgb.size


def test_build_refuses_a_field_that_the_type_lacks():
    with pytest.raises(MessageError, match='has no field colour'):
        build(STORE, 'sensor_msgs/msg/Image', {'colour': 1})


# Contract


def test_without_liquid_distance_is_infinite_and_nothing_else_is_claimed():
    dry = PourEstimate(STAMP, 'f', False, 0.01)
    sent = dict(monitor_messages(dry, 'base', None, lambda name: True))
    assert set(sent) == {'liquid/distance', 'markers'}
    assert sent['liquid/distance']['range'] == math.inf
    assert len(sent['markers']['markers']) == 1


def test_present_but_not_estimable_is_silence():
    estimate = PourEstimate(STAMP, 'f', True, 0.9, reason='no source pose')
    assert not dict(monitor_messages(estimate, 'base', None, lambda name: False))
    assert set(dict(monitor_messages(estimate, 'base', None, lambda name: True))) == {'markers'}


def test_a_complete_estimate_says_everything_with_the_frames_stamp():
    sent = dict(
        monitor_messages(
            complete_estimate(), 'base', 'flowing', lambda name: True, Poured(12e-6, 3e-6)
        )
    )
    assert set(sent) == {topic.name for topic in MONITOR}
    assert sent['liquid/distance']['range'] == 0.12
    assert sent['liquid/offset']['vector'] == {'x': 0.01, 'y': 0.02, 'z': 0.0}
    pose = sent['liquid/offset_covariance']['pose']
    assert pose['pose']['position'] == sent['liquid/offset']['vector']
    expected = np.zeros((6, 6))
    expected[:3, :3] = complete_estimate().geometry.offset_covariance
    np.testing.assert_array_equal(np.reshape(pose['covariance'], (6, 6)), expected)
    assert sent['liquid/landing_point']['point'] == {'x': 0.4, 'y': 0.1, 'z': 0.7}
    assert sent['pour_state'] == {'data': 'flowing'}
    for name, values in (
        ('liquid/flow', {'flow_ml_s': 25.0, 'flow_sigma_ml_s': 10.0}),
        ('liquid/poured', {'poured_ml': 12.0, 'poured_sigma_ml': 3.0}),
    ):
        got = dict(zip(sent[name]['name'], sent[name]['position'], strict=True))
        assert got == pytest.approx(values)
    for name in set(sent) - {'pour_state', 'markers'}:
        assert sent[name]['header']['stamp'] == decode.ns_to_stamp(STAMP)
        assert sent[name]['header']['frame_id'] == 'base'


def test_perception_sends_an_empty_cloud_and_only_the_wanted_images():
    segmentation = Segmentation(0.1, False, np.zeros((4, 4), np.float32), np.zeros((4, 4), bool))
    observation = Observation(STAMP, 'f', segmentation, LiquidCloud.empty())
    asked = []
    sent = dict(
        perception_messages(
            observation, np.zeros((4, 4, 3), np.uint8), 'cam', lambda n: asked.append(n), 'base'
        )
    )
    assert asked == ['liquid/mask', 'liquid/cam', 'liquid/overlay']
    assert set(sent) == {'liquid/probability', 'liquid/points'}
    assert sent['liquid/points']['width'] == 0
    np.testing.assert_array_equal(sent['liquid/probability']['position'], [0.1, 0.0, 0.0])


def test_markers_show_the_target_rim_around_the_mouth():
    estimate = complete_estimate()
    array = markers(estimate, 'base')['markers']
    by_name = {m['ns']: m for m in array[1:]}
    assert array[0]['action'] == 3
    assert set(by_name) == {
        'stream', 'lowest_point', 'landing_point', 'offset', 'target_rim', 'text'
    }  # fmt: skip
    mouth = estimate.geometry.landing_point - estimate.geometry.offset
    rim = np.array([[p['x'], p['y'], p['z']] for p in by_name['target_rim']['points']])
    np.testing.assert_allclose(np.linalg.norm(rim - mouth, axis=1), 0.04)
    curve = np.array([[p['x'], p['y'], p['z']] for p in by_name['stream']['points']])
    np.testing.assert_allclose(curve, estimate.geometry.curve(0.7))


def test_topic_table_is_complete_and_typed():
    names = [topic.name for topic in (*PERCEPTION, *MONITOR)]
    assert len(set(names)) == len(names) == 15
    assert [t.name for t in (*PERCEPTION, *MONITOR) if t.latched] == ['pour_state']
    for topic in (*PERCEPTION, *MONITOR):
        assert topic.type in STORE.types


def test_opencv_has_every_conversion_of_the_table():
    for _, conversion in images.COLOR_ENCODINGS.values():
        assert conversion is None or hasattr(cv2, conversion)
