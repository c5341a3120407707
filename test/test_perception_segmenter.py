# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""From an image to a segmentation, with random weights."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import skimage.data
import torch

from pourit_ros.geometry.region import Region
from pourit_ros.perception import Segmentation, Segmenter
from pourit_ros.perception.classifier import LiquidClassifier
from pourit_ros.perception.masks import keep_stream
from pourit_ros.perception.multiscale import multi_scale_cam
from pourit_ros.perception.published_network import PublishedNetwork
from pourit_ros.perception.torch_backend import TorchBackend
from pourit_ros.perception.views import closer_view, region_view, whole_view
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
    return Segmenter(weights, device='cpu')


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


def test_square_image_is_what_the_network_says(model):
    """No letterbox, no resize but the CAM's, and without a mask no second look."""
    rgb = skimage.data.coffee()[100:196, 200:296]
    result = Segmenter.from_model(model, replace(METADATA, mask_threshold=1.0)).segment(rgb)
    with torch.inference_mode():
        output = model(model.normalise(torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None]))
        logits = torch.nn.functional.interpolate(output.cam, scale_factor=4.0, mode='bilinear')
    assert result.probability == pytest.approx(output.presence.sigmoid().item(), abs=1e-5)
    np.testing.assert_allclose(result.cam, logits[0, 0].sigmoid().numpy(), atol=5e-3)


def test_mask_is_one_stream_above_the_threshold(model):
    rgb = skimage.data.coffee()
    cam = Segmenter.from_model(model, METADATA).segment(rgb).cam
    threshold = float(np.quantile(cam, 0.9))
    result = Segmenter.from_model(model, replace(METADATA, mask_threshold=threshold)).segment(rgb)
    assert 0 < result.mask.sum() < 0.1 * cam.size
    assert not (result.mask & (result.cam <= threshold)).any()


def test_no_liquid_no_mask(model):
    strict = Segmenter.from_model(
        model, replace(METADATA, presence_threshold=1.0, mask_threshold=0.0)
    )
    result = strict.segment(picture(60, 80))
    assert not result.present
    assert not result.mask.any()
    assert result.cam.any()


def test_border_is_not_pooled(segmenter, model):
    """Where an image does not fill its rectangle, presence is pooled over its own rows only."""
    rgb = picture(48, 96)
    letterbox = whole_view((48, 96), 96).letterbox
    # 68 x 136 px have the area of 96 x 96; the rectangle around them is filled in its width.
    assert (letterbox.size, letterbox.content[0]) == ((96, 160), slice(8, 88))
    valid = torch.from_numpy(letterbox.valid())[None, None]
    with torch.inference_mode():
        batch = torch.from_numpy(letterbox.apply(rgb)).permute(2, 0, 1)[None]
        output = model(model.normalise(batch), valid)
        presence = model.presence(output.cam[:, :, 2:22])
    result = segmenter.segment(rgb)
    assert result.probability == pytest.approx(presence.sigmoid().item(), abs=1e-5)


def test_whole_images_fill_a_rectangle_of_the_squares_area():
    def size(rows, columns, side=384):
        return whole_view((rows, columns), side).letterbox.size

    assert size(480, 480) == size(37, 37) == size(2000, 2000) == (384, 384)
    assert size(480, 640) == (352, 448)
    assert size(640, 480) == (448, 352)
    assert size(720, 1280) == (288, 512)
    # A sliver is not blown up to the area.
    assert size(2, 900) == (32, 768)
    for rows, columns in ((480, 640), (720, 1280), (300, 1000), (475, 474)):
        letterbox = whole_view((rows, columns), 384).letterbox
        border = 1 - letterbox.valid().mean()
        assert border < 0.12
        assert 384**2 <= np.prod(letterbox.size) < 1.15 * 384**2


