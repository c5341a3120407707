# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`pourit explain`, and the scores of its table against what they are defined as."""

import csv
import json

import cv2
import numpy as np
import pytest
import torch
from live_pour import pour_frame

from pourit_ros.errors import InputError
from pourit_ros.files import MANIFEST
from pourit_ros.formats.images import read_grey, read_image, write_image
from pourit_ros.perception.explain import METHODS
from pourit_ros.perception.explain.explainer import (
    Explainer,
    choose_methods,
    unit_map,
    view_size,
)
from pourit_ros.perception.explain.faithfulness import (
    area_under,
    blur,
    drop_and_increase,
    removal,
)
from pourit_ros.perception.explain.judge import judge
from pourit_ros.perception.explain.verdicts import CUTS, Verdict, cut_ious, points_at, sum_up
from pourit_ros.perception.published_network import PublishedNetwork
from pourit_ros.perception.weights import PUBLISHED, save_weights
from pourit_ros.report.heat import outline, paint_heat


def brightness(images):
    """A score that pixels add up to, so that curves are known."""
    return images.mean((1, 2, 3))


def test_deletion_and_insertion_follow_the_order_of_the_map():
    image = torch.tensor([[8.0, 4.0], [2.0, 2.0]]).expand(1, 3, 2, 2)
    heat = torch.tensor([[0.9, 0.5], [0.1, 0.1]])
    curves = removal(brightness, image, heat, steps=4)
    assert curves.deletion.tolist() == [4.0, 2.0, 1.0, 0.5, 0.0]
    blurred = float(blur(image).mean())
    assert curves.insertion[0] == pytest.approx(blurred)
    assert curves.insertion[-1] == 4.0
    worst = removal(brightness, image, -heat, steps=4)
    assert area_under(curves.deletion) < area_under(worst.deletion)
    assert area_under(torch.tensor([1.0, 0.5, 0.0])) == 0.5
    assert area_under(torch.tensor([1.0, 1.0, 0.0])) == 0.75


def test_many_steps_are_scored_in_parts():
    image, heat = torch.rand(1, 3, 8, 8), torch.rand(8, 8)
    asked = []

    def score(images):
        asked.append(len(images))
        return brightness(images)

    assert len(removal(score, image, heat, steps=20).deletion) == 21
    assert max(asked) <= 8


def test_blur_keeps_flat_images_and_spreads_points():
    flat = torch.full((1, 3, 40, 60), 0.3)
    torch.testing.assert_close(blur(flat), flat)
    point = torch.zeros(1, 1, 41, 41)
    point[..., 20, 20] = 1
    spread = blur(point)
    sigma = 0.025 * 41
    assert float(spread.sum()) == pytest.approx(1, abs=1e-5)
    expected = cv2.GaussianBlur(point[0, 0].numpy(), (7, 7), sigma)
    np.testing.assert_allclose(spread[0, 0].numpy(), expected, atol=1e-6)


def test_drop_is_relative_and_never_negative():
    image = torch.full((1, 3, 2, 2), 0.8)
    half = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    drop, rises = drop_and_increase(brightness, image, half)
    assert drop == pytest.approx(0.5)
    assert not rises
    assert drop_and_increase(brightness, -image + 1.0, torch.ones(2, 2)) == (0.0, False)
    drop, rises = drop_and_increase(brightness, -image, half)
    assert (drop, rises) == (0.0, True)
    assert drop_and_increase(brightness, 0 * image, half) == (0.0, False)


def test_maps_are_compared_by_their_positive_part_over_its_maximum():
    raw = torch.tensor([[[-3.0, 1.0], [2.0, 4.0]], [[-1.0, -2.0], [0.0, -1.0]]])
    expected = torch.tensor([[[0.0, 0.25], [0.5, 1.0]], [[0.0, 0.0], [0.0, 0.0]]])
    torch.testing.assert_close(unit_map(raw, (2, 2)), expected)
    tiny = unit_map(raw * 1e-38, (2, 2))
    assert tiny.isfinite().all()
    assert unit_map(raw, (20, 30)).amax((1, 2)).tolist() == [1.0, 0.0]


def test_iou_and_pointing():
    heat = np.zeros((100, 100), np.float32)
    heat[10:20, 10:20] = 0.6
    heat[12, 12] = 1.0
    truth = np.zeros((100, 100), bool)
    truth[10:20, 10:15] = True
    ious = cut_ious(heat, truth)
    assert ious[CUTS.index(0.5)] == 0.5
    assert ious[CUTS.index(0.7)] == 1 / 50
    assert points_at(heat, truth)
    # 1.4 px are forgiven.
    heat[12, 12], heat[12, 15] = 0, 1.0
    assert points_at(heat, truth)
    heat[12, 15], heat[12, 16] = 0, 1.0
    assert not points_at(heat, truth)
    assert not points_at(np.zeros((100, 100), np.float32), truth)
    assert not points_at(heat, np.zeros((100, 100), bool))


