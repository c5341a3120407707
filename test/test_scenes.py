# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
import pytest

from pourit_ros.errors import InputError
from pourit_ros.formats.scenes import load_pourit_scene, load_pourit_segmentation
from pourit_ros.geometry import Container
from pourit_ros.geometry.region import Region
from pourit_ros.perception.segmentation import Segmentation
from pourit_ros.pipeline import PourPipeline

K = np.array([[60.0, 0, 4], [0, 61, 3], [0, 0, 1]])
T_SOURCE = np.eye(4)
T_SOURCE[:3, 3] = (0.1, 0.2, 0.5)
# Camera 1 m above the base's origin, looking down.
T_CAMERA = np.diag([1.0, -1.0, -1.0, 1.0])
T_CAMERA[2, 3] = 1.0


def write_scene(folder, stem='000007', suffix='_rgb.png'):
    rgb = np.zeros((6, 8, 3), np.uint8)
    rgb[...] = (10, 20, 30)
    cv2.imwrite(str(folder / f'{stem}{suffix}'), rgb[..., ::-1])
    depth = np.full((6, 8), 1234, np.uint16)
    depth[0, 0] = 0
    cv2.imwrite(str(folder / f'{stem}_depth.png'), depth)
    np.savetxt(folder / f'{stem}_camK.txt', K)
    np.savetxt(folder / f'{stem}_Tobj2cam.txt', T_SOURCE)
    np.savetxt(folder / f'{stem}_Tcam2base.txt', T_CAMERA)
    return folder


@pytest.fixture
def scene(tmp_path):
    return write_scene(tmp_path)


def test_everything_is_read_with_its_units(scene):
    (frame,) = load_pourit_scene(scene)
    assert frame.name == '000007'
    np.testing.assert_array_equal(frame.color[2, 3], (10, 20, 30))
    np.testing.assert_array_equal(frame.camera.matrix, K)
    assert (frame.camera.width, frame.camera.height) == (8, 6)
    assert frame.depth[0, 0] == 0
    assert frame.depth[1, 1] == pytest.approx(1.234)
    np.testing.assert_allclose(frame.T_cam_source.matrix, T_SOURCE)
    np.testing.assert_allclose(frame.T_base_cam.matrix, T_CAMERA)
    assert frame.T_base_target is None
    assert frame.problem == ''


def test_target_is_brought_to_the_base_frame(scene):
    np.savetxt(scene / '000007_Ttarget2cam.txt', T_SOURCE)
    (frame,) = load_pourit_scene(scene)
    np.testing.assert_allclose(frame.T_base_target.matrix, T_CAMERA @ T_SOURCE)


def test_the_newer_name_of_the_source_pose_and_jpg(tmp_path):
    write_scene(tmp_path, suffix='_rgb.jpg')
    (tmp_path / '000007_Tobj2cam.txt').rename(tmp_path / '000007_Tsource2cam.txt')
    (frame,) = load_pourit_scene(tmp_path)
    np.testing.assert_allclose(frame.T_cam_source.matrix, T_SOURCE)


def test_frames_come_in_order_of_their_names_with_growing_stamps(tmp_path):
    for stem in ('b', 'a', 'c'):
        write_scene(tmp_path, stem)
    frames = load_pourit_scene(tmp_path)
    assert [f.name for f in frames] == ['a', 'b', 'c']
    assert frames[0].stamp_ns == 10**9
    assert all(np.diff([f.stamp_ns for f in frames]) > 0)


def test_missing_poses_and_depth_are_no_error_but_named(scene):
    for name in ('depth.png', 'Tobj2cam.txt', 'Tcam2base.txt'):
        (scene / f'000007_{name}').unlink()
    (frame,) = load_pourit_scene(scene)
    assert frame.depth is None
    assert frame.T_cam_source is None
    assert 'no source pose (000007_Tobj2cam.txt' in frame.problem
    assert 'no camera pose (000007_Tcam2base.txt)' in frame.problem


