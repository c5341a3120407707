# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
import csv
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from pourit_ros.bags import BagError
from pourit_ros.bags.feed import BagFeed
from pourit_ros.bags.make import CAMERA_FRAME, TOPICS, write_pour_bag
from pourit_ros.bags.outputs import KeyFrames
from pourit_ros.bags.reader import BagReader, ReaderOptions
from pourit_ros.bags.replay import replay
from pourit_ros.bags.rows import rows_from_bag
from pourit_ros.bags.topics import CAMERA_INFO, COMPRESSED, IMAGE, POSE, TYPES, find_camera_topics
from pourit_ros.bags.writer import BagWriter
from pourit_ros.errors import InputError
from pourit_ros.files import MANIFEST, result_folder
from pourit_ros.formats.estimates_csv import COLUMNS, Row, write_csv
from pourit_ros.formats.scenes import load_pourit_scene
from pourit_ros.geometry import Container, PinholeCamera, Pose
from pourit_ros.messages import encode
from pourit_ros.messages.decode import scalars_from_msg, stamp_to_ns
from pourit_ros.messages.images import image_to_depth, image_to_rgb
from pourit_ros.perception.segmentation import Segmentation
from pourit_ros.pipeline import Frame, PourPipeline
from pourit_ros.sync.assembler import AssemblerOptions

T0 = 1_700_000_000_123_456_789
PERIOD = 33_333_333
WIDTH, HEIGHT = 320, 240
CAMERA = PinholeCamera(WIDTH, HEIGHT, 300.0, 300.0, 159.5, 119.5)
BOTTLE, CUP = Container.load('pourit_bottle'), Container.load('cup')

# A camera 0.8 m before the pouring plane y = 0, level, looking along +y.
T_BASE_CAM = Pose(np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]), np.array([0.05, -0.8, 0.25]))
MOUTH = np.array([0.0, 0.0, 0.36])
RIM_HEIGHT = 0.12


def source_pose():
    """T_base_source: the bottle's +y points 15 degrees below the horizon, along +x."""
    tilt = np.radians(15)
    axis = np.array([np.cos(tilt), 0.0, -np.sin(tilt)])
    side = np.array([0.0, 1.0, 0.0])
    rotation = np.column_stack([np.cross(axis, side), axis, side])
    return Pose(rotation, MOUTH - rotation @ BOTTLE.mouth)


SPEED, DOWN = 0.25, 0.1
FALL = (-DOWN + np.sqrt(DOWN**2 + 2 * 9.81 * (MOUTH[2] - RIM_HEIGHT))) / 9.81
LANDING = np.array([SPEED * FALL, 0.0, RIM_HEIGHT])


def pour_frame(stamp_ns, flows=True, offset=0.0):
    """A picture of a free-falling stream; it lands `offset` m before the cup's mouth in x."""
    T_base_target = Pose(np.eye(3), LANDING + [offset, 0, 0] - CUP.mouth)
    color = np.random.default_rng(stamp_ns % 1000).integers(60, 90, (HEIGHT, WIDTH, 3))
    depth = np.full((HEIGHT, WIDTH), 1.5, np.float32)
    depth[:5] = 0
    if flows:
        t = np.linspace(0, FALL, 400)
        curve = np.column_stack([SPEED * t, 0 * t, MOUTH[2] - DOWN * t - 4.905 * t * t])
        pixels = CAMERA.project(T_BASE_CAM.inverse().apply(curve))
        u, v = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
        centre = np.interp(np.arange(HEIGHT), pixels[:, 1], pixels[:, 0])
        inside = (np.abs(u - centre[:, None]) <= 3) & (v >= pixels[0, 1]) & (v <= pixels[-1, 1])
        color[inside] = (20, 40, 250)
    return Frame(
        stamp_ns=stamp_ns,
        name=str(stamp_ns),
        color=color.astype(np.uint8),
        camera=CAMERA,
        depth=depth,
        T_cam_source=T_BASE_CAM.inverse() @ source_pose(),
        T_base_cam=T_BASE_CAM,
        T_base_target=T_base_target,
    )


class BlueSegmenter:
    """What is blue is liquid."""

    def segment(self, rgb, region=None):
        mask = (rgb[..., 2] > 200) & (rgb[..., 0] < 50)
        present = bool(mask.sum() > 20)
        return Segmentation(0.99 if present else 0.02, present, mask.astype(np.float32), mask)


@pytest.fixture(scope='module')
def pour():
    """One second at 10 Hz: dry, a stream that first misses, then lands, dry again."""
    offsets = [None, None, 0.06, 0.06, 0.03, 0.0, 0.0, None, None, None]
    return [
        pour_frame(T0 + k * 100_000_000, offset is not None, offset or 0.0)
        for k, offset in enumerate(offsets)
    ]


@pytest.fixture(scope='module')
def pour_bag(pour, tmp_path_factory):
    path = tmp_path_factory.mktemp('bags') / 'pour'
    write_pour_bag(path, pour)
    return path


@pytest.fixture
def pipeline():
    return PourPipeline(BlueSegmenter(), BOTTLE, CUP)


def assert_same(read, written):
    assert read.stamp_ns == written.stamp_ns
    np.testing.assert_array_equal(read.color, written.color)
    assert read.camera == written.camera
    assert np.abs(read.depth - written.depth).max() <= 0.0005
    for name in ('T_cam_source', 'T_base_cam', 'T_base_target'):
        np.testing.assert_allclose(
            getattr(read, name).matrix, getattr(written, name).matrix, atol=1e-12
        )
    assert read.problem == ''


