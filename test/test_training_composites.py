# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
import pytest

from pourit_ros.training.backgrounds import (
    SURFACES,
    BackgroundError,
    Backgrounds,
    perspective_crop,
    tone_map,
)
from pourit_ros.training.composites import Compositor, Pair
from pourit_ros.training.layers import Layer, blend
from pourit_ros.training.pairs import PairsError, compose_pairs, read_pairs
from pourit_ros.training.streams import Liquid, paint_stream, stream_path


def draw(seed: int, count: int, **options: float) -> list[Pair]:
    compositor = Compositor(Backgrounds(), seed, **options)
    return [compositor.sample() for _ in range(count)]


@pytest.fixture(scope='module')
def matt_pairs() -> list[Pair]:
    """Pairs on tables without mirror images: they differ in the stream alone."""
    return draw(5, 24, gloss=0.0)


def test_same_seed_same_pictures_other_seed_others():
    a, b, c = draw(7, 3), draw(7, 3), draw(8, 3)
    for first, second in zip(a, b, strict=True):
        np.testing.assert_array_equal(first.with_stream, second.with_stream)
        np.testing.assert_array_equal(first.without_stream, second.without_stream)
        np.testing.assert_array_equal(first.coverage, second.coverage)
    assert any((x.with_stream != y.with_stream).any() for x, y in zip(a, c, strict=True))


def test_types_and_ranges(matt_pairs):
    for pair in matt_pairs:
        for picture in (pair.with_stream, pair.without_stream):
            assert picture.shape == (256, 256, 3)
            assert picture.dtype == np.uint8
        assert pair.coverage.shape == (256, 256)
        assert pair.coverage.dtype == np.float32
        assert pair.coverage.min() >= 0
        assert 0.5 < pair.coverage.max() <= 1
        assert pair.coverage.sum() >= 50


def smoothed_change(pair: Pair) -> np.ndarray:
    change = pair.with_stream.astype(np.float32) - pair.without_stream
    return np.abs(cv2.blur(change, (5, 5))).max(-1)


def test_twins_differ_inside_the_stream_and_by_noise_outside(matt_pairs):
    for pair in matt_pairs:
        change = smoothed_change(pair)
        near = cv2.dilate((pair.coverage > 0).astype(np.uint8), np.ones((21, 21))) > 0
        outside, inside = change[~near], change[pair.coverage > 0.5]
        # noise of at most 8 grey levels over 25 pixels, and JPEG
        assert np.percentile(outside, 99) < 12
        assert np.median(inside) > 3 * np.median(outside)


def test_noise_of_the_twins_is_independent():
    shares = []
    for pair in draw(11, 12, gloss=0.0):
        far = cv2.dilate((pair.coverage > 0).astype(np.uint8), np.ones((21, 21))) == 0
        shares.append((pair.with_stream != pair.without_stream).any(-1)[far].mean())
    assert np.median(shares) > 0.2


def test_mirror_image_is_no_liquid():
    glossy = draw(3, 30, gloss=1.0)
    changed_below = 0
    for pair in glossy:
        rows = np.flatnonzero((pair.coverage > 0.5).any(1))
        mirrored = smoothed_change(pair)[min(rows.max() + 12, 255) :]
        changed_below += bool((mirrored > 10).sum() > 20)
        assert pair.coverage[min(rows.max() + 12, 255) :].sum() < 20
    assert changed_below >= 3


def test_width_and_length_of_streams_cover_the_range():
    # at 256 pixels; area over length of the bounding box's diagonal
    widths, lengths = [], []
    for pair in draw(21, 40):
        v, u = np.nonzero(pair.coverage > 0.5)
        lengths.append(np.hypot(np.ptp(v) + 1, np.ptp(u) + 1))
        widths.append(len(v) / lengths[-1])
    assert np.percentile(widths, 10) < 5
    assert np.percentile(widths, 90) > 9

    assert np.percentile(lengths, 10) < 50
    assert np.percentile(lengths, 90) > 90


def test_speed():
    compositor = Compositor(Backgrounds(), 0)
    ticks = []
    for _ in range(20):
        start = cv2.getTickCount()
        compositor.sample()
        ticks.append((cv2.getTickCount() - start) / cv2.getTickFrequency())
    # 25 pairs/s on a quiet core; a loaded machine gets a factor of six
    assert np.median(ticks) < 0.24


def test_stream_falls_on_a_parabola():
    rng = np.random.default_rng(0)
    curvature, mouth = 50.0, np.array([100.0, 40.0])
    path = stream_path(rng, mouth, np.array([1.0, 0.0]), 2.0, 120.0, curvature)
    dx, dy = (path.points - mouth).T
    # y = x² / (2 v²/g); the sway stays within 15 % of the width
    expected = dx**2 / (2 * curvature)
    slope = dx / curvature
    assert np.abs((dy - expected) / np.sqrt(1 + slope**2)).max() < 0.31
    assert path.arc[-1] == pytest.approx(120.0)
    assert path.left[-20:].mean() < path.left[:20].mean()


