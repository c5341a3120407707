# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
import contextlib
import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, Slerp

from pourit_ros.geometry import PinholeCamera, Pose
from pourit_ros.messages import MessageError, encode
from pourit_ros.messages.decode import ns_to_stamp
from pourit_ros.pipeline import Frame
from pourit_ros.sync.assembler import MAX_PENDING, AssemblerOptions, FrameAssembler
from pourit_ros.sync.transforms import NoTransform, PoseTrack, TransformBuffer

MS = 1_000_000
S = 1_000_000_000
T0 = 1_700_000_000 * S
CAM = 'camera_color_optical_frame'
CAMERA = PinholeCamera(8, 6, 10.0, 10.0, 3.5, 2.5)


def random_pose(seed):
    rng = np.random.default_rng(seed)
    return Pose(Rotation.random(random_state=seed).as_matrix(), rng.normal(size=3))


T_BASE_CAM = random_pose(1)
T_CAM_SOURCE = random_pose(2)
T_BASE_TARGET = random_pose(3)


def namespace(fields):
    """A message as attributes, the way both backends give it."""
    if isinstance(fields, dict):
        return SimpleNamespace(**{name: namespace(value) for name, value in fields.items()})
    if isinstance(fields, list):
        return [namespace(value) for value in fields]
    return fields


def color_msg(stamp, frame=CAM, shade=0):
    return namespace(encode.image(stamp, frame, np.full((6, 8, 3), shade, np.uint8)))


def depth_msg(stamp, frame=CAM, shape=(6, 8), metres=0.5):
    return namespace(encode.image(stamp, frame, np.full(shape, metres, np.float32)))


def info_msg(stamp=T0, camera=CAMERA):
    return namespace(encode.camera_info(stamp, CAM, camera))


def pose_msg(stamp, frame, pose):
    return namespace(encode.pose_stamped(stamp, frame, pose))


def tf_msg(*edges):
    return namespace(encode.transforms(edges))


def feed_poses(assembler, stamp):
    assembler.poses.pose('camera', pose_msg(stamp, 'base', T_BASE_CAM))
    assembler.poses.pose('source', pose_msg(stamp, CAM, T_CAM_SOURCE))
    assembler.poses.pose('target', pose_msg(stamp, 'base', T_BASE_TARGET))


def feed_images(assembler, stamp):
    assembler.depth(depth_msg(stamp))
    assembler.color(color_msg(stamp))


def begun(**options):
    """An assembler that has its camera info."""
    assembler = FrameAssembler(AssemblerOptions(**options))
    assembler.info(info_msg())
    return assembler


def assert_pose(actual, expected):
    assert actual is not None
    np.testing.assert_allclose(actual.matrix, expected.matrix, atol=1e-12)


# Timelines


def test_track_interpolates_like_slerp():
    stamps = [T0, T0 + 40 * MS, T0 + 100 * MS]
    poses = [random_pose(k) for k in (4, 5, 6)]
    track = PoseTrack()
    for k in (2, 0, 1):  # out of order
        track.add(stamps[k], poses[k])
    slerp = Slerp(
        [(s - T0) / 1e9 for s in stamps],
        Rotation.from_matrix(np.stack([p.rotation for p in poses])),
    )
    for stamp in range(T0, T0 + 101 * MS, 5 * MS):
        pose = track.at(stamp, 0)
        seconds = (stamp - T0) / 1e9
        np.testing.assert_allclose(pose.rotation, slerp(seconds).as_matrix(), atol=1e-9)
        expected = [
            np.interp(seconds, [0, 0.04, 0.1], [p.translation[i] for p in poses]) for i in range(3)
        ]
        np.testing.assert_allclose(pose.translation, expected, atol=1e-12)


def test_track_outside_its_samples_takes_the_nearest_within_tolerance():
    track = PoseTrack()
    with pytest.raises(NoTransform, match='no transform received') as caught:
        track.at(T0, S)
    assert caught.value.newest_ns is None
    track.add(T0, T_BASE_CAM)
    assert track.at(T0 + 100 * MS, 100 * MS) is T_BASE_CAM
    assert track.at(T0 - 100 * MS, 100 * MS) is T_BASE_CAM
    with pytest.raises(NoTransform, match=r'0\.101 s before the image') as caught:
        track.at(T0 + 101 * MS, 100 * MS)
    assert caught.value.newest_ns == T0
    with pytest.raises(NoTransform, match=r'0\.101 s after the image'):
        track.at(T0 - 101 * MS, 100 * MS)


