# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""One stream out of a mask."""

import numpy as np

from pourit_ros.perception.masks import keep_stream


def scene(*boxes):
    """Boxes (top, bottom, left, right, activation) in a 480 x 480 image."""
    cam = np.zeros((480, 480), np.float32)
    for top, bottom, left, right, value in boxes:
        cam[top:bottom, left:right] = value
    return cam > 0, cam


def test_the_stronger_blob_wins_even_if_smaller():
    mask, cam = scene((100, 200, 100, 110, 0.9), (300, 340, 300, 340, 0.5))
    kept = keep_stream(mask, cam)
    np.testing.assert_array_equal(kept, mask & (cam == np.float32(0.9)))


def test_pieces_of_one_stream_stay_together():
    mask, cam = scene(
        (100, 200, 100, 106, 0.8), (210, 260, 101, 107, 0.8), (300, 340, 300, 320, 0.9)
    )
    kept = keep_stream(mask, cam)
    np.testing.assert_array_equal(kept, mask & (cam == np.float32(0.8)))


def test_bridges_scale_with_the_image():
    mask, cam = scene((100, 200, 100, 106, 0.8), (210, 260, 101, 107, 0.7))
    assert keep_stream(mask, cam)[230, 103]
    small_mask, small_cam = mask[90:270, 90:120], cam[90:270, 90:120]
    assert not keep_stream(small_mask, small_cam)[230 - 90, 103 - 90]


def test_specks_go_and_are_no_bridge():
    mask, cam = scene(
        (100, 200, 100, 106, 0.8), (210, 212, 100, 102, 1.0), (220, 240, 99, 105, 0.7)
    )
    kept = keep_stream(mask, cam)
    np.testing.assert_array_equal(kept, mask & (cam == np.float32(0.8)))
    mask, cam = scene((10, 12, 10, 12, 1.0))
    assert not keep_stream(mask, cam).any()


def test_touching_the_image_edge_is_fine():
    mask, cam = scene((0, 60, 0, 6, 0.8), (440, 480, 470, 480, 0.4))
    kept = keep_stream(mask, cam)
    assert kept.sum() == 360
    assert kept[0, 0]


def test_nothing_and_everything():
    mask, cam = scene()
    assert not keep_stream(mask, cam).any()
    full = np.ones((7, 5), np.bool_)
    np.testing.assert_array_equal(keep_stream(full, full.astype(np.float32)), full)


def test_arguments_are_left_alone():
    mask, cam = scene((100, 200, 100, 110, 0.9), (300, 340, 300, 340, 0.5))
    before = mask.copy(), cam.copy()
    keep_stream(mask, cam)
    np.testing.assert_array_equal(mask, before[0])
    np.testing.assert_array_equal(cam, before[1])
