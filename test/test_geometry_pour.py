# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from pourit_ros.bench.geometry import exact_trials, noisy_mask, noisy_trials
from pourit_ros.geometry import (
    Container,
    LiquidCloud,
    NoiseModel,
    NotEstimable,
    PinholeCamera,
    Pose,
    PouringPlane,
    depth_evidence,
    fit_stream,
    lift_mask,
    measure_pour,
    pouring_plane,
)
from pourit_ros.geometry.fall import GRAVITY
from pourit_ros.geometry.stream import MIN_DOWNWARD, residuals
from pourit_ros.synth.scene.scenario import random_scenario

UP = np.array([0, 0, 1.0])
seeds = st.integers(0, 10_000)
NO_NOISE = NoiseModel(pixel=0.0, position=0.0, angle=0.0)


def measured(scenario, T_base_cam=None, T_base_source=None, T_base_target=None, noise=None):
    """Measure a scenario's own mask with exact, or given, poses."""
    T_base_cam = T_base_cam or scenario.T_base_cam
    T_cam_base = T_base_cam.inverse()
    mask = noisy_mask(scenario, np.random.default_rng(0), NO_NOISE)
    plane = pouring_plane(
        T_cam_base @ (T_base_source or scenario.T_base_source),
        scenario.source,
        T_cam_base.rotate(UP),
    )
    cloud = lift_mask(mask, np.ones(mask.shape, np.float32), scenario.camera, plane)
    return measure_pour(
        cloud, T_base_cam, scenario.target, T_base_target or scenario.T_base_target, noise
    )


def test_import_is_light():
    code = 'import sys, pourit_ros.geometry; print(sorted({"torch", "open3d", "rclpy"} & set(sys.modules)))'  # noqa: E501
    out = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == '[]'


@pytest.mark.shared
@pytest.mark.parametrize(
    ('scene', 'expected'),
    [
        ('scene1/000248', (0.4146, 0.1233, 0.8442)),
        ('scene2/000246', (0.4057, 0.1117, 0.8532)),
        ('scene3/000220', (0.4451, 0.1027, 0.9447)),
    ],
)
def test_published_lowest_points(shared_dir, scene, expected):
    """PourIt!'s published masks on its own plane: its own lowest point, within 2 mm."""
    stem = str(shared_dir / 'data' / 'pourit_rgbd' / scene)
    mask = cv2.imread(stem + '_mask.png', cv2.IMREAD_GRAYSCALE) > 127
    camera = PinholeCamera.from_matrix(np.loadtxt(stem + '_camK.txt'), 480, 480)
    T_cam_source = Pose.from_matrix(np.loadtxt(stem + '_Tobj2cam.txt'))
    T_base_cam = Pose.from_matrix(np.loadtxt(stem + '_Tcam2base.txt'))
    source = Container.load('pourit_bottle')
    plane = pouring_plane(T_cam_source, source, T_base_cam.inverse().rotate(UP), 'z_axis')
    depth = cv2.imread(stem + '_depth.png', cv2.IMREAD_UNCHANGED).astype(np.float32) / 1000
    cloud = lift_mask(mask, mask.astype(np.float32), camera, plane, depth)
    geometry = measure_pour(cloud, T_base_cam, Container.load('cup'), None)
    assert np.linalg.norm(geometry.lowest_point - expected) < 0.002
    assert geometry.distance is None
    assert 'need a target pose' in geometry.problems[0]


def test_exact_projections_are_recovered():
    *_, trials = exact_trials(400, seed=3)
    assert not trials.refused
    assert trials.errors.max() < 0.001


def test_stated_covariance_holds():
    *_, trials = noisy_trials(400, seed=4, noise=NoiseModel())
    figures = trials.summary()
    assert figures['refused'] <= 4
    # Four sigma of a 400-trial proportion around the 90..99 % that is promised.
    assert 0.88 < figures['landing_in_95_percent_region'] <= 0.995
    assert 0.88 < figures['offset_in_95_percent_region'] <= 0.995


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_lifted_points_lie_on_the_plane_and_reproject(seed):
    scenario = random_scenario(np.random.default_rng(seed))
    T_cam_base = scenario.T_base_cam.inverse()
    plane = pouring_plane(
        T_cam_base @ scenario.T_base_source, scenario.source, T_cam_base.rotate(UP)
    )
    mask = noisy_mask(scenario, np.random.default_rng(seed), NO_NOISE)
    cloud = lift_mask(mask, np.ones(mask.shape, np.float32), scenario.camera, plane)
    assert np.abs((cloud.points - plane.point) @ plane.normal).max() < 1e-9
    v, u = np.nonzero(mask)
    np.testing.assert_allclose(
        scenario.camera.project(cloud.points), np.column_stack([u, v]), atol=1e-6
    )
    assert 0 < (cloud.radius > 0).sum() < len(cloud)


