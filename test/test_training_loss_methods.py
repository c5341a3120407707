# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Losses of ToCo, USAGE and PPL, against loops, cross-entropy and their known limits."""

import itertools
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pourit_ros.errors import InputError
from pourit_ros.perception.classifier import LiquidClassifier
from pourit_ros.resources import find_resource
from pourit_ros.training.batches import Batch
from pourit_ros.training.config import load_config
from pourit_ros.training.losses import (
    agreement,
    class_contrast,
    merge_tiles,
    on_tiles,
    patch_contrast,
    relation,
    temperature_pooling,
)
from pourit_ros.training.networks import Runner, build
from pourit_ros.training.objective import objective
from pourit_ros.training.trainer import _words


def test_patch_contrast_is_the_double_loop():
    torch.manual_seed(0)
    features, activation = torch.randn(2, 5, 3, 4), torch.rand(2, 1, 3, 4)
    above, below = 0.7, 0.25
    sums, counts = {True: 0.0, False: 0.0}, {True: 0, False: 0}
    for image, map_ in zip(features, activation, strict=True):
        cells = image.flatten(1).T
        kind = [1 if a > above else 0 if a <= below else None for a in map_.flatten()]
        for i, j in itertools.product(range(12), range(12)):
            if i == j or kind[i] is None or kind[j] is None:
                continue
            alike = kind[i] == kind[j]
            sums[alike] += abs(float(F.cosine_similarity(cells[i], cells[j], dim=0)))
            counts[alike] += 1
    expected = 0.5 * (1 - sums[True] / (counts[True] + 1)) + 0.5 * sums[False] / (
        counts[False] + 1
    )
    assert min(counts.values()) > 0
    ours = patch_contrast(features, *relation(activation, above, below))
    assert ours.item() == pytest.approx(expected, rel=1e-5)


def test_the_ends_of_the_band_belong_to_background_and_to_neither():
    alike, unlike = relation(torch.tensor([[[[0.25, 0.2, 0.7, 0.8]]]]), 0.7, 0.25)
    assert alike[0].nonzero().tolist() == [[0, 1], [1, 0]]
    assert unlike[0].nonzero().tolist() == [[0, 3], [1, 3], [3, 0], [3, 1]]


def test_patch_contrast_has_a_gradient_and_knows_no_nan():
    features = torch.zeros(1, 4, 2, 2, requires_grad=True)
    for value in (0.0, 0.5, 1.0):
        pairs = relation(torch.full((1, 1, 2, 2), value), 0.7, 0.25)
        loss = patch_contrast(features, *pairs)
        (gradient,) = torch.autograd.grad(loss, features)
        assert loss.isfinite()
        assert gradient.isfinite().all()
    # Nothing is known: half of "together" is missing, as published.
    nothing = relation(torch.full((1, 1, 2, 2), 0.5), 0.7, 0.25)
    assert patch_contrast(features, *nothing).item() == 0.5


def test_class_contrast_is_cross_entropy():
    torch.manual_seed(1)
    teacher, student = torch.randn(2, 2, 6), torch.randn(2, 5, 6)
    positive = torch.tensor([[1, 0, 1, 0, 0], [0, 1, 0, 0, 0]]).bool()
    negative = torch.tensor([[0, 1, 0, 1, 0], [1, 0, 1, 1, 1]]).bool()
    images = []
    for q, p, yes, no in zip(teacher, student, positive, negative, strict=True):
        q, p = F.normalize(q, dim=1), F.normalize(p, dim=1)
        terms = [
            F.cross_entropy(
                torch.cat((one @ crop[None].T, one @ p[no].T))[None] / 0.3, torch.tensor([0])
            )
            for one in q
            for crop in p[yes]
        ]
        images.append(sum(terms) / len(terms))
    ours = class_contrast(teacher, student, positive, negative, 0.3)
    assert ours.item() == pytest.approx(float(sum(images) / 2), rel=1e-5)


def test_class_contrast_without_positives_or_negatives():
    teacher = torch.randn(2, 2, 6) * 1e4
    student = (torch.randn(2, 3, 6) * 1e4).requires_grad_()
    yes, no = torch.ones(2, 3, dtype=torch.bool), torch.zeros(2, 3, dtype=torch.bool)
    for positive, negative in ((no, no), (no, yes), (yes, no)):
        loss = class_contrast(teacher, student, positive, negative)
        (gradient,) = torch.autograd.grad(loss, student)
        assert loss.item() == pytest.approx(0, abs=1e-6)
        assert gradient.isfinite().all()
    frozen = teacher.requires_grad_()
    loss = class_contrast(frozen, student, yes & torch.tensor([True, False, False]), ~no)
    assert loss > 0
    assert torch.autograd.grad(loss, frozen, allow_unused=True) == (None,)


