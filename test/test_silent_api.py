# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What makes no sense is refused where it is given, not answered with something else."""

import numpy as np
import pytest

from pourit_ros.geometry import Container, GeometryError, Pose, pouring_plane
from pourit_ros.perception.segmentation import Segmentation

UP = np.array([0, 0, 1.0])
TILTED = Pose.from_matrix([[1, 0, 0, 0], [0, 0.8, -0.6, 0], [0, 0.6, 0.8, 0.5], [0, 0, 0, 1]])
BOTTLE = Container('b', np.array([0, 1.0, 0]), np.zeros(3), 0.02)


@pytest.mark.parametrize('mode', ['axes', '', 'z', None])
def test_unknown_planes(mode):
    with pytest.raises(GeometryError, match='unknown plane mode'):
        pouring_plane(TILTED, BOTTLE, UP, mode)


@pytest.mark.parametrize('up', [[0, 0, 2.0], [0, 0, np.nan], [0, 1.0], [0, 0, 0]])
def test_up_is_a_unit_vector(up):
    with pytest.raises(GeometryError, match='up must be'):
        pouring_plane(TILTED, BOTTLE, up)


@pytest.mark.parametrize(
    'fields',
    [
        {'axis': [0, 2, 0]},
        {'axis': [0, 0, 0]},
        {'axis': [0, np.nan, 0]},
        {'axis': [0, 1]},
        {'mouth': [0, np.inf, 0]},
        {'rim_radius': 0.0},
        {'rim_radius': 40.0},
        {'rim_radius': np.nan},
    ],
)
def test_containers(fields):
    good = {'name': 'b', 'axis': [0, 1, 0], 'mouth': [0, 0.1, 0], 'rim_radius': 0.03}
    assert Container(**good).axis.dtype == float
    with pytest.raises(GeometryError, match='container b'):
        Container(**(good | fields))


@pytest.mark.parametrize(
    ('rotation', 'translation'),
    [
        (2 * np.eye(3), np.zeros(3)),
        (np.diag([1, 1, -1]), np.zeros(3)),
        (np.eye(3), [0, 0, np.nan]),
        (np.full((3, 3), np.nan), np.zeros(3)),
        (np.eye(4), np.zeros(3)),
        (np.eye(3), np.zeros(2)),
    ],
)
def test_poses(rotation, translation):
    with pytest.raises(GeometryError, match='pose'):
        Pose(rotation, translation)


def test_quaternions_have_one_sign():
    for angle in np.linspace(-6, 6, 13):
        c, s = np.cos(angle), np.sin(angle)
        pose = Pose(np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]), np.zeros(3))
        assert pose.quaternion[3] >= 0
        again = Pose.from_quaternion([0, 0, 0], pose.quaternion)
        np.testing.assert_allclose(again.rotation, pose.rotation, atol=1e-12)


def test_segmentations_can_be_compared():
    a, b = (Segmentation(0.5, True, np.zeros((2, 2), np.float32), np.zeros((2, 2), bool)),) * 2
    assert a == b
    assert a != Segmentation(0.5, True, a.cam, a.mask)
    assert len({a, b}) == 1
