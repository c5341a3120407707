# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest

from pourit_ros.training.looks import Look

PLAIN = Look(1.0, (1.0, 1.0, 1.0), 0.0, 1.0, 0.0, 0.0, 0.0, 0, 0)


@pytest.fixture
def picture():
    rng = np.random.default_rng(0)
    coarse = rng.integers(20, 236, (6, 8, 3)).astype(np.uint8)
    return coarse.repeat(8, 0).repeat(8, 1)


def test_strength_0_changes_nothing(picture):
    rng = np.random.default_rng(1)
    for _ in range(20):
        np.testing.assert_array_equal(Look.draw(rng, 0.0).of(picture), picture)


def test_looks_at_full_strength_differ_and_keep_the_picture(picture):
    rng = np.random.default_rng(1)
    looks = [Look.draw(rng, 1.0) for _ in range(200)]
    assert len({look.seed for look in looks}) == 200
    for part in ('blur', 'sharpening', 'noise', 'quality'):
        shown = np.mean([getattr(look, part) > 0 for look in looks])
        assert 0.2 < shown < 0.5, part
    for look in looks[:40]:
        seen = look.of(picture)
        assert (seen.dtype, seen.shape) == (picture.dtype, picture.shape)
        assert np.corrcoef(seen.ravel(), picture.ravel())[0, 1] > 0.6


def test_each_part_does_its_own(picture):
    grey = np.full((4, 4, 3), 64, np.uint8)
    assert (replace(PLAIN, gamma=0.5).of(grey) == round(255 * (64 / 255) ** 0.5)).all()
    assert (replace(PLAIN, gain=(1.0, 0.5, 2.0)).of(grey) == [64, 32, 128]).all()
    assert (replace(PLAIN, offset=10.0).of(grey) == 74).all()
    assert np.ptp(replace(PLAIN, saturation=0.0).of(picture), axis=-1).max() == 0
    flat = picture.astype(float)
    assert replace(PLAIN, blur=1.0).of(picture).std() < flat.std()
    assert replace(PLAIN, sharpening=0.8).of(picture).std() > flat.std()
    noise = replace(PLAIN, noise=4.0).of(picture) - flat
    assert noise.std() == pytest.approx(4.0, rel=0.1)
    change = replace(PLAIN, quality=30).of(picture) - flat
    assert 1 < change.std() < 25
    # Red stays red: channels keep their places.
    red = np.full((16, 16, 3), (200, 30, 30), np.uint8)
    assert np.abs(replace(PLAIN, quality=90).of(red).astype(int) - red).max() < 6


def test_twins_get_the_same_noise(picture):
    wet = picture.copy()
    wet[10:20, 10:20] = 128
    look = replace(PLAIN, noise=5.0)
    differs = (look.of(wet) != look.of(picture)).any(-1)
    assert differs[10:20, 10:20].any()
    differs[10:20, 10:20] = False
    assert not differs.any()