def test_coverage_is_the_area_of_a_straight_stream():
    ratios = []
    for seed in range(15):
        rng = np.random.default_rng(seed)
        canvas = np.full((128, 128, 3), 90, np.float32)
        path = stream_path(rng, np.array([64.0, 20.0]), np.array([0.0, 1.0]), 8.0, 70.0, 5.0)
        width = path.left + path.right
        area = ((width[1:] + width[:-1]) / 2 * np.diff(path.arc)).sum()
        coverage = paint_stream(rng, canvas, path, Liquid('water', np.full(3, 200.0)))
        ratios.append(coverage.sum() / area)
    # drops add to some, gaps take from others
    assert np.median(ratios) == pytest.approx(1, abs=0.06)


def test_layer_over_and_hide_at_the_border():
    canvas = np.zeros((4, 4, 3), np.float32)
    layer = Layer(np.full((3, 3, 3), 200, np.float32), np.full((3, 3), 0.5, np.float32), -1, 2)
    layer.over(canvas)
    assert canvas[2:, :2].min() == canvas[2:, :2].max() == 100
    assert canvas.sum() == 100 * 3 * 4
    coverage = np.ones((4, 4), np.float32)
    layer.hide(coverage)
    assert coverage.sum() == 16 - 4 * 0.5
    assert blend(canvas, 50.0, np.ones((4, 4))).min() == 50


@pytest.mark.parametrize('surface', SURFACES, ids=lambda f: f.__name__)
def test_procedural_surfaces_have_structure(surface):
    picture = surface(np.random.default_rng(0), 96)
    assert picture.shape == (96, 96, 3)
    assert np.isfinite(picture).all()
    assert picture.std() > 1


def test_perspective_crop_looks_where_it_is_told():
    # a panorama whose colours are its longitude and latitude
    height, width = 180, 360
    panorama = np.zeros((height, width, 3), np.uint8)
    panorama[..., 0] = (np.arange(width) * 255 // width)[None]
    panorama[..., 1] = (np.arange(height) * 255 // height)[:, None]
    view = perspective_crop(panorama, np.deg2rad(90), np.deg2rad(30), np.deg2rad(60), 65)
    centre = view[32, 32].astype(float)
    assert centre[0] == pytest.approx(255 * 90 / 360, abs=2)
    assert centre[1] == pytest.approx(255 * (90 - 30) / 180, abs=2)
    # up in the picture is up in the room
    assert view[0, 32, 1] < view[64, 32, 1]
    # half the field of view beside the centre, at the horizon
    level = perspective_crop(panorama, np.deg2rad(90), 0.0, np.deg2rad(60), 65)
    assert level[32, 64, 0] == pytest.approx(255 * 120 / 360, abs=2)


def test_tone_map_is_monotone_and_bounded():
    radiance = np.repeat(np.geomspace(1e-3, 1e4, 64)[None, :, None], 3, 2)
    grey = tone_map(radiance)[0, :, 0].astype(int)
    assert (np.diff(grey) >= 0).all()
    assert grey[0] < 20
    assert grey[-1] >= 250


def test_folds_share_no_photograph(tmp_path):
    for i in range(16):
        cv2.imwrite(str(tmp_path / f'{i:02d}.png'), np.full((32, 32, 3), 10 * i, np.uint8))
    ours = Backgrounds(photographs=tmp_path)._photographs
    held = Backgrounds(photographs=tmp_path, fold='held_out')._photographs
    shades = [{int(p[0, 0, 0]) for p in pool if p.shape == (32, 32, 3)} for pool in (ours, held)]
    assert shades[1] == {0, 80}
    assert len(shades[0]) == 14
    assert not shades[0] & shades[1]


def test_empty_folders_are_refused(tmp_path):
    with pytest.raises(BackgroundError, match='hdr'):
        Backgrounds(environment_maps=tmp_path)
    with pytest.raises(PairsError, match='pos_rgb'):
        read_pairs(tmp_path)


def test_number_of_processes_changes_nothing():
    one = compose_pairs(3, 9, size=96)
    two = compose_pairs(3, 9, size=96, processes=2)
    np.testing.assert_array_equal(one.images, two.images)
    np.testing.assert_array_equal(one.coverage, two.coverage)


@pytest.mark.shared
def test_path_traced_pairs_are_read(shared_dir):
    pairs = read_pairs(shared_dir / 'data' / 'synth_seed', size=128)
    assert pairs.images.shape == (155, 2, 128, 128, 3)
    wet, dry = pairs.images[:, 0].astype(int), pairs.images[:, 1].astype(int)
    change = np.abs(wet - dry).max(-1)
    inside = pairs.coverage > 200
    assert change[inside].mean() > 4 * change[pairs.coverage == 0].mean()
