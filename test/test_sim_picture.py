# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Images of the cell: where things are seen, how far away, and the stream in them."""

import numpy as np
import pytest
from sim_cell import needs_drawing

from pourit_ros.sim.arm import Arm, find_start
from pourit_ros.sim.camera import Renderer, pinhole
from pourit_ros.sim.content import Content
from pourit_ros.sim.liquid import Account
from pourit_ros.sim.picture import Photographer, stream_meshes
from pourit_ros.sim.scene import TABLE, build, camera_poses
from pourit_ros.sim.setup import Setup
from pourit_ros.sim.vessels import CUP
from pourit_ros.synth.scene.description import LIQUIDS

pytestmark = needs_drawing
SIZE = 320, 240
SETUP = Setup()
RIM = TABLE + 0.105
CAMERA = pinhole(SIZE)
T_BASE_CAM = camera_poses(SETUP)['rgbd']


@pytest.fixture(scope='module')
def cell():
    model = build(SETUP, SIZE)
    mouth = np.array([0.66, 0.045, RIM + 0.1])
    arm = Arm(model, find_start(model, mouth, 1.4))
    renderer = Renderer(model, SIZE)
    yield model, arm.data, renderer
    renderer.close()


def poured(x=0.66, y=0.0, flow=12e-6, tilt=0.0):
    """An account in which liquid has been falling from 10 cm above the rim for half a second."""
    account = Account(lambda time: np.array([0.66, 0.0]), 0.04, RIM, 1.0)
    for k in range(50):
        place = np.array([x, y + 0.04, RIM + 0.1])
        account.leave(0.01 * k, place, np.array([tilt, -0.25, 0.0]), 0.01 * flow, 0.01)
        account.settle(0.01 * k)
    return account


def test_depth_is_metric_and_the_camera_where_it_is_said_to_be(cell):
    _, data, renderer = cell
    _, depth = renderer.draw(data, 'rgbd')
    assert depth.shape == (240, 320)
    # The lower corner shows the table alone: lifted, its pixels lie on it.
    v, u = np.mgrid[215:240:4, 0:320:10]
    pixels = np.column_stack([u.ravel(), v.ravel()])
    points = T_BASE_CAM.apply(CAMERA.rays(pixels) * depth[v.ravel(), u.ravel(), None])
    np.testing.assert_allclose(points[:, 2], TABLE, atol=5e-4)


def test_a_known_point_is_seen_where_it_projects(cell):
    model, data, renderer = cell
    before, _ = renderer.draw(data, 'rgbd')
    place = np.array([0.75, -0.12])
    account = Account(lambda time: np.zeros(2), 0.04, RIM, 1.0)
    account.leave(0.0, np.array([*place, RIM]), np.zeros(3), 3e-7, 0.01)
    account.settle(1.0)
    content = Content(CUP, TABLE, 350e-6)
    content.show(model, data, account)
    after, _ = renderer.draw(data, 'rgbd')
    content.show(model, data, Account(lambda time: np.zeros(2), 0.04, RIM, 1.0))
    rows, columns = np.nonzero(np.abs(after.astype(int) - before).sum(axis=2) > 30)
    assert len(rows) > 5
    expected = CAMERA.project(T_BASE_CAM.inverse().apply([[*place, TABLE + 0.002]]))[0]
    np.testing.assert_allclose([columns.mean(), rows.mean()], expected, atol=1.0)


def test_the_level_in_the_cup_rises_to_the_brim():
    content = Content(CUP, TABLE, 350e-6)
    levels = [content.level(v) for v in np.linspace(0, 350e-6, 8)]
    assert (np.diff(levels) > 0.005).all()
    assert levels[0] == pytest.approx(TABLE + CUP.floor)
    assert levels[-1] == pytest.approx(TABLE + CUP.height, abs=1e-3)


