# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
import math

import pytest
import torch

from pourit_ros.perception.classifier import LiquidClassifier
from pourit_ros.training.losses import (
    area_coverage,
    area_prior,
    feature_contrast,
    mask_loss,
    presence_loss,
    twin_contrast,
)
from pourit_ros.training.networks import activation_of
from pourit_ros.training.twins import changed_cells, twin_coverage, twin_difference


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
    clear = torch.zeros_like(coverage)
    assert mask_loss(cam, coverage, clear).item() == pytest.approx(3 * entropy + dice, rel=1e-6)


def test_mask_loss_of_dry_pictures_is_entropy_alone():
    cam = torch.full((2, 1, 2, 2), -3.0)
    dry = torch.zeros(2, 1, 8, 8)
    assert mask_loss(cam, dry, dry).item() == pytest.approx(3 * softplus(-3))


def test_cells_behind_glass_count_neither_way():
    torch.manual_seed(0)
    coverage, glass = torch.zeros(2, 1, 8, 16), torch.zeros(2, 1, 8, 16)
    coverage[0, 0, :4, :8] = 1  # the wet image, and what of it shows only through glass
    glass[0, 0, 4:, :8] = 0.6
    cam = torch.randn(2, 1, 2, 4, requires_grad=True)
    loss = mask_loss(cam, coverage, glass)
    (gradient,) = torch.autograd.grad(loss, cam)
    hidden = torch.zeros(2, 1, 2, 4, dtype=torch.bool)
    hidden[0, 0, 1, :2] = True
    assert gradient[hidden].abs().max() == 0
    assert gradient[~hidden].abs().min() > 0
    # A stream that shows nowhere else is no stream to find, and no background.
    assert mask_loss(cam, glass, torch.ones_like(glass)).item() == 0


def test_mask_loss_is_least_at_the_coverage():
    target = torch.tensor([[[[0.25, 0.75]]]])
    coverage = target.repeat_interleave(4, 2).repeat_interleave(4, 3)
    cam = target.logit().requires_grad_()
    entropy = mask_loss(cam, coverage, torch.zeros_like(coverage), 1e6)
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


def test_twin_coverage_of_partly_covered_cells():
    dry = torch.full((1, 3, 24, 24), 100.0)
    wet = dry.clone()
    # From the middle of cell 2 to the end of cell 3; its edge blurs one pixel outwards by a third.
    wet[0, 0, :, 10:16] += 60
    coverage = twin_coverage(wet, dry)[0, 0]
    torch.testing.assert_close(coverage, torch.tensor([[0, 0, 0.5, 1, 0, 0]]).expand(6, 6))


def test_twin_coverage_fills_clear_liquid_and_knows_no_change():
    dry = torch.full((1, 3, 24, 24), 100.0)
    wet = dry.clone()
    # Both edges of a clear stream differ, its middle does not.
    wet[..., 8:11] += 30
    wet[..., 13:16] -= 30
    coverage = twin_coverage(wet, dry)[0, 0]
    torch.testing.assert_close(coverage, torch.tensor([[0.0, 0, 1, 1, 0, 0]]).expand(6, 6))
    assert twin_coverage(dry + 5.9, dry).sum() == 0


def test_changed_cells_keep_thin_streams_and_drop_lone_cells():
    difference = torch.zeros(1, 1, 9, 9)
    stream = [[0, 1], [1, 1], [2, 2], [3, 2], [4, 3]]
    for y, x in stream:
        difference[..., y, x] = 9.0
    difference[..., 7, 7] = 50.0
    difference[..., 7:9, 4] = 50.0
    difference[..., 0, 4:8] = 5.9
    assert changed_cells(difference)[0, 0].nonzero().tolist() == stream