def test_track_does_not_interpolate_across_a_hole():
    track = PoseTrack()
    track.add(T0, random_pose(1))
    track.add(T0 + 3 * S, random_pose(2))
    with pytest.raises(NoTransform, match=r'nearest sample is 1\.500 s'):
        track.at(T0 + 1500 * MS, 100 * MS)


def test_track_replaces_prunes_and_starts_anew():
    track = PoseTrack()
    track.add(T0, random_pose(1))
    track.add(T0, T_BASE_CAM)
    assert len(track) == 1
    assert track.at(T0, 0) is T_BASE_CAM
    for k in range(1, 301):
        track.add(T0 + k * 100 * MS, T_BASE_CAM)
    assert len(track) == 101  # 10 s at 10 Hz and both ends
    track.add(T0 + 29_600 * MS, T_BASE_CAM)  # late, not a new time
    assert len(track) == 101
    track.add(T0 + 29 * S, T_BASE_CAM)  # 0.6 s back
    assert len(track) == 1


def test_track_is_not_poisoned_by_one_stamp_from_the_future():
    track = PoseTrack()
    track.add(2**31 * S, random_pose(1))
    track.add(T0, T_BASE_CAM)
    track.add(T0 + MS, T_BASE_CAM)
    assert len(track) == 2


# Trees


def tree():
    """world -> base -> hand -> tool (static) and base -> cam (static), world -> table."""
    buffer = TransformBuffer()
    poses = {name: random_pose(k) for k, name in enumerate(['base', 'hand', 'tool', 'cam'], 10)}
    poses['table'] = random_pose(20)
    buffer.add('world', 'base', T0, poses['base'])
    buffer.add('base', 'hand', T0, poses['hand'])
    buffer.add('hand', 'tool', 0, poses['tool'], static=True)
    buffer.add('base', 'cam', 0, poses['cam'], static=True)
    buffer.add('world', 'table', T0, poses['table'])
    return buffer, {name: pose.matrix for name, pose in poses.items()}


def test_lookup_goes_up_and_down_the_tree():
    buffer, m = tree()
    inv = np.linalg.inv
    expected = {
        ('world', 'tool'): m['base'] @ m['hand'] @ m['tool'],
        ('tool', 'world'): inv(m['base'] @ m['hand'] @ m['tool']),
        ('cam', 'tool'): inv(m['cam']) @ m['hand'] @ m['tool'],
        ('tool', 'cam'): inv(m['hand'] @ m['tool']) @ m['cam'],
        ('cam', 'table'): inv(m['base'] @ m['cam']) @ m['table'],
        ('cam', 'base'): inv(m['cam']),
        ('base', 'base'): np.eye(4),
    }
    for (target, source), matrix in expected.items():
        pose = buffer.lookup(target, source, T0, 0)
        np.testing.assert_allclose(pose.matrix, matrix, atol=1e-12, err_msg=f'{target} {source}')


def test_lookup_interpolates_every_edge_of_the_way():
    buffer = TransformBuffer()
    edges = [('a', 'b'), ('b', 'c')]
    for k, (parent, child) in enumerate(edges):
        buffer.add(parent, child, T0, random_pose(k))
        buffer.add(parent, child, T0 + 20 * MS, random_pose(k + 10))
    pose = buffer.lookup('a', 'c', T0 + 5 * MS, 0)
    halves = [random_pose(k).interpolate(random_pose(k + 10), 0.25) for k in range(2)]
    assert_pose(pose, halves[0] @ halves[1])


def test_lookup_says_why_not():
    buffer, _ = tree()
    with pytest.raises(NoTransform, match="no transform connects 'cam' and 'cup'"):
        buffer.lookup('cam', 'cup', T0, 0)
    with pytest.raises(NoTransform, match=r'base -> hand: nearest sample is 0\.500 s before'):
        buffer.lookup('cam', 'tool', T0 + 500 * MS, 100 * MS)
    assert issubclass(NoTransform, LookupError)


def test_setting_time_back_forgets_the_old_time_and_keeps_static_transforms():
    buffer, m = tree()
    buffer.add('world', 'table', T0 - 4 * S, T_BASE_CAM)  # has set itself back already
    buffer.set_back(T0 - 4 * S)
    assert_pose(buffer.lookup('world', 'table', T0 - 4 * S, 0), T_BASE_CAM)
    pose = buffer.lookup('base', 'cam', T0 + 1000 * S, 0)
    np.testing.assert_allclose(pose.matrix, m['cam'])
    with pytest.raises(NoTransform, match='world -> base: no transform'):
        buffer.lookup('world', 'base', T0, S)


