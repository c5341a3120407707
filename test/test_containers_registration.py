# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A container found in its depth image, on drawn depth and on that of real cameras."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pourit_ros.containers.registration import WALL, find_container
from pourit_ros.formats.scenes import load_pourit_scene
from pourit_ros.geometry import Container, NotEstimable, PinholeCamera, Pose

CAMERA = PinholeCamera(320, 240, 300, 300, 159.5, 119.5)
BOTTLE = Container.load('pourit_bottle')
REAL = Path(__file__).parents[2] / 'shared/data/pourit_rgbd'
WALL_BEHIND = 1.4
UP = np.array([0.0, -1.0, 0.0])


def pose_of(lean=1.2, away=0.55, yaw=0.3):
    """A source that leans to the image's right, its mouth in the middle."""
    R = Rotation.from_euler('yz', [yaw, lean]).as_matrix() @ np.diag([1.0, -1, -1])
    return Pose(R, np.array([0.0, 0.0, away]) - R @ BOTTLE.mouth)


def surface(container, per_metre=1500):
    """Points (N, 3) of the outer face, in the container's own frame."""
    radius, height = container.cavity.profile.T
    z = np.linspace(height[0], height[-1], int(per_metre * height[-1]))
    r = np.interp(z, height, radius) + WALL
    angle = np.linspace(0, 2 * np.pi, 320, endpoint=False)
    x, y = np.outer(r, np.cos(angle)), np.outer(r, np.sin(angle))
    points = np.stack([x, y, np.broadcast_to((z - height[-1])[:, None], x.shape)], axis=-1)
    axis = container.axis
    across = np.cross(axis, np.eye(3)[np.argmin(np.abs(axis))])
    basis = np.column_stack([across, np.cross(axis, across), axis])
    return points.reshape(-1, 3) @ basis.T + container.mouth


def depth_of(pose, container=BOTTLE, camera=CAMERA):
    """Depth (H, W), m: the container before a wall."""
    depth = np.full((camera.height, camera.width), WALL_BEHIND, np.float32)
    points = pose.apply(surface(container))
    u, v = np.round(camera.project(points)).astype(int).T
    inside = (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height)
    np.minimum.at(depth, (v[inside], u[inside]), points[inside, 2].astype(np.float32))
    return depth


def errors(seen, true):
    """Of the mouth, m, and of the axis, rad."""
    off = BOTTLE.mouth_in(seen) - BOTTLE.mouth_in(true)
    cosine = BOTTLE.axis_in(seen) @ BOTTLE.axis_in(true)
    return np.linalg.norm(off), np.arccos(np.clip(cosine, -1, 1))


@pytest.mark.parametrize('lean', [0.6, 1.2, 1.7])
@pytest.mark.parametrize('turn', [(0.14, 0.0), (-0.14, 0.05), (0.0, -0.1)])
def test_a_bottle_that_has_slipped_is_found(lean, turn):
    told = pose_of(lean)
    slid = np.array([0.0, 0.01, 0.0])
    slip = Rotation.from_euler('zx', turn).as_matrix()
    true = told @ Pose(slip, slid)
    assert errors(told, true)[1] > 0.09
    seen = find_container(depth_of(true), CAMERA, BOTTLE, told)
    off, angle = errors(seen.pose, true)
    assert off < 0.003
    assert angle < np.radians(0.5)
    assert seen.covered > 0.8


def test_hand_and_holes_do_not_move_it():
    rng = np.random.default_rng(1)
    told = pose_of()
    true = told.perturbed([0.01, -0.01, 0.005], [0.05, 0.0, 0.08])
    depth = depth_of(true)
    on_it = np.argwhere(depth < WALL_BEHIND)
    # A finger, 15 mm nearer, over a fifth of the bottle; and no depth in every third pixel.
    columns = np.quantile(on_it[:, 1], [0.4, 0.6]).astype(int)
    part = depth[:, columns[0] : columns[1]]
    part[part < WALL_BEHIND] -= 0.015
    depth[rng.random(depth.shape) < 0.33] = 0
    depth += (0.001 * rng.standard_normal(depth.shape) * (depth > 0)).astype(np.float32)
    off, angle = errors(find_container(depth, CAMERA, BOTTLE, told).pose, true)
    assert off < 0.004
    assert angle < np.radians(1.0)


