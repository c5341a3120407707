# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""CameraInfos of cropped, binned, scaled and rectified images, by REP 104 and as drivers do."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from pourit_ros.geometry import PinholeCamera
from pourit_ros.messages import MessageError
from pourit_ros.messages.camera_info import camera_from_info, is_rectified

D = (-0.0556, 0.0655, 0.0004, -0.0002, -0.0211)
SENSOR = PinholeCamera(1280, 800, 620.0, 621.0, 634.2, 403.1, D)
POINTS = np.random.default_rng(3).uniform([-0.3, -0.2, 0.6], [0.3, 0.2, 1.2], (50, 3))


def info(camera, roi=(0, 0, 0, 0), binning=(0, 0), size=None, rectified=None, **fields):
    """CameraInfo with K and D of `camera`, of `size` (its own), with P of `rectified`."""
    P = np.zeros((3, 4))
    if rectified is not None:
        P[:, :3] = rectified.matrix
    x, y, width, height = roi
    content = {
        'width': (size or (camera.width, camera.height))[0],
        'height': (size or (camera.width, camera.height))[1],
        'distortion_model': 'plumb_bob',
        'd': list(camera.distortion),
        'k': camera.matrix.ravel(),
        'p': P.ravel(),
        'binning_x': binning[0],
        'binning_y': binning[1],
        'roi': SimpleNamespace(
            x_offset=x, y_offset=y, width=width, height=height, do_rectify=False
        ),
    }
    return SimpleNamespace(**{**content, **fields})


def assert_camera(found, expected):
    assert (found.width, found.height) == (expected.width, expected.height)
    np.testing.assert_allclose(found.project(POINTS), expected.project(POINTS), atol=1e-6)