@pytest.mark.parametrize(
    ('name', 'content', 'text'),
    [
        ('000007_camK.txt', None, 'camK.txt: no such file'),
        ('000007_camK.txt', 'a b c', 'is not a matrix of numbers'),
        ('000007_camK.txt', '1 2 3', 'must be 3x3'),
        ('000007_camK.txt', '0 0 1\n0 0 1\n0 0 1', 'focal lengths'),
        ('000007_Tobj2cam.txt', '1 2\n3 4', 'Tobj2cam.txt: pose: needs a finite 4x4'),
        ('000007_Tcam2base.txt', '2 0 0 0\n0 2 0 0\n0 0 2 0\n0 0 0 1', 'is not a rotation'),
        ('000007_rgb.png', 'no png', 'rgb.png: cannot be read as an image'),
        ('000007_depth.png', 'no png', 'depth.png: cannot be read as an image'),
    ],
)
def test_bad_files_are_named(scene, name, content, text):
    if content is None:
        (scene / name).unlink()
    else:
        (scene / name).write_text(content)
    with pytest.raises(InputError, match=text) as caught:
        load_pourit_scene(scene)
    assert '\n' not in str(caught.value)


def test_depth_must_be_16_bit_and_aligned(scene):
    cv2.imwrite(str(scene / '000007_depth.png'), np.zeros((6, 8), np.uint8))
    with pytest.raises(InputError, match='expected uint16'):
        load_pourit_scene(scene)
    cv2.imwrite(str(scene / '000007_depth.png'), np.zeros((3, 4), np.uint16))
    with pytest.raises(InputError, match=r'\(3, 4\), expected uint16 \(6, 8\)'):
        load_pourit_scene(scene)


def test_bad_folders_are_named(tmp_path, scene):
    with pytest.raises(InputError, match='no such folder'):
        load_pourit_scene(tmp_path / 'nowhere')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(InputError, match='holds no'):
        load_pourit_scene(tmp_path / 'empty')
    write_scene(scene, suffix='_rgb.jpg')
    with pytest.raises(InputError, match='000007 has two colour images'):
        load_pourit_scene(scene)


def test_own_masks(scene):
    (frame,) = load_pourit_scene(scene)
    with pytest.raises(InputError, match=r'_mask\.png: no such file'):
        load_pourit_segmentation(scene, frame)
    mask = np.zeros((6, 8), np.uint8)
    mask[2:4, 3] = 255
    cv2.imwrite(str(scene / '000007_mask.png'), mask)
    seen = load_pourit_segmentation(scene, frame)
    np.testing.assert_array_equal(seen.mask, mask > 0)
    np.testing.assert_array_equal(seen.cam, mask / np.float32(255))
    assert (seen.present, seen.probability) == (True, 1.0)
    cv2.imwrite(str(scene / '000007_cam.png'), np.full((6, 8), 51, np.uint8))
    assert load_pourit_segmentation(scene, frame).cam[0, 0] == pytest.approx(0.2)
    cv2.imwrite(str(scene / '000007_mask.png'), np.zeros((6, 8), np.uint8))
    assert not load_pourit_segmentation(scene, frame).present
    cv2.imwrite(str(scene / '000007_mask.png'), np.zeros((3, 3), np.uint8))
    with pytest.raises(InputError, match='is \\(3, 3\\)'):
        load_pourit_segmentation(scene, frame)


class _Given:
    """A segmenter that answers what it was given."""

    def __init__(self, segmentation: Segmentation) -> None:
        self._segmentation = segmentation

    def segment(self, rgb: np.ndarray, region: Region | None = None) -> Segmentation:
        return self._segmentation


@pytest.mark.shared
@pytest.mark.parametrize(
    ('scene_name', 'pixels', 'lowest'),
    [
        # Published masks lifted by PourIt!'s own equations.
        ('scene1', 1946, (0.4146, 0.1233, 0.8442)),
        ('scene2', 2114, (0.4057, 0.1117, 0.8532)),
        ('scene3', 1967, (0.4451, 0.1027, 0.9447)),
    ],
)
def test_real_scenes_reach_the_reference_points(shared_dir, scene_name, pixels, lowest):
    folder = shared_dir / 'data' / 'pourit_rgbd' / scene_name
    (frame,) = load_pourit_scene(folder)
    seen = load_pourit_segmentation(folder, frame)
    assert seen.mask.sum() == pixels
    bottle = Container.load('pourit_bottle')
    # Without depth, which clear water does not reflect; PourIt! never used it either.
    pipeline = PourPipeline(_Given(seen), bottle, bottle, plane='z_axis')
    frame = type(frame)(**{**vars(frame), 'depth': None})
    _, estimate = pipeline(frame)
    np.testing.assert_allclose(estimate.geometry.lowest_point, lowest, atol=0.002)
    assert 'need a target pose' in estimate.reason