def test_twin_contrast_by_hand():
    difference = torch.zeros(1, 1, 12, 12)
    difference[..., 1:4, 1:4] = 9.0  # changed
    difference[..., 2, 4] = 4.5  # its rim, half covered
    difference[..., 11, 11] = 50.0  # one cell: no opinion
    difference[..., 8, 8] = 4.0  # between the thresholds: no opinion
    wet_cam = torch.full((1, 1, 12, 12), -2.0)
    wet_cam[..., 1:4, 1:4] = 1.0
    wet_cam[..., 2, 4] = 0.5
    wet_cam[..., 11, 11] = 77.0
    wet_cam[..., 8, 8] = -55.0
    dry_cam = torch.full((1, 1, 12, 12), -4.0)
    coverage = torch.zeros(1, 1, 12, 12)
    coverage[..., 1:4, 1:4], coverage[..., 2, 4] = 1.0, 0.5
    # Liquid for more than its target: full weight; for less: the weight of what is not believed.
    half = 0.5 * softplus(0.5) + 0.5 * softplus(-0.5)
    full = 9 * (1 / (1 + math.exp(-1))) ** 0.7 * softplus(-1)
    sigma = {c: 1 / (1 + math.exp(-c)) for c in (1.0, 0.5, -2.0)}
    trust = sigma[1.0] ** 0.7
    both = 9 * trust * sigma[1.0] + 0.5 * sigma[0.5]
    total = 9 * trust * (sigma[1.0] + 1) + sigma[0.5] + 0.5 + (144 - 12) * sigma[-2.0]
    dice = 1 - (2 * both + 1) / (total + 1)
    expected = 2 * softplus(-2) + 3 * softplus(-4) + (full + half) / 10 + dice
    loss = twin_contrast(wet_cam, dry_cam, difference, coverage)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    # Weights to start from, which believe the same: there is no dice.
    loss = twin_contrast(wet_cam, dry_cam, difference, coverage, wet_cam.sigmoid())
    assert loss.item() == pytest.approx(expected - dice, rel=1e-5)


def test_twin_contrast_pulls_the_right_way():
    difference = torch.zeros(1, 1, 5, 5)
    difference[..., :3, :3] = 20.0
    wet_cam = torch.zeros(1, 1, 5, 5, requires_grad=True)
    dry_cam = torch.zeros(1, 1, 5, 5, requires_grad=True)
    twin_contrast(wet_cam, dry_cam, difference, (difference > 0).float()).backward()
    assert (wet_cam.grad[..., :3, :3] < 0).all()
    assert (wet_cam.grad[..., 3:, :] > 0).all()
    assert (dry_cam.grad > 0).all()


def test_twin_contrast_believes_the_weights_it_starts_from():
    """Where they saw no liquid a change pulls weakly, however sure the network is by now."""
    difference = torch.full((1, 1, 6, 6), 20.0)
    coverage = torch.ones(1, 1, 6, 6)
    wet_cam = torch.full((1, 1, 6, 6), 1.0, requires_grad=True)
    dry_cam = torch.full((1, 1, 6, 6), -6.0)
    belief = torch.full((1, 1, 6, 6), 0.01)
    belief[..., :3, :] = 1.0
    twin_contrast(wet_cam, dry_cam, difference, coverage, belief).backward()
    stream, arm = wet_cam.grad[0, 0, 0, 0], wet_cam.grad[0, 0, 5, 0]
    assert stream < 0
    assert (arm / stream).item() == pytest.approx(0.01**0.7, rel=1e-4)


def test_twin_contrast_learns_a_stream_from_its_middle():
    difference = torch.zeros(1, 1, 5, 11)
    difference[..., 1:4, 1:4] = difference[..., 1:4, 7:10] = 20.0
    wet_cam = torch.where(difference > 0, -3.0, -9.0)
    # One has a middle that is known, the other may be an arm.
    wet_cam[..., 2, 2] = 5.0
    wet_cam.requires_grad_()
    dry_cam = torch.full((1, 1, 5, 11), -9.0)
    twin_contrast(wet_cam, dry_cam, difference, (difference > 0).float()).backward()
    edge, arm = wet_cam.grad[0, 0, 1, 2], wet_cam.grad[0, 0, 1, 8]
    assert edge < 5 * arm < 0


def test_twin_contrast_tells_liquid_from_what_moved():
    """A feature that changed in both pictures is no liquid, one that is in the wet one alone is.

    Two logits, of a moved bottle and of liquid, are fitted by gradient descent.
    """
    difference = torch.zeros(1, 1, 12, 12)
    difference[..., :6, :6] = 20.0
    bottle, liquid = torch.zeros(()), torch.zeros(())
    logits = torch.stack([bottle, liquid]).requires_grad_()
    coverage = (difference > 0).float()
    optimiser = torch.optim.SGD([logits], lr=1.0)
    for _ in range(400):
        wet_cam = torch.full((1, 1, 12, 12), -6.0)
        dry_cam = torch.full((1, 1, 12, 12), -6.0)
        # The bottle moved from the right columns to the left ones, the stream is below it.
        wet_cam[..., :4, :3] = logits[0]
        dry_cam[..., :4, 3:6] = logits[0]
        wet_cam[..., 4:6, :6] = logits[1]
        optimiser.zero_grad()
        twin_contrast(wet_cam, dry_cam, difference, coverage).backward()
        optimiser.step()
    bottle, liquid = logits.detach().sigmoid().tolist()
    assert bottle < 0.4
    assert liquid > 0.9