def test_clear_keeps_static_transforms():
    buffer, m = tree()
    buffer.clear()
    np.testing.assert_allclose(buffer.lookup('base', 'cam', T0, 0).matrix, m['cam'])
    with pytest.raises(NoTransform, match='world -> table: no transform'):
        buffer.lookup('world', 'table', T0, S)


def test_a_new_parent_replaces_the_old_one():
    buffer, m = tree()
    buffer.add('hand', 'cam', 0, T_CAM_SOURCE, static=True)
    np.testing.assert_allclose(
        buffer.lookup('base', 'cam', T0, 0).matrix, m['hand'] @ T_CAM_SOURCE.matrix
    )


def test_loops_and_odd_edges_do_no_harm():
    buffer = TransformBuffer()
    buffer.add('a', 'b', T0, T_BASE_CAM)
    buffer.add('b', 'a', T0, T_BASE_CAM)
    with pytest.raises(NoTransform):
        buffer.lookup('a', 'c', T0, 0)
    for parent, child in [('a', 'a'), ('', 'a'), ('a', ''), ('/a', 'a')]:
        with pytest.raises(ValueError, match='two different frame names'):
            buffer.add(parent, child, T0, T_BASE_CAM)


# Frames


def test_a_complete_frame_comes_out_at_once():
    assembler = begun()
    feed_poses(assembler, T0)
    assembler.depth(depth_msg(T0))
    assembler.color(color_msg(T0, shade=7))
    frame = assembler.take(0)
    assert (frame.stamp_ns, frame.name, frame.problem) == (T0, str(T0), '')
    assert frame.camera == CAMERA
    assert frame.color[0, 0, 0] == 7
    assert frame.depth[0, 0] == np.float32(0.5)
    assert_pose(frame.T_base_cam, T_BASE_CAM)
    assert_pose(frame.T_cam_source, T_CAM_SOURCE)
    assert_pose(frame.T_base_target, T_BASE_TARGET)
    assert assembler.color_frame_id == CAM
    assert assembler.skew_ns == {'depth': 0, 'source': 0, 'target': 0, 'camera': 0}
    assert assembler.take(10 * S) is None


@pytest.mark.parametrize('seed', range(6))
def test_any_order_gives_the_same_frame(seed):
    assembler = FrameAssembler()
    feeds = [
        lambda: assembler.info(info_msg()),
        lambda: assembler.color(color_msg(T0)),
        lambda: assembler.depth(depth_msg(T0)),
        lambda: assembler.poses.pose('camera', pose_msg(T0, 'base', T_BASE_CAM)),
        lambda: assembler.poses.pose('source', pose_msg(T0, CAM, T_CAM_SOURCE)),
        lambda: assembler.poses.pose('target', pose_msg(T0, 'base', T_BASE_TARGET)),
    ]
    np.random.default_rng(seed).shuffle(feeds)
    frames = []
    for now, feed in enumerate(feeds):
        feed()
        frames.append(assembler.take(now * MS))
    assert frames[:-1] == [None] * 5
    assert frames[-1].problem == ''
    assert frames[-1].depth is not None
    assert_pose(frames[-1].T_cam_source, T_CAM_SOURCE)


def test_poses_in_other_frames_are_brought_over():
    # Source in the base frame, target in the camera's.
    assembler = begun(use_depth=False)
    assembler.poses.pose('camera', pose_msg(T0, 'base', T_BASE_CAM))
    assembler.poses.pose('source', pose_msg(T0, '/base', T_BASE_CAM @ T_CAM_SOURCE))
    assembler.poses.pose('target', pose_msg(T0, CAM, T_BASE_CAM.inverse() @ T_BASE_TARGET))
    assembler.color(color_msg(T0))
    frame = assembler.take(0)
    assert_pose(frame.T_cam_source, T_CAM_SOURCE)
    assert_pose(frame.T_base_target, T_BASE_TARGET)