def test_verdicts_are_summed_up():
    def ious(**at):
        return np.array([at.get(f'c{round(100 * cut)}', 0.0) for cut in CUTS])

    verdicts = [
        Verdict('cam', 0.1, ious(c50=0.2, c10=0.9), True, 0.3, 0.8, 0.5, False),
        Verdict('cam', 0.3, ious(c50=0.4, c10=0.1, c30=0.7), False, 0.1, 0.6, 0.0, True),
        Verdict('cam', 0.2),
    ]
    scores = sum_up(verdicts)
    assert scores['masks'] == scores['judged'] == 2
    assert scores['iou'] == pytest.approx(0.3)
    assert (scores['best_iou'], scores['cut']) == (0.5, 0.1)
    assert scores['pointing'] == 0.5
    assert scores['deletion'] == pytest.approx(0.2)
    assert scores['insertion'] == pytest.approx(0.7)
    assert (scores['drop'], scores['increase'], scores['ms']) == (0.25, 0.5, 200)
    nothing = sum_up([])
    assert nothing['iou'] is nothing['ms'] is nothing['drop'] is None


@pytest.mark.parametrize(
    ('size', 'longest', 'expected'),
    [
        ((480, 640), 384, (288, 384)),
        ((720, 1280), 384, (224, 384)),
        ((10, 1000), 384, (32, 384)),
        ((64, 48), 128, (128, 96)),
    ],
)
def test_what_the_network_sees(size, longest, expected):
    assert view_size(size, longest) == expected


def test_methods_are_chosen_by_name():
    assert choose_methods('all') == list(METHODS)
    assert choose_methods('cf_cam, cam,cam') == ['cf_cam', 'cam']
    with pytest.raises(InputError, match=r"no method named 'gradcam'; choose all or cam, "):
        choose_methods('gradcam')


def test_a_map_covers_its_image_and_dry_images_are_not_judged(stripe_weights):
    explainer = Explainer(stripe_weights, 'cpu')
    rgb = pour_frame(6).color
    image = explainer.view(rgb)
    assert image.shape == (1, 3, 240, 320)
    heat, verdict = judge(explainer, 'grad_cam', image, rgb.shape[:2], steps=2)
    assert heat.shape == rgb.shape[:2]
    assert heat.max() == pytest.approx(1, abs=0.1)
    assert verdict.ious is verdict.pointed is None
    assert 0 <= verdict.deletion <= 1
    _, verdict = judge(explainer, 'grad_cam', image, rgb.shape[:2], faithful=False)
    assert verdict.deletion is verdict.drop is None
    empty = np.zeros(rgb.shape[:2], bool)
    assert judge(explainer, 'cam', image, rgb.shape[:2], empty, steps=0)[1].ious is None


@pytest.fixture
def pours(tmp_path):
    """Two images with liquid and their masks, and one without."""
    folder, masks = tmp_path / 'pours', tmp_path / 'masks'
    folder.mkdir()
    masks.mkdir()
    for k, name in ((3, 'a'), (6, 'b')):
        rgb = pour_frame(k).color
        write_image(folder / f'{name}.png', rgb)
        bright = (rgb.mean(-1) > 90).astype(np.uint8) * 255
        write_image(masks / (f'{name}.png' if k == 3 else f'{name}_mask.png'), bright)
    write_image(folder / 'dry.png', pour_frame(0, False).color)
    return folder