def test_stated_deviations_cover_the_errors():
    rng = np.random.default_rng(2)
    tilts, mouths = [], []
    for _ in range(40):
        true = pose_of(lean=rng.uniform(0.7, 1.6), yaw=rng.uniform(-0.6, 0.6))
        told = true.perturbed(0.008 * rng.standard_normal(3), 0.05 * rng.standard_normal(3))
        depth = depth_of(true)
        depth += (0.0015 * rng.standard_normal(depth.shape)).astype(np.float32)
        seen = find_container(depth, CAMERA, BOTTLE, told)
        # About the horizontal across the lean: that is what tilt is.
        axis = BOTTLE.axis_in(true)
        across = np.cross(UP, axis) / np.linalg.norm(np.cross(UP, axis))
        wrong = np.arccos(BOTTLE.axis_in(seen.pose) @ UP) - np.arccos(axis @ UP)
        tilts.append(wrong / np.sqrt(across @ seen.covariance[3:, 3:] @ across))
        off = seen.pose.translation - true.translation
        off -= (off @ axis) * axis
        mouths.append(np.linalg.norm(off) / np.sqrt(np.trace(seen.covariance[:3, :3])))
    assert np.mean(np.abs(tilts) < 2) > 0.9
    assert np.abs(tilts).max() < 4
    assert np.mean(np.array(mouths) < 2) > 0.9


def test_in_another_frame_it_is_the_same():
    told = pose_of()
    seen = find_container(depth_of(told), CAMERA, BOTTLE, told)
    T_base_cam = Pose(Rotation.from_euler('xyz', [0.3, -1.0, 2.0]).as_matrix(), np.ones(3))
    other = seen.seen_from(T_base_cam)
    assert np.allclose((T_base_cam.inverse() @ other.pose).matrix, seen.pose.matrix)
    R = T_base_cam.rotation
    for rows in (slice(0, 3), slice(3, 6)):
        expected = R @ seen.covariance[rows, rows] @ R.T
        assert np.allclose(other.covariance[rows, rows], expected)
    assert other.covered == seen.covered


@pytest.mark.parametrize(
    ('depth', 'told', 'container', 'why'),
    [
        (np.zeros((240, 320), np.float32), pose_of(), BOTTLE, 'depth shows 0 %'),
        # Transparent: only the wall behind.
        (np.full((240, 320), 0.62, np.float32), pose_of(), BOTTLE, 'depth shows'),
        (depth_of(pose_of()), pose_of(away=0.9), BOTTLE, 'depth shows'),
        (depth_of(pose_of()), pose_of(away=-0.5), BOTTLE, 'depth shows 0 %'),
        (np.full((240, 320), np.nan, np.float32), pose_of(), BOTTLE, 'depth shows 0 %'),
        (depth_of(pose_of()), pose_of(), replace(BOTTLE, cavity=None), 'add its cavity'),
    ],
)  # fmt: skip
def test_what_cannot_be_found_is_said(depth, told, container, why):
    with pytest.raises(NotEstimable, match=why):
        find_container(depth, CAMERA, container, told)


@pytest.mark.skipif(not REAL.exists(), reason='the real RGB-D frames are not here')
@pytest.mark.parametrize('scene', ['scene1', 'scene2', 'scene3'])
def test_the_bottle_of_a_real_pour_is_found(scene):
    """Its shape is not quite the preset's, and where it really was nobody knows."""
    for frame in load_pourit_scene(REAL / scene):
        seen = find_container(frame.depth, frame.camera, BOTTLE, frame.T_cam_source)
        off, angle = errors(seen.pose, frame.T_cam_source)
        assert off < 0.03
        assert angle < np.radians(7.0)
        assert seen.covered > 0.4