@pytest.mark.parametrize('camera_by', ['tf', 'topic'])
def test_poses_in_a_third_frame_go_through_the_tree(camera_by):
    assembler = begun(use_depth=False)
    T_base_tag = random_pose(30)
    assembler.poses.transforms(tf_msg((0, 'base', 'tag', T_base_tag)), static=True)
    if camera_by == 'tf':
        assembler.poses.transforms(tf_msg((0, 'base', CAM, T_BASE_CAM)), static=True)
    else:
        assembler.poses.pose('camera', pose_msg(T0, 'base', T_BASE_CAM))
    T_tag_source = T_base_tag.inverse() @ T_BASE_CAM @ T_CAM_SOURCE
    assembler.poses.pose('source', pose_msg(T0, 'tag', T_tag_source))
    assembler.poses.pose('target', pose_msg(T0, 'tag', T_base_tag.inverse() @ T_BASE_TARGET))
    assembler.color(color_msg(T0))
    frame = assembler.take(0)
    assert_pose(frame.T_base_cam, T_BASE_CAM)
    assert_pose(frame.T_cam_source, T_CAM_SOURCE)
    assert_pose(frame.T_base_target, T_BASE_TARGET)


@pytest.mark.parametrize('camera_by', ['tf', 'topic'])
def test_containers_as_tf_frames(camera_by):
    assembler = begun(source_frame='bottle', target_frame='cup', use_depth=False)
    if camera_by == 'tf':
        assembler.poses.transforms(tf_msg((0, 'base', CAM, T_BASE_CAM)), static=True)
    else:
        assembler.poses.pose('camera', pose_msg(T0, 'base', T_BASE_CAM))
    edges = ((T0, 'base', 'bottle', T_BASE_CAM @ T_CAM_SOURCE), (T0, 'base', 'cup', T_BASE_TARGET))
    assembler.poses.transforms(tf_msg(*edges), static=False)
    # The topics are not listened to when a frame is named.
    assembler.poses.pose('source', pose_msg(T0, CAM, random_pose(40)))
    assembler.color(color_msg(T0))
    frame = assembler.take(0)
    assert_pose(frame.T_cam_source, T_CAM_SOURCE)
    assert_pose(frame.T_base_target, T_BASE_TARGET)


def ready_assembler(**options):
    """Past its start-up: every input has delivered for T0, and that frame was taken."""
    assembler = begun(**options)
    feed_poses(assembler, T0)
    feed_images(assembler, T0)
    assert assembler.take(T0) is not None
    return assembler


def test_late_depth_is_waited_for():
    assembler = ready_assembler()
    stamp = T0 + 33 * MS
    feed_poses(assembler, stamp)
    assembler.color(color_msg(stamp))
    assert assembler.take(stamp) is None
    assembler.depth(depth_msg(stamp + 5 * MS, metres=0.7))
    frame = assembler.take(stamp + 100 * MS)
    assert frame.depth[0, 0] == np.float32(0.7)
    assert assembler.skew_ns['depth'] == 5 * MS


def test_depth_that_stays_away_is_given_up_after_the_wait():
    assembler = ready_assembler()
    stamp = T0 + 33 * MS
    feed_poses(assembler, stamp)
    assembler.color(color_msg(stamp))
    assert assembler.take(stamp) is None
    assert assembler.take(stamp + 149 * MS) is None
    frame = assembler.take(stamp + 150 * MS)
    assert frame.depth is None
    assert frame.depth_problem == 'depth: no image within 0.017 s'
    assert_pose(frame.T_cam_source, T_CAM_SOURCE)


def test_depth_outside_the_slop_is_not_used():
    assembler = ready_assembler()
    stamp = T0 + 33 * MS
    feed_poses(assembler, stamp)
    assembler.color(color_msg(stamp))
    assembler.depth(depth_msg(stamp + 18 * MS))
    frame = assembler.take(stamp)
    assert frame.depth is None


def test_depth_that_never_came_is_not_waited_for_after_start_up():
    assembler = begun()
    taken = []
    for k in range(40):
        stamp = T0 + k * 33 * MS
        feed_poses(assembler, stamp)
        assembler.color(color_msg(stamp))
        taken.append(assembler.take(stamp) is not None)
    # The first second waits 150 ms, then frames come out as they are.
    assert taken[:5] == [False] * 5
    assert all(taken[5:])
    assert taken[31:] == [True] * 9


def test_unaligned_depth_is_refused():
    for message, text in [
        (depth_msg(T0, shape=(3, 4)), '4x3 is not the size of the colour image'),
        (depth_msg(T0, frame='camera_depth_optical_frame'), 'align it to colour'),
    ]:
        assembler = begun()
        feed_poses(assembler, T0)
        assembler.depth(message)
        assembler.color(color_msg(T0))
        frame = assembler.take(0)
        assert frame.depth is None
        assert text in frame.depth_problem
        assert not frame.problem


