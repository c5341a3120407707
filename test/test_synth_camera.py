# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import cv2
import numpy as np
import pytest

from pourit_ros.synth.render.camera_model import CameraModel, Exposure
from pourit_ros.synth.scene.random import random_scene

CAMERA = CameraModel(blur=0.3, sharpening=0.4, grain=0.7, bloom=0.03)
QUIET = CameraModel(shot_noise=0.0, read_noise=0.0, blur=0.1)


def scene(seed=0):
    rng = np.random.default_rng(seed)
    light = cv2.GaussianBlur(rng.lognormal(-1, 1, (120, 160, 3)).astype(np.float32), (0, 0), 6)
    return light * np.float32(3)


def take(camera, light, seed, gain=None):
    exposure = camera.expose(light) if gain is None else Exposure((gain, gain, gain))
    return camera.develop(light, exposure, np.random.default_rng(seed))


def test_twins_differ_in_their_noise_alone():
    light = scene()
    one, other = (take(CAMERA, light, seed).astype(float) for seed in (1, 2))
    again = take(CAMERA, light, 1)
    np.testing.assert_array_equal(one, again)
    difference = one - other
    assert np.abs(difference).max() > 2
    assert abs(difference.mean()) < 0.25
    # The same level in both: each against the mean of many.
    mean = np.mean([take(CAMERA, light, seed) for seed in range(10, 40)], axis=0)
    assert (one - mean).std() == pytest.approx((other - mean).std(), rel=0.03)


def test_noise_has_the_stated_level():
    grey = np.full((200, 200, 3), 0.999, np.float32)
    noisy = replace(QUIET, shot_noise=3.0, black=-0.05)
    picture = take(noisy, grey * np.float32(0.5), 3, gain=1.0).astype(float)
    clean = take(replace(noisy, shot_noise=0.0), grey * np.float32(0.5), 3, gain=1.0)
    # At half the light: 1/sqrt(2) of the noise, on a steeper part of the transfer curve.
    x = float(grey[0, 0, 0]) * 0.5
    x = x * (1 + x / 9) / (1 + 0.2 * x)
    slope = x ** (1 / 2.4 - 1)
    assert (picture - clean).std() == pytest.approx(3.0 * np.sqrt(x) * slope, rel=0.05)
    read = take(replace(QUIET, read_noise=2.0), grey * np.float32(0.3), 4, gain=1.0).astype(float)
    assert read.std() == pytest.approx(2.0, rel=0.05)
    spread = replace(QUIET, read_noise=2.0, grain=0.7)
    assert take(spread, grey * np.float32(0.3), 5, gain=1.0).std() == pytest.approx(2.0, rel=0.05)


def test_exposure_does_not_care_how_bright_the_room_is():
    light = scene()
    dim, bright = take(QUIET, light / 50, 0), take(QUIET, light * 50, 0)
    assert np.abs(dim.astype(int) - bright).max() <= 1
    assert 70 < np.median(dim) < 150


def test_highlights_are_protected():
    light = scene()
    light[:30, :80] *= 300
    picture = take(QUIET, light, 0)
    # The lamp saturates; the rest of the picture is not dragged into black by much.
    assert picture[5:20, 10:60].min() > 225
    assert (picture > 250).mean() < 0.2


def test_automatic_contrast_stretches_flat_pictures():
    flat = scene() * np.float32(0.2) + np.float32(0.5)
    dull, vivid = (take(replace(QUIET, levels=v), flat, 0).astype(float) for v in (0.0, 1.0))
    assert vivid.std() > 1.5 * dull.std()
    # Twins get the same: what was settled on for one holds for the other.
    camera = replace(QUIET, levels=1.0, curve=0.5)
    exposure = camera.expose(flat)
    lit = flat.copy()
    lit[40:60, 40:60] *= 1.2
    one, other = (camera.develop(f, exposure, np.random.default_rng(0)) for f in (flat, lit))
    np.testing.assert_array_equal(one[:30], other[:30])


def test_automatic_white_balance_takes_a_cast_away():
    light = scene() * np.array([1.0, 0.6, 0.3], np.float32)
    casts = []
    for strength in (0.0, 0.5, 1.0):
        exposure = replace(QUIET, grey_world=strength).expose(light)
        gains = np.asarray(exposure.gain) * light.mean(axis=(0, 1))
        casts.append(gains.max() / gains.min())
    assert casts[0] > casts[1] > casts[2]
    assert casts[2] < 1.35


def test_jpeg_round_trip():
    picture = take(CAMERA, scene(), 0)
    fine, coarse = (replace(CAMERA, jpeg_quality=q).encode(picture) for q in (95, 30))
    assert len(coarse) < len(fine) / 2
    decoded = cv2.imdecode(np.frombuffer(fine, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.abs(decoded.astype(int) - picture).mean() < 3


def test_the_scene_decides_the_camera():
    camera = random_scene(0, 0, 'train').camera
    model = CameraModel.of(camera)
    assert model == CameraModel.of(camera)
    assert model.blur == camera.blur
    assert CameraModel.of(replace(camera, seed=camera.seed + 1)).key != model.key
    assert CameraModel.of(replace(camera, jpeg_quality=0)).jpeg_quality == 98