def test_maps_of_all_methods_with_table_picture_and_page(pourit, pours, stripe_weights, tmp_path):
    out = tmp_path / 'out'
    masks = tmp_path / 'masks'
    status, said, _ = pourit(
        'explain', pours, '--masks', masks, '--steps', 2, '--weights', stripe_weights,
        '--out', out,
    )  # fmt: skip
    assert status == 0
    assert '3 images in the input: 3 explained, 2 with liquid' in said
    assert 'Smooth Grad-CAM++' in said
    maps = {path.name for path in out.glob('*_*.png')}
    assert maps == {f'{stem}_{name}.png' for stem in ('a', 'b', 'dry') for name in METHODS}
    assert read_grey(out / 'a_cam.png').shape == (240, 320)
    picture = read_image(out / 'maps.jpg')
    assert picture.shape[1] > 240 * (len(METHODS) + 1)
    scores = json.loads((out / 'scores.json').read_text())
    assert set(scores) == set(METHODS)
    for name, of in scores.items():
        assert (of['masks'], of['judged']) == (2, 2), name
    assert scores['cam']['pointing'] == 1
    assert scores['cam']['best_iou'] > 0.5
    assert scores['cam']['best_iou'] == pytest.approx(scores['grad_cam']['best_iou'], abs=1e-3)
    assert scores['eigen_cam']['best_iou'] < scores['cam']['best_iou']
    assert scores['cam']['drop'] < 0.5
    with (out / 'maps.csv').open() as file:
        rows = {(row['stem'], row['method']): row for row in csv.DictReader(file)}
    assert len(rows) == 3 * len(METHODS)
    best = [float(rows[stem, 'cam']['best_iou']) for stem in ('a', 'b')]
    assert np.mean(best) >= scores['cam']['best_iou'] - 1e-3
    assert rows['dry', 'cam']['iou'] == rows['dry', 'cam']['deletion'] == ''
    page = (out / 'report.html').read_text()
    for words in ('Grad-CAM++', 'IoU and pointing: 2 images', 'data:image/jpeg', '3 explained'):
        assert words in page
    manifest = json.loads((out / MANIFEST).read_text())
    assert 'maps.jpg' in manifest['files']

    again = pourit(
        'explain', pours / 'a.png', '--methods', 'cam', '--weights', stripe_weights,
        '--out', out, '--overwrite', '--json',
    )  # fmt: skip
    assert again[0] == 0
    document = json.loads(again[1])
    assert document['scores']['cam']['masks'] == 0
    assert document['methods'] == ['cam']
    assert not (out / 'b_cam.png').exists()


def test_the_published_network_is_explained_too(pourit, pours, tmp_path):
    torch.manual_seed(0)
    metadata = PUBLISHED.__class__(**{**PUBLISHED.__dict__, 'input_size': 96})
    save_weights(tmp_path / 'p.safetensors', PublishedNetwork(), metadata)
    status, said, _ = pourit(
        'explain', pours / 'a.png', '--methods', 'grad_cam,cf_cam', '--steps', 2, '--weights',
        tmp_path / 'p.safetensors', '--out', tmp_path / 'out',
    )  # fmt: skip
    assert status == 0, said
    assert (tmp_path / 'out' / 'a_cf_cam.png').is_file()


def test_images_that_cannot_be_read_are_listed(pourit, pours, stripe_weights, tmp_path):
    (pours / 'broken.jpg').write_bytes(b'no image')
    write_image(tmp_path / 'masks' / 'dry.png', np.zeros((5, 5), np.uint8))
    status, said, err = pourit(
        'explain', pours, '--methods', 'cam', '--steps', 0, '--weights', stripe_weights,
        '--masks', tmp_path / 'masks', '--out', tmp_path / 'out',
    )  # fmt: skip
    assert status == 1
    assert 'broken.jpg: cannot be read' in err
    assert 'dry.png: mask is (5, 5), but its image is (240, 320)' in err
    assert '4 images in the input: 2 explained' in said
    assert not (tmp_path / 'out' / 'dry_cam.png').exists()


@pytest.mark.parametrize(
    ('arguments', 'line'),
    [
        (['missing.png'], 'missing.png: no such file or folder'),
        (['pours', '--methods', 'lime'], "no method named 'lime'"),
        (['pours', '--masks', 'pours/a.png'], 'is a file, expected a folder'),
        (['pours/dry.png', '--masks', 'masks'], 'holds no mask of the images'),
        (['clip.mp4'], 'clip.mp4: is a video; explain takes images'),
        (['pours', '--weights', 'model.onnx'], 'explaining needs gradients'),
        (['pours', '--weights', 'nothing'], "no weights named 'nothing'"),
    ],
)
def test_bad_input_ends_with_one_line(pourit, pours, tmp_path, monkeypatch, arguments, line):
    monkeypatch.chdir(tmp_path)
    for name in ('clip.mp4', 'model.onnx'):
        (tmp_path / name).write_bytes(b'')
    status, said, err = pourit('explain', *arguments, '--out', 'out')
    assert status == 2
    assert said == ''
    assert line in err
    assert err.count('\n') == 1
    assert not (tmp_path / 'out').exists()


def test_heat_hides_nothing_where_there_is_none():
    rgb = np.full((8, 8, 3), 120, np.uint8)
    heat = np.zeros((8, 8), np.float32)
    heat[0, 0] = 1
    painted = paint_heat(rgb, heat)
    assert (painted[1:] == 90).all()
    assert painted[0, 0].astype(int).sum() > 550
    canvas = np.zeros((16, 16, 3), np.uint8)
    mask = np.zeros((8, 8), bool)
    mask[2:6, 2:6] = True
    outline(canvas, mask)
    assert canvas[4, 4].any()
    assert not canvas[8, 8].any()
