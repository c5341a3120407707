# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`import pourit_ros`: what a program needs, by name, and nothing loaded before it is used."""

import doctest
import importlib
import inspect
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import pourit_ros
from pourit_ros import Frame, PinholeCamera, Pose, Segmentation, Segmenter, read_image
from pourit_ros.errors import InputError
from pourit_ros.formats.scenes import load_pourit_scene

PACKAGE = Path(pourit_ros.__file__).parent
CAMERA = PinholeCamera(8, 6, 60.0, 61.0, 4.0, 3.0)
IMAGE = np.zeros((6, 8, 3), np.uint8)


# The door itself


def run(code):
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, cwd=PACKAGE.parent
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_import_loads_nothing_else():
    code = """
import json, sys
import pourit_ros
print(json.dumps(sorted(name.split('.')[0] for name in sys.modules)))
"""
    assert not {'torch', 'numpy', 'cv2', 'scipy', 'yaml', 'open3d', 'plotly'} & set(run(code))


def test_the_import_takes_no_time():
    code = """
import json, time
start = time.perf_counter()
import pourit_ros
print(json.dumps(time.perf_counter() - start))
"""
    # The best of a few: other processes may have the cores.
    assert min(run(code) for _ in range(5)) < 0.2


def test_torch_waits_for_the_segmenter():
    code = """
import json, sys
from pourit_ros import Container, Frame, PinholeCamera, Pose, PourPipeline, overlay, read_image
print(json.dumps('torch' in sys.modules))
"""
    assert run(code) is False


def test_every_name_is_where_the_type_checker_looks():
    source = (PACKAGE / '__init__.py').read_text()
    for name in pourit_ros.__all__:
        value = getattr(pourit_ros, name)
        home = value.__module__.removeprefix('pourit_ros.')
        line = next(ln for ln in source.splitlines() if f'from .{home} import' in ln)
        assert name in line.split('import ')[1].split(', '), name
        assert name in dir(pourit_ros)
    assert set(pourit_ros.__all__) == set(pourit_ros._HOME)
    with pytest.raises(AttributeError, match='no attribute'):
        _ = pourit_ros.Segmentor
    with pytest.raises(ImportError):
        from pourit_ros import Segmentor  # noqa: F401


# Docstrings


@pytest.mark.parametrize('name', pourit_ros.__all__)
def test_every_name_at_the_door_has_an_example(name):
    assert '>>> ' in (inspect.getdoc(getattr(pourit_ros, name)) or '')


@pytest.mark.parametrize(
    'path',
    [path for path in sorted(PACKAGE.rglob('*.py')) if '>>> ' in path.read_text()],
    ids=lambda path: path.relative_to(PACKAGE).as_posix(),
)
def test_examples_in_docstrings(path, desk, monkeypatch):
    monkeypatch.chdir(desk)
    parts = path.relative_to(PACKAGE.parent).with_suffix('').parts
    module = importlib.import_module('.'.join(parts).removesuffix('.__init__'))
    failed, tried = doctest.testmod(module)
    # An example that needs a model of gigabytes is only read.
    assert tried or '+SKIP' in path.read_text()
    assert not failed


# Segmenter and Segmentation


@pytest.fixture(scope='module')
def segmenter():
    return Segmenter('default', device='cpu')


def same(a, b):
    np.testing.assert_array_equal(a.cam, b.cam)
    np.testing.assert_array_equal(a.mask, b.mask)
    return a.probability == b.probability and a.present == b.present


def test_one_image_or_several(segmenter, desk):
    image = read_image(desk / 'photo.jpg')
    alone = segmenter(image)
    assert isinstance(alone, Segmentation)
    assert alone.present
    assert alone.mask.any()
    assert same(alone, segmenter.segment(image))
    small = image[100:400]
    both = segmenter([image, small])
    assert [seen.mask.shape for seen in both] == [(480, 640), (300, 640)]
    assert same(both[0], alone)
    assert same(both[1], segmenter(small))
    for several in ((image, image), np.stack([image, image])):
        answers = segmenter(several)
        assert isinstance(answers, list)
        assert same(answers[0], alone)
        assert same(answers[1], alone)
    assert segmenter([]) == []


