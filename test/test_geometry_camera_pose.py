# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from pourit_ros.geometry import Container, GeometryError, PinholeCamera, Pose

finite = st.floats(-2, 2)
vectors = st.tuples(finite, finite, finite).map(np.array)
cameras = st.builds(
    PinholeCamera,
    st.integers(64, 1920), st.integers(64, 1080),
    st.floats(100, 2000), st.floats(100, 2000), st.floats(0, 1000), st.floats(0, 1000),
)  # fmt: skip


@st.composite
def poses(draw):
    return Pose(Rotation.from_rotvec(draw(vectors)).as_matrix(), draw(vectors))


@given(cameras, st.lists(st.tuples(st.floats(-500, 2000), st.floats(-500, 2000)), min_size=1))
def test_rays_and_projection_are_inverse(camera, pixels):
    rays = camera.rays(pixels)
    assert np.all(rays[:, 2] == 1)
    np.testing.assert_allclose(camera.project(rays * 1.7), pixels, atol=1e-6)


@given(cameras, st.integers(-40, 40), st.integers(-40, 40), st.integers(20, 900))
def test_crop_and_resize_carry_intrinsics(camera, x, y, size):
    """A 3D point projects to the same place of the picture, whatever was done to the picture."""
    points = np.array([[0.1, -0.05, 0.8], [-0.2, 0.1, 1.5]])
    u, v = camera.project(points).T
    cropped = camera.crop(x, y, 50, 60).project(points)
    np.testing.assert_allclose(cropped, np.column_stack([u - x, v - y]), atol=1e-6)
    sx, sy = size / camera.width, (size + 7) / camera.height
    resized = camera.resize(size, size + 7).project(points)
    np.testing.assert_allclose(
        resized, np.column_stack([(u + 0.5) * sx - 0.5, (v + 0.5) * sy - 0.5]), atol=1e-6
    )


def test_resize_agrees_with_opencv():
    image = np.zeros((120, 160), np.float32)
    image[40, 100] = 1.0
    small = cv2.resize(image, (80, 60), interpolation=cv2.INTER_AREA)
    camera = PinholeCamera(160, 120, 200, 200, 80, 60)
    point = 2.0 * camera.rays([[100, 40]])
    v, u = np.nonzero(small)
    # The dot falls on one half-resolution pixel; its projection lies within that pixel's area.
    np.testing.assert_allclose(camera.resize(80, 60).project(point), [[u[0], v[0]]], atol=0.5)


def test_distortion_round_trip():
    camera = PinholeCamera.from_matrix(
        [[600, 0, 320], [0, 600, 240], [0, 0, 1]], 640, 480, [0.1, -0.2, 0.001, 0.002, 0.05]
    )
    pixels = np.array([[10.0, 20.0], [320.0, 240.0], [600.0, 450.0]])
    np.testing.assert_allclose(camera.project(camera.rays(pixels)), pixels, atol=0.01)
    straight = PinholeCamera(640, 480, 600, 600, 320, 240)
    assert np.abs(straight.rays(pixels) - camera.rays(pixels)).max() > 1e-3


@pytest.mark.parametrize(
    ('K', 'message'),
    [
        (np.zeros((3, 3)), 'focal lengths must be positive'),
        (np.full((3, 3), np.nan), 'not finite'),
        (np.eye(2), 'must be 3x3'),
    ],
)
def test_bad_intrinsics_are_named(K, message):
    with pytest.raises(GeometryError, match=message):
        PinholeCamera.from_matrix(K, 640, 480)


@given(poses(), poses(), vectors)
def test_pose_algebra(a, b, point):
    np.testing.assert_allclose((a @ b).apply(point), a.apply(b.apply(point)), atol=1e-9)
    np.testing.assert_allclose(a.inverse().apply(a.apply(point)), point, atol=1e-9)
    np.testing.assert_allclose((a @ b).matrix, a.matrix @ b.matrix, atol=1e-12)


@given(poses())
def test_pose_round_trips(pose):
    again = Pose.from_quaternion(pose.translation, pose.quaternion)
    np.testing.assert_allclose(again.matrix, pose.matrix, atol=1e-9)
    np.testing.assert_allclose(Pose.from_matrix(pose.matrix).matrix, pose.matrix, atol=1e-9)


@given(poses(), poses())
def test_interpolation_ends(a, b):
    np.testing.assert_allclose(a.interpolate(b, 0.0).matrix, a.matrix, atol=1e-9)
    np.testing.assert_allclose(a.interpolate(b, 1.0).matrix, b.matrix, atol=1e-6)


@pytest.mark.parametrize(
    'matrix',
    [np.diag([1, 1, -1, 1.0]), 2 * np.eye(4), np.full((4, 4), np.nan), np.eye(3), np.ones((4, 4))],
)
def test_not_a_rigid_transform(matrix):
    with pytest.raises(GeometryError, match='pose:'):
        Pose.from_matrix(matrix)


def test_not_a_quaternion():
    with pytest.raises(GeometryError, match='norm 0'):
        Pose.from_quaternion([0, 0, 0], [0, 0, 0, 0])


def test_container_presets_and_files(tmp_path):
    bottle = Container.load('pourit_bottle')
    np.testing.assert_array_equal(bottle.axis, [0, 1, 0])
    own = tmp_path / 'beaker.yaml'
    own.write_text('beaker: {axis: [0, 0, 2], mouth: [0, 0, 0.12], rim_radius: 0.03}')
    beaker = Container.load(str(own))
    assert beaker.name == 'beaker'
    np.testing.assert_array_equal(beaker.axis, [0, 0, 1])


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('a: {axis: [0, 0, 0], mouth: [0, 0, 0], rim_radius: 0.1}', 'no length'),
        ('a: {axis: [0, 0, 1], mouth: [0, 0, 0], rim_radius: -1}', 'rim_radius'),
        ('a: {axis: [0, 0, 1], mouth: [0, 0, 0]}', 'missing'),
        ('a: {axis: [0, 0, 1], mouth: up, rim_radius: 0.1}', 'container a'),
        ('a: {axis: [0, 0, 1], mouth: [0, 0, 0], rim_radius: 0.1, lid: 1}', 'unknown'),
        ('- just a list', 'expected'),
        ('a: {b: [', 'not valid YAML'),
    ],
)
def test_bad_container_files_are_named(tmp_path, text, message):
    path = tmp_path / 'bad.yaml'
    path.write_text(text)
    with pytest.raises(GeometryError, match=message):
        Container.load(str(path))


def test_unknown_container_lists_presets():
    with pytest.raises(GeometryError, match='pourit_bottle'):
        Container.load('teapot')
    with pytest.raises(GeometryError, match='No such file'):
        Container.load('nowhere.yaml')