@settings(max_examples=20, deadline=None)
@given(seeds, st.floats(-np.pi, np.pi))
def test_rolling_the_source_changes_nothing(seed, angle):
    scenario = random_scenario(np.random.default_rng(seed))
    roll = Rotation.from_rotvec(angle * scenario.source.axis).as_matrix()
    before = measured(scenario)
    after = measured(scenario, T_base_source=scenario.T_base_source @ Pose(roll, np.zeros(3)))
    np.testing.assert_allclose(after.landing_point, before.landing_point, atol=1e-6)
    np.testing.assert_allclose(after.lowest_point, before.lowest_point, atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(seeds, st.floats(-np.pi, np.pi), st.tuples(*3 * [st.floats(-1, 1)]))
def test_moving_everything_together_changes_nothing(seed, turn, shift):
    """Turning the cell about the vertical and shifting it moves every point along with it."""
    scenario = random_scenario(np.random.default_rng(seed))
    move = Pose(Rotation.from_euler('z', turn).as_matrix(), np.array(shift))
    before = measured(scenario)
    after = measured(
        scenario,
        move @ scenario.T_base_cam,
        move @ scenario.T_base_source,
        move @ scenario.T_base_target,
    )
    np.testing.assert_allclose(after.landing_point, move.apply(before.landing_point), atol=1e-5)
    np.testing.assert_allclose(after.lowest_point, move.apply(before.lowest_point), atol=1e-9)
    assert after.distance == pytest.approx(before.distance, abs=1e-9)
    assert after.margin == pytest.approx(before.margin, abs=1e-5)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_definitions_hang_together(seed):
    scenario = random_scenario(np.random.default_rng(seed))
    geometry = measured(scenario)
    mouth = scenario.target.mouth_in(scenario.T_base_target)
    axis = scenario.target.axis_in(scenario.T_base_target)
    np.testing.assert_allclose(geometry.offset, geometry.landing_point - mouth)
    assert abs((geometry.landing_point - mouth) @ axis) < 1e-9
    assert geometry.distance == pytest.approx(np.linalg.norm(geometry.lowest_point - mouth))
    rim = scenario.target.rim_radius
    # How far the landing point is within the rim, in the rim's own plane.
    along = np.cross(axis, np.eye(3)[np.argmin(np.abs(axis))])
    along /= np.linalg.norm(along)
    place = geometry.offset @ along, geometry.offset @ np.cross(axis, along)
    assert geometry.margin == pytest.approx(rim - np.hypot(*place))
    curve = geometry.curve(geometry.landing_point[2])
    np.testing.assert_allclose(curve[-1], geometry.landing_point, atol=1e-9)


@given(st.floats(-0.8, 0.8), st.floats(0.05, 1.0), st.floats(0.03, 0.3))
def test_fit_recovers_the_parabola(v, u, drop):
    fall = np.linspace(0, drop, 60)
    t = (np.sqrt(u * u + 2 * GRAVITY * fall) - u) / GRAVITY
    fit = fit_stream(0.01 + v * t, 0.5 - fall, np.ones(60), sigma=1e-5, correlation=1)
    np.testing.assert_allclose(fit.at(0.5 - 1.5 * drop), 0.01 + v * (
        (np.sqrt(u * u + 3 * GRAVITY * drop) - u) / GRAVITY), atol=1e-4)  # fmt: skip
    assert fit.rms < 1e-4


def test_vertical_stream_of_a_tap():
    """v = 0, where z(s) has no meaning, is an ordinary case."""
    fit = fit_stream(np.full(50, 0.2), np.linspace(0.5, 0.3, 50), np.ones(50), 5e-4, 1)
    assert fit.horizontal_speed == pytest.approx(0, abs=1e-6)
    assert fit.at(0.1) == pytest.approx(0.2, abs=1e-6)


def test_fit_shrugs_off_outliers():
    z = np.linspace(0.5, 0.35, 80)
    fit_clean = fit_stream(0.4 * np.sqrt(2 * (0.5 - z) / GRAVITY), z, np.ones(80), 5e-4, 1)
    s = 0.4 * np.sqrt(2 * (0.5 - z) / GRAVITY)
    s[10:16] += 0.03
    fit = fit_stream(s, z, np.ones(80), 5e-4, 1)
    assert abs(fit.at(0.3) - fit_clean.at(0.3)) < 0.002


def test_derivatives_of_the_residuals():
    rng = np.random.default_rng(0)
    p = np.array([0.01, 0.3, 0.2])
    s, drop = rng.normal(0, 0.02, 30), rng.uniform(0.01, 0.2, 30)

    def slope(of):
        return (of(1e-6) - of(-1e-6)) / 2e-6

    numeric = [slope(lambda h, k=k: residuals(p + h * np.eye(3)[k], s, drop)[0]) for k in range(3)]
    numeric.append(slope(lambda h: residuals(p, s + h, drop)[0]))
    numeric.append(slope(lambda h: residuals(p, s, drop + h)[0]))
    np.testing.assert_allclose(residuals(p, s, drop)[1], numeric, atol=1e-6)


def test_the_fit_is_the_best_that_there_is():
    """The oracle is scipy's general optimiser on the same robust cost, within the same bound."""
    rng = np.random.default_rng(7)
    on_bound = 0
    for _ in range(40):
        count, sigma = rng.integers(20, 120), 5e-4
        v, u = rng.uniform(-0.8, 0.8), rng.uniform(0.02, 0.6)
        drop = np.linspace(0, rng.uniform(0.02, 0.2), count)
        t = (np.sqrt(u * u + 2 * GRAVITY * drop) - u) / GRAVITY
        s = v * t + rng.normal(0, sigma, count)
        s[: count // 8] += rng.uniform(-0.005, 0.005)
        weight = rng.uniform(0.2, 1, count)
        fit = fit_stream(s, 0.5 - drop, weight, sigma, 1)

        def cost(p, s=s, drop=drop, trust=np.sqrt(weight / weight.mean()) / sigma):
            r = trust * residuals(p, s, drop)[0]
            prior = (p[1] / 1.5) ** 2 + ((p[2] - 0.4) / 1.5) ** 2
            return (np.sqrt(1 + r * r) - 1).sum() + prior / 2

        bounds = [(None, None), (None, None), (MIN_DOWNWARD, None)]
        best = minimize(
            cost, fit.parameters, bounds=bounds, method='Nelder-Mead',
            options={'xatol': 1e-9, 'fatol': 1e-12, 'maxiter': 4000},
        )  # fmt: skip
        assert cost(fit.parameters) < best.fun + 1e-4
        t_end = (np.sqrt(best.x[2] ** 2 + 3 * GRAVITY * drop[-1]) - best.x[2]) / GRAVITY
        end = best.x[0] + best.x[1] * t_end
        assert fit.at(0.5 - 1.5 * drop[-1]) == pytest.approx(end, abs=1e-4)
        on_bound += fit.downward_speed == MIN_DOWNWARD
    assert on_bound > 2


@pytest.mark.parametrize('tilt', [0.0, 4.0, 176.5, 180.0])
def test_upright_source_is_refused(tilt):
    source = Container.load('bottle')
    pose = Pose(Rotation.from_euler('x', tilt, degrees=True).as_matrix(), np.array([0, 0, 1.0]))
    with pytest.raises(NotEstimable, match='upright'):
        pouring_plane(pose, source, UP)


def test_looking_along_the_plane_is_refused():
    source = Container.load('bottle')
    # Axis along the view, gravity down the picture: the plane contains the optical axis.
    T_cam_source = Pose(np.eye(3), np.array([0, 0, 0.5]))
    plane = pouring_plane(T_cam_source, source, [0, -1.0, 0])
    with pytest.raises(NotEstimable, match='along the pouring plane'):
        plane.intersect([[0.05, 0.1, 1.0]])


def test_plane_behind_the_camera_is_refused():
    source = Container.load('bottle')
    lying = Rotation.from_euler('y', 90, degrees=True).as_matrix()
    plane = pouring_plane(Pose(lying, np.array([0, 0, -0.5])), source, [0, -1.0, 0])
    with pytest.raises(NotEstimable, match='behind'):
        plane.intersect([[0.0, 0.1, 1.0]])


def test_refusals_carry_reasons():
    scenario = random_scenario(np.random.default_rng(1))
    nothing = measure_pour(
        LiquidCloud.empty(), scenario.T_base_cam, scenario.target, scenario.T_base_target
    )
    assert nothing.lowest_point is None
    assert nothing.problems == ('no liquid was lifted to 3D',)
    tipped = Pose(Rotation.from_euler('x', 90, degrees=True).as_matrix(), np.zeros(3))
    geometry = measured(scenario, T_base_target=tipped)
    assert geometry.landing_point is None
    assert geometry.distance is not None
    assert 'tipped over' in geometry.problems[0]
    high = Pose(np.eye(3), scenario.mouth + [0, 0, 0.5])
    assert 'below the target' in measured(scenario, T_base_target=high).problems[0]


def test_margin_on_a_tilted_rim_is_measured_in_its_plane():
    scenario = random_scenario(np.random.default_rng(6))
    tilted = Rotation.from_euler('y', 40, degrees=True).as_matrix()
    mouth = scenario.target.mouth_in(scenario.T_base_target)
    pose = Pose(tilted, mouth + [0.02, 0.01, 0] - tilted @ scenario.target.mouth)
    geometry = measured(scenario, T_base_target=pose)
    # The landing point on the rim's circle of this radius has the margin 0.
    rim = geometry.rim.circle()
    centre = scenario.target.mouth_in(pose)
    np.testing.assert_allclose(
        np.linalg.norm(rim - centre, axis=1), scenario.target.rim_radius, atol=1e-9
    )
    local = pose.inverse().apply(geometry.landing_point) - scenario.target.mouth
    axis = scenario.target.axis
    assert abs(local @ axis) < 1e-9
    across = np.linalg.norm(local - (local @ axis) * axis)
    assert geometry.margin == pytest.approx(scenario.target.rim_radius - across)
    assert abs(geometry.offset[2]) > 0.005


def test_short_stream_says_so():
    scenario = random_scenario(np.random.default_rng(2))
    short = replace(scenario, visible=0.12)
    geometry = measured(short)
    assert geometry.landing_point is None
    assert any('visible' in p or 'centre-line' in p or 'too short' in p for p in geometry.problems)


def opaque_cylinder(degrees, down, radius=0.004, shift=0.0):
    """Ray-cast an upright cylinder in milk, seen `degrees` off the plane's normal from above.

    Camera, pouring plane, depth image (m, a wall 0.8 m behind) and mask; the cylinder's axis is
    `shift` m off the plane, along its normal; `down` (deg): how far the camera looks down.
    """
    camera = PinholeCamera(320, 240, 600.0, 600.0, 159.5, 119.5)
    turn = Rotation.from_euler('yx', [degrees, 0], degrees=True)
    # Optical frame: x right, y down, z forward; then the camera is tipped.
    tip = Rotation.from_euler('x', down, degrees=True)
    up = tip.apply([0.0, -1.0, 0.0])
    normal = tip.apply(turn.apply([0.0, 0.0, 1.0]))
    plane = PouringPlane(np.array([0.01, -0.005, 0.6]), normal, up, 1e-4 * np.eye(2))
    centre = plane.point + shift * normal
    v, u = np.mgrid[:240, :320]
    rays = camera.rays(np.column_stack([u.ravel(), v.ravel()]))
    # |k d - c| = r for the parts across the axis.
    d = rays - np.outer(rays @ up, up)
    c = centre - (centre @ up) * up
    a, half_b = (d * d).sum(1), d @ c
    root = half_b**2 - a * (c @ c - radius**2)
    hit = (root > 0).reshape(240, 320)
    depth = np.where(hit.ravel(), (half_b - np.sqrt(np.maximum(root, 0))) / a, 1.4)
    return camera, plane, depth.reshape(240, 320).astype(np.float32), hit


@pytest.mark.parametrize('degrees', [0, 15, -30, 45, 60, -70, 78])
@pytest.mark.parametrize('down', [0, 30, 50])
@pytest.mark.parametrize('radius', [0.002, 0.004, 0.007])
def test_depth_of_an_opaque_stream_is_where_its_axis_is(degrees, down, radius):
    camera, plane, depth, hit = opaque_cylinder(degrees, down, radius)
    v, u = np.nonzero(hit)
    rays = camera.rays(np.column_stack([u, v]))
    evidence = depth_evidence(rays, depth[hit], plane, radius)
    assert evidence.accepted, evidence.reason
    assert abs(evidence.offset) < 0.0003


@pytest.mark.parametrize('degrees', [0, 30, 60, 75])
@pytest.mark.parametrize('shift', [-0.008, 0.0, 0.01])
def test_lifting_an_opaque_stream_moves_the_plane_to_it(degrees, shift):
    camera, plane, depth, hit = opaque_cylinder(degrees, 10, shift=shift)
    rng = np.random.default_rng(0)
    depth = depth + rng.normal(0, 0.001, depth.shape).astype(np.float32)
    depth[::4] = 0
    cloud = lift_mask(hit, hit.astype(np.float32), camera, plane, depth)
    assert (cloud.plane.point - plane.point) @ plane.normal == pytest.approx(shift, abs=0.0007)


def test_depth_through_clear_water_is_rejected():
    camera, plane, depth, hit = opaque_cylinder(30, 10)
    v, u = np.nonzero(hit)
    rays, depth = camera.rays(np.column_stack([u, v])), depth[hit]
    wall = depth + 0.8
    wall[::5] = depth[::5]
    assert not depth_evidence(rays, wall, plane, 0.004).accepted
    assert not depth_evidence(rays, np.full(len(rays), np.nan), plane, 0.004).accepted
