# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest

from pourit_ros.synth.render.depth_sensor import DepthSensor, ExactDepth, sense

FOCAL = 400.0
SENSOR = DepthSensor(0.052, -0.015, 2.0, 0.3, 9, (0.5, 0.2, 0.05, 0.25), (0.4, 0.25, 0.35))


def still(stream_clear=True, size=320):
    """A textured wall at 0.9 m, a table edge, a box at 0.5 m and a stream 10 px wide at 0.6 m."""
    first = np.full((size, size), 0.9, np.float32)
    first[180:260, 180:260] = 0.5
    opaque = first.copy()
    stream = np.zeros((size, size), bool)
    stream[60:220, 100:110] = True
    first[stream] = 0.6
    if not stream_clear:
        opaque[stream] = 0.6
    color = np.random.default_rng(0).integers(60, 200, (size, size, 3), dtype=np.uint8)
    clear = stream & stream_clear
    return ExactDepth(first, opaque, clear, stream, np.zeros((size, size), bool)), color


def read(scene, color, sensor=SENSOR, pattern=1, noise=2):
    rng = np.random.default_rng(noise)
    return sense(scene, color, FOCAL, sensor, pattern, rng) / 1000


def shares(depth, stream):
    inside = depth[stream]
    return [np.mean(c) for c in (inside == 0, abs(inside - 0.6) < 0.03, inside > 0.8)]


def mean_shares(scene, color, patterns):
    every = [shares(read(scene, color, pattern=p), scene.stream) for p in range(patterns)]
    return np.mean(every, axis=0)


def test_clear_liquid_is_mostly_missing_or_reads_the_wall():
    scene, color = still()
    every = np.mean(
        [shares(read(scene, color, pattern=p), scene.stream) for p in range(25)], axis=0
    )
    missing, own, wall = every
    # The shares of real frames: 27 to 61 % nothing, 19 to 25 % the liquid's own surface.
    assert 0.25 < missing < 0.65
    assert 0.12 < own < 0.35
    assert wall > 0.15
    assert every.sum() > 0.9


def test_milk_reads_as_itself():
    scene, color = still(stream_clear=False)
    every = np.mean(
        [shares(read(scene, color, pattern=p), scene.stream) for p in range(10)], axis=0
    )
    missing, own, wall = every
    assert own > 0.6
    assert wall < 0.05
    assert missing < 0.4


def test_surfaces_in_the_open_are_right_within_a_disparity_step():
    scene, color = still()
    depth = read(scene, color)
    box = depth[200:240, 200:240]
    assert np.mean(box > 0) > 0.8
    step = 0.5**2 / (FOCAL * 0.052)
    assert np.abs(box[box > 0] - 0.5).max() < 0.6 * step
    wall = depth[280:310, 60:310]
    # Sixteenths of a pixel of disparity are 2.4 mm there.
    levels = np.unique(wall[wall > 0])
    assert np.abs(levels - 0.9).max() < 0.008
    assert np.diff(levels).min() > 0.0015


def test_the_second_camera_does_not_see_past_the_near_box():
    scene, color = still()
    hidden = int(FOCAL * 0.052 * (1 / 0.5 - 1 / 0.9))
    plain = DepthSensor(0.052, 0.0, 2.0, 0.3, 9, (1, 0, 0, 0), (1, 0, 0))
    rows = slice(190, 250)
    for sensor in (plain, replace(plain, baseline=-0.052)):
        depth = read(scene, color, sensor)
        left = np.mean(depth[rows, 180 - hidden + 6 : 174] == 0)
        right = np.mean(depth[rows, 266 : 260 + hidden - 6] == 0)
        # The shadow lies on the side away from the other camera.
        shadow, open_side = (left, right) if sensor.baseline > 0 else (right, left)
        assert shadow > 0.8
        assert open_side < 0.2


def test_holes_stay_and_noise_changes_between_frames():
    scene, color = still()
    one, other = read(scene, color, noise=1), read(scene, color, noise=2)
    np.testing.assert_array_equal(one == 0, other == 0)
    assert 0 < np.abs(one - other).max() < 0.2
    assert np.mean((read(scene, color, pattern=9) == 0) != (one == 0)) > 0.005


def test_dark_plain_and_glossy_areas_have_holes():
    scene, color = still()
    harsh = DepthSensor(0.052, 0.0, 2.0, 1.0, 9, (1, 0, 0, 0), (1, 0, 0))
    dark = np.full_like(color, 8)
    glossy = ExactDepth(
        scene.first, scene.opaque, scene.clear, scene.stream, np.ones_like(scene.stream)
    )
    lit, black, mirror = (
        np.mean([np.mean(read(s, c, harsh, p) == 0) for p in range(5)])
        for s, c in ((scene, color), (scene, dark), (glossy, dark))
    )
    assert lit + 0.1 < black < mirror
    assert mirror > 0.7


@pytest.mark.parametrize('kind', ['realsense', 'kinect'])
def test_drawn_sensors_have_shares_that_add_up(kind):
    for seed in range(20):
        sensor = DepthSensor.draw(kind, np.random.default_rng(seed))
        assert sum(sensor.clear_shares) == pytest.approx(1)
        assert sum(sensor.stream_shares) == pytest.approx(1)
        assert abs(sensor.baseline) == {'realsense': 0.052, 'kinect': 0.075}[kind]


def test_nothing_to_see_is_no_depth():
    scene, color = still()
    empty = np.full_like(scene.first, np.inf)
    nothing = np.zeros_like(scene.clear)
    depth = read(ExactDepth(empty, empty, nothing, nothing, nothing), color)
    assert depth.max() == 0
