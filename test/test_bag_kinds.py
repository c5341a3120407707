# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Bags as they are found: cut off, without metadata, with odd topics, with late latched ones."""

import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
import yaml
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.writer import CompressionFormat, CompressionMode
from test_bags import CAMERA, HEIGHT, PERIOD, T0, T_BASE_CAM, WIDTH, pour_frame
from test_rvl import encode_rvl

from pourit_ros.bags import BagError
from pourit_ros.bags.compression import ZSTD_MAGIC
from pourit_ros.bags.feed import BagFeed
from pourit_ros.bags.make import CAMERA_FRAME, write_pour_bag
from pourit_ros.bags.reader import BagReader
from pourit_ros.bags.topics import CAMERA_INFO, COMPRESSED, IMAGE, TYPES
from pourit_ros.bags.writer import BagWriter
from pourit_ros.geometry import PinholeCamera
from pourit_ros.messages import encode
from pourit_ros.messages.camera_info import camera_from_info
from pourit_ros.messages.rosbag import build, typestore
from pourit_ros.sync.assembler import AssemblerOptions


@pytest.fixture(scope='module')
def pour():
    return [pour_frame(T0 + k * PERIOD, flows=k > 2) for k in range(12)]


@pytest.fixture(scope='module', params=['mcap', 'sqlite3'])
def whole(request, pour, tmp_path_factory):
    path = tmp_path_factory.mktemp('kinds') / 'pour'
    write_pour_bag(path, pour, request.param)
    return path


def storage_of(bag):
    return next(file for file in bag.iterdir() if file.suffix in ('.mcap', '.db3'))


def read(path, **options):
    with BagReader(path) as bag:
        return list(bag.frames(**options)), bag.notices


def assert_first(frames, pour):
    """All there is are the first frames, whole."""
    assert 0 < len(frames) <= len(pour)
    for frame, truth in zip(frames, pour, strict=False):
        assert frame.stamp_ns == truth.stamp_ns
        np.testing.assert_array_equal(frame.color, truth.color)


# Cut off


@pytest.mark.parametrize('share', [0.25, 0.6, 0.9, 0.999])
@pytest.mark.parametrize('metadata', [True, False])
def test_of_a_cut_bag_the_whole_messages_are_read(tmp_path, whole, pour, share, metadata):
    bag = tmp_path / 'pour'
    shutil.copytree(whole, bag)
    storage = storage_of(bag)
    data = storage.read_bytes()
    storage.write_bytes(data[: int(share * len(data))])
    if not metadata:
        (bag / 'metadata.yaml').unlink()
    for path in (bag, storage):
        frames, notices = read(path)
        assert_first(frames, pour)
        assert len(frames) >= share * len(pour) - 6
        (notice,) = [text for text in notices if 'was cut off' in text]
        assert f'{storage}: was cut off: its ' in notice
        assert 'whole messages' in notice
        tool = 'mcap recover pour.mcap' if storage.suffix == '.mcap' else 'sqlite3 pour.db3 .rec'
        assert tool in notice


@pytest.mark.parametrize('tail', [bytes(5000), b'\xff' * 5000, b'\x05\x00', b'\x06' + b'\xff' * 8])
def test_what_a_file_system_leaves_behind_a_cut_is_no_message(tmp_path, pour, tail):
    write_pour_bag(tmp_path / 'bag', pour)
    storage = tmp_path / 'bag' / 'bag.mcap'
    data = storage.read_bytes()
    storage.write_bytes(data[: int(0.9 * len(data))] + tail)
    frames, notices = read(storage)
    assert_first(frames, pour)
    assert 'was cut off' in notices[0]