def test_region_is_what_the_network_says_of_it(segmenter, model):
    """At 1000 px/m nothing is resized; cells that were not looked at count as no liquid."""
    rgb = skimage.data.coffee()[100:240, 200:392]
    region = Region(64, 32, 160, 128, 1000.0)
    result = segmenter.segment(rgb, region)
    part = np.ascontiguousarray(rgb[32:128, 64:160])
    with torch.inference_mode():
        output = model(model.normalise(torch.from_numpy(part).permute(2, 0, 1)[None]))
        logits = torch.nn.functional.interpolate(output.cam, scale_factor=4.0, mode='bilinear')
        cells = 140 * 192 / 16
        pooled = (torch.logsumexp(4 * output.cam.flatten(), 0) - np.log(cells)) / 4
    check(result, (140, 192))
    assert result.probability == pytest.approx(pooled.sigmoid().item(), abs=1e-5)
    inside = np.zeros((140, 192), np.bool_)
    inside[32:128, 64:160] = True
    np.testing.assert_allclose(
        result.cam[inside].reshape(96, 96), logits[0, 0].sigmoid().numpy(), atol=5e-3
    )
    assert not result.cam[~inside].any()
    assert not result.mask[~inside].any()


def test_a_region_of_the_whole_image_changes_nothing(model):
    segmenter = Segmenter.from_model(model, replace(METADATA, input_size=192))
    rgb = skimage.data.coffee()[100:292, 200:392]
    whole, region = segmenter.segment(rgb), segmenter.segment(rgb, Region(0, 0, 192, 192, 1000.0))
    assert region.probability == pytest.approx(whole.probability, abs=1e-6)
    np.testing.assert_allclose(region.cam, whole.cam, atol=1e-6)


def test_scale_of_a_region(segmenter):
    """Towards 1000 px/m, within 256 px, sides multiples of 32."""

    def size(width, height, pixels_per_metre):
        return region_view(
            Region(10, 20, 10 + width, 20 + height, pixels_per_metre)
        ).letterbox.size

    assert size(100, 200, 1000.0) == (224, 128)
    assert size(100, 50, 500.0) == (128, 224)
    assert size(20, 20, 100.0) == (64, 64)
    assert size(400, 200, 2000.0) == (128, 224)
    assert size(900, 300, 1000.0) == (96, 256)
    assert size(300, 600, 5000.0) == (224, 128)


def stripe(height, width, rows, columns):
    mask = np.zeros((height, width), np.bool_)
    mask[slice(*rows), slice(*columns)] = True
    return mask


def test_closer_view_of_a_stream():
    mask = stripe(480, 640, (100, 200), (300, 306))
    view = closer_view(mask, 0.6)
    # 6 px wide (600 px over a diagonal of 100.2), margin 25 + 12 px, towards 12 px: twice.
    assert view.window == (slice(63, 236), slice(263, 342))
    assert view.scale == pytest.approx(256 / 173, rel=0.02)
    # At most three times as large as before, but for sides of multiples of 32.
    assert closer_view(mask, 0.2).letterbox.size == (128, 64)
    # A stream that was seen as wide already, none, and one at the image's edge.
    assert closer_view(stripe(480, 640, (100, 200), (300, 330)), 0.8) is None
    assert closer_view(np.zeros((48, 64), np.bool_), 1.0) is None
    assert closer_view(stripe(48, 64, (0, 48), (60, 64)), 0.5).window[0] == slice(0, 48)
    single = closer_view(stripe(48, 64, (20, 21), (30, 31)), 1.0)
    assert single.letterbox.image_size[0] >= 1


def test_a_second_look_is_a_closer_one(model):
    """Where the first look finds a stream, the CAM is the mean of two; elsewhere it stays."""
    rgb = skimage.data.coffee()
    first = whole_view(rgb.shape[:2], METADATA.input_size)
    backend = TorchBackend(model, torch.device('cpu'))

    def look(view):
        letterbox = view.letterbox
        cam = backend.run(letterbox.apply(rgb[view.window]), letterbox.valid()).cam
        return letterbox.restore(cam)

    logits = look(first)
    cam = 1 / (1 + np.exp(-logits))
    threshold = float(np.quantile(cam, 0.99))
    closer = closer_view(keep_stream(cam > threshold, cam), first.scale)
    expected = cam.copy()
    mean = (logits[closer.window] + look(closer)) / 2
    expected[closer.window] = 1 / (1 + np.exp(-mean))
    assert np.abs(expected - cam).max() > 0.01
    result = Segmenter.from_model(model, replace(METADATA, mask_threshold=threshold)).segment(rgb)
    np.testing.assert_allclose(result.cam, expected, atol=1e-5)


