# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pourit_ros.training import metrics


def by_pairs(wet, dry):
    return np.mean([(w > d) + 0.5 * (w == d) for w in wet for d in dry])


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=30),
    st.lists(st.integers(0, 9), min_size=1, max_size=30),
)
def test_auroc_is_the_share_of_ordered_pairs(wet, dry):
    """Ten values for up to sixty scores: nearly all cases hold ties."""
    wet, dry = np.array(wet) / 9, np.array(dry) / 9
    assert metrics.auroc(wet, dry) == pytest.approx(by_pairs(wet, dry), abs=1e-12)


def test_auroc_by_hand():
    assert metrics.auroc(np.array([0.9, 0.5]), np.array([0.5, 0.1])) == 3.5 / 4
    assert metrics.auroc(np.array([0.9]), np.array([])) is None
    assert metrics.auroc(np.array([]), np.array([0.1])) is None


def test_mean_and_dataset_iou_of_a_toy_set():
    """A large stream found well and a small one missed: their mean is not their pixels' share."""
    intersections, unions = np.array([90, 0, 0]), np.array([100, 10, 0])
    assert metrics.mean_iou(intersections, unions) == pytest.approx(0.9 / 3)
    assert metrics.dataset_iou(intersections, unions) == pytest.approx(90 / 110)
    several = metrics.mean_iou(np.array([[1, 2], [3, 4]]), np.array([[2, 2], [6, 8]]))
    np.testing.assert_allclose(several, [0.5, 0.75])
    several = metrics.dataset_iou(np.array([[1, 2], [3, 4]]), np.array([[2, 2], [6, 8]]))
    np.testing.assert_allclose(several, [0.5, 0.6])


def test_overlap_counts_pixels():
    guess, truth = np.zeros((2, 5, 5), bool)
    guess[:3], truth[2:] = True, True
    assert metrics.overlap(guess, truth) == (5, 25)


def test_tip_is_the_last_row_and_the_mean_column_of_the_last_three():
    mask = np.zeros((20, 20), bool)
    mask[:12, 5] = True
    mask[12, 4:7] = True
    mask[13, 8] = True
    # Rows 11, 12, 13: columns 5; 4, 5, 6; 8.
    np.testing.assert_allclose(metrics.tip(mask), [(5 + 4 + 5 + 6 + 8) / 5, 13])


def test_tip_error_of_a_shifted_mask_is_the_shift():
    truth = np.zeros((40, 40), bool)
    truth[5:20, 10:14] = True
    assert metrics.tip_error(np.roll(truth, (4, 3), (0, 1)), truth) == pytest.approx(5)
    assert metrics.tip_error(np.zeros_like(truth), truth) is None


@pytest.mark.parametrize(('width', 'expected'), [(2, 2), (3, 4), (6, 6), (7, 8), (20, 20)])
@pytest.mark.parametrize('start', [0, 11])
def test_width_of_a_strip(width, expected, start):
    """Also of a strip along the border of the picture."""
    mask = np.zeros((200, 60), bool)
    mask[:, start : start + width] = True
    assert metrics.stream_width(mask) == expected


def test_width_of_a_slanted_strip_is_measured_across_it():
    v, u = np.mgrid[:300, :300]
    across = np.abs((u - v) / np.sqrt(2))
    assert metrics.stream_width(across < 6) == pytest.approx(12, abs=1)


def test_widths_fall_into_the_bin_above_their_bound():
    widths = (1, 3.9, 4, 7.9, 8, 15.9, 16, 99)
    names = [metrics.width_bin(width) for width in widths]
    assert names == [
        '< 4 px', '< 4 px', '4 to 8 px', '4 to 8 px', '8 to 16 px', '8 to 16 px', '> 16 px',
        '> 16 px',
    ]  # fmt: skip


def test_calibration_by_hand():
    """0.05 once dry; 0.62 and 0.68, one wet; 1 wet: (1·0.05 + 2·|0.65 − 0.5| + 0) / 4."""
    table = metrics.reliability(
        np.array([0.05, 0.62, 0.68, 1.0]), np.array([False, True, False, True])
    )
    assert [row.count for row in table] == [1, 0, 0, 0, 0, 0, 2, 0, 0, 1]
    assert (table[6].low, table[6].high) == pytest.approx((0.6, 0.7))
    assert (table[6].probability, table[6].observed) == pytest.approx((0.65, 0.5))
    assert (table[9].probability, table[9].observed) == (1.0, 1.0)
    assert table[1].probability is None
    assert metrics.expected_calibration_error(table) == pytest.approx(0.35 / 4)


def test_probabilities_that_hold_are_calibrated():
    rng = np.random.default_rng(0)
    p = rng.random(200_000)
    liquid = rng.random(len(p)) < p
    assert metrics.expected_calibration_error(metrics.reliability(p, liquid)) < 0.005
    squared = metrics.expected_calibration_error(metrics.reliability(p**2, liquid))
    # The mean of p - p² over uniform p.
    assert squared == pytest.approx(1 / 6, abs=0.005)
    assert metrics.expected_calibration_error(metrics.reliability(p[:0], liquid[:0])) is None
