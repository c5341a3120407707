# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Refinement of CAMs at edges, against loops over pixels."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pourit_ros.errors import InputError
from pourit_ros.formats.images import read_image
from pourit_ros.perception import Segmenter
from pourit_ros.perception.pixel_adaptive import pixel_adaptive
from pourit_ros.perception.refine import REFINEMENTS, guided_filter, refine

STEPS = [(v, u) for v in (-1, 0, 1) for u in (-1, 0, 1) if (v, u) != (0, 0)]
AFA = (1, 2, 4, 8, 12, 24)


def par_by_hand(image, cam, dilations, iterations):
    """(H, W, C), (H, W): one pixel and one neighbour at a time, in float64."""
    height, width = cam.shape
    shifts = [(d * v, d * u) for d in dilations for v, u in STEPS]
    far = np.array([np.hypot(*shift) for shift in shifts])
    position = np.exp(-((far / (0.3 * far.std(ddof=1))) ** 2))
    for _ in range(iterations):
        new = np.zeros_like(cam)
        for y in range(height):
            for x in range(width):
                at = [
                    (min(max(y + v, 0), height - 1), min(max(x + u, 0), width - 1))
                    for v, u in shifts
                ]
                colours = np.array([image[p] for p in at])
                scale = np.maximum(0.3 * colours.std(0, ddof=1), 1e-8)
                alike = np.exp(-(((colours - image[y, x]) / scale) ** 2).mean(1))
                weights = alike / alike.sum() + 0.01 * position / position.sum()
                new[y, x] = sum(w * cam[p] for w, p in zip(weights, at, strict=True)) / 1.01
        cam = new
    return cam


def test_pixel_adaptive_refinement_is_its_formula():
    rng = np.random.default_rng(0)
    image, cam = rng.random((7, 9, 3)) * 255, rng.random((7, 9))
    ours = pixel_adaptive(
        torch.from_numpy(image).permute(2, 0, 1)[None],
        torch.from_numpy(cam)[None, None],
        (1, 3),
        2,
    )
    np.testing.assert_allclose(ours[0, 0].numpy(), par_by_hand(image, cam, (1, 3), 2), atol=1e-9)


@given(st.integers(1, 20), st.integers(1, 20), st.floats(0, 1, width=32), st.booleans())
@settings(max_examples=20)
def test_flat_maps_stay_flat(height, width, value, flat):
    image = torch.rand(1, 3, height, width) * (0 if flat else 255)
    maps = torch.full((1, 1, height, width), value)
    torch.testing.assert_close(pixel_adaptive(image, maps, AFA, 10), maps)
    rgb = image[0].permute(1, 2, 0).numpy().astype(np.uint8)
    np.testing.assert_allclose(guided_filter(rgb, maps[0, 0].numpy()), value, atol=1e-5)


@pytest.mark.parametrize('how', REFINEMENTS)
def test_maps_stop_at_edges_of_the_image(how):
    """A blurred stripe on a sharp one: outside of it activation falls, more than by blurring."""
    rgb = np.full((40, 60, 3), 40, np.uint8)
    rgb[:, 26:34] = 200
    truth = rgb[..., 0] > 100
    cam = cv2.GaussianBlur(truth.astype(np.float32), (0, 0), 3)
    refined = refine(how, rgb, cam, cam > 0.5)
    assert refined.dtype == np.float32
    assert 0 <= refined.min() <= refined.max() <= 1
    jump, before = (m[:, 26].mean() - m[:, 25].mean() for m in (refined, cam))
    assert jump > 2 * before
    assert refined[~truth].mean() < cam[~truth].mean() + 0.01
    # Where the image is flat, there is nothing to move to: the map is only smoothed.
    plain = refine(how, np.full_like(rgb, 40), cam, cam > 0.5)
    assert plain[:, 26].mean() - plain[:, 25].mean() < 1.2 * before


