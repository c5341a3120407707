# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""LiquidClassifier: presence pooling, letterbox borders, fusion."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pourit_ros.perception.classifier import LiquidClassifier, PresencePooling
from pourit_ros.perception.fusion import TopDownFusion


@pytest.fixture(scope='module')
def model():
    torch.manual_seed(1)
    return LiquidClassifier().eval()


def test_pooling_is_its_equation():
    cam = torch.randn(3, 1, 5, 7)
    for r in (0.5, 4.0):
        pooling = PresencePooling(r)
        expected = np.log(np.exp(r * cam.double().numpy()).mean((1, 2, 3))) / r
        np.testing.assert_allclose(pooling(cam).detach().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_pooling_lies_between_mean_and_maximum():
    cam = torch.randn(4, 1, 9, 9)
    flat = cam.flatten(1)
    torch.testing.assert_close(PresencePooling(1e-3)(cam), flat.mean(1), atol=2e-3, rtol=0)
    torch.testing.assert_close(PresencePooling(1e4)(cam), flat.amax(1), atol=1e-3, rtol=0)


def test_pooling_of_huge_logits_is_finite():
    for value in (-1e4, 1e4):
        assert PresencePooling(6.0)(torch.full((1, 1, 8, 8), value)).item() == pytest.approx(value)


def test_calibration_is_a_line_apart_from_the_map():
    pooling = PresencePooling(3.0)
    cam = torch.randn(2, 1, 4, 4)
    raw = pooling(cam)
    with torch.no_grad():
        pooling.scale.fill_(2.5)
        pooling.bias.fill_(-1.0)
    torch.testing.assert_close(pooling(cam), 2.5 * raw - 1.0)


def test_pooling_counts_valid_cells_only():
    cam = torch.randn(2, 1, 6, 6)
    valid = torch.zeros(2, 1, 6, 6, dtype=torch.bool)
    valid[0, :, 1:3] = True
    valid[1, :, :, 4:] = True
    pooling = PresencePooling(4.0)
    expected = torch.cat([pooling(cam[:1, :, 1:3]), pooling(cam[1:, :, :, 4:])])
    torch.testing.assert_close(pooling(cam, valid), expected)
    torch.testing.assert_close(pooling(cam.masked_fill(~valid, 1e6), valid), expected)


def test_nothing_in_the_border_changes_the_presence(model):
    images = torch.rand(2, 3, 64, 96) * 2 - 1
    valid = torch.zeros(2, 1, 64, 96, dtype=torch.bool)
    valid[:, :, 12:52] = True
    other = torch.where(valid, images, torch.randn_like(images) * 10)
    with torch.inference_mode():
        a, b = model(images, valid), model(other, valid)
        assert torch.equal(a.presence, b.presence)
        assert torch.equal(a.cam, b.cam)
        assert not torch.equal(model(images).presence, model(other).presence)
        rows = model.presence(a.cam[:, :, 3:13])
    torch.testing.assert_close(a.presence, rows)


@pytest.mark.parametrize('encoder', ['mobilenet_v2', 'mit_b0', 'mit_b1'])
@pytest.mark.parametrize('size', [(64, 64), (97, 131)])
def test_output_shapes_at_any_size(encoder, size):
    model = LiquidClassifier(encoder, channels=16).eval()
    rgb = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8)
    valid = torch.ones(2, 1, *size, dtype=torch.bool)
    with torch.inference_mode():
        output = model(model.normalise(rgb), valid)
    h, w = -(-size[0] // 4), -(-size[1] // 4)
    assert output.cam.shape == (2, 1, h, w)
    assert output.features.shape == (2, 16, h, w)
    assert output.presence.shape == (2,)
    assert all(t.isfinite().all() for t in output)


def test_map_is_the_cam(model):
    """The map is the features weighed by the classifier's weights, and nothing else."""
    with torch.inference_mode():
        output = model(torch.randn(1, 3, 64, 64))
        expected = torch.einsum('bchw,c->bhw', output.features, model.head.weight.flatten())
    torch.testing.assert_close(output.cam[:, 0], expected)
    assert model.head.bias is None


def test_normalise_is_the_encoders():
    grey = torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 1, 2).expand(1, 3, 1, 2)
    mobilenet = LiquidClassifier('mobilenet_v2', 8).normalise(grey)
    torch.testing.assert_close(mobilenet[0, :, 0], torch.tensor([[-1.0, 1.0]] * 3))
    mit = LiquidClassifier('mit_b0', 8).normalise(grey)[0, :, 0, 1]
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(mit, (1 - mean) / std, rtol=1e-4, atol=1e-4)


def test_every_parameter_learns_from_label_and_map(model):
    output = model(torch.randn(2, 3, 64, 64))
    model.zero_grad()
    labels = torch.tensor([0.0, 1.0])
    F.binary_cross_entropy_with_logits(output.presence, labels).backward()
    assert all(p.grad is not None for p in model.parameters())


def test_unknown_encoder_is_named():
    with pytest.raises(ValueError, match="unknown encoder 'resnet'"):
        LiquidClassifier('resnet')


def test_fusion_carries_coarse_context_to_the_finest_stage():
    fusion = TopDownFusion((2, 3, 4), channels=5)
    stages = [torch.randn(1, 2, 13, 9), torch.randn(1, 3, 7, 5), torch.randn(1, 4, 4, 3)]
    out = fusion(stages)
    assert out.shape == (1, 5, 13, 9)
    assert out.min() >= 0
    stages[2] = stages[2] + 1
    assert not torch.allclose(out, fusion(stages))
