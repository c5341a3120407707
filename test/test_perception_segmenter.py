# SPDX-License-Identifier: Apache-2.0
"""From an image to a segmentation, with random weights."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import skimage.data
import torch

from pourit_ros.perception import Segmentation, Segmenter
from pourit_ros.perception.classifier import LiquidClassifier
from pourit_ros.perception.multiscale import multi_scale_cam
from pourit_ros.perception.published_network import PublishedNetwork
from pourit_ros.perception.weights import PUBLISHED, WeightsMetadata, save_weights

METADATA = WeightsMetadata(96, 0.0, 0.5, 'random', 'Apache-2.0', 'torch.manual_seed')
SHAPES = [(480, 640), (640, 480), (97, 131), (96, 96), (1, 1), (3, 7), (2, 900)]


@pytest.fixture(scope='module')
def model():
    torch.manual_seed(0)
    return LiquidClassifier().eval()


@pytest.fixture(scope='module')
def weights(model, tmp_path_factory):
    path = tmp_path_factory.mktemp('weights') / 'random.safetensors'
    save_weights(path, model, METADATA)
    return path


@pytest.fixture(scope='module')
def segmenter(weights):
    return Segmenter.load(weights, device='cpu')


@pytest.fixture(scope='module')
def published():
    """A network that sees liquid everywhere: maxima of normed features are positive."""
    torch.manual_seed(0)
    model = PublishedNetwork().eval()
    with torch.no_grad():
        model.classifier.weight.abs_()
    return model


def picture(height, width):
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)


def check(result, shape):
    assert isinstance(result, Segmentation)
    assert type(result.present) is bool
    assert type(result.probability) is float
    assert 0 <= result.probability <= 1
    assert result.cam.shape == result.mask.shape == shape
    assert result.cam.dtype == np.float32
    assert result.mask.dtype == np.bool_
    assert result.cam.min() >= 0
    assert result.cam.max() <= 1


@pytest.mark.parametrize('shape', SHAPES)
def test_any_shape(segmenter, shape):
    result = segmenter.segment(picture(*shape))
    check(result, shape)
    assert result.present
    assert not (result.mask & (result.cam <= METADATA.mask_threshold)).any()


def test_square_image_is_what_the_network_says(segmenter, model):
    """No letterbox, no resize but the CAM's."""
    rgb = skimage.data.coffee()[100:196, 200:296]
    result = segmenter.segment(rgb)
    with torch.inference_mode():
        output = model(model.normalise(torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None]))
        logits = torch.nn.functional.interpolate(output.cam, scale_factor=4.0, mode='bilinear')
    assert result.probability == pytest.approx(output.presence.sigmoid().item(), abs=1e-5)
    np.testing.assert_allclose(result.cam, logits[0, 0].sigmoid().numpy(), atol=5e-3)


def test_mask_is_one_stream_above_the_threshold(model):
    rgb = skimage.data.coffee()
    cam = Segmenter(model, METADATA).segment(rgb).cam
    threshold = float(np.quantile(cam, 0.9))
    result = Segmenter(model, replace(METADATA, mask_threshold=threshold)).segment(rgb)
    assert 0 < result.mask.sum() < 0.1 * cam.size
    assert not (result.mask & (cam <= threshold)).any()


def test_no_liquid_no_mask(model):
    strict = Segmenter(model, replace(METADATA, presence_threshold=1.0, mask_threshold=0.0))
    result = strict.segment(picture(60, 80))
    assert not result.present
    assert not result.mask.any()
    assert result.cam.any()


def test_border_is_not_pooled(segmenter, model):
    """A wide image in a square: presence is pooled over its own rows only."""
    rgb = picture(48, 96)
    canvas = np.zeros((96, 96, 3), np.uint8)
    canvas[24:72] = rgb
    valid = torch.zeros(1, 1, 96, 96, dtype=torch.bool)
    valid[:, :, 24:72] = True
    with torch.inference_mode():
        images = model.normalise(torch.from_numpy(canvas).permute(2, 0, 1)[None])
        output = model(images, valid)
        presence = model.presence(output.cam[:, :, 6:18])
    result = segmenter.segment(rgb)
    assert result.probability == pytest.approx(presence.sigmoid().item(), abs=1e-6)