@pytest.mark.parametrize('box', [(0, 0, 1, 1), (63, 2, 64, 48), (0, 47, 64, 48), (3, 5, 20, 40)])
def test_any_region(segmenter, box):
    result = segmenter.segment(picture(48, 64), Region(*box, 700.0))
    check(result, (48, 64))
    outside = np.ones((48, 64), np.bool_)
    outside[box[1] : box[3], box[0] : box[2]] = False
    assert not result.cam[outside].any()


@pytest.mark.parametrize('box', [(-1, 0, 5, 5), (0, 0, 65, 5), (5, 5, 5, 9), (0, 9, 5, 5)])
def test_regions_outside_the_image_are_refused(segmenter, box):
    with pytest.raises(ValueError, match='does not lie in an image'):
        segmenter.segment(picture(48, 64), Region(*box, 700.0))


def test_same_answer_twice_and_from_another_thread(segmenter, weights):
    rgb = picture(120, 160)
    first = segmenter.segment(rgb)
    with ThreadPoolExecutor(1) as pool:
        others = [
            segmenter.segment(rgb),
            pool.submit(segmenter.segment, rgb).result(),
            Segmenter(weights, device='cpu').segment(rgb),
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


def test_threads_of_torch_change_only_when_asked(tmp_path):
    # A network that only PyTorch runs.
    weights = tmp_path / 'published.safetensors'
    save_weights(weights, PublishedNetwork(), PUBLISHED)
    before = torch.get_num_threads()
    try:
        Segmenter(weights, device='cpu')
        assert torch.get_num_threads() == before
        assert Segmenter(weights, device='cpu', threads=3).backend_name == 'torch'
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(torch.get_num_threads).result() == 3
    finally:
        torch.set_num_threads(before)
    with pytest.raises(ValueError, match='threads is 0'):
        Segmenter(weights, threads=0)


def test_devices(weights):
    with pytest.raises(ValueError, match="unknown device 'tpu'"):
        Segmenter(weights, device='tpu')
    if torch.cuda.is_available():
        assert Segmenter(weights, device='auto').device == 'cuda'
    else:
        assert Segmenter(weights, device='auto').device == 'cpu'
        with pytest.raises(ValueError, match='no CUDA device'):
            Segmenter(weights, device='cuda')


def test_published_network_is_read_as_its_demo_does(published):
    segmenter = Segmenter.from_model(published, replace(PUBLISHED, input_size=96))
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
    result = Segmenter.from_model(published, replace(PUBLISHED, input_size=96)).segment(
        picture(*shape)
    )
    check(result, shape)
    assert result.present


def test_published_network_is_silent_without_liquid(published):
    weight = published.classifier.weight
    with torch.no_grad():
        weight.neg_()
    try:
        result = Segmenter.from_model(published, replace(PUBLISHED, input_size=96)).segment(
            picture(60, 90)
        )
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


@pytest.mark.parametrize(('given', 'expected'), [(None, 'PASSIVE'), ('ACTIVE', 'ACTIVE')])
def test_threads_wait_asleep_unless_told_otherwise(given, expected):
    """Else two threads of a busy machine take 50 times as long."""
    environment = {k: v for k, v in os.environ.items() if k != 'OMP_WAIT_POLICY'}
    if given:
        environment['OMP_WAIT_POLICY'] = given
    code = (
        'import os, sys, pourit_ros.pipeline; '
        "assert 'torch' not in sys.modules; "
        f"assert os.environ['OMP_WAIT_POLICY'] == {expected!r}"
    )
    subprocess.run([sys.executable, '-c', code], check=True, env=environment)