def test_depth_that_cannot_be_decoded_is_the_reason_of_its_frames():
    assembler = begun()
    for k, encoding in enumerate(['16UC1', 'Y12']):
        message = depth_msg(T0 + k * 33 * MS)
        message.encoding = encoding
        feed_poses(assembler, T0 + k * 33 * MS)
        with contextlib.nullcontext() if k == 0 else pytest.raises(MessageError):
            assembler.depth(message)
        assembler.color(color_msg(T0 + k * 33 * MS))
    frame = assembler.take(0)
    assert frame.depth is None
    assert "depth encoding 'Y12' is not supported" in frame.depth_problem


def test_without_use_depth_none_is_kept():
    assembler = begun(use_depth=False)
    feed_poses(assembler, T0)
    feed_images(assembler, T0)
    frame = assembler.take(0)
    assert (frame.depth, frame.problem) == (None, '')


def test_late_pose_is_waited_for_and_interpolated():
    assembler = ready_assembler()
    stamp = T0 + 20 * MS
    feed_images(assembler, stamp)
    assert assembler.take(stamp) is None
    turned = Rotation.from_euler('z', 0.3).as_matrix()
    later = Pose(turned @ T_CAM_SOURCE.rotation, T_CAM_SOURCE.translation + [0.05, 0, 0.02])
    assembler.poses.pose('source', pose_msg(T0 + 40 * MS, CAM, later))
    assert assembler.take(stamp + 20 * MS) is None
    assembler.poses.pose('camera', pose_msg(T0 + 40 * MS, 'base', T_BASE_CAM))
    assembler.poses.pose('target', pose_msg(T0 + 40 * MS, 'base', T_BASE_TARGET))
    frame = assembler.take(stamp + 20 * MS)
    assert_pose(frame.T_cam_source, T_CAM_SOURCE.interpolate(later, 0.5))
    assert frame.problem == ''


def test_pose_that_stays_away_is_replaced_by_the_nearest_within_tolerance():
    assembler = ready_assembler()
    stamp = T0 + 90 * MS
    feed_images(assembler, stamp)
    assert assembler.take(stamp) is None
    frame = assembler.take(stamp + 150 * MS)
    assert_pose(frame.T_cam_source, T_CAM_SOURCE)
    assert assembler.skew_ns['source'] == -90 * MS
    assert frame.problem == ''


def test_pose_that_is_too_old_is_missing_with_the_reason():
    assembler = ready_assembler()
    stamp = T0 + 400 * MS
    assembler.poses.pose('camera', pose_msg(stamp, 'base', T_BASE_CAM))
    assembler.poses.pose('target', pose_msg(stamp, 'base', T_BASE_TARGET))
    feed_images(assembler, stamp)
    assert assembler.take(stamp) is None
    frame = assembler.take(stamp + 150 * MS)
    assert frame.T_cam_source is None
    assert frame.problem == (
        'source pose: camera_color_optical_frame -> <source_pose>: nearest sample is 0.400 s '
        'before the image (tolerance 0.100 s)'
    )
    assert_pose(frame.T_base_target, T_BASE_TARGET)


def test_a_dead_pose_stream_does_not_delay_frames():
    assembler = ready_assembler()
    stamp = T0 + 1500 * MS
    feed_images(assembler, stamp)
    frame = assembler.take(stamp)
    assert frame.T_cam_source is None
    assert 'camera pose' in frame.problem
    assert 'source pose' in frame.problem


def test_frame_without_any_pose_names_all_three():
    assembler = begun(use_depth=False)
    assembler.color(color_msg(T0))
    assert assembler.take(0) is None
    frame = assembler.take(150 * MS)
    assert frame.problem == (
        'camera pose: no message on camera_pose, and no transform connects '
        "'base' and 'camera_color_optical_frame'; "
        'source pose: no message on source_pose; target pose: no message on target_pose'
    )


def test_without_camera_info_frames_are_dropped_and_counted():
    assembler = FrameAssembler(AssemblerOptions(use_depth=False))
    assembler.color(color_msg(T0))
    assert assembler.take(0) is None
    with pytest.raises(MessageError, match='no camera info received'):
        assembler.take(200 * MS)
    assert assembler.drops == {'no_info': 1}
    assert assembler.take(201 * MS) is None