def test_same_answer_twice_and_from_another_thread(segmenter, weights):
    rgb = picture(120, 160)
    first = segmenter.segment(rgb)
    with ThreadPoolExecutor(1) as pool:
        others = [
            segmenter.segment(rgb),
            pool.submit(segmenter.segment, rgb).result(),
            Segmenter.load(weights, device='cpu').segment(rgb),
        ]
    for other in others:
        assert other.probability == first.probability
        np.testing.assert_array_equal(other.cam, first.cam)
        np.testing.assert_array_equal(other.mask, first.mask)


def test_views_and_read_only_images(segmenter):
    bgr = picture(60, 80)
    rgb = bgr[..., ::-1]
    copy = rgb.copy()
    copy.flags.writeable = False
    np.testing.assert_array_equal(segmenter.segment(rgb).cam, segmenter.segment(copy).cam)


@pytest.mark.parametrize(
    'rgb',
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        [[0, 0, 0]],
        None,
    ],
)
def test_bad_images_are_refused(segmenter, rgb):
    with pytest.raises(ValueError, match='an RGB image'):
        segmenter.segment(rgb)


def test_threads_change_only_when_asked(weights):
    before = torch.get_num_threads()
    try:
        Segmenter.load(weights, device='cpu')
        assert torch.get_num_threads() == before
        Segmenter.load(weights, device='cpu', threads=3)
        assert torch.get_num_threads() == 3
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(torch.get_num_threads).result() == 3
    finally:
        torch.set_num_threads(before)
    with pytest.raises(ValueError, match='threads is 0'):
        Segmenter.load(weights, threads=0)


def test_devices(weights):
    with pytest.raises(ValueError, match="unknown device 'tpu'"):
        Segmenter.load(weights, device='tpu')
    if torch.cuda.is_available():
        assert Segmenter.load(weights, device='auto').device.type == 'cuda'
    else:
        assert Segmenter.load(weights, device='auto').device.type == 'cpu'
        with pytest.raises(ValueError, match='no CUDA device'):
            Segmenter.load(weights, device='cuda')


def test_published_network_is_read_as_its_demo_does(published):
    segmenter = Segmenter(published, replace(PUBLISHED, input_size=96))
    rgb = picture(96, 96)
    result = segmenter.segment(rgb)
    images = published.normalise(torch.from_numpy(rgb).permute(2, 0, 1)[None])
    with torch.inference_mode():
        expected = multi_scale_cam(published.cam, images, (1.0,))[0, 0].numpy()
        total = published(images) + published(images.flip(-1))
    check(result, (96, 96))
    assert result.present
    assert total.item() > 0
    assert result.probability == pytest.approx((total / 2).sigmoid().item(), abs=1e-6)
    np.testing.assert_allclose(result.cam, expected, atol=1e-4)
    np.testing.assert_array_equal(result.mask, result.cam > 0.7)
    assert result.cam.min() == pytest.approx(0, abs=1e-6)
    assert result.cam.max() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize('shape', [(60, 90), (1, 1), (300, 7)])
def test_published_network_normalises_inside_the_picture(published, shape):
    result = Segmenter(published, replace(PUBLISHED, input_size=96)).segment(picture(*shape))
    check(result, shape)
    assert result.present


def test_published_network_is_silent_without_liquid(published):
    weight = published.classifier.weight
    with torch.no_grad():
        weight.neg_()
    try:
        result = Segmenter(published, replace(PUBLISHED, input_size=96)).segment(picture(60, 90))
    finally:
        with torch.no_grad():
            weight.neg_()
    check(result, (60, 90))
    assert not result.present
    assert not result.cam.any()
    assert not result.mask.any()


def test_importing_the_package_is_light():
    code = (
        'import sys; from pourit_ros.perception import Segmentation, WeightsError; '
        "assert not {'torch', 'cv2', 'safetensors'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, '-c', code], check=True)