def leftovers(folder):
    return sorted(item.name for item in Path(folder).iterdir())


# Frames through a bag


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_frames_survive_the_bag(tmp_path, pour, storage):
    assert write_pour_bag(tmp_path / 'bag', pour, storage) == 10
    assert leftovers(tmp_path) == ['bag']
    suffix = {'mcap': 'mcap', 'sqlite3': 'db3'}[storage]
    assert leftovers(tmp_path / 'bag') == sorted([f'bag.{suffix}', 'metadata.yaml'])
    for path in (tmp_path / 'bag', tmp_path / 'bag' / f'bag.{suffix}'):
        with BagReader(path) as bag:
            assert bag.count == 10
            assert bag.duration == pytest.approx(0.9)
            frames = list(bag.frames())
            assert bag.color_frame_id == CAMERA_FRAME
            assert not bag.lost
            assert not bag.skipped
        assert len(frames) == 10
        for read, written in zip(frames, pour, strict=True):
            assert_same(read, written)


def test_poses_come_from_tf_as_well(pour, pour_bag):
    options = AssemblerOptions(source_frame='source', target_frame='target')
    with BagReader(pour_bag) as bag:
        for read, written in zip(bag.frames(options), pour, strict=True):
            assert_same(read, written)
    # Without the pose topics at all.
    with BagReader(pour_bag) as bag:
        topics = replace(bag.camera, source_pose=None, target_pose=None, camera_pose=None)
        bag.__dict__['camera'] = topics
        for read, written in zip(bag.frames(options), pour, strict=True):
            assert_same(read, written)


def test_unknown_depth_is_zero(tmp_path, pour):
    depth = pour[0].depth.copy()
    depth[10, :3] = (np.nan, np.inf, 100.0)
    write_pour_bag(tmp_path / 'bag', [replace(pour[0], depth=depth)])
    with BagReader(tmp_path / 'bag') as bag:
        (frame,) = bag.frames()
    np.testing.assert_allclose(frame.depth[10, :3], [0, 0, 65.535])


def test_frames_without_depth_or_poses_say_so(tmp_path, pour):
    bare = [replace(f, depth=None, T_cam_source=None, T_base_target=None) for f in pour]
    write_pour_bag(tmp_path / 'bag', bare)
    with BagReader(tmp_path / 'bag') as bag:
        frames = list(bag.frames())
    assert len(frames) == 10
    for frame in frames:
        assert frame.depth is None
        np.testing.assert_allclose(frame.T_base_cam.matrix, T_BASE_CAM.matrix, atol=1e-12)
        assert frame.problem == (
            'source pose: no message on source_pose; target pose: no message on target_pose'
        )