@pytest.mark.parametrize(
    ('images', 'text'),
    [
        ([IMAGE, IMAGE.astype(float)], 'image 1: an RGB image must be a uint8 array, not float64'),
        (
            [IMAGE, IMAGE[..., 0]],
            r'image 1: an RGB image must have shape \(H, W, 3\), not \(6, 8\)',
        ),
        (np.zeros((2, 6, 8, 4), np.uint8), 'image 0: an RGB image must have shape'),
        (IMAGE[..., 0], r'^an RGB image must have shape \(H, W, 3\), not \(6, 8\)'),
        ('photo.jpg', 'expected an RGB image or several, not str'),
        (None, 'expected an RGB image or several, not NoneType'),
        (['photo.jpg'], 'image 0: an RGB image must be a uint8 array, not str'),
    ],
)
def test_what_is_no_image(segmenter, images, text):
    with pytest.raises(ValueError, match=text):
        segmenter(images)


def test_a_bad_image_is_told_before_any_is_computed(segmenter, monkeypatch):
    def segment(rgb, region=None):
        raise AssertionError

    monkeypatch.setattr(segmenter, 'segment', segment)
    with pytest.raises(ValueError, match='image 1'):
        segmenter([IMAGE, None])


def test_representations_are_short(segmenter):
    assert repr(segmenter).startswith("<Segmenter 'default' on cpu, onnxruntime: presence > 0.")
    seen = segmenter(np.zeros((480, 640, 3), np.uint8))
    assert repr(seen).startswith('<Segmentation of 640x480: no liquid, probability 0.0')
    frame = Frame(IMAGE, CAMERA, depth=np.ones((6, 8), np.float32), T_base_cam=Pose.identity())
    assert repr(frame) == "<Frame '' of 8x6: depth, T_base_cam>"


# Frame


def test_a_frame_needs_image_and_camera_only():
    frame = Frame(IMAGE, CAMERA)
    assert (frame.stamp_ns, frame.name, frame.problem) == (0, '', '')
    assert frame.depth is None
    with pytest.raises(TypeError, match='positional'):
        Frame(IMAGE, CAMERA, np.ones((6, 8), np.float32))


@pytest.mark.parametrize(
    ('change', 'text'),
    [
        ({'color': IMAGE[:4]}, 'camera is of 8x6, the image is 8x4; PinholeCamera.resize'),
        ({'camera': CAMERA.resize(4, 3)}, 'camera is of 4x3, the image is 8x6'),
        ({'color': IMAGE[..., 0]}, r'color is uint8 \(6, 8\), expected a uint8 RGB'),
        ({'color': IMAGE / 255}, 'color is float64'),
        ({'depth': np.ones((3, 4), np.float32)}, r'depth is \(3, 4\), expected \(6, 8\): align'),
    ],
)
def test_sizes_that_do_not_agree(change, text):
    with pytest.raises(InputError, match=f'frame first: .*{text}'):
        replace(Frame(IMAGE, CAMERA, name='first'), **change)


@pytest.fixture
def files(desk):
    stem = desk / 'scene' / '000001'
    return {
        'color': f'{stem}_rgb.png',
        'camera': f'{stem}_camK.txt',
        'depth': f'{stem}_depth.png',
        'T_cam_source': f'{stem}_Tsource2cam.txt',
        'T_base_cam': Path(f'{stem}_Tcam2base.txt'),
        'T_cam_target': f'{stem}_Ttarget2cam.txt',
    }