def test_info_of_another_crop_raises_once_and_recovers():
    assembler = FrameAssembler(AssemblerOptions(use_depth=False, wait=0))
    assembler.info(info_msg(camera=PinholeCamera(30, 6, 10.0, 10.0, 15.0, 3.0)))
    assembler.color(color_msg(T0))
    with pytest.raises(MessageError, match='not a scaled copy'):
        assembler.take(0)
    assert assembler.drops == {'bad_info': 1}
    assert assembler.take(1) is None
    assembler.info(info_msg())
    assembler.color(color_msg(T0 + MS))
    assert assembler.take(2).camera == CAMERA


def test_info_of_another_scale_is_resized():
    assembler = FrameAssembler(AssemblerOptions(use_depth=False, wait=0))
    assembler.info(info_msg(camera=CAMERA.resize(16, 12)))
    assembler.color(color_msg(T0))
    assert assembler.take(0).camera == CAMERA


def test_newest_complete_frame_wins_and_the_rest_is_counted():
    assembler = ready_assembler(use_depth=False)
    for k in range(1, 4):
        assembler.color(color_msg(T0 + k * 33 * MS, shade=k))
    assert assembler.take(T0) is None
    feed_poses(assembler, T0 + 2 * 33 * MS)
    frame = assembler.take(T0)
    assert frame.color[0, 0, 0] == 2
    assert assembler.drops == {'replaced': 1}
    # The third still waits for its poses.
    feed_poses(assembler, T0 + 3 * 33 * MS)
    assert assembler.take(T0).color[0, 0, 0] == 3


def test_slow_poses_do_not_starve_the_stream():
    # 30 Hz images, poses that come 100 ms late: every image gets out, with its own pose.
    assembler = ready_assembler(use_depth=False)
    taken = []
    for k in range(1, 61):
        now = T0 + k * 33 * MS
        assembler.color(color_msg(now))
        if k > 3:
            feed_poses(assembler, now - 3 * 33 * MS)
        frame = assembler.take(now)
        if frame is not None:
            taken.append(frame)
    assert [f.stamp_ns for f in taken] == [T0 + k * 33 * MS for k in range(1, 58)]
    assert not any(f.problem for f in taken)
    assert not assembler.drops


def test_images_that_nobody_takes_do_not_pile_up():
    assembler = ready_assembler(use_depth=False)
    for k in range(1, 51):
        assembler.color(color_msg(T0 + k * 33 * MS))
    assert assembler.drops == {'replaced': 50 - MAX_PENDING}


def test_keep_all_gives_every_frame_in_order():
    assembler = begun(keep_all=True, use_depth=False)
    for k in range(50):
        assembler.color(color_msg(T0 + k * 10 * MS))
    # Two samples bracket all of them.
    feed_poses(assembler, T0)
    feed_poses(assembler, T0 + 500 * MS)
    stamps = []
    while (frame := assembler.take(T0)) is not None:
        stamps.append(frame.stamp_ns)
        assert_pose(frame.T_cam_source, T_CAM_SOURCE)
    assert stamps == [T0 + k * 10 * MS for k in range(50)]
    assert not assembler.drops


@pytest.mark.parametrize('keep_all', [False, True])
def test_time_set_back_forgets_everything_but_static_transforms(keep_all):
    assembler = begun(keep_all=keep_all)
    assembler.poses.transforms(tf_msg((0, 'base', CAM, T_BASE_CAM)), static=True)
    later = T0 + 5 * S
    assembler.poses.pose('source', pose_msg(later, CAM, random_pose(60)))
    feed_images(assembler, later)
    assembler.color(color_msg(T0))
    if keep_all:
        frame = assembler.take(0)
        assert frame.stamp_ns == later
        assert_pose(frame.T_cam_source, random_pose(60))
    else:
        assert assembler.drops == {'time_jump': 1}
    # The loop goes on as the first round did.
    assert assembler.take(0) is None
    assembler.poses.pose('source', pose_msg(T0, CAM, T_CAM_SOURCE))
    assembler.poses.pose('target', pose_msg(T0, 'base', T_BASE_TARGET))
    assembler.depth(depth_msg(T0))
    frame = assembler.take(1)
    assert (frame.stamp_ns, frame.problem) == (T0, '')
    assert_pose(frame.T_cam_source, T_CAM_SOURCE)
    assert_pose(frame.T_base_cam, T_BASE_CAM)