def unit(*rows):
    """Features (1, C, 1, n) whose cells are the given columns."""
    return torch.tensor(rows, dtype=torch.float32).T[None, :, None]


def test_feature_contrast_has_the_published_limits():
    activation = torch.tensor([[[[0.9, 0.8, 0.1]]]])
    label = torch.ones(1)
    best = unit((1, 0), (1, 0), (0, 1))
    # Released code: terms between 0.0005 and 7.6009.
    least = -2 * math.log(0.9995)
    assert feature_contrast(best, activation, label, 0.7, 0.7).item() == pytest.approx(
        least, rel=1e-3
    )
    worst = unit((1, 0), (-1, 0), (1, 0))
    # P×P: two equal cells with themselves, two opposite pairs; P×N: one equal, one opposite.
    expected = (2 * -math.log(0.9995) + 2 * 7.6009) / 4 + (7.6009 - math.log(0.9995)) / 2
    assert feature_contrast(worst, activation, label, 0.7, 0.7).item() == pytest.approx(
        expected, rel=1e-4
    )


def test_feature_contrast_guards():
    features = torch.randn(2, 4, 3, 3, requires_grad=True)
    activation = torch.rand(2, 1, 3, 3) * 0.5
    assert feature_contrast(features, activation, torch.zeros(2), 0.7, 0.3).item() == 0
    # No cell reaches 0.7: the strongest stands for them, and nothing is NaN.
    loss = feature_contrast(features, activation, torch.tensor([1.0, 0.0]), 0.7, 0.3)
    assert 0.0005 <= loss.item() <= 2 * 7.601
    loss.backward()
    assert features.grad.isfinite().all()


@pytest.mark.parametrize('logit', [-3.0, 0.0])
def test_feature_contrast_leaves_out_a_missed_stream(logit):
    """No logit is positive: which cells are liquid is not known, so none of them counts."""
    network = LiquidClassifier()
    features = torch.randn(2, 4, 3, 3, requires_grad=True)
    cam = torch.full((2, 1, 3, 3), logit)
    both = torch.tensor([1.0, 0.0])
    missed = activation_of(network, torch.zeros(2, 3, 12, 12), cam, both)
    loss = feature_contrast(features, missed, both, 0.7, 0.3)
    loss.backward()
    assert loss.item() == 0
    assert not features.grad.any()
    # Beside a stream that was found, it changes nothing either.
    cam[1, 0, 1, 1] = 2.0
    wet = torch.ones(2)
    activation = activation_of(network, torch.zeros(2, 3, 12, 12), cam, wet)
    losses = [
        feature_contrast(features[k:], activation[k:], wet[k:], 0.7, 0.3).item() for k in (0, 1)
    ]
    assert losses[0] == losses[1] > 0


def test_feature_contrast_takes_one_cell_for_a_faint_stream():
    """No activation reaches the upper bound, and all are equal: one cell stands for the liquid."""
    features = unit((1, 0), (0, 1), (0, 1))
    faint = torch.full((1, 1, 1, 3), 0.5)
    one = feature_contrast(features, faint, torch.ones(1), 0.7, 0.6).item()
    # P: (1, 0) alone, N: the two others, both at a right angle to it.
    assert one == pytest.approx(-2 * math.log(0.9995), rel=1e-3)


def test_feature_contrast_ignores_the_band():
    label = torch.ones(1)
    activation = torch.tensor([[[[0.9, 0.5, 0.1]]]])
    one, other = unit((1, 0), (0.6, 0.8), (0, 1)), unit((1, 0), (-5, 2), (0, 1))
    losses = [feature_contrast(f, activation, label, 0.7, 0.3).item() for f in (one, other)]
    assert losses[0] == losses[1]


def test_area_prior_counts_wet_images_alone():
    cam = torch.zeros(2, 1, 2, 2)
    cam[1] = 50
    assert area_prior(cam, torch.tensor([1.0, 0.0])).item() == pytest.approx(0.5)
    assert area_prior(cam, torch.zeros(2)).item() == 0