@given(st.integers(0, 1000), st.integers(1, 6))
@settings(max_examples=25)
def test_temperature_pooling_lies_between_its_limits(seed, side):
    torch.manual_seed(seed)
    cam = torch.randn(2, 1, side, side) * 3
    largest, mean = (f(cam, 1).flatten() for f in (F.adaptive_max_pool2d, F.adaptive_avg_pool2d))
    torch.testing.assert_close(temperature_pooling(cam, 1e-4), largest, atol=1e-3, rtol=0)
    torch.testing.assert_close(temperature_pooling(cam, 1e6), mean, atol=1e-3, rtol=0)
    middle = temperature_pooling(cam, 1.0)
    assert (middle <= largest + 1e-5).all()
    assert (middle >= mean - 1e-5).all()
    by_hand = (cam.flatten(1).softmax(1) * cam.flatten(1)).sum(1)
    torch.testing.assert_close(middle, by_hand)


def test_temperature_pooling_leaves_out_borders_and_has_the_right_gradient():
    cam = torch.tensor([[[[9.0, 1.0], [2.0, 3.0]]]], dtype=torch.float64)
    valid = torch.tensor([[[[False, True], [True, True]]]])
    inside = torch.tensor([[[[1.0, 2.0, 3.0]]]])
    torch.testing.assert_close(
        temperature_pooling(cam, 0.7, valid), temperature_pooling(inside, 0.7)
    )
    cam = torch.randn(1, 1, 2, 3, requires_grad=True)
    (slope,) = torch.autograd.grad(temperature_pooling(cam, 0.5).sum(), cam)
    alpha, c = (cam / 0.5).flatten().softmax(0), cam.flatten()
    expected = alpha * (1 + (c - (alpha * c).sum()) / 0.5)
    torch.testing.assert_close(slope.flatten(), expected.detach(), rtol=1e-4, atol=1e-6)


def test_agreement_is_the_divergence_of_wet_images():
    torch.manual_seed(2)
    ours, theirs = torch.randn(3, 1, 2, 3, requires_grad=True), torch.randn(3, 1, 2, 3)
    labels = torch.tensor([1.0, 0.0, 1.0])
    logs = [(x.flatten(1) / 0.5).log_softmax(1) for x in (ours, theirs)]
    each = F.kl_div(logs[0], logs[1], log_target=True, reduction='none').sum(1)
    loss = agreement(ours, theirs, labels, 0.5)
    torch.testing.assert_close(loss, (each[0] + each[2]) / 2)
    assert agreement(ours, ours, labels, 0.5).item() == pytest.approx(0, abs=1e-6)
    assert agreement(ours, theirs, 0 * labels, 0.5).item() == 0
    taught = theirs.requires_grad_()
    unused = torch.autograd.grad(agreement(ours, taught, labels, 1.0), taught, allow_unused=True)
    assert unused == (None,)


def test_one_tile_is_the_network_itself():
    torch.manual_seed(0)
    network = LiquidClassifier().eval()
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        stages = network.encoder(images)
        whole = network(images).cam
        for detach in (False, True):
            one = on_tiles(lambda s: network.head(network.fusion(s)), stages, 1, detach)
            assert torch.equal(one, whole)
        four = on_tiles(lambda s: network.head(network.fusion(s)), stages, 2, False)
    assert four.shape == whole.shape
    assert not torch.allclose(four, whole, atol=1e-3)


@pytest.mark.parametrize('size', [(6, 6), (7, 5), (3, 11)])
@pytest.mark.parametrize('grid', [1, 2, 3])
def test_tiles_of_what_has_no_context_are_exact(size, grid):
    torch.manual_seed(0)
    fine, coarse = torch.randn(2, 4, 2 * size[0], 2 * size[1]), torch.randn(2, 3, *size)
    mix = nn.Conv2d(7, 2, 1)

    def rest(stages):
        enlarged = F.interpolate(stages[1], scale_factor=2, mode='nearest')
        return mix(torch.cat((stages[0], enlarged), 1))

    expected = rest([fine, coarse])
    torch.testing.assert_close(on_tiles(rest, [fine, coarse], grid, False), expected)


def test_tiles_go_back_to_their_place():
    whole = torch.arange(24.0).view(1, 1, 4, 6)
    tiles = [
        [whole[:, :, :3, :2], whole[:, :, :3, 2:]],
        [whole[:, :, 3:, :2], whole[:, :, 3:, 2:]],
    ]
    assert torch.equal(merge_tiles(tiles), whole)


def test_explicit_patches_do_not_reach_below_the_cut():
    below = nn.Conv2d(3, 4, 1)
    above = nn.Conv2d(4, 1, 1)
    for detach in (False, True):
        below.weight.grad = above.weight.grad = None
        stage = below(torch.randn(1, 3, 4, 4))
        on_tiles(lambda s: above(s[0]), [stage], 2, detach).sum().backward()
        assert above.weight.grad is not None
        assert (below.weight.grad is None) == detach