@pytest.mark.parametrize('color_first', [False, True])
@pytest.mark.parametrize('count', [1, 3, 60])
def test_a_looping_bag_gives_every_round_the_same(count, color_first):
    assembler = begun()
    now = 0
    for _ in range(4):
        for k in range(count):
            now += 33 * MS
            stamp = T0 + k * 33 * MS
            if color_first:
                assembler.color(color_msg(stamp))
            assembler.depth(depth_msg(stamp, metres=k))
            feed_poses(assembler, stamp)
            if not color_first:
                assembler.color(color_msg(stamp))
            frame = assembler.take(now)
            assert (frame.stamp_ns, frame.problem, frame.depth[0, 0]) == (stamp, '', k)
            assert_pose(frame.T_cam_source, T_CAM_SOURCE)
    assert not assembler.drops


def test_nothing_of_the_time_before_gets_into_the_new_one():
    # Restarted 5 s earlier; the poses come late, and the old ones must not serve.
    assembler = begun(use_depth=False)
    for stamp in (T0 + 4 * S, T0 + 4 * S + 5 * MS, T0 + 5 * S):
        feed_poses(assembler, stamp)
        assembler.poses.pose('source', pose_msg(stamp, CAM, random_pose(70)))
        assembler.color(color_msg(stamp))
        assert assembler.take(0) is not None
    assembler.color(color_msg(T0 + 4 * S + 2 * MS))
    assert assembler.take(1) is None
    feed_poses(assembler, T0 + 4 * S + 2 * MS)
    assert_pose(assembler.take(2).T_cam_source, T_CAM_SOURCE)


def test_the_clock_of_take_may_be_set_back():
    assembler = ready_assembler()
    assembler.color(color_msg(T0 + 33 * MS))
    assert assembler.take(10 * S) is None
    assert assembler.take(5 * S) is None
    assert assembler.take(5 * S + 150 * MS) is not None


def test_bad_messages_leave_the_good_ones_alone():
    assembler = begun()
    feed_poses(assembler, T0)
    with pytest.raises(MessageError, match='no frame_id'):
        assembler.poses.pose('source', pose_msg(T0, '', T_CAM_SOURCE))
    bad = pose_msg(T0, CAM, T_CAM_SOURCE)
    bad.pose.orientation.w = math.nan
    with pytest.raises(MessageError, match='quaternion'):
        assembler.poses.pose('source', bad)
    bad = info_msg()
    bad.k = np.full(9, math.nan)
    with pytest.raises(MessageError, match='K must be nine finite'):
        assembler.info(bad)
    bad = depth_msg(T0)
    bad.data = bad.data[:10]
    with pytest.raises(MessageError, match='cut short'):
        assembler.depth(bad)
    bad = color_msg(T0)
    bad.encoding = 'h264'
    with pytest.raises(MessageError, match='h264'):
        assembler.color(bad)
    bad = tf_msg((T0, 'a', 'b', T_BASE_CAM), (T0, 'a', 'a', T_BASE_CAM))
    with pytest.raises(MessageError, match='two different frame names'):
        assembler.poses.transforms(bad, static=False)
    feed_images(assembler, T0)
    assert assembler.take(0).problem == ''


# Anything that the types allow may come over the wire.

finite_or_not = st.sampled_from([0.0, 1.0, -1.0, 1e300, 1e-300, math.nan, math.inf, -math.inf])
stamps = st.one_of(
    st.integers(T0, T0 + S),
    st.sampled_from([0, -(2**31) * S, 2**31 * S, T0 - 100 * S, T0, T0 + 33 * MS]),
)
frame_ids = st.sampled_from(['', 'base', '/base', CAM, 'tag', 'x' * 300, '/'])
sizes = st.sampled_from([0, 1, 6, 8, 2**31, 2**32 - 1])
payloads = st.one_of(st.binary(max_size=16), st.just(bytes(144)), st.just(bytes(192)))
encodings = st.sampled_from(
    ['rgb8', 'bgr8', 'bgra8', 'mono8', '16UC1', '32FC1', 'bayer_rggb8', 'yuv422', '', 'jpeg']
)


@st.composite
def headers(draw):
    return {
        'stamp': ns_to_stamp(draw(stamps)),
        'frame_id': draw(frame_ids),
    }