def test_a_moving_camera_is_told_again_on_tf_static(tmp_path, pour):
    moved = [
        replace(f, T_base_cam=Pose(np.eye(3), np.array([k // 2, 0, 1.0])))
        for k, f in enumerate(pour[:4])
    ]
    write_pour_bag(tmp_path / 'bag', moved)
    with BagReader(tmp_path / 'bag') as bag:
        assert len(list(bag.messages(['/tf_static']))) == 2


def test_messages_in_any_order_of_recording_give_the_same_frames(tmp_path, pour, pour_bag):
    # Each message is recorded up to 40 ms after its stamp.
    rng = np.random.default_rng(0)
    with BagReader(pour_bag) as bag, BagWriter(tmp_path / 'late') as late:
        messages = [(m.stamp_ns + int(rng.integers(0, 40_000_000)), m) for m in bag.messages()]
        for stamp_ns, message in sorted(messages, key=lambda entry: entry[0]):
            late.write_raw(message.topic, message.type, message.data, stamp_ns)
    with BagReader(tmp_path / 'late') as bag:
        for read, written in zip(bag.frames(), pour, strict=True):
            assert_same(read, written)


def test_a_bag_in_which_time_was_set_back_loses_no_frame(tmp_path, pour, pour_bag):
    with BagReader(pour_bag) as bag, BagWriter(tmp_path / 'twice') as twice:
        for turn in range(2):
            for message in bag.messages():
                twice.write_raw(
                    message.topic, message.type, message.data, message.stamp_ns + turn * 10**9
                )
    with BagReader(tmp_path / 'twice') as bag:
        for read, written in zip(bag.frames(), [*pour, *pour], strict=True):
            assert_same(read, written)


def test_camera_info_at_another_rate_and_late_is_enough(tmp_path, pour):
    frame = pour[0]
    with BagWriter(tmp_path / 'bag') as bag:
        for k in range(5):
            stamp = T0 + k * PERIOD
            fields = encode.image(stamp, CAMERA_FRAME, frame.color)
            bag.write('/image', IMAGE, fields, stamp)
        fields = encode.camera_info(T0, CAMERA_FRAME, CAMERA)
        bag.write('/camera_info', CAMERA_INFO, fields, T0 + 4 * PERIOD)
    with BagReader(tmp_path / 'bag') as bag:
        assert [f.camera for f in bag.frames()] == [CAMERA] * 5


def test_a_lost_tracker_does_not_spoil_the_bag(tmp_path, pour, pour_bag):
    with BagReader(pour_bag) as bag, BagWriter(tmp_path / 'bag') as out:
        for message in bag.messages():
            if message.topic == '/source_pose' and message.stamp_ns == pour[3].stamp_ns:
                fields = encode.pose_stamped(message.stamp_ns, CAMERA_FRAME, Pose.identity())
                fields['pose']['orientation']['w'] = 0.0
                out.write('/source_pose', POSE, fields, message.stamp_ns)
            else:
                out.write_raw(message.topic, message.type, message.data, message.stamp_ns)
    with BagReader(tmp_path / 'bag') as bag:
        frames = list(bag.frames())
        assert bag.skipped == {'/source_pose': 1}
    assert len(frames) == 10
    # Between its neighbours, which do not move.
    np.testing.assert_allclose(
        frames[3].T_cam_source.matrix, pour[3].T_cam_source.matrix, atol=1e-9
    )


@pytest.mark.shared
@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_real_frames_survive_the_bag(tmp_path, shared_dir, storage):
    frames = [
        replace(
            load_pourit_scene(shared_dir / f'data/pourit_rgbd/scene{k}')[0],
            stamp_ns=T0 + 2 * k * 10**9,
        )
        for k in (1, 2, 3)
    ]
    write_pour_bag(tmp_path / 'bag', frames, storage)
    with BagReader(tmp_path / 'bag') as bag:
        read = list(bag.frames())
    for got, frame in zip(read, frames, strict=True):
        assert got.stamp_ns == frame.stamp_ns
        np.testing.assert_array_equal(got.color, frame.color)
        np.testing.assert_allclose(got.depth, frame.depth, atol=1e-6)
        np.testing.assert_allclose(got.T_cam_source.matrix, frame.T_cam_source.matrix, atol=1e-9)
        np.testing.assert_allclose(got.T_base_cam.matrix, frame.T_base_cam.matrix, atol=1e-9)
        assert got.camera == frame.camera
        assert got.problem == 'target pose: no message on target_pose'


# Bad bags


def damaged(tmp_path, pour_bag, how):
    path = tmp_path / 'bag'
    path.mkdir()
    storage = (pour_bag / 'pour.mcap').read_bytes()
    metadata = (pour_bag / 'metadata.yaml').read_text()
    if how == 'cut':
        storage = storage[: len(storage) // 2]
    elif how == 'garbled':
        quarter = len(storage) // 4
        storage = storage[:quarter] + bytes(2 * quarter) + storage[3 * quarter :]
    elif how == 'empty':
        storage = b''
    elif how == 'metadata':
        metadata = 'rosbag2_bagfile_information: [1, 2'
    elif how == 'other yaml':
        metadata = 'name: value'
    elif how == 'list':
        metadata = '[]'
    (path / 'metadata.yaml').write_text(metadata)
    if how != 'no storage':
        (path / 'pour.mcap').write_bytes(storage)
    return path


@pytest.mark.parametrize('how', ['garbled', 'empty', 'no storage'])
def test_damaged_bags_are_named(tmp_path, pour_bag, how):
    path = damaged(tmp_path, pour_bag, how)
    with pytest.raises(BagError, match='damaged') as caught, BagReader(path) as bag:
        list(bag.frames())
    assert str(path) in str(caught.value)
    assert '\n' not in str(caught.value)


def test_what_is_no_bag_is_named(tmp_path):
    with pytest.raises(BagError, match='no such file or folder'):
        BagReader(tmp_path / 'nowhere')
    with pytest.raises(BagError, match=r'has no metadata\.yaml'):
        BagReader(tmp_path)
    (tmp_path / 'film.mp4').write_bytes(b'x')
    with pytest.raises(BagError, match='is not a rosbag2 folder'):
        BagReader(tmp_path / 'film.mp4')
    for name in ('a.mcap', 'a.db3'):
        (tmp_path / name).write_bytes(b'not a bag at all' * 100)
        with pytest.raises(BagError, match='damaged or not a rosbag2'):
            BagReader(tmp_path / name)


def test_a_damaged_message_is_named(tmp_path):
    with BagWriter(tmp_path / 'bag') as bag:
        bag.write_raw('/image', IMAGE, b'\x00\x01\x00\x00\xff\xff', T0)
        fields = encode.camera_info(T0, CAMERA_FRAME, CAMERA)
        bag.write('/camera_info', CAMERA_INFO, fields, T0)
    with (
        BagReader(tmp_path / 'bag') as bag,
        pytest.raises(BagError, match='/image: a damaged message'),
    ):
        list(bag.frames())


@pytest.mark.parametrize('missing', ['color', 'info'])
def test_a_missing_topic_lists_what_there_is(tmp_path, pour_bag, missing):
    with BagReader(pour_bag) as bag, BagWriter(tmp_path / 'bag') as out:
        for message in bag.messages():
            if message.topic != TOPICS[missing]:
                out.write_raw(message.topic, message.type, message.data, message.stamp_ns)
    with BagReader(tmp_path / 'bag') as bag, pytest.raises(BagError) as caught:
        list(bag.frames())
    text = str(caught.value)
    assert f'no {missing} topic ({TYPES[missing]})' in text
    assert '/tf_static (tf2_msgs/msg/TFMessage)' in text
    assert str(tmp_path / 'bag') in text


def test_an_unsupported_encoding_is_named(tmp_path):
    with BagWriter(tmp_path / 'bag') as bag:
        for k in range(20):
            fields = encode.image(T0 + k, 'cam', np.zeros((4, 4, 3), np.uint8))
            bag.write('/image', IMAGE, {**fields, 'encoding': 'nv12'}, T0 + k)
            fields = encode.camera_info(T0 + k, 'cam', CAMERA.resize(4, 4))
            bag.write('/camera_info', CAMERA_INFO, fields, T0 + k)
    with (
        BagReader(tmp_path / 'bag') as bag,
        pytest.raises(BagError, match="/image: colour encoding 'nv12' is not supported"),
    ):
        list(bag.frames())


def test_an_uncalibrated_camera_is_named(tmp_path, pour):
    with BagWriter(tmp_path / 'bag') as bag:
        fields = encode.image(T0, 'cam', pour[0].color)
        bag.write('/image', IMAGE, fields, T0)
        fields = {**encode.camera_info(T0, 'cam', CAMERA), 'k': np.zeros(9)}
        bag.write('/camera_info', CAMERA_INFO, fields, T0)
    with BagReader(tmp_path / 'bag') as bag, pytest.raises(BagError, match='uncalibrated'):
        list(bag.frames())


# Topics


def kinds(**topics):
    """Topic types by name, written as depth__image='/a/b'."""
    return {name: TYPES[place.split('_', 1)[1]] for place, name in topics.items()}


REALSENSE = {
    '/camera/camera/color/image_raw': IMAGE,
    '/camera/camera/color/camera_info': CAMERA_INFO,
    '/camera/camera/depth/image_rect_raw': IMAGE,
    '/camera/camera/depth/camera_info': CAMERA_INFO,
    '/camera/camera/aligned_depth_to_color/image_raw': IMAGE,
    '/camera/camera/aligned_depth_to_color/camera_info': CAMERA_INFO,
    '/camera/camera/infra1/image_rect_raw': IMAGE,
    '/pourit/liquid/mask': IMAGE,
    '/pourit/liquid/overlay': IMAGE,
    '/camera/source_pose': POSE,
    '/cup/target_pose': POSE,
    '/some_pose': POSE,
    '/tf': TYPES['tf'],
    '/tf_static': TYPES['tf'],
}


def test_realsense_topics_are_found():
    topics = find_camera_topics(REALSENSE, {})
    assert vars(topics) == {
        'color': '/camera/camera/color/image_raw',
        'info': '/camera/camera/color/camera_info',
        'depth': '/camera/camera/aligned_depth_to_color/image_raw',
        'source_pose': '/camera/source_pose',
        'target_pose': '/cup/target_pose',
        'camera_pose': None,
        'tf': '/tf',
        'tf_static': '/tf_static',
    }


def test_azure_kinect_topics_are_found():
    types = {
        '/rgb/image_raw': IMAGE,
        '/rgb/camera_info': CAMERA_INFO,
        '/depth/image_raw': IMAGE,
        '/depth/camera_info': CAMERA_INFO,
        '/depth_to_rgb/image_raw': IMAGE,
        '/depth_to_rgb/camera_info': CAMERA_INFO,
        '/ir/image_raw': IMAGE,
    }
    topics = find_camera_topics(types, {})
    assert topics.color == '/rgb/image_raw'
    assert topics.info == '/rgb/camera_info'
    assert topics.depth == '/depth_to_rgb/image_raw'


def test_topics_are_chosen_by_hand():
    types = {**REALSENSE, '/left/color/image_raw': IMAGE}
    with pytest.raises(
        BagError,
        match=r'color could be .* or .*: choose one, --topic color=/camera/camera/color/image',
    ):
        find_camera_topics(types, {})
    chosen = {'color': '/left/color/image_raw'}
    # Neither info nor depth of the other camera is taken for this one's.
    with pytest.raises(BagError, match=r'no info topic .* --topic info=NAME'):
        find_camera_topics(types, chosen)
    types['/left/color/camera_info'] = CAMERA_INFO
    topics = find_camera_topics(types, chosen)
    assert topics.color == '/left/color/image_raw'
    assert topics.info == '/left/color/camera_info'
    assert topics.depth is None


@pytest.mark.parametrize(
    ('chosen', 'text'),
    [
        ({'color': '/nowhere'}, 'color: /nowhere is not in the bag; the bag has /cam'),
        ({'depth': '/tf'}, 'depth: /tf is tf2_msgs/msg/TFMessage, not sensor_msgs/msg/Image'),
        ({'colour': '/x'}, 'no such input: colour; inputs: color, info'),
    ],
)
def test_bad_choices_are_named(chosen, text):
    with pytest.raises(BagError, match=text):
        find_camera_topics(REALSENSE, chosen)


def test_raw_images_go_before_compressed_ones():
    types = REALSENSE | {
        f'{topic}/{transport}': COMPRESSED
        for topic, transport in (
            ('/camera/camera/color/image_raw', 'compressed'),
            ('/camera/camera/aligned_depth_to_color/image_raw', 'compressedDepth'),
        )
    }
    assert find_camera_topics(types, {}) == find_camera_topics(REALSENSE, {})
    packed = {name: kind for name, kind in types.items() if kind != IMAGE}
    found = find_camera_topics(packed, {})
    assert found.color == '/camera/camera/color/image_raw/compressed'
    assert found.depth == '/camera/camera/aligned_depth_to_color/image_raw/compressedDepth'
    assert found.info == find_camera_topics(REALSENSE, {}).info
    chosen = {'color': '/camera/camera/color/image_raw/compressed'}
    assert find_camera_topics(types, chosen).color == chosen['color']


@pytest.fixture(scope='module')
def compressed_bag(pour_bag, tmp_path_factory):
    """The pour with its images as image_transport compresses them, without loss."""
    path = tmp_path_factory.mktemp('bags') / 'compressed'
    with BagReader(pour_bag) as source, BagWriter(path) as bag:
        color, depth = source.camera.color, source.camera.depth
        for message in source.messages():
            if message.type != IMAGE:
                bag.write_raw(message.topic, message.type, message.data, message.stamp_ns)
                continue
            msg = source.decode(message)
            assert message.topic in (color, depth)
            if message.topic == color:
                picture, lead = image_to_rgb(msg)[..., ::-1], b''
                name, kind = '/compressed', 'rgb8; png compressed bgr8'
            else:
                picture, lead = (1000 * image_to_depth(msg) + 0.5).astype(np.uint16), bytes(12)
                name, kind = '/compressedDepth', '16UC1; compressedDepth png'
            data = lead + cv2.imencode('.png', picture)[1].tobytes()
            stamp = stamp_to_ns(msg.header.stamp)
            fields = {'header': encode.header(stamp, msg.header.frame_id), 'format': kind,
                      'data': np.frombuffer(data, np.uint8)}  # fmt: skip
            bag.write(message.topic + name, COMPRESSED, fields, message.stamp_ns)
    return path


def test_a_compressed_bag_gives_the_same_frames(pour, compressed_bag):
    with BagReader(compressed_bag) as bag:
        assert set(bag.topics.values()) >= {COMPRESSED}
        assert IMAGE not in bag.topics.values()
        frames = list(bag.frames())
    assert len(frames) == len(pour)
    for read, written in zip(frames, pour, strict=True):
        assert_same(read, written)


def test_a_compressed_bag_feeds_the_nodes_raw_images(pour, pour_bag, compressed_bag):
    def fed(path):
        steps = BagFeed(path, {}, AssemblerOptions()).steps(150_000_000)
        return [(step.place, step.stamp_ns) for step in steps]

    assert fed(compressed_bag) == fed(pour_bag)
    steps = BagFeed(compressed_bag, {}, AssemblerOptions()).steps(150_000_000)
    colours = [step.content for step in steps if step.place == 'color']
    assert [fields['encoding'] for fields in colours] == ['rgb8'] * len(pour)
    assert bytes(colours[3]['data']) == pour[3].color.tobytes()


# Writer


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_nothing_is_left_after_an_exception(tmp_path, pour, storage):
    def failing():
        yield pour[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_pour_bag(tmp_path / 'bag', failing(), storage)
    assert leftovers(tmp_path) == []


def test_bad_frames_and_paths_are_named(tmp_path, pour, pour_bag):
    with pytest.raises(BagError, match='already exists'):
        write_pour_bag(pour_bag, pour)
    with pytest.raises(BagError, match='stamps must increase'):
        write_pour_bag(tmp_path / 'bag', [pour[0], pour[0]])
    with pytest.raises(BagError, match='no frames'):
        write_pour_bag(tmp_path / 'bag', [])
    with pytest.raises(BagError, match="storage 'bag1'"):
        BagWriter(tmp_path / 'bag', 'bag1')
    assert leftovers(tmp_path) == []


def test_metadata_is_what_humble_reads(tmp_path):
    with BagWriter(tmp_path / 'bag', 'sqlite3') as bag:
        bag.write('/pourit/pour_state', 'std_msgs/msg/String', encode.string('idle'), T0)
        fields = encode.transforms([(T0, 'a', 'b', Pose.identity())])
        bag.write('/tf_static', 'tf2_msgs/msg/TFMessage', fields, T0)
        fields = encode.image(T0, 'cam', np.zeros((4, 4), np.uint8))
        bag.write('/pourit/liquid/mask', IMAGE, fields, T0)
        bag.write('/image', IMAGE, fields, T0 + 5)
    text = (tmp_path / 'bag' / 'metadata.yaml').read_text()
    information = yaml.safe_load(text)['rosbag2_bagfile_information']
    assert information['version'] == 8
    assert information['storage_identifier'] == 'sqlite3'
    assert information['relative_file_paths'] == ['bag.db3']
    assert information['message_count'] == 4
    assert information['duration'] == {'nanoseconds': 5}
    offered = {}
    for topic in information['topics_with_message_count']:
        profiles = topic['topic_metadata']['offered_qos_profiles']
        assert isinstance(profiles, str)
        (profile,) = yaml.safe_load(profiles)
        offered[topic['topic_metadata']['name']] = (profile['reliability'], profile['durability'])
    # 1: reliable or transient local; 2: best effort or volatile.
    assert offered == {
        '/pourit/pour_state': (1, 1),
        '/tf_static': (1, 1),
        '/pourit/liquid/mask': (2, 2),
        '/image': (1, 2),
    }


def test_masks_in_mcap_are_compressed(tmp_path):
    with BagWriter(tmp_path / 'bag') as bag:
        for k in range(5):
            fields = encode.image(T0 + k, 'cam', np.zeros((480, 640), np.float32))
            bag.write('/pourit/liquid/cam', IMAGE, fields, T0 + k)
    assert (tmp_path / 'bag' / 'bag.mcap').stat().st_size < 5 * 480 * 640 * 4 / 100


def test_data_of_an_older_distribution_is_read_with_its_own_definitions(tmp_path):
    # Humble's Range ends before `variance`.
    with BagWriter(tmp_path / 'bag', distro='humble') as bag:
        fields = encode.range_(T0, 'base', 0.25)
        bag.write('/pourit/liquid/distance', 'sensor_msgs/msg/Range', fields, T0)
        fields = encode.scalars(T0, 'cam', {'probability': 0.9, 'present': 1.0})
        bag.write('/pourit/liquid/probability', 'sensor_msgs/msg/JointState', fields, T0)
    (row,) = rows_from_bag(tmp_path / 'bag', 0.04)
    assert row.distance == 0.25


# Replay


def test_replay_measures_every_frame(tmp_path, pour, pour_bag, pipeline):
    seen = []
    result = replay(
        pour_bag, tmp_path / 'out', pipeline, progress=lambda *counts: seen.append(counts)
    )
    assert leftovers(tmp_path) == ['out']
    assert leftovers(tmp_path / 'out') == [
        'bag', 'estimates.csv', 'overlay.mp4', MANIFEST, 'report.html', 'summary.json'
    ]  # fmt: skip
    assert seen == [(k, 10) for k in range(1, 11)]
    assert [row.present for row in result.rows] == [False] * 2 + [True] * 5 + [False] * 3
    assert [row.valid for row in result.rows] == [row.present for row in result.rows]
    for row, miss in zip(result.rows[2:7], [0.06, 0.06, 0.03, 0.0, 0.0], strict=True):
        np.testing.assert_allclose(row.landing, LANDING, atol=0.003)
        np.testing.assert_allclose(row.offset, [-miss, 0, 0], atol=0.003)
        assert row.margin == pytest.approx(CUP.rim_radius - miss, abs=0.003)
        assert row.latency_ms > 0
    times = [(stamp - T0) / 1e8 for stamp, _ in result.states]
    assert [state for _, state in result.states] == ['searching', 'flowing', 'stopped']
    assert times == [0, 3, 9]
    assert result.report.read_text().startswith('<!DOCTYPE html>')
    assert result.video.stat().st_size > 1000


def test_replay_gives_what_the_pipeline_gives(tmp_path, pour, pour_bag, pipeline):
    result = replay(pour_bag, tmp_path / 'out', pipeline)
    for row, frame in zip(result.rows, pour, strict=True):
        _, estimate = pipeline(frame)
        assert (row.stamp_ns, row.present) == (estimate.stamp_ns, estimate.present)
        if estimate.present:
            np.testing.assert_allclose(row.lowest, estimate.geometry.lowest_point, atol=1e-9)
            assert row.distance == pytest.approx(estimate.geometry.distance, abs=1e-9)


def test_csv_has_the_promised_columns_and_exact_stamps(tmp_path, pour_bag, pipeline):
    result = replay(pour_bag, tmp_path / 'out', pipeline)
    with result.csv.open(newline='') as file:
        lines = list(csv.DictReader(file))
    assert tuple(lines[0]) == COLUMNS
    assert lines[0]['stamp'] == '1700000000.123456789'
    assert lines[9]['stamp'] == '1700000001.023456789'
    assert lines[2]['frame'] == '1700000000323456789'
    dry, wet = lines[0], lines[5]
    assert (dry['present'], dry['valid'], dry['reason']) == ('0', '0', '')
    assert all(dry[name] == '' for name in COLUMNS[6:17])
    assert (wet['present'], wet['valid']) == ('1', '1')
    assert float(wet['margin']) == pytest.approx(result.rows[5].margin, abs=1e-6)
    assert float(wet['landing_x']) == pytest.approx(LANDING[0], abs=0.003)
    assert (dry['flow_ml_s'], dry['flow_sigma_ml_s'], dry['poured_ml']) == ('', '', '0.000')
    for name in ('flow', 'flow_sigma', 'poured', 'poured_sigma'):
        column = f'{name}_ml{"_s" if "flow" in name else ""}'
        assert float(wet[column]) == pytest.approx(1e6 * getattr(result.rows[5], name), abs=1e-3)
        assert float(wet[column]) > 0


FLOW = ('flow', 'flow_sigma')


def test_output_bag_joins_to_the_same_rows(tmp_path, pour_bag, pipeline):
    result = replay(pour_bag, tmp_path / 'out', pipeline)
    latency = {row.stamp_ns: row.latency_ms for row in result.rows}
    joined = rows_from_bag(result.bag, CUP.rim_radius, latency)
    assert len(joined) == 10
    for row, original in zip(joined, result.rows, strict=True):
        assert (row.stamp_ns, row.frame, row.present, row.valid) == (
            original.stamp_ns, original.frame, original.present, original.valid
        )  # fmt: skip
        assert row.probability == original.probability
        assert row.lowest == original.lowest
        assert row.landing == original.landing
        assert row.offset == original.offset
        assert row.distance == pytest.approx(original.distance, abs=1e-7)
        assert row.margin == pytest.approx(original.margin, abs=1e-12)
        assert row.latency_ms == original.latency_ms
        for name in ('flow', 'flow_sigma', 'poured', 'poured_sigma'):
            value, expected = getattr(row, name), getattr(original, name)
            assert (value is None) == (expected is None) == (name in FLOW and not row.present)
            assert value is None or value == pytest.approx(expected, rel=1e-12)
    with BagReader(result.bag) as bag:
        counts = dict.fromkeys(bag.topics, 0)
        for message in bag.messages():
            counts[message.topic] += 1
            assert (message.stamp_ns - T0) % 100_000_000 == 0
    assert counts == {
        '/pourit/liquid/mask': 10,
        '/pourit/liquid/cam': 10,
        '/pourit/liquid/probability': 10,
        '/pourit/liquid/points': 10,
        '/pourit/liquid/distance': 10,
        '/pourit/liquid/offset': 5,
        '/pourit/liquid/offset_covariance': 5,
        '/pourit/liquid/lowest_point': 5,
        '/pourit/liquid/landing_point': 5,
        '/pourit/liquid/flow': 5,
        '/pourit/liquid/poured': 10,
        '/pourit/pour_state': 3,
        '/pourit/markers': 10,
    }


def test_what_cannot_be_estimated_is_empty_with_a_reason(tmp_path, pour, pipeline):
    write_pour_bag(tmp_path / 'bag', [replace(f, T_base_target=None) for f in pour])
    result = replay(tmp_path / 'bag', tmp_path / 'out', pipeline)
    row = result.rows[4]
    assert (row.present, row.valid) == (True, False)
    assert row.lowest is not None
    assert (row.landing, row.offset, row.distance, row.margin) == (None,) * 4
    assert 'need a target pose' in row.reason
    (joined,) = [r for r in rows_from_bag(result.bag, 0.04) if r.stamp_ns == row.stamp_ns]
    assert joined.reason == 'not estimated (see /diagnostics of the nodes)'
    assert joined.lowest == row.lowest


def test_a_former_replay_is_replaced_when_asked_to_and_other_files_never(
    tmp_path, pour_bag, pipeline
):
    out = tmp_path / 'out'
    replay(pour_bag, out, pipeline)
    with pytest.raises(InputError, match='--overwrite'):
        replay(pour_bag, out, pipeline)
    replay(pour_bag, out, pipeline, overwrite=True)
    assert (out / 'estimates.csv').read_text().startswith('stamp,frame')
    (out / 'thesis.tex').write_text('years of work')
    with pytest.raises(InputError, match=r'thesis\.tex'):
        replay(pour_bag, out, pipeline, overwrite=True)
    assert (out / 'thesis.tex').read_text() == 'years of work'
    (tmp_path / 'file').write_text('')
    with pytest.raises(InputError, match='is a file'):
        replay(pour_bag, tmp_path / 'file', pipeline)


@pytest.mark.parametrize('overwrite', [False, True])
def test_a_replay_never_touches_its_bag(tmp_path, pour_bag, pipeline, overwrite):
    experiment = tmp_path / 'exp1'
    shutil.copytree(pour_bag, experiment / 'bag')
    before = {p: p.read_bytes() for p in experiment.rglob('*') if p.is_file()}
    for out in (experiment, experiment / 'bag', experiment / 'bag' / 'out'):
        with pytest.raises(InputError, match='input'):
            replay(experiment / 'bag', out, pipeline, overwrite=overwrite)
    assert {p: p.read_bytes() for p in experiment.rglob('*') if p.is_file()} == before


@pytest.mark.parametrize('error', [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_replay_leaves_nothing(tmp_path, pour_bag, pipeline, error):
    def stop(done, total):
        if done == 4:
            raise error

    with pytest.raises(error):
        replay(pour_bag, tmp_path / 'out', pipeline, progress=stop)
    assert leftovers(tmp_path) == []


def test_a_bag_that_breaks_off_leaves_the_former_result(tmp_path, pour_bag, pipeline):
    out = tmp_path / 'out'
    replay(pour_bag, out, pipeline)
    before = (out / 'estimates.csv').read_text()
    path = damaged(tmp_path, pour_bag, 'garbled')
    with pytest.raises(BagError):
        replay(path, out, pipeline, overwrite=True)
    assert (out / 'estimates.csv').read_text() == before
    assert leftovers(tmp_path) == ['bag', 'out']


def test_replay_into_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'here').mkdir()
    monkeypatch.chdir(tmp_path / 'here')
    with result_folder(Path('.'), 'replay') as folder:
        (folder / 'estimates.csv').write_text('x')
    assert (tmp_path / 'here' / 'estimates.csv').read_text() == 'x'
    assert leftovers(tmp_path) == ['here']


def test_replay_options_reach_reader_and_assembler(tmp_path, pour_bag, pipeline):
    options = ReaderOptions(
        topics={'color': TOPICS['color']},
        frames=AssemblerOptions(base_frame='world'),
    )
    result = replay(pour_bag, tmp_path / 'out', pipeline, options)
    assert "no transform connects 'world'" in result.rows[3].reason


# Rows


def test_rows_need_the_probability(tmp_path, pour_bag):
    with pytest.raises(BagError, match='has no topic /pourit/liquid/probability'):
        rows_from_bag(pour_bag, 0.04)
    with BagWriter(tmp_path / 'bag') as bag:
        fields = encode.scalars(T0, 'cam', {'present': 1.0})
        bag.write('/pourit/liquid/probability', 'sensor_msgs/msg/JointState', fields, T0)
    with pytest.raises(BagError, match='lacks probability'):
        rows_from_bag(tmp_path / 'bag', 0.04)


def test_rows_join_by_stamp_not_by_order(tmp_path):
    with BagWriter(tmp_path / 'bag') as bag:
        for k, stamp in enumerate([T0 + 2, T0, T0 + 1]):
            fields = encode.vector3_stamped(
                stamp, 'base', [0.006 * (stamp - T0), 0.0, 0.008 * (stamp - T0)]
            )
            bag.write('/pourit/liquid/offset', 'geometry_msgs/msg/Vector3Stamped', fields, T0 + k)
        for k, stamp in enumerate([T0, T0 + 1, T0 + 2, T0 + 3]):
            fields = encode.scalars(stamp, 'cam', {'probability': 0.9, 'present': 1.0})
            bag.write(
                '/pourit/liquid/probability', 'sensor_msgs/msg/JointState', fields, T0 + 9 + k
            )
        fields = encode.range_(T0 + 1, 'base', 0.5)
        bag.write('/pourit/liquid/distance', 'sensor_msgs/msg/Range', fields, T0 + 20)
        fields = encode.range_(T0 + 2, 'base', np.inf)
        bag.write('/pourit/liquid/distance', 'sensor_msgs/msg/Range', fields, T0 + 21)
        # Of a frame that nothing else is known of.
        fields = encode.range_(T0 + 77, 'base', 0.5)
        bag.write('/pourit/liquid/distance', 'sensor_msgs/msg/Range', fields, T0 + 22)
    rows = rows_from_bag(tmp_path / 'bag', 0.04)
    assert [row.stamp_ns - T0 for row in rows] == [0, 1, 2, 3]
    assert [row.valid for row in rows] == [False, True, False, False]
    assert [row.distance for row in rows] == [None, 0.5, None, None]
    np.testing.assert_allclose([row.margin for row in rows[:3]], [0.04, 0.03, 0.02])
    assert rows[3].margin is None


def test_csv_quotes_reasons(tmp_path):
    row = Row(-5, 'f', True, 0.5, False, 'needs "this", that', latency_ms=12.3456)
    write_csv(tmp_path / 'estimates.csv', [row])
    assert leftovers(tmp_path) == ['estimates.csv']
    with (tmp_path / 'estimates.csv').open(newline='') as file:
        (line,) = csv.DictReader(file)
    assert line['stamp'] == '-0.000000005'
    assert line['reason'] == 'needs "this", that'
    assert line['latency_ms'] == '12.346'


def test_key_frames_pick_the_telling_ones():
    margins = [None, None, -0.03, 0.01, 0.035, 0.02, None]
    picker = KeyFrames()
    for k, margin in enumerate(margins):
        row = Row(T0 + k * 10**9, str(k), margin is not None, 0.5, margin is not None,
                  margin=margin)  # fmt: skip
        picker.offer(row, np.full((2, 2, 3), k, np.uint8))
    pictures = picker.pictures(T0)
    assert [(title, int(image[0, 0, 0])) for title, image in pictures] == [
        ('first frame, 0.00 s', 0),
        ('first liquid, widest miss, 2.00 s', 2),
        ('best aim, 4.00 s', 4),
        ('last liquid, 5.00 s', 5),
        ('last frame, 6.00 s', 6),
    ]


def test_reader_gives_raw_messages_of_chosen_topics(pour_bag):
    with BagReader(pour_bag) as bag:
        assert bag.topics['/tf'] == 'tf2_msgs/msg/TFMessage'
        messages = list(bag.messages(['/source_pose']))
        assert len(messages) == 10
        assert {m.type for m in messages} == {POSE}
        assert bag.decode(messages[0]).header.frame_id == CAMERA_FRAME
        assert list(bag.messages(['/nowhere'])) == []
        assert len(list(bag.messages())) == 10 * 7 + 1
    bag.close()


def test_probability_in_the_bag_is_the_pipelines(tmp_path, pour_bag, pipeline):
    result = replay(pour_bag, tmp_path / 'out', pipeline)
    with BagReader(result.bag) as bag:
        values = [
            scalars_from_msg(bag.decode(m)) for m in bag.messages(['/pourit/liquid/probability'])
        ]
    assert values[0] == {'probability': 0.02, 'present': 0.0, 'depth': 1.0}
    assert values[4] == {'probability': 0.99, 'present': 1.0, 'depth': 1.0}


def test_a_replay_finds_the_source_in_depth(tmp_path, pipeline):
    """As the live nodes do for whoever listens; the bottle of the pour above has no depth."""
    small = Path(__file__).parent / 'data' / 'pour_small' / 'pour'
    result = replay(small, tmp_path / 'out', pipeline)
    with BagReader(result.bag) as recorded:
        seen = [
            recorded.decode(message)
            for message in recorded.messages()
            if message.topic == '/pourit/source_pose_seen'
        ]
    assert len(seen) == len(result.rows)
    with BagReader(small) as recorded:
        for frame, message in zip(recorded.frames(), seen, strict=True):
            told = (frame.T_base_cam @ frame.T_cam_source).translation
            found = message.pose.pose.position
            assert np.linalg.norm(told - [found.x, found.y, found.z]) < 0.01