def test_a_damaged_chunk_of_a_cut_bag_is_left_out_and_told(tmp_path, pour):
    write_pour_bag(tmp_path / 'bag', pour)
    storage = tmp_path / 'bag' / 'bag.mcap'
    data = bytearray(storage.read_bytes())
    start = data.index(ZSTD_MAGIC, len(data) // 3)
    data[start : start + 4] = bytes(4)
    storage.write_bytes(data[:-100])
    frames, notices = read(storage)
    assert 3 < len(frames) < len(pour)
    assert '1 chunks are damaged' in notices[0]


@pytest.mark.parametrize('chunks', ['none', 'plain'])
def test_a_cut_mcap_without_compression(tmp_path, pour, chunks):
    """Written by rosbags without compression; `none`: message after message, no chunks."""
    source = tmp_path / 'source'
    write_pour_bag(source, pour[:4])
    store = typestore()
    with (
        BagReader(source) as bag,
        Writer(tmp_path / 'plain', version=8, storage_plugin=StoragePlugin.MCAP) as out,
    ):
        connections = {
            topic: out.add_connection(topic, kind, typestore=store)
            for topic, kind in bag.topics.items()
        }
        for message in bag.messages():
            out.write(connections[message.topic], message.stamp_ns, message.data)
    storage = tmp_path / 'plain' / 'plain.mcap'
    data = storage.read_bytes()
    if chunks == 'none':
        data = unchunked(data)
    storage.write_bytes(data[: int(0.8 * len(data))])
    frames, notices = read(storage)
    assert_first(frames, pour[:4])
    assert 'was cut off' in notices[0]


def unchunked(data):
    """The mcap with the records of its chunks on their own."""
    out, at = bytearray(data[:8]), 8
    while at + 9 <= len(data) - 8:
        opcode, size = data[at], int.from_bytes(data[at + 1 : at + 9], 'little')
        body = data[at + 9 : at + 9 + size]
        if opcode == 6:
            name = int.from_bytes(body[28:32], 'little')
            out += body[32 + name + 8 :]
        elif opcode in (1, 3, 4, 5):
            out += data[at : at + 9 + size]
        elif opcode == 0x0F:
            break
        at += 9 + size
    return bytes(out)


def test_a_file_cut_before_its_first_message(tmp_path, whole):
    storage = storage_of(whole)
    cut = tmp_path / storage.name
    cut.write_bytes(storage.read_bytes()[:60])
    with pytest.raises(BagError, match=r'cut off before its first|or not a rosbag2') as caught:
        BagReader(cut)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('mode', ['FILE', 'MESSAGE'])
@pytest.mark.parametrize('plugin', ['MCAP', 'SQLITE3'])
def test_compressed_bags_whole_and_without_metadata(tmp_path, pour, plugin, mode):
    source, path = tmp_path / 'source', tmp_path / 'packed'
    write_pour_bag(source, pour)
    store, writer = typestore(), Writer(path, version=8, storage_plugin=StoragePlugin[plugin])
    writer.set_compression(CompressionMode[mode], CompressionFormat.ZSTD)
    with BagReader(source) as bag, writer as out:
        connections = {
            topic: out.add_connection(topic, kind, typestore=store)
            for topic, kind in bag.topics.items()
        }
        for message in bag.messages():
            out.write(connections[message.topic], message.stamp_ns, message.data)
    (storage,) = [file for file in path.iterdir() if file.name != 'metadata.yaml']
    for given in (path, storage):
        frames, notices = read(given)
        assert len(frames) == len(pour)
        assert not notices
    (path / 'metadata.yaml').unlink()
    frames, notices = read(path)
    assert len(frames) == len(pour)
    data = storage.read_bytes()
    storage.write_bytes(data[: int(0.8 * len(data))])
    frames, notices = read(path)
    assert_first(frames, pour)
    assert any('cut off' in notice for notice in notices)


def test_a_split_bag_whose_last_file_was_cut(tmp_path, pour):
    for k in range(2):
        write_pour_bag(tmp_path / f'p{k}', pour[6 * k : 6 * k + 6])
    bag = tmp_path / 'bag'
    bag.mkdir()
    # Number 10 comes after number 9.
    shutil.copy(tmp_path / 'p0/p0.mcap', bag / 'bag_9.mcap')
    data = (tmp_path / 'p1/p1.mcap').read_bytes()
    (bag / 'bag_10.mcap').write_bytes(data[: int(0.9 * len(data))])
    (bag / '._bag_9.mcap').write_bytes(b'shadow of a Mac')
    frames, notices = read(bag)
    assert_first(frames, pour)
    assert len(frames) > 7
    assert 'has no metadata.yaml: read bag_9.mcap, bag_10.mcap instead' in notices[0]
    assert 'bag_10.mcap: was cut off' in notices[1]


# Metadata


@pytest.mark.parametrize('identifier', ['', None, 'my_plugin'])
def test_the_storage_goes_by_the_suffix_where_the_metadata_do_not_say(
    tmp_path, whole, pour, identifier
):
    bag = tmp_path / 'pour'
    shutil.copytree(whole, bag)
    content = yaml.safe_load((bag / 'metadata.yaml').read_text())
    content['rosbag2_bagfile_information']['storage_identifier'] = identifier
    (bag / 'metadata.yaml').write_text(yaml.safe_dump(content))
    frames, notices = read(bag)
    assert len(frames) == len(pour)
    assert f'read {storage_of(bag).name} instead' in notices[0]


@pytest.mark.parametrize('text', ['rosbag2_bagfile_information: [1, 2', 'name: value', '[]', None])
def test_damaged_or_missing_metadata_leave_the_files(tmp_path, whole, pour, text):
    bag = tmp_path / 'pour'
    shutil.copytree(whole, bag)
    (bag / 'metadata.yaml').unlink()
    if text is not None:
        (bag / 'metadata.yaml').write_text(text)
    frames, notices = read(bag)
    assert len(frames) == len(pour)
    assert 'metadata.yaml' in notices[0]


def test_what_is_no_rosbag2_says_what_to_do(tmp_path):
    old = tmp_path / 'old.bag'
    old.write_bytes(b'#ROSBAG V2.0\n' + bytes(100))
    for path in (old, tmp_path):
        with pytest.raises(BagError, match=r'rosbags-convert --src old\.bag --dst old'):
            BagReader(path)
    disguised = tmp_path / 'other.mcap'
    disguised.write_bytes(b'#ROSBAG V2.0\n' + bytes(100))
    with pytest.raises(BagError, match='is a ROS 1 bag'):
        BagReader(disguised)
    outer = tmp_path / 'outer'
    write_pour_bag(outer / 'inner', [pour_frame(T0)])
    with pytest.raises(BagError, match=r'no metadata\.yaml; did you mean .*outer/inner\?'):
        BagReader(outer)


# Latched topics that were recorded late


def test_frames_before_the_first_camera_info_are_answered(tmp_path, pour):
    with BagWriter(tmp_path / 'bag') as bag:
        for k, frame in enumerate(pour):
            stamp = T0 + k * 200_000_000
            bag.write('/image', IMAGE, encode.image(stamp, CAMERA_FRAME, frame.color), stamp)
        fields = encode.camera_info(T0, CAMERA_FRAME, CAMERA)
        bag.write('/camera_info', CAMERA_INFO, fields, stamp)
        fields = encode.transforms([(T0, 'base', CAMERA_FRAME, T_BASE_CAM)])
        bag.write('/tf_static', TYPES['tf_static'], fields, stamp)
    with BagReader(tmp_path / 'bag') as bag:
        frames = list(bag.frames())
        assert not bag.lost
    assert len(frames) == len(pour)
    for frame in frames:
        assert frame.camera == CAMERA
        np.testing.assert_allclose(frame.T_base_cam.matrix, T_BASE_CAM.matrix)
    # The live nodes get it first as well.
    first = next(BagFeed(tmp_path / 'bag', {}, AssemblerOptions()).steps(0))
    assert first.place == 'info'


def test_a_static_transform_holds_until_its_next_one(tmp_path, pour):
    far = replace(T_BASE_CAM, translation=T_BASE_CAM.translation + [0.0, -0.2, 0.0])
    moving = [
        replace(frame, T_base_cam=far if k > 5 else T_BASE_CAM) for k, frame in enumerate(pour)
    ]
    write_pour_bag(tmp_path / 'bag', moving)
    with BagReader(tmp_path / 'bag') as bag:
        bag.__dict__['camera'] = replace(bag.camera, camera_pose=None)
        for frame, truth in zip(bag.frames(), moving, strict=True):
            np.testing.assert_allclose(frame.T_base_cam.matrix, truth.T_base_cam.matrix)


# Topics by their messages


def bag_of(path, topics):
    """A bag of three moments; `topics`: name to fields of its message at a stamp, and type."""
    store = typestore()
    with BagWriter(path) as bag:
        for k in range(3):
            stamp = T0 + k * PERIOD
            for name, (kind, make) in topics.items():
                if make is not None:
                    bag.write(name, kind, make(stamp), stamp)
    with BagReader(path) as bag:
        missing = {name: kind for name, (kind, make) in topics.items() if make is None}
    if not missing:
        return path
    # Announced, without a message.
    whole = path.with_name(f'{path.name}_announced')
    with (
        BagReader(path) as bag,
        Writer(whole, version=8, storage_plugin=StoragePlugin.MCAP) as out,
    ):
        all_topics = {**bag.topics, **missing}
        connections = {
            topic: out.add_connection(topic, kind, typestore=store)
            for topic, kind in all_topics.items()
        }
        for message in bag.messages():
            out.write(connections[message.topic], message.stamp_ns, message.data)
    return whole


def rgb(frame_id='cam', size=(HEIGHT, WIDTH)):
    return IMAGE, lambda stamp: encode.image(stamp, frame_id, np.full((*size, 3), 90, np.uint8))


def depth(frame_id='cam', size=(HEIGHT, WIDTH)):
    return IMAGE, lambda stamp: encode.image(stamp, frame_id, np.full(size, 700, np.uint16))


def grey(encoding='mono8'):
    def make(stamp):
        fields = encode.image(stamp, 'ir', np.full((HEIGHT, WIDTH), 90, np.uint8))
        return {**fields, 'encoding': encoding}

    return IMAGE, make


def packed(form, data, frame_id='cam'):
    return COMPRESSED, lambda stamp: {
        'header': encode.header(stamp, frame_id),
        'format': form,
        'data': np.frombuffer(data, np.uint8),
    }


def info(camera=CAMERA):
    return CAMERA_INFO, lambda stamp: encode.camera_info(stamp, 'cam', camera)


PNG16 = cv2.imencode('.png', np.full((HEIGHT, WIDTH), 700, np.uint16))[1].tobytes()
JPEG = cv2.imencode('.jpg', np.full((HEIGHT, WIDTH, 3), 90, np.uint8))[1].tobytes()
RVL = bytes(12) + encode_rvl(np.full((HEIGHT, WIDTH), 700, np.uint16))
NOTHING = (IMAGE, None)


@pytest.mark.parametrize(
    ('topics', 'color', 'found'),
    [
        # A robot called MiR, an infrared camera beside it.
        (
            {'/mir100/color/image': rgb(), '/mir100/ir/image': grey(),
             '/mir100/depth/image': depth()},
            '/mir100/color/image', '/mir100/depth/image',
        ),
        # The overlay of depth on colour is in colour.
        (
            {'/c/color/image_raw': rgb(), '/c/depth_to_color/image_raw': rgb(),
             '/c/depth/image_raw': depth()},
            '/c/color/image_raw', '/c/depth/image_raw',
        ),
        # Aligned by name, but of another size, or in another frame.
        (
            {'/c/color/image': rgb(), '/c/aligned_depth/image': depth(size=(120, 160)),
             '/c/depth/image': depth()},
            '/c/color/image', '/c/depth/image',
        ),
        (
            {'/c/color/image': rgb(), '/c/aligned_depth/image': depth('other'),
             '/c/depth/image': depth()},
            '/c/color/image', '/c/depth/image',
        ),
        # Announced, never published.
        (
            {'/c/color/image': NOTHING, '/c/color/image/compressed': packed('jpeg', JPEG),
             '/c/depth/image': NOTHING,
             '/c/depth/image/compressedDepth': packed('16UC1; compressedDepth rvl', RVL)},
            '/c/color/image/compressed', '/c/depth/image/compressedDepth',
        ),
        # Both transports are there: the one that loses less.
        (
            {'/c/color/image': rgb(),
             '/c/depth/image/compressed': packed('16UC1; png compressed', PNG16),
             '/c/depth/image/compressedDepth': packed('16UC1; compressedDepth rvl', RVL)},
            '/c/color/image', '/c/depth/image/compressedDepth',
        ),
        # DepthAI calls it stereo; its message tells.
        (
            {'/oak/rgb/image_raw': rgb(), '/oak/stereo/image_raw': depth(),
             '/oak/left/image_raw': grey()},
            '/oak/rgb/image_raw', '/oak/stereo/image_raw',
        ),
        # Infrared in 16 bits is no depth.
        (
            {'/rgb/image_raw': rgb(), '/ir/image_raw': depth()},
            '/rgb/image_raw', None,
        ),
        # A simulator's depth camera, whose only image is in colour.
        (
            {'/depth_camera/image_raw': rgb(), '/depth_camera/depth/image_raw': depth()},
            '/depth_camera/image_raw', '/depth_camera/depth/image_raw',
        ),
    ],
)  # fmt: skip
def test_topics_are_chosen_by_what_they_hold(tmp_path, topics, color, found):
    place = color.removesuffix('/compressed').rsplit('/', 1)[0]
    path = bag_of(tmp_path / 'bag', {**topics, f'{place}/camera_info': info()})
    with BagReader(path) as bag:
        assert bag.camera.color == color
        assert bag.camera.depth == found
        assert len(list(bag.frames())) == 3
        assert bag.depth_used == (0 if found is None else 3)


def test_of_two_cameras_info_and_depth_are_the_colour_ones(tmp_path):
    wrist = PinholeCamera(WIDTH, HEIGHT, 210.0, 210.0, 159.5, 119.5)
    topics = {
        '/head/color/image_raw': rgb(),
        '/head/color/camera_info': info(),
        '/head/aligned_depth_to_color/image_raw': depth(),
        '/wrist/image_raw': rgb(),
        '/wrist/camera_info': info(wrist),
        '/wrist/depth/image_raw': depth('cam', (120, 160)),
    }
    path = bag_of(tmp_path / 'bag', topics)
    with BagReader(path) as bag:
        assert vars(bag.camera)['info'] == '/head/color/camera_info'
        assert bag.camera.depth == '/head/aligned_depth_to_color/image_raw'
    with BagReader(path, {'color': '/wrist/image_raw'}) as bag:
        assert bag.camera.info == '/wrist/camera_info'
        assert bag.camera.depth == '/wrist/depth/image_raw'
        assert [frame.camera.fx for frame in bag.frames()] == [210.0] * 3
        cause = (
            f'160x120 is not the size of the colour image, {WIDTH}x{HEIGHT}: align it to colour'
        )
        assert bag.depth_unused == {cause: 3}
    # One camera has no depth: the other's is not taken for it.
    del topics['/wrist/depth/image_raw']
    path = bag_of(tmp_path / 'second', topics)
    with BagReader(path, {'color': '/wrist/image_raw'}) as bag:
        assert bag.camera.depth is None
        assert len(list(bag.frames())) == 3
        assert bag.depth_unused == {'the bag has no depth topic': 3}


def test_a_choice_ends_with_what_to_type(tmp_path):
    topics = {'/a/color/image': rgb(), '/b/color/image': rgb(), '/a/color/camera_info': info()}
    with BagReader(bag_of(tmp_path / 'bag', topics)) as bag, pytest.raises(BagError) as caught:
        list(bag.frames())
    assert str(caught.value).endswith(
        'color could be /a/color/image or /b/color/image: choose one, --topic color=/a/color/image'
    )
    chosen = {'color': '/a/color/image'}
    with BagReader(tmp_path / 'bag', chosen) as bag:
        assert len(list(bag.frames())) == 3


def test_a_chosen_topic_without_messages_is_named(tmp_path):
    path = bag_of(
        tmp_path / 'bag',
        {'/c/color/image': rgb(), '/c/color/camera_info': info(), '/c/depth/image': NOTHING},
    )
    with (
        BagReader(path, {'depth': '/c/depth/image'}) as bag,
        pytest.raises(BagError, match='depth: /c/depth/image holds no message'),
    ):
        list(bag.frames())


def test_depth_whose_stamps_are_apart_is_told(tmp_path):
    late = IMAGE, lambda stamp: depth()[1](stamp + 12_000_000_000)
    path = bag_of(
        tmp_path / 'bag',
        {'/c/color/image': rgb(), '/c/color/camera_info': info(), '/c/depth/image': late},
    )
    with BagReader(path) as bag:
        assert len(list(bag.frames())) == 3
        assert bag.depth_used == 0
        assert bag.depth_unused == {'no image within 0.017 s': 3}


# Rectified images


@pytest.mark.parametrize('name', ['image_rect', 'image_rect_color', 'rect/image'])
def test_rectified_images_take_P_and_say_so(tmp_path, name):
    P = PinholeCamera(WIDTH, HEIGHT, 280.0, 281.0, 150.0, 121.0)
    lens = replace(CAMERA, distortion=(-0.2, 0.1, 0.001, 0.0, 0.0))

    def both(stamp):
        fields = encode.camera_info(stamp, 'cam', lens)
        return {**fields, 'p': np.column_stack([P.matrix, np.zeros(3)]).reshape(-1)}

    color = f'/c/color/{name}'
    path = bag_of(
        tmp_path / 'bag',
        {color: rgb(), f'{color.rsplit("/", 1)[0]}/camera_info': (CAMERA_INFO, both)},
    )
    with BagReader(path) as bag:
        assert [frame.camera for frame in bag.frames()] == [P] * 3
        (notice,) = bag.notices
    assert notice.startswith(f'{color} is rectified, judging by its name: using P of ')
    # The nodes get a camera info that says so itself.
    steps = [s for s in BagFeed(path, {}, AssemblerOptions()).steps(0) if s.place == 'info']
    assert len(steps) == 3
    for step in steps:
        message = build(typestore(), CAMERA_INFO, step.content)
        assert camera_from_info(message, WIDTH, HEIGHT) == P


# The cases of the field


@pytest.mark.shared
@pytest.mark.parametrize(
    ('case', 'count', 'color', 'found', 'used', 'said'),
    [
        ('camera_info_late_frames_lost', 10, '/camera/color/image_raw',
         '/camera/aligned_depth_to_color/image_raw', 10, ''),
        ('compressedDepth_rvl', 4, '/camera/color/image_raw',
         '/camera/aligned_depth_to_color/image_raw/compressedDepth', 0, 'RVL'),
        ('depth_compressed_and_compressedDepth', 4, '/camera/color/image_raw',
         '/camera/aligned_depth_to_color/image_raw/compressedDepth', 4, ''),
        ('depth_never_used_silent', 4, '/camera/color/image_raw',
         '/camera/aligned_depth_to_color/image_raw', 0, '320x200 is not the size'),
        ('metadata_storage_id_empty', 2, '/camera/color/image_raw',
         '/camera/aligned_depth_to_color/image_raw', 2, 'metadata.yaml names no storage'),
        ('mir_namespace', 4, '/mir/color/image_raw',
         '/mir/aligned_depth_to_color/image_raw', 4, ''),
        ('orbbec_overlay_taken_as_depth', 4, '/camera/color/image_raw',
         '/camera/depth/image_raw', 4, ''),
        ('raw_topic_empty_compressed_full', 4, '/camera/color/image_raw/compressed',
         '/camera/aligned_depth_to_color/image_raw', 4, ''),
        ('mcap_power_cut', 1, '/camera/color/image_raw',
         '/camera/aligned_depth_to_color/image_raw', 1, 'mcap recover cut.mcap'),
    ],
)  # fmt: skip
def test_cases_of_the_field(shared_dir, case, count, color, found, used, said):
    path = shared_dir / 'cases' / case / ('cut.mcap' if case == 'mcap_power_cut' else 'bag')
    with BagReader(path) as bag:
        frames = list(bag.frames())
        assert bag.camera.color == color
        assert bag.camera.depth == found
        assert (len(frames), bag.depth_used) == (count, used)
        assert sum(bag.depth_unused.values()) == count - used
        assert not bag.lost
        assert said in '\n'.join([*bag.notices, *bag.depth_unused])


@pytest.mark.shared
def test_the_case_of_the_ignored_roi(shared_dir):
    """Its info is of 640x480 with the crop as roi; the crop's principal point is its middle."""
    with BagReader(shared_dir / 'cases/camerainfo_roi_ignored/bag') as bag:
        message = bag.decode(next(bag.messages([bag.camera.info])))
        frames = list(bag.frames())
    assert len(frames) == 4
    for frame in frames:
        assert frame.camera.cx == pytest.approx(message.k[2] - message.roi.x_offset)
        assert frame.camera.cy == pytest.approx(message.k[5] - message.roi.y_offset)
        assert message.roi.x_offset > 0