images = st.fixed_dictionaries(
    {
        'header': headers(),
        'height': sizes,
        'width': sizes,
        'encoding': encodings,
        'is_bigendian': st.sampled_from([0, 1, 255]),
        'step': st.sampled_from([0, 1, 8, 16, 24, 32, 2**32 - 1]),
        'data': payloads,
    }
)
infos = st.fixed_dictionaries(
    {
        'header': headers(),
        'height': sizes,
        'width': sizes,
        'distortion_model': st.sampled_from(['', 'plumb_bob', 'rational_polynomial', 'other']),
        'd': st.lists(finite_or_not, max_size=15).map(np.array),
        'k': st.lists(finite_or_not, min_size=9, max_size=9).map(np.array),
        'p': st.lists(finite_or_not, min_size=12, max_size=12).map(np.array),
        'binning_x': sizes,
        'binning_y': sizes,
        'roi': st.fixed_dictionaries(
            {
                **dict.fromkeys(('x_offset', 'y_offset', 'width', 'height'), sizes),
                'do_rectify': st.booleans(),
            }
        ),
    }
)
vectors = st.fixed_dictionaries(dict.fromkeys('xyz', finite_or_not))
quaternions = st.one_of(
    st.fixed_dictionaries(dict.fromkeys('xyzw', finite_or_not)),
    st.just({'x': 0.0, 'y': 0.0, 'z': 0.0, 'w': 1.0}),
)
poses = st.fixed_dictionaries(
    {
        'header': headers(),
        'pose': st.fixed_dictionaries({'position': vectors, 'orientation': quaternions}),
    }
)
tfs = st.fixed_dictionaries(
    {
        'transforms': st.lists(
            st.fixed_dictionaries(
                {
                    'header': headers(),
                    'child_frame_id': frame_ids,
                    'transform': st.fixed_dictionaries(
                        {'translation': vectors, 'rotation': quaternions}
                    ),
                }
            ),
            max_size=3,
        )
    }
)
messages = st.one_of(
    st.tuples(st.sampled_from(['color', 'depth']), images),
    st.tuples(st.just('info'), infos),
    st.tuples(st.sampled_from(['source', 'target', 'camera']), poses),
    st.tuples(st.sampled_from(['tf', 'tf_static']), tfs),
    st.tuples(st.just('good'), st.none()),
)


def feed(assembler, kind, fields):
    msg = namespace(fields)
    if kind == 'good':
        assembler.info(info_msg())
        assembler.color(color_msg(T0 + 33 * MS))
    elif kind in ('source', 'target', 'camera'):
        assembler.poses.pose(kind, msg)
    elif kind in ('tf', 'tf_static'):
        assembler.poses.transforms(msg, static=kind == 'tf_static')
    else:
        getattr(assembler, kind)(msg)


def far_away(stamp_s):
    """A pose of the source that no robot has."""
    return {
        'header': {'stamp': {'sec': stamp_s, 'nanosec': 0}, 'frame_id': CAM},
        'pose': {
            'position': {'x': 0.0, 'y': 0.0, 'z': 1e300},
            'orientation': {'x': 0.0, 'y': 0.0, 'z': 0.0, 'w': 1.0},
        },
    }


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
# A second before the good one, which must not be taken for a jump.
@example([('source', far_away(2**31))], False, '')
@given(
    st.lists(messages, min_size=1, max_size=15),
    st.booleans(),
    st.sampled_from(['', 'tag']),
)
def test_no_message_crashes_the_assembler(stream, keep_all, source_frame):
    assembler = FrameAssembler(AssemblerOptions(keep_all=keep_all, source_frame=source_frame))
    now = 0
    for kind, fields in stream:
        now += 50 * MS
        with contextlib.suppress(MessageError):
            feed(assembler, kind, fields)
        try:
            frame = assembler.take(now)
        except MessageError:
            continue
        assert frame is None or isinstance(frame, Frame)
    # And it still works.
    assembler.info(info_msg())
    good = 2**31 * S + S
    feed_poses(assembler, good)
    assembler.depth(depth_msg(good))
    assembler.color(color_msg(good, shade=9))
    frames = []
    for _ in range(len(stream) + 2):
        now += S
        try:
            frame = assembler.take(now)
        except MessageError:
            continue
        if frame is not None:
            frames.append(frame)
    assert frames[-1].stamp_ns == good
    assert frames[-1].color[0, 0, 0] == 9
    assert frames[-1].depth is not None
    if not source_frame:
        assert_pose(frames[-1].T_cam_source, T_CAM_SOURCE)