def a_batch(size=64):
    torch.manual_seed(3)
    images = torch.randint(0, 256, (4, 3, size, size), dtype=torch.uint8)
    valid = torch.ones(4, 1, size, size, dtype=torch.bool)
    valid[..., : size // 8] = False
    return Batch(
        images, images.clone(), torch.tensor([1.0, 0, 1, 0]), torch.ones(4, dtype=torch.bool),
        valid, torch.zeros(4, 1, size, size), torch.zeros(4, dtype=torch.bool),
        torch.zeros(4, 1, size, size), torch.tensor([0, 2]),
    )  # fmt: skip


SWITCHES = ('patch_contrast', 'class_contrast', 'usage', 'patches', 'explicit_patches')


@pytest.mark.parametrize('architecture', ['liquid_classifier', 'published_network'])
@pytest.mark.parametrize('name', SWITCHES)
def test_each_loss_is_a_switch_of_the_recipe(name, architecture):
    if 'patches' in name and architecture == 'published_network':
        pytest.skip('patches are cut between encoder and fusion')
    torch.manual_seed(0)
    network = build({'architecture': architecture}).train()
    runner = Runner(network)
    weak = replace(load_config('weak').loss, twin=0.0, contrast=0.0)
    batch = a_batch()
    for weight in (0.0, 0.5):
        # Only the strongest cell of an image counts as liquid: crops with and without it.
        loss = replace(weak, contrast_after=0, contrast_band=(0.999, 0.999), **{name: weight})
        output = runner(batch.images, batch.valid)
        # Crops are drawn by the step.
        every = [
            objective(network, output, batch, loss, step, teacher=runner) for step in range(4)
        ]
        parts = max(every, key=lambda parts: sum(map(float, parts.values())))
        assert set(parts) == {'presence', *([name] if weight else [])}
    assert parts[name].isfinite()
    assert parts[name] > 0
    network.zero_grad()
    parts[name].backward()
    trained = [p.grad for n, p in network.named_parameters() if p.grad is not None]
    assert trained
    assert all(gradient.isfinite().all() for gradient in trained)
    reached = network.encoder.parameters()
    assert any(p.grad is not None and p.grad.any() for p in reached) == (
        name != 'explicit_patches'
    )


def test_dry_batches_are_no_obstacle():
    torch.manual_seed(0)
    network = build({'architecture': 'liquid_classifier'}).train()
    runner, batch = Runner(network), a_batch()
    batch = replace(batch, labels=torch.zeros(4))
    loss = replace(
        load_config('weak').loss, twin=0.0, contrast_after=0, **dict.fromkeys(SWITCHES, 1.0)
    )
    output = runner(batch.images, batch.valid)
    parts = objective(network, output, batch, loss, 0, teacher=runner)
    assert all(part.isfinite() for part in parts.values())
    assert parts['class_contrast'] == 0


def test_recipes_may_leave_out_what_is_off(tmp_path):
    content = yaml.safe_load(find_resource('config/train/weak.yaml').read_text())
    assert 'usage' not in content['loss']
    path = tmp_path / 'mine.yaml'
    path.write_text(yaml.safe_dump(content | {'loss': content['loss'] | {'usage': 0.5}}))
    assert load_config(path).loss.usage == 0.5
    del content['loss']['twin']
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match='loss lacks twin'):
        load_config(path)


@pytest.mark.parametrize(
    ('change', 'line'),
    [
        ({'usage': -1.0}, 'must not be negative'),
        ({'temperature': 0.0}, 'loss.temperature must be positive'),
        ({'patch_grid': 0}, 'patch_grid must be at least 1'),
    ],
)
def test_bad_weights_are_named(change, line):
    weak = load_config('weak')
    with pytest.raises(InputError, match=line):
        replace(weak, loss=replace(weak.loss, **change))


def test_the_published_network_has_no_patches():
    published = load_config('published')
    with pytest.raises(InputError, match='need architecture liquid_classifier'):
        replace(published, loss=replace(published.loss, patches=1.0))


def test_checkpoints_from_before_a_loss_are_of_the_same_recipe():
    weak = load_config('weak')
    assert 'usage' not in _words(weak)['loss']
    assert _words(weak)['loss'] == (
        "{'presence': 1.0, 'mask': 0.0, 'twin': 1.0, 'contrast': 0.1, 'contrast_after': 500, "
        "'contrast_band': (0.3, 0.7), 'area': 0.0}"
    )
    other = replace(weak, loss=replace(weak.loss, usage=0.5))
    assert _words(other) != _words(weak)
