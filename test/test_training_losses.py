# SPDX-License-Identifier: Apache-2.0
import math

import pytest
import torch

from pourit_ros.training.losses import (
    area_coverage,
    mask_loss,
    pairs_interleaved,
    presence_loss,
    twin_contrast,
    twin_difference,
)


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def test_presence_loss_by_hand():
    loss = presence_loss(torch.tensor([2.0, -1.0]), torch.tensor([1.0, 0.0]))
    assert loss.item() == pytest.approx((softplus(-2) + softplus(-1)) / 2, rel=1e-6)


def test_area_coverage_averages_cells_and_keeps_odd_borders():
    coverage = torch.zeros(1, 1, 8, 6)
    coverage[0, 0, :4, :2] = 1
    coverage[0, 0, 4:, 4:] = 1
    torch.testing.assert_close(area_coverage(coverage), torch.tensor([[[[0.5, 0.0], [0.0, 1.0]]]]))


def test_mask_loss_by_hand():
    cam = torch.tensor([[[[0.0, 2.0]]], [[[-1.0, 0.0]]]])
    coverage = torch.zeros(2, 1, 4, 8)
    coverage[0, 0, :, 4:] = 1
    coverage[0, 0, :2, :4] = 1  # m = 0.5 and 1 in the wet picture, 0 in the dry one
    p = 1 / (1 + math.exp(-2))
    entropy = (math.log(2) + softplus(-2) + softplus(-1) + math.log(2)) / 4
    dice = 1 - (2 * (0.5 * 0.5 + p) + 1) / (0.5 + p + 1.5 + 1)
    assert mask_loss(cam, coverage).item() == pytest.approx(3 * entropy + dice, rel=1e-6)


def test_mask_loss_of_dry_pictures_is_entropy_alone():
    cam = torch.full((2, 1, 2, 2), -3.0)
    assert mask_loss(cam, torch.zeros(2, 1, 8, 8)).item() == pytest.approx(3 * softplus(-3))


def test_mask_loss_is_least_at_the_coverage():
    target = torch.tensor([[[[0.25, 0.75]]]])
    coverage = target.repeat_interleave(4, 2).repeat_interleave(4, 3)
    cam = target.logit().requires_grad_()
    entropy = mask_loss(cam, coverage, 1e6)
    (gradient,) = torch.autograd.grad(entropy, cam)
    assert gradient.abs().max() < 1  # of 1e6: the entropy's minimum lies at σ(cam) = m


def test_twin_difference_is_in_units_of_noise():
    generator = torch.Generator().manual_seed(0)
    dry = torch.full((2, 3, 64, 64), 100.0)
    wet = dry + 8 * torch.randn(dry.shape, generator=generator)
    wet[:, 1, 8:24, 8:24] += 40
    difference = twin_difference(wet, dry)
    assert difference.shape == (2, 1, 16, 16)
    assert difference.flatten(1).median(1).values == pytest.approx([1.0, 1.0])
    # mean of 16 pixels: σ = 2; the median of the maximum of three |N(0, 2)| is 2 · 1.264
    expected = 40 / (2 * 1.264)
    assert difference[:, 0, 2:6, 2:6].mean().item() == pytest.approx(expected, rel=0.12)


def test_twin_difference_without_noise_counts_grey_levels():
    dry = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    wet = dry.clone()
    wet[0, 2, :4, :4] = 7
    assert twin_difference(wet, dry)[0, 0].tolist() == [[7.0, 0.0], [0.0, 0.0]]


def test_twin_contrast_by_hand():
    difference = torch.zeros(1, 1, 6, 6)
    difference[..., 1:4, 1:4] = 9.0  # survives the opening
    difference[..., 5, 5] = 50.0  # one cell: no opinion
    difference[..., 0, 4] = 4.0  # between the thresholds: no opinion
    wet_cam = torch.full((1, 1, 6, 6), -2.0)
    wet_cam[..., 1:4, 1:4] = 1.0
    wet_cam[..., 5, 5] = 77.0
    wet_cam[..., 0, 4] = -55.0
    dry_cam = torch.full((1, 1, 6, 6), -4.0)
    expected = 2 * softplus(-2) + 2 * softplus(-4) + softplus(-1)
    loss = twin_contrast(wet_cam, dry_cam, difference)
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_twin_contrast_pulls_the_right_way():
    difference = torch.zeros(1, 1, 5, 5)
    difference[..., :3, :3] = 20.0
    wet_cam = torch.zeros(1, 1, 5, 5, requires_grad=True)
    dry_cam = torch.zeros(1, 1, 5, 5, requires_grad=True)
    twin_contrast(wet_cam, dry_cam, difference).backward()
    assert (wet_cam.grad[..., :3, :3] < 0).all()
    assert (wet_cam.grad[..., 3:, :] > 0).all()
    assert (dry_cam.grad > 0).all()


def test_pairs_interleaved():
    wet, dry = pairs_interleaved(torch.arange(6))
    assert wet.tolist() == [0, 2, 4]
    assert dry.tolist() == [1, 3, 5]
