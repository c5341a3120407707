# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Letterbox: aspect, borders, and the way back."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pourit_ros.perception.letterbox import Letterbox

sides = st.integers(1, 200)


@pytest.mark.parametrize(
    ('image_size', 'box'),
    [
        ((480, 640), (48, 0, 288, 384)),
        ((640, 480), (0, 48, 384, 288)),
        ((480, 480), (0, 0, 384, 384)),
        ((1, 1), (0, 0, 384, 384)),
        ((1, 5000), (191, 0, 1, 384)),
        ((333, 501), (64, 0, 255, 384)),
    ],
)
def test_picture_is_centred_and_keeps_its_aspect(image_size, box):
    letterbox = Letterbox.fit(image_size, (384, 384))
    assert (letterbox.top, letterbox.left, letterbox.height, letterbox.width) == box


def test_border_is_black_and_marked():
    image = np.full((30, 60, 3), 200, np.uint8)
    letterbox = Letterbox.fit((30, 60), (64, 64))
    canvas = letterbox.apply(image)
    assert canvas.shape == (64, 64, 3)
    assert canvas.dtype == np.uint8
    np.testing.assert_array_equal((canvas == 200).all(2), letterbox.valid())
    np.testing.assert_array_equal((canvas == 0).all(2), ~letterbox.valid())
    assert letterbox.valid().sum() == 32 * 64


@settings(deadline=None, max_examples=200)
@given(sides, sides, st.sampled_from([(96, 96), (64, 96)]), st.sampled_from([1, 4, 16]))
def test_border_cells_never_reach_the_image(height, width, size, stride):
    letterbox = Letterbox.fit((height, width), size)
    cells = np.full((size[0] // stride, size[1] // stride), -1000, np.float32)
    inside = cv2.resize(
        letterbox.valid().astype(np.float32), cells.shape[::-1], interpolation=cv2.INTER_AREA
    )
    cells[inside == 0] = 1000
    restored = letterbox.restore(cells)
    assert restored.shape == (height, width)
    np.testing.assert_array_equal(restored, -1000)


@settings(deadline=None, max_examples=100)
@given(st.integers(8, 200), st.integers(8, 200), st.sampled_from([1, 4]))
def test_a_linear_map_comes_back_where_it_was(height, width, stride):
    """Cells hold their own image coordinates, so restored values must be pixel positions."""
    letterbox = Letterbox.fit((height, width), (96, 96))
    n = 96 // stride
    centres = (np.arange(n) + 0.5) * stride
    u = (centres - letterbox.left) * width / letterbox.width - 0.5
    v = (centres - letterbox.top) * height / letterbox.height - 0.5
    columns = letterbox.restore(np.tile(u, (n, 1)).astype(np.float32))
    rows = letterbox.restore(np.tile(v[:, None], (1, n)).astype(np.float32))
    # Half a cell at the rim is extrapolated by its edge value; 1/64 cell is OpenCV 4's rounding.
    rim = int(np.ceil(stride * max(height / letterbox.height, width / letterbox.width))) + 1
    inner = (slice(rim, height - rim), slice(rim, width - rim))
    yy, xx = np.mgrid[:height, :width]
    tolerance = 0.02 * rim
    np.testing.assert_allclose(columns[inner], xx[inner], atol=tolerance)
    np.testing.assert_allclose(rows[inner], yy[inner], atol=tolerance)


def test_restore_is_bilinear_resize_where_there_is_no_border():
    rng = np.random.default_rng(0)
    cells = rng.standard_normal((24, 24)).astype(np.float32)
    letterbox = Letterbox.fit((200, 200), (96, 96))
    expected = cv2.resize(cells, (200, 200), interpolation=cv2.INTER_LINEAR)
    # OpenCV 4 warps with places rounded to 1/32 of a cell.
    np.testing.assert_allclose(letterbox.restore(cells), expected, atol=0.15)


def test_a_disc_survives_the_round_trip():
    mask = np.zeros((480, 640), np.float32)
    cv2.circle(mask, (500, 120), 60, 1, -1)
    letterbox = Letterbox.fit((480, 640), (384, 384))
    back = letterbox.restore(letterbox.apply(mask)) > 0.5
    truth = mask > 0.5
    assert (back & truth).sum() / (back | truth).sum() > 0.98


@pytest.mark.parametrize('row', [1, 6])
@pytest.mark.parametrize(('top', 'enters'), [(11, True), (13, False)])
def test_a_cell_enters_when_most_of_it_lies_on_the_picture(top, enters, row):
    # Cells of 8 px: the second one, and the last but one, is a border by 3 or by 5 of its rows.
    letterbox = Letterbox((64 - 2 * top, 64), (64, 64), top, 0, 64 - 2 * top, 64)
    cells = np.zeros((8, 8), np.float32)
    cells[row] = 1.0
    assert letterbox.restore(cells).any() == enters
    upright = Letterbox((64, 64 - 2 * top), (64, 64), 0, top, 64, 64 - 2 * top)
    assert upright.restore(np.ascontiguousarray(cells.T)).any() == enters
