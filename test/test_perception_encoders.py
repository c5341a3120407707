# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Encoders: shapes, padding, ImageNet classes, and the published network's numbers."""

import json
import zlib
from pathlib import Path
from runpy import run_path

import cv2
import numpy as np
import pytest
import skimage.data
import torch
import torch.nn.functional as F

from pourit_ros.perception.encoders import ENCODERS
from pourit_ros.perception.encoders.inverted_residuals import SameConv
from pourit_ros.perception.encoders.mix_transformer import DropPath, mit_b0, mit_b1
from pourit_ros.perception.encoders.mobilenet_v2 import MobileNetV2
from pourit_ros.perception.errors import WeightsError
from pourit_ros.perception.multiscale import multi_scale_cam, with_mirror
from pourit_ros.perception.published_network import PublishedNetwork


@pytest.mark.parametrize('size', [(64, 96), (101, 67), (33, 32)])
@pytest.mark.parametrize('build', ENCODERS.values(), ids=ENCODERS)
def test_stages_have_strides_4_8_16_32(build, size):
    encoder = build().eval()
    assert all(isinstance(part, torch.nn.Module) for part in encoder.freezable)
    with torch.inference_mode():
        stages = encoder(torch.randn(2, 3, *size))
    expected = [
        (2, c, -(-size[0] // s), -(-size[1] // s))
        for c, s in zip(encoder.channels, (4, 8, 16, 32), strict=True)
    ]
    assert [tuple(stage.shape) for stage in stages] == expected


@pytest.mark.parametrize(
    ('name', 'channels', 'millions'),
    [
        # As published, less the 1280-channel head and the 1000 classes.
        ('mobilenet_v2', (24, 32, 96, 320), 3.5 - 1.281 - 0.412),
        ('efficientnet_lite0', (24, 40, 112, 320), 4.65 - 1.281 - 0.412),
        ('efficientnet_lite2', (24, 48, 120, 352), 6.09 - 1.281 - 0.453),
    ],
)
def test_layouts_are_those_of_the_papers(name, channels, millions):
    encoder = ENCODERS[name]()
    assert encoder.channels == channels
    parameters = sum(p.numel() for p in encoder.parameters())
    assert parameters / 1e6 == pytest.approx(millions, abs=0.03)


@pytest.mark.parametrize('kernel', [3, 5])
@pytest.mark.parametrize('size', [(8, 8), (9, 9), (8, 9), (9, 8), (1, 2)])
@pytest.mark.parametrize('memory_format', [torch.contiguous_format, torch.channels_last])
def test_stride_2_pads_as_tensorflow_does(size, kernel, memory_format):
    conv = SameConv(4, 4, kernel, stride=2, groups=4, linear=True)
    torch.nn.init.normal_(conv.bias)
    x = torch.randn(2, 4, *size).to(memory_format=memory_format)
    pad = []
    for n in reversed(size):
        total = max((-(-n // 2) - 1) * 2 + kernel - n, 0)
        pad += [total // 2, total - total // 2]
    expected = F.conv2d(F.pad(x, pad), conv.weight, conv.bias, 2, groups=4)
    torch.testing.assert_close(conv(x), expected)


def test_gradients_pass_through_activations_in_place():
    torch.manual_seed(0)
    conv = SameConv(2, 3, 3, stride=2).double()
    x = torch.randn(1, 2, 6, 5, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(conv, x)


LAYERS_ABOVE = ('51.weight', '51.bias', '52.weight', '52.bias')


@pytest.mark.shared
@pytest.mark.parametrize(
    ('picture', 'classes'), [('coffee', {967, 968}), ('chelsea', set(range(281, 286)))]
)
def test_imagenet_weights_name_pictures(shared_dir, picture, classes):
    """Any slip in layer order, padding, activation or normalisation breaks this."""
    weights = shared_dir / 'weights/mobilenet_v2_imagenet.npz'
    encoder = MobileNetV2().eval()
    encoder.load_imagenet(weights)
    with np.load(weights) as archive:
        above = [torch.from_numpy(archive[name]) for name in LAYERS_ABOVE]
    rgb = getattr(skimage.data, picture)()
    side = min(rgb.shape[:2])
    top, left = (rgb.shape[0] - side) // 2, (rgb.shape[1] - side) // 2
    rgb = cv2.resize(
        rgb[top : top + side, left : left + side], (224, 224), interpolation=cv2.INTER_AREA
    )
    with torch.inference_mode():
        images = MobileNetV2.normalise(torch.from_numpy(rgb).permute(2, 0, 1)[None])
        pooled = F.conv2d(encoder(images)[-1], *above[:2]).clamp(0, 6).mean((2, 3), keepdim=True)
        # Class 0 is background, class i + 1 is ImageNet's i.
        probabilities = F.conv2d(pooled, *above[2:]).flatten().softmax(0)
    assert probabilities.argmax().item() - 1 in classes
    assert sum(probabilities[c + 1].item() for c in classes) > 0.8


class Normed(torch.nn.Module):
    """A few layers with the names of the PyPI wheels, batch norm not folded."""

    def __init__(self):
        super().__init__()
        nn = torch.nn
        self._conv_stem = nn.Conv2d(3, 4, 1, bias=False)
        self._bn0 = nn.BatchNorm2d(4, 1e-3)
        block = nn.Module()
        block._depthwise_conv = nn.Conv2d(4, 4, 1, groups=4, bias=False)
        block._bn1 = nn.BatchNorm2d(4, 1e-3)
        block._project_conv = nn.Conv2d(4, 6, 1, bias=False)
        block._bn2 = nn.BatchNorm2d(6, 1e-3)
        self._blocks = nn.ModuleList([block])
        self._conv_head = nn.Conv2d(6, 8, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(8, 1e-3)
        self._fc = nn.Linear(8, 5)

    def forward(self, x):
        (block,) = self._blocks
        x = self._bn0(self._conv_stem(x)).clamp(0, 6)
        x = block._bn1(block._depthwise_conv(x)).clamp(0, 6)
        x = block._bn2(block._project_conv(x))
        x = self._bn1(self._conv_head(x)).clamp(0, 6)
        return self._fc(x.mean((2, 3)))


def test_start_files_fold_batch_norm():
    torch.manual_seed(0)
    network = Normed().eval()
    for norm in network.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(norm.running_mean)
            # As small as epsilon, so that another one would show.
            torch.nn.init.uniform_(norm.running_var, 1e-4, 1e-2)
            torch.nn.init.normal_(norm.weight)
            torch.nn.init.normal_(norm.bias)
    script = run_path(str(Path(__file__).parents[1] / 'scripts' / 'imagenet_start.py'))
    layers = {
        name: torch.from_numpy(value)
        for name, value in script['folded'](network.state_dict()).items()
    }
    assert len(layers) == 2 * 5
    x = images = torch.randn(2, 3, 6, 6)
    for number, linear in enumerate((False, False, True, False)):
        weight, bias = layers[f'{number:02d}.weight'], layers[f'{number:02d}.bias']
        x = F.conv2d(x, weight, bias, groups=4 if number == 1 else 1)
        x = x if linear else x.clamp(0, 6)
    x = F.conv2d(x.mean((2, 3), keepdim=True), layers['04.weight'], layers['04.bias']).flatten(1)
    with torch.no_grad():
        torch.testing.assert_close(x, network(images), rtol=1e-4, atol=1e-4)


def test_foreign_imagenet_archives_are_refused(tmp_path):
    with pytest.raises(WeightsError, match=r'missing\.npz'):
        MobileNetV2().load_imagenet(tmp_path / 'missing.npz')
    np.savez(tmp_path / 'other.npz', **{'00.weight': np.zeros((8, 3, 3, 3), np.float32)})
    with pytest.raises(WeightsError, match=r'00\.weight has shape \(8, 3, 3, 3\)'):
        MobileNetV2().load_imagenet(tmp_path / 'other.npz')
    (tmp_path / 'text.npz').write_text('no archive')
    with pytest.raises(WeightsError, match='not a MobileNetV2 npz archive'):
        MobileNetV2().load_imagenet(tmp_path / 'text.npz')


def test_drop_path_keeps_the_mean_and_drops_whole_samples():
    torch.manual_seed(0)
    drop = DropPath(0.25)
    y = drop(torch.ones(4000, 3, 2))
    torch.testing.assert_close(y.unique(), torch.tensor([0.0, 4 / 3]))
    assert torch.equal(y.amin((1, 2)), y.amax((1, 2)))
    assert y.mean().item() == pytest.approx(1, abs=0.03)
    assert torch.equal(drop.eval()(torch.ones(5)), torch.ones(5))


def test_mit_regularises_in_training_only():
    encoder = mit_b0(dropout=0.1, drop_path=0.3)
    images = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        assert not torch.equal(encoder(images)[-1], encoder(images)[-1])
        encoder.eval()
        assert torch.equal(encoder(images)[-1], encoder(images)[-1])
    rates = [m.probability for m in encoder.modules() if isinstance(m, DropPath)]
    np.testing.assert_allclose(rates, np.linspace(0, 0.3, 8), atol=1e-7)


def test_mit_b1_has_the_size_that_the_paper_states():
    """Table 6 of SegFormer: 13.1 M with the ImageNet head left out."""
    assert sum(p.numel() for p in mit_b1().parameters()) == pytest.approx(13.15e6, rel=0.005)


def _published_parameter(key: str, shape: list[int]) -> torch.Tensor:
    r = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape)
    centre = float(key.endswith('.weight') and len(shape) == 1)
    scale = 0.1 if len(shape) == 1 else 1 / np.sqrt(np.prod(shape[1:]))
    return torch.from_numpy((centre + scale * r).astype(np.float32))


@pytest.fixture(scope='module')
def published(shared_dir):
    keys = json.loads((shared_dir / 'research/published_network_keys.json').read_text())
    model = PublishedNetwork().eval()
    model.load_state_dict({k: _published_parameter(k, shape) for k, shape in keys.items()})
    return model


@pytest.mark.shared
def test_published_network_has_the_published_keys(shared_dir):
    keys = json.loads((shared_dir / 'research/published_network_keys.json').read_text())
    state = PublishedNetwork().state_dict()
    assert len(keys) == 179
    assert {key: list(value.shape) for key, value in state.items()} == keys


@pytest.mark.shared
@pytest.mark.parametrize(('i', 'size'), [(0, (128, 128)), (1, (96, 160))])
def test_published_network_gives_the_published_numbers(shared_dir, published, i, size):
    oracle = np.load(shared_dir / 'research/published_network_oracle.npz')
    images = np.random.default_rng(i).standard_normal((2, 3, *size)).astype(np.float32)
    x = torch.from_numpy(images)
    with torch.inference_mode():
        outputs = {
            'logits': published(x),
            'cam': published.cam(x),
            'feature_mean': published.features(x).mean((2, 3)),
            'multi_scale_cam': multi_scale_cam(published.cam, x),
            'multi_scale_logits': published(with_mirror(x)),
        }
    for name, value in outputs.items():
        expected = oracle[f'{name}_{i}']
        np.testing.assert_allclose(
            value.numpy(), expected, rtol=0, atol=1e-4 * np.abs(expected).max(), err_msg=name
        )