# Where the image is on the sensor: in the middle, off it, at the edges.
@pytest.mark.parametrize(
    'roi',
    [(320, 200, 640, 400), (300, 260, 640, 400), (0, 0, 640, 480), (700, 100, 320, 240),
     (0, 200, 1280, 400), (8, 4, 1264, 792)],
)  # fmt: skip
@pytest.mark.parametrize('binning', [(0, 0), (1, 1), (2, 2), (2, 1)])
def test_rep_104_gives_the_camera_of_the_image(roi, binning):
    x, y, w, h = roi
    bx, by = (b or 1 for b in binning)
    truth = SENSOR.crop(x, y, w, h).resize(w // bx, h // by)
    assert_camera(camera_from_info(info(SENSOR, roi, binning), w // bx, h // by), truth)


def test_binning_of_the_whole_sensor():
    truth = SENSOR.resize(640, 400)
    for size in (None, (640, 400)):
        assert_camera(camera_from_info(info(SENSOR, (0,) * 4, (2, 2), size), 640, 400), truth)
    # K of the binned image, with the size of either.
    for size in ((1280, 800), (640, 400)):
        found = camera_from_info(info(truth, (0,) * 4, (2, 2), size), 640, 400)
        assert_camera(found, truth)


def test_size_of_the_crop_with_K_of_the_sensor():
    # As a Baxter's hand cameras say it: image and info 640x400, K of 1280x800.
    roi = (320, 200, 640, 400)
    truth = SENSOR.crop(*roi)
    assert_camera(camera_from_info(info(SENSOR, roi, size=(640, 400)), 640, 400), truth)
    # A roi without a size begins at its offset.
    found = camera_from_info(info(SENSOR, (320, 200, 0, 0), size=(640, 400)), 640, 400)
    assert_camera(found, truth)
    # Off the middle of the sensor.
    roi = (420, 260, 640, 400)
    found = camera_from_info(info(SENSOR, roi, size=(640, 400)), 640, 400)
    assert_camera(found, SENSOR.crop(*roi))


@pytest.mark.parametrize('roi', [(320, 200, 640, 400), (420, 150, 640, 400)])
def test_K_of_the_crop_already(roi):
    truth = SENSOR.crop(*roi)
    for size in ((640, 400), (1280, 800)):
        assert_camera(camera_from_info(info(truth, roi, size=size), 640, 400), truth)


def test_an_image_of_the_whole_sensor_was_not_cropped():
    found = camera_from_info(info(SENSOR, (320, 200, 640, 400)), 1280, 800)
    assert_camera(found, SENSOR)


def test_a_scaled_copy_of_the_crop():
    roi = (300, 200, 600, 600)
    found = camera_from_info(info(SENSOR, roi), 200, 200)
    assert_camera(found, SENSOR.crop(*roi).resize(200, 200))


@pytest.mark.parametrize(
    ('message', 'image', 'text'),
    [
        # Half the crop or a quarter of the sensor?
        (info(SENSOR, (320, 200, 640, 400)), (320, 200), 'does not match its camera info'),
        (info(SENSOR, (320, 200, 640, 400)), (640, 480), 'does not match its camera info'),
        (info(SENSOR, (100, 100, 900, 600), size=(640, 400)), (900, 600), 'does not lie within'),
        # Neither the sensor's middle nor the crop's.
        (info(SENSOR.crop(300, 200, 1280, 800), (320, 20, 640, 400)), (640, 400), 'middle'),
        (info(SENSOR.crop(-300, 0, 1280, 800), (320, 200, 640, 400)), (1280, 800), 'middle'),
        # 100 px left of the crop's middle, or right of it.
        (
            info(PinholeCamera(400, 400, 600, 600, 300, 300), (200, 200, 400, 400)),
            (400, 400),
            'K may belong to the sensor or to the crop',
        ),
        (
            info(PinholeCamera(400, 400, 600, 600, 900, 30), (200, 200, 400, 400)),
            (400, 400),
            'fits neither',
        ),
        # A crop of which nothing is said.
        (info(SENSOR, size=(640, 400)), (640, 400), 'outside'),
    ],
)
def test_what_cannot_be_reconciled_is_refused_with_the_numbers(message, image, text):
    if text == 'outside':
        message.k[2] = 660.0
    with pytest.raises(MessageError, match=text) as caught:
        camera_from_info(message, *image)
    assert f'camera info of {message.width}x{message.height} with roi' in str(caught.value)
    assert f'image of {image[0]}x{image[1]}' in str(caught.value)


def test_rectified_images_have_P_and_no_D():
    P = PinholeCamera(1280, 800, 600.0, 600.0, 640.1, 398.7)
    message = info(SENSOR, rectified=P)
    assert_camera(camera_from_info(message, 1280, 800, rectified=True), P)
    assert_camera(camera_from_info(message, 1280, 800), SENSOR)
    # A fisheye's rectified image is a pinhole's.
    message.distortion_model = 'equidistant'
    assert_camera(camera_from_info(message, 1280, 800, rectified=True), P)
    # Cropped as the raw image is.
    message = info(SENSOR, (320, 200, 640, 400), rectified=P)
    found = camera_from_info(message, 640, 400, rectified=True)
    assert_camera(found, P.crop(320, 200, 640, 400))
    message.roi.do_rectify = True
    found = camera_from_info(message, 640, 400, rectified=True)
    assert_camera(found, P.crop(320, 200, 640, 400))
    with pytest.raises(MessageError, match='does not match its camera info'):
        camera_from_info(message, 320, 200, rectified=True)


def test_a_rectified_image_without_P():
    plain = PinholeCamera(1280, 800, 620.0, 621.0, 634.2, 403.1)
    assert_camera(camera_from_info(info(plain), 1280, 800, rectified=True), plain)
    with pytest.raises(MessageError, match=r'P is empty \(P\[0\] = 0\)'):
        camera_from_info(info(SENSOR), 1280, 800, rectified=True)


def test_inverse_brown_conrady_is_the_plain_model():
    found = camera_from_info(info(SENSOR, distortion_model='inverse_brown_conrady'), 1280, 800)
    # As librealsense projects it.
    x, y = (POINTS[:, :2] / POINTS[:, 2:]).T
    k1, k2, p1, p2, k3 = D
    r2 = x * x + y * y
    factor = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    x, y = x * factor, y * factor
    u = x + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    v = y + 2 * p2 * x * y + p1 * (r2 + 2 * y * y)
    theirs = np.column_stack([u, v]) * [SENSOR.fx, SENSOR.fy] + [SENSOR.cx, SENSOR.cy]
    assert np.abs(found.project(POINTS) - theirs).max() < 0.01
    np.testing.assert_allclose(found.rays(theirs)[:, :2] * POINTS[:, 2:], POINTS[:, :2], atol=1e-4)


def test_the_camera_of_a_real_rectification():
    """P of OpenCV: the same point lies where the rectified image has it."""
    K, size = SENSOR.matrix, (1280, 800)
    new, _ = cv2.getOptimalNewCameraMatrix(K, np.array(D), size, 0)
    P = PinholeCamera.from_matrix(new, *size)
    raw = camera_from_info(info(SENSOR, rectified=P), *size)
    flat = camera_from_info(info(SENSOR, rectified=P), *size, rectified=True)
    pixels = raw.project(POINTS)
    moved = cv2.undistortPoints(pixels[:, None], K, np.array(D), P=new).reshape(-1, 2)
    np.testing.assert_allclose(flat.project(POINTS), moved, atol=0.01)


@pytest.mark.parametrize(
    ('topic', 'expected'),
    [
        ('/camera/color/image_rect', True),
        ('/camera/color/image_rect_color', True),
        ('/camera/color/image_rect_color/compressed', True),
        ('/camera/image_rect_raw', True),
        ('/zed/zed_node/rgb/color/rect/image', True),
        ('/left/image_rectified', True),
        ('/camera/color/image_raw', False),
        ('/direct/image', False),
        ('/camera/rectangle/image', False),
        ('/camera/unrectified/image', False),
    ],
)
def test_rectified_topics_by_name(topic, expected):
    assert is_rectified(topic) is expected