def guided_by_hand(guide, cam, radius, flat):
    """He et al., eq. 19 to 21, a window at a time, beyond the border as OpenCV mirrors it."""
    height, width = cam.shape
    pads = ((radius, radius), (radius, radius))
    colour = guide / 255
    a, b = np.zeros((height, width, 3)), np.zeros((height, width))
    wide = np.pad(colour, (*pads, (0, 0)), mode='reflect')
    tall = np.pad(cam, pads, mode='reflect')
    side = 2 * radius + 1
    for y in range(height):
        for x in range(width):
            i = wide[y : y + side, x : x + side].reshape(-1, 3)
            p = tall[y : y + side, x : x + side].ravel()
            both = (i * p[:, None]).mean(0) - i.mean(0) * p.mean()
            a[y, x] = np.linalg.solve(np.cov(i.T, bias=True) + flat * np.eye(3), both)
            b[y, x] = p.mean() - a[y, x] @ i.mean(0)
    a = np.pad(a, (*pads, (0, 0)), mode='reflect')
    b = np.pad(b, pads, mode='reflect')
    out = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            window = slice(y, y + side), slice(x, x + side)
            out[y, x] = a[window].mean((0, 1)) @ colour[y, x] + b[window].mean()
    return out


def test_guided_filter_is_its_formula():
    rng = np.random.default_rng(1)
    guide = rng.integers(0, 256, (9, 11, 3), np.uint8)
    cam = rng.random((9, 11)).astype(np.float32)
    expected = guided_by_hand(guide, cam.astype(float), 2, 1e-3)
    np.testing.assert_allclose(guided_filter(guide, cam, 2, 1e-3), expected, atol=1e-5)


def test_only_the_surroundings_of_the_mask_change():
    rng = np.random.default_rng(2)
    rgb = rng.integers(0, 256, (200, 300, 3), np.uint8)
    cam = rng.random((200, 300)).astype(np.float32)
    mask = np.zeros((200, 300), bool)
    mask[90:100, 140:150] = True
    changed = refine('guided', rgb, cam, mask) != cam
    assert changed[66:124, 116:174].any()
    changed[66:124, 116:174] = False
    assert not changed.any()
    assert refine('par', rgb, cam, np.zeros_like(mask)) is cam


@pytest.mark.parametrize('how', REFINEMENTS)
@pytest.mark.parametrize('size', [(1, 1), (1, 7), (5, 3)])
def test_tiny_images(how, size):
    rgb = np.full((*size, 3), 9, np.uint8)
    assert np.isfinite(refine(how, rgb, np.ones(size, np.float32), np.ones(size, bool))).all()


@pytest.mark.parametrize('how', REFINEMENTS)
def test_the_segmenter_refines_where_asked_to(how, stripe_weights, desk):
    from live_pour import pour_frame

    rgb = pour_frame(6).color
    plain, refined = (Segmenter(stripe_weights, 'cpu', refinement=k)(rgb) for k in (None, how))
    truth = rgb.mean(-1) > 120
    ious = [(m & truth).sum() / (m | truth).sum() for m in (plain.mask, refined.mask)]
    assert refined.probability == plain.probability
    assert ious[1] > ious[0]
    assert not refined.mask[refined.cam <= 0.5].any()
    dry = pour_frame(0, False).color
    assert not Segmenter(stripe_weights, 'cpu', refinement=how)(dry).mask.any()
    assert Segmenter(stripe_weights, 'cpu').refinement is None
    photo = read_image(desk / 'photo.jpg')
    assert Segmenter('default', 'cpu', refinement=how)(photo).mask.shape == photo.shape[:2]


def test_unknown_refinements_are_named():
    with pytest.raises(InputError, match="unknown refinement 'crf', choose one of par, guided"):
        Segmenter('default', refinement='crf')


def test_segment_takes_it_as_an_option(pourit, stripe_weights, tmp_path):
    from live_pour import pour_frame

    from pourit_ros.formats.images import read_grey, write_image

    write_image(tmp_path / 'a.png', pour_frame(6).color)
    masks = []
    for extra in ([], ['--refine', 'guided']):
        out = tmp_path / f'out{len(masks)}'
        status, _, err = pourit(
            'segment', tmp_path / 'a.png', '--weights', stripe_weights, '--out', out, *extra
        )
        assert status == 0, err
        masks.append(read_grey(out / 'a_mask.png'))
    assert (masks[0] != masks[1]).any()