def test_a_frame_from_files_is_that_of_its_scene(desk, files):
    (scene,) = load_pourit_scene(desk / 'scene')
    frame = Frame.from_files(**files, stamp_ns=7)
    np.testing.assert_array_equal(frame.color, scene.color)
    np.testing.assert_array_equal(frame.depth, scene.depth)
    assert frame.camera == scene.camera
    for name in ('T_cam_source', 'T_base_cam', 'T_base_target'):
        np.testing.assert_array_equal(getattr(frame, name).matrix, getattr(scene, name).matrix)
    camera, target = np.loadtxt(files['T_base_cam']), np.loadtxt(files['T_cam_target'])
    np.testing.assert_allclose(frame.T_base_target.matrix, camera @ target, atol=1e-6)
    assert (frame.name, frame.stamp_ns) == ('000001_rgb', 7)
    # What is at hand need not be written first.
    again = Frame.from_files(
        files['color'], scene.camera, T_base_target=scene.T_base_target, name='n'
    )
    assert (again.camera, again.T_base_target, again.name) == (
        scene.camera, scene.T_base_target, 'n',
    )  # fmt: skip


def test_poses_that_contradict(files):
    here = Pose.identity()
    with pytest.raises(InputError, match='T_base_target or T_cam_target, not both'):
        Frame.from_files(**files, T_base_target=here)
    del files['T_base_cam']
    with pytest.raises(InputError, match=r'000001_rgb\.png: T_cam_target needs T_base_cam'):
        Frame.from_files(**files)


@pytest.mark.parametrize('key', ['color', 'camera', 'depth', 'T_cam_source', 'T_cam_target'])
def test_bad_files_are_named(files, key, tmp_path):
    bad = tmp_path / f'bad{Path(files[key]).suffix}'
    files[key] = bad
    with pytest.raises(InputError, match=r'bad\.\w+: no such file'):
        Frame.from_files(**files)
    bad.write_text('1 2\n3 4\n')
    with pytest.raises(InputError, match=r'bad\.\w+: ') as caught:
        Frame.from_files(**files)
    assert '\n' not in str(caught.value)


CALIBRATION = """
image_width: 640
image_height: 480
camera_name: head
camera_matrix: {rows: 3, cols: 3, data: [600, 0, 320, 0, 610, 240, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [0.1, -0.2, 0.0, 0.001, 0.0]}
"""


def test_the_camera_as_ros_calibrates_it(desk, tmp_path):
    path = tmp_path / 'head.yaml'
    path.write_text(CALIBRATION)
    frame = Frame.from_files(desk / 'photo.jpg', path)
    assert frame.camera == PinholeCamera(
        640, 480, 600, 610, 320, 240, (0.1, -0.2, 0.0, 0.001, 0.0)
    )


@pytest.mark.parametrize(
    ('old', 'new', 'text'),
    [
        ('image_width: 640', 'image_width: 320', r'for images of 320x480, the image is 640x480'),
        ('image_width: 640', '', 'is not a camera calibration; expected image_width'),
        ('600, 0', '0', 'camera_matrix has 8 numbers'),
        ('[600', '[-600', 'focal lengths must be positive'),
        ('[600', '[wide', 'is not a camera calibration'),
        ('plumb_bob', 'equidistant', 'distortion model equidistant is not supported'),
        ('0.001, 0.0]', '0.001, 0, 0]', 'distortion_coefficients has 6 numbers'),
        ('camera_name', '- ', 'is not valid YAML'),
    ],
)
def test_calibrations_that_cannot_be_used(desk, tmp_path, old, new, text):
    path = tmp_path / 'head.yaml'
    assert old in CALIBRATION
    path.write_text(CALIBRATION.replace(old, new, 1))
    with pytest.raises(InputError, match=rf'head\.yaml: .*{text}') as caught:
        Frame.from_files(desk / 'photo.jpg', path)
    assert '\n' not in str(caught.value)


def test_a_video_frame_may_be_given_as_opencv_reads_it(segmenter, desk):
    """A view with negative strides, as bgr[..., ::-1] makes it."""
    bgr = cv2.imread(str(desk / 'photo.jpg'))
    assert segmenter(bgr[..., ::-1]).present