@pytest.mark.parametrize('flow', [8e-6, 20e-6])
def test_the_stream_is_seen_where_its_centre_line_projects(cell, flow):
    _, data, renderer = cell
    drawn, depth = renderer.draw(data, 'rgbd')
    account = poured(flow=flow)
    photographer = Photographer(SETUP, CAMERA)
    meshes = stream_meshes(account.streams(), 0.49, RIM - 0.05, 0)
    wet, exact = photographer.light(drawn, depth, T_BASE_CAM, meshes)
    dry, _ = photographer.light(drawn, depth, T_BASE_CAM, [])
    changed = np.abs(wet - dry).sum(axis=2) > 0.03
    for fall in np.linspace(0.02, 0.12, 6):
        place = [0.66, 0.04 - 0.25 * fall, RIM + 0.1 - 0.5 * 9.81 * fall**2]
        u, v = np.rint(CAMERA.project(T_BASE_CAM.inverse().apply([place]))[0]).astype(int)
        # Within three pixels: the stream sways a little about its line.
        assert exact.stream[v - 1 : v + 2, u - 3 : u + 4].any()
        assert changed[v - 1 : v + 2, u - 3 : u + 4].any()
        measured = exact.first[v - 1 : v + 2, u - 3 : u + 4].min()
        assert measured == pytest.approx(T_BASE_CAM.inverse().apply(place)[2], abs=0.008)
    # And nowhere else than near it.
    assert 60 < exact.stream.sum() < 1500


def test_a_cup_in_front_hides_the_stream(cell):
    _, data, renderer = cell
    drawn, depth = renderer.draw(data, 'rgbd')
    # It falls into the cup: of what is inside, the near wall hides nearly all.
    meshes = stream_meshes(poured().streams(), 0.49, TABLE + 0.01, 0)
    _, exact = Photographer(SETUP, CAMERA).light(drawn, depth, T_BASE_CAM, meshes)
    foot = CAMERA.project(T_BASE_CAM.inverse().apply([[0.66, 0.0, TABLE + 0.03]]))[0]
    assert not exact.stream[int(foot[1]) - 2 : int(foot[1]) + 3].any()


def test_images_are_the_same_for_a_seed_and_noisier_without_the_lamp(cell):
    _, data, renderer = cell
    drawn, depth = renderer.draw(data, 'rgbd')
    meshes = stream_meshes(poured().streams(), 0.49, RIM - 0.05, 0)

    def take(setup, number):
        photographer = Photographer(setup, CAMERA)
        photographer.take(drawn, depth, T_BASE_CAM, meshes, 1)
        return photographer.take(drawn, depth, T_BASE_CAM, meshes, number)

    color, seen = take(SETUP, 2)
    assert (color.dtype, color.shape) == (np.uint8, (240, 320, 3))
    assert (seen.dtype, seen.shape) == (np.float32, (240, 320))
    again, seen_again = take(SETUP, 2)
    np.testing.assert_array_equal(color, again)
    np.testing.assert_array_equal(seen, seen_again)
    other, _ = take(SETUP, 3)
    noise = np.std(other.astype(float) - color)
    assert 0.5 < noise < 6
    dark, dim = (take(Setup(lamp=False), k)[0].astype(float) for k in (2, 3))
    assert np.std(dark - dim) > 2 * noise
    assert dark.mean() < 0.9 * color.mean()


def test_the_sensor_measures_the_table_and_leaves_holes(cell):
    _, data, renderer = cell
    drawn, depth = renderer.draw(data, 'rgbd')
    _, seen = Photographer(SETUP, CAMERA).take(drawn, depth, T_BASE_CAM, [], 1)
    known = seen > 0
    assert 0.3 < known.mean() < 0.98
    error = np.abs(seen - depth)[200:][known[200:]]
    assert np.median(error) < 0.006


def test_the_liquid_has_its_colour(cell):
    _, data, renderer = cell
    drawn, depth = renderer.draw(data, 'rgbd')
    means = {}
    for name in ('milk', 'cola'):
        setup = Setup(liquid=LIQUIDS[name])
        meshes = stream_meshes(poured().streams(), 0.49, RIM - 0.05, 0)
        light, exact = Photographer(setup, CAMERA).light(drawn, depth, T_BASE_CAM, meshes)
        means[name] = light[exact.stream].mean()
    assert means['milk'] > 1.5 * means['cola']
