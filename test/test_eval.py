# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
import csv
import importlib.util
import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from pourit_ros.cli.evaluate import _names, evaluate
from pourit_ros.cli.segment import segment
from pourit_ros.errors import InputError
from pourit_ros.files import MANIFEST
from pourit_ros.perception import Segmentation, Segmenter
from pourit_ros.report.palette import DARK
from pourit_ros.training import evaluate as ev
from pourit_ros.training.eval_curves import LOOKS, _calibration
from pourit_ros.training.eval_pictures import choose_pictures, draw_case
from pourit_ros.training.eval_sets import load_eval_set
from pourit_ros.training.metrics import auroc, operating_points

SIZE = 96


class Oracle:
    """Reads the answer off the picture: where red exceeds 200 the CAM is 0.8, else 0.1."""

    def segment(self, rgb):
        red = rgb[..., 0] > 200
        cam = np.where(red, np.float32(0.8), np.float32(0.1))
        probability = float(min(red.sum() / 200, 1))
        present = probability > 0.3
        return Segmentation(probability, present, cam, red & present)


def strip(width, top=10, bottom=70, left=40):
    mask = np.zeros((SIZE, SIZE), bool)
    mask[top:bottom, left : left + width] = True
    return mask


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), array)


def picture(red):
    """Grey with red pixels, as BGR; JPEG keeps the contrast."""
    image = np.full((SIZE, SIZE, 3), 90, np.uint8)
    image[red] = (90, 90, 255)
    return image


META = {
    'liquid': {'name': 'water'},
    'source': {'material': 'clear', 'kind': 'can'},
    'target': {'kind': 'mug'},
    'table': '',
    'room': 'drawn',
    'props': ['rod'],
}


@pytest.fixture
def synthetic(tmp_path) -> Path:
    """Three pairs: found, missed, and one whose stream is too small to have a shape."""
    folder = tmp_path / 'set'
    for stem, liquid, props, seen, truth in (
        ('000000', 'water', ['rod', 'rod'], strip(8), strip(8)),
        ('000001', 'milk', [], strip(0), strip(6)),
        ('000002', 'milk', ['rod', 'towel'], strip(8), strip(2, 10, 15)),
    ):
        meta = {**META, 'liquid': {'name': liquid}, 'props': props}
        if stem == '000002':
            meta['stratum'] = 'thin'
        folder.mkdir(exist_ok=True)
        (folder / f'{stem}_meta.json').write_text(json.dumps(meta))
        for name in ('visible', 'through_glass'):
            write(folder / f'{stem}_mask_{name}.png', truth.astype(np.uint8) * 128)
        write(folder / f'{stem}_pos_rgb.jpg', picture(seen))
        # The third negative is a false alarm.
        write(folder / f'{stem}_neg_rgb.jpg', picture(strip(3 if stem == '000002' else 0)))
    return folder


def test_scores_of_a_synthetic_set(synthetic):
    eval_set = load_eval_set(synthetic)
    cases = list(ev.evaluate(Oracle(), eval_set))
    assert [case.item.stem for case in cases[:2]] == ['000000_pos', '000000_neg']
    by_stem = {case.item.stem: case for case in cases}
    first = by_stem['000000_pos']
    assert first.truth_px == 8 * 60
    assert first.score.iou > 0.9
    assert first.score.width == 8
    assert by_stem['000001_pos'].score.iou == 0
    assert by_stem['000001_pos'].score.tip_error is None
    assert by_stem['000002_pos'].score is None
    assert by_stem['000002_pos'].truth_px == 10

    scores = ev.summarise(cases)
    assert (scores['images'], scores['wet'], scores['dry']) == (6, 3, 3)
    assert scores['without_shape'] == 1
    assert scores['iou']['images'] == 2
    assert scores['iou']['mean'] == pytest.approx(first.score.iou / 2)
    assert scores['iou']['share_at_least_half'] == 0.5
    # Missed: the true 6 · 60 px are union without intersection.
    dataset = first.score.intersection / (first.score.union + 360)
    assert scores['iou']['dataset'] == pytest.approx(dataset)
    assert scores['tip_error_px']['images'] == 1
    presence = scores['presence']
    assert presence['recall'] == pytest.approx(2 / 3)
    assert presence['false_alarms'] == pytest.approx(1 / 3)
    assert presence['precision'] == pytest.approx(2 / 3)
    # Wet 1, 0, 1; dry 0, 0 and one between: 6 in order, 2 ties, 1 wrong.
    assert presence['auroc'] == pytest.approx((6 + 2 / 2) / 9)


def test_what_shows_only_through_glass_counts_neither_way(synthetic):
    """The found stream goes on behind glass for half its length."""
    whole, visible = strip(8), strip(8)
    visible[SIZE // 2 :] = False
    write(synthetic / '000000_mask_visible.png', visible.astype(np.uint8) * 255)
    scores = {}
    for name, through in (('glass', whole), ('no glass', visible)):
        write(synthetic / '000000_mask_through_glass.png', through.astype(np.uint8) * 255)
        scores[name] = next(iter(ev.evaluate(Oracle(), load_eval_set(synthetic)))).score
    assert scores['glass'].iou > 0.9
    assert scores['glass'].tip_error < 2
    curves = {name: score.intersections / score.unions for name, score in scores.items()}
    assert curves['glass'][9] == pytest.approx(scores['glass'].iou)
    # Without glass, the lower half of the mask is wrong.
    assert scores['no glass'].iou < 0.7
    assert scores['no glass'].tip_error > 10


def test_the_curve_knows_no_presence(synthetic):
    """CAM 0.1 everywhere, 0.8 on the stream: nothing above 0.8, everything below 0.1."""
    cases = list(ev.evaluate(Oracle(), load_eval_set(synthetic)))
    curve = ev.summarise(cases)['curve']
    iou = dict(zip(curve['threshold'], curve['mean'], strict=True))
    assert len(iou) == 19
    assert iou[0.05] == pytest.approx((480 + 360) / SIZE**2 / 2)
    assert iou[0.5] == pytest.approx(cases[0].score.iou / 2)
    assert iou[0.85] == 0


def test_breakdown_by_property_and_clutter(synthetic):
    scores = ev.summarise(list(ev.evaluate(Oracle(), load_eval_set(synthetic))))
    groups = scores['groups']
    assert list(groups) == [
        'stratum', 'liquid name', 'source material', 'source', 'target', 'table', 'room',
        'stream width',
    ]  # fmt: skip
    milk, water = groups['liquid name']
    assert (milk['value'], milk['wet'], milk['dry']) == ('milk', 2, 2)
    assert (milk['recall'], milk['false_alarms'], milk['iou']['mean']) == (0.5, 0.5, 0)
    assert (water['recall'], water['false_alarms']) == (1, 0)
    assert groups['table'][0]['value'] == 'plain'
    general, thin = groups['stratum']
    assert (general['value'], general['wet'], thin['value'], thin['wet']) == (
        'general',
        2,
        'thin',
        1,
    )
    assert (general['auroc'], thin['auroc']) == (0.75, 1)
    assert [row['value'] for row in groups['stream width']] == ['4 to 8 px', '8 to 16 px']
    clutter = {row['value']: row for row in scores['clutter']}
    assert {kind: row['dry'] for kind, row in clutter.items()} == {'none': 1, 'rod': 2, 'towel': 1}
    assert clutter['rod']['false_alarms'] == 0.5
    # Wet 1, 0, 1 against the one dry picture between.
    assert clutter['towel']['auroc'] == pytest.approx(2 / 3)
    assert clutter['none']['auroc'] == pytest.approx(2.5 / 3)


def test_pictures_of_the_page(synthetic):
    cases = list(ev.evaluate(Oracle(), load_eval_set(synthetic)))
    chosen = {name: part for name, _, part in choose_pictures(cases)}
    assert [case.item.stem for case in chosen['Misses']] == ['000001_pos']
    assert [case.item.stem for case in chosen['False alarms']] == ['000002_neg']
    shown = [c.item.stem for part in chosen.values() for c in part]
    assert sorted(shown) == ['000000_pos', '000001_pos', '000002_neg']
    tile = draw_case(chosen['Misses'][0], Oracle())
    assert tile.shape == (480, 960, 3)
    # The truth is outlined, on the enlarged side alone.
    amber = tile[..., 0] > tile[..., 2].astype(int) + 100
    assert amber[:, 480:].sum() > 100
    assert not amber[:, :480].any()


def test_the_best_the_middle_and_the_worst_are_apart(tmp_path):
    for k in range(20):
        write(tmp_path / 'pos' / f'a_{k:02d}.jpg', picture(strip(8)))
        truth = strip(8, 10, 30 + 2 * k).astype(np.uint8) * 255
        write(tmp_path / 'mask' / f'a_{k:02d}.png', truth)
    cases = list(ev.evaluate(Oracle(), load_eval_set(tmp_path)))
    chosen = {name: [c.item.stem for c in part] for name, _, part in choose_pictures(cases)}
    assert chosen['Worst masks'] == [f'a_{k:02d}' for k in range(6)]
    assert chosen['Best masks'] == [f'a_{k:02d}' for k in range(19, 13, -1)]
    assert chosen['Median masks'] == [f'a_{k:02d}' for k in range(7, 13)]


def test_command_writes_scores_cases_and_page(synthetic, tmp_path, capsys):
    """With the shipped weights: what the files say is what the segmenter says."""
    out = tmp_path / 'out'
    evaluate(synthetic, out, threads=1)
    assert {file.name for file in out.iterdir()} == {
        'scores.json', 'cases.csv', 'report.html', 'summary.json', MANIFEST
    }  # fmt: skip
    scores = json.loads((out / 'scores.json').read_text())
    segmenter = Segmenter()
    assert scores['layout'] == 'synthetic'
    assert scores['presence_threshold'] == segmenter.metadata.presence_threshold
    with (out / 'cases.csv').open() as file:
        rows = {row['stem']: row for row in csv.DictReader(file)}
    assert len(rows) == 6
    row = rows['000001_pos']
    rgb = cv2.imread(str(synthetic / '000001_pos_rgb.jpg'))[..., ::-1]
    result = segmenter.segment(np.ascontiguousarray(rgb))
    assert float(row['probability']) == pytest.approx(result.probability, abs=1e-5)
    assert row['mask_px'] == str(result.mask.sum())
    assert (row['liquid'], row['truth_px'], row['source_material']) == ('1', '360', 'clear')
    assert rows['000002_neg']['clutter'] == 'rod towel'
    assert rows['000002_neg']['iou'] == ''
    page = (out / 'report.html').read_text()
    figures = re.search(r'<script type="application/json" id="figures">(.*?)</script>', page, re.S)
    assert set(json.loads(figures[1])) == {
        'curve', 'roc', 'pr', 'reliability', 'probability',
    }  # fmt: skip
    body = page[: page.index('<script>')]
    assert '<img' in body
    assert not re.search(r'(src|href)="(?!data:image/jpeg;base64,)', body)
    assert not re.search(r'<script[^>]+src=', page)
    printed = capsys.readouterr().out
    assert '3 with liquid, 3 without' in printed
    assert 'AUROC' in printed


def test_labelled_folder_scores_presence_alone(tmp_path):
    write(tmp_path / 'bag' / 'wet.jpg', picture(strip(8)))
    write(tmp_path / 'bag' / 'dry.jpg', picture(strip(0)))
    (tmp_path / 'labels.csv').write_text(
        'file,liquid,twin\nbag/dry.jpg,0,\nbag/wet.jpg,1,bag/dry.jpg\n'
    )
    eval_set = load_eval_set(tmp_path)
    assert [item.stem for item in eval_set.items] == ['bag/dry', 'bag/wet']
    scores = ev.summarise(list(ev.evaluate(Oracle(), eval_set)))
    assert scores['presence'] == {
        'auroc': 1.0, 'precision': 1.0, 'recall': 1.0, 'false_alarms': 0.0,
    }  # fmt: skip
    assert scores['iou'] is scores['curve'] is scores['tip_error_px'] is scores['clutter'] is None
    assert scores['groups'] == {}


def test_a_set_without_dry_pictures_has_no_false_alarms_to_count(tmp_path):
    write(tmp_path / 'pos' / 'a_1.jpg', picture(strip(8)))
    scores = ev.summarise(list(ev.evaluate(Oracle(), load_eval_set(tmp_path))))
    assert scores['presence']['auroc'] is scores['presence']['false_alarms'] is None
    assert scores['groups']['prefix'][0]['value'] == 'a'
    assert scores['iou'] is None


def test_bad_folders_are_named(tmp_path, synthetic):
    with pytest.raises(InputError, match='no such folder'):
        load_eval_set(tmp_path / 'nothing')
    empty = tmp_path / 'empty'
    empty.mkdir()
    with pytest.raises(InputError, match='neither'):
        load_eval_set(empty)
    (empty / 'pos').mkdir()
    with pytest.raises(InputError, match='lists no images'):
        load_eval_set(empty)
    write(empty / 'mask' / 'b.png', np.zeros((8, 8), np.uint8))
    with pytest.raises(InputError, match=r'b\.png: has no image'):
        load_eval_set(empty)
    (synthetic / '000000_meta.json').write_text('{"liquid": "water"}')
    with pytest.raises(InputError, match=r'000000_meta\.json: is not of this version'):
        load_eval_set(synthetic)
    (synthetic / '000000_meta.json').write_text('{')
    with pytest.raises(InputError, match='is not valid JSON'):
        load_eval_set(synthetic)


def test_bad_pictures_are_named_and_leave_nothing_behind(tmp_path, synthetic):
    out = tmp_path / 'out'
    (synthetic / '000001_mask_visible.png').unlink()
    with pytest.raises(InputError, match=r'000001_mask_visible\.png: no such file'):
        evaluate(synthetic, out, threads=1)
    write(synthetic / '000001_mask_visible.png', np.zeros((8, 8), np.uint8))
    with pytest.raises(InputError, match=r'mask is \(8, 8\), but its image is \(96, 96\)'):
        evaluate(synthetic, out, threads=1)
    (synthetic / '000000_neg_rgb.jpg').write_bytes(b'no picture')
    with pytest.raises(InputError, match=r'000000_neg_rgb\.jpg: cannot be read'):
        evaluate(synthetic, out, threads=1)
    assert not out.exists()


@pytest.mark.shared
def test_agrees_with_the_reference_scores(shared_dir, tmp_path):
    """Four real frames of two places against an independent script over `pourit segment`."""
    real = shared_dir / 'data' / 'real_dev'
    data = tmp_path / 'data'
    masks = sorted((real / 'mask').glob('*.png'))
    for path in (masks[0], masks[12], masks[-3], masks[-1]):
        for name in (f'mask/{path.name}', f'pos/{path.stem}.jpg'):
            (data / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(real / name, data / name)
    (data / 'neg').mkdir()
    for path in sorted((real / 'neg').glob('*.jpg'))[::9]:
        shutil.copy(path, data / 'neg')

    segment([data / 'pos', data / 'neg'], tmp_path / 'segmented', threads=1)
    spec = importlib.util.spec_from_file_location('score', shared_dir / 'tools' / 'score.py')
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    expected = script.score(tmp_path / 'segmented', data)

    evaluate(data, tmp_path / 'out', threads=1)
    scores = json.loads((tmp_path / 'out' / 'scores.json').read_text())
    assert scores['wet'] == 4
    assert scores['iou']['images'] == expected['images'] == 4
    ours = {
        'iou_mean': scores['iou']['mean'],
        'iou_median': scores['iou']['median'],
        'iou>=0.5': scores['iou']['share_at_least_half'],
        'tip_error_px_median': scores['tip_error_px']['median'],
        'auroc': scores['presence']['auroc'],
        'recall': scores['presence']['recall'],
        'false_alarms': scores['presence']['false_alarms'],
        **{f'iou_{row["value"]}': row['iou']['mean'] for row in scores['groups']['prefix']
           if row['iou'] is not None},
    }  # fmt: skip
    assert set(ours) == set(expected) - {'images'}
    for name, value in ours.items():
        assert value == pytest.approx(expected[name], abs=1e-12), name


def test_operating_points_are_those_of_every_threshold():
    wet, dry = np.array([0.9, 0.8, 0.4, 0.4]), np.array([0.8, 0.1])
    points = operating_points(wet, dry)
    for threshold, recall, alarms, precision in zip(
        (2, 0.9, 0.8, 0.4, 0.1),
        points.recall, points.false_alarms, points.precision, strict=True,
    ):  # fmt: skip
        assert recall == (wet >= threshold).mean()
        assert alarms == (dry >= threshold).mean()
        found = np.r_[wet, dry] >= threshold
        assert precision == ((wet >= threshold).sum() / found.sum() if found.any() else 1)
    x, y = np.array(points.false_alarms), np.array(points.recall)
    area = (np.diff(x) * (y[1:] + y[:-1]) / 2).sum()
    assert area == pytest.approx(auroc(wet, dry))
    assert operating_points(wet, dry[:0]) is operating_points(dry[:0], dry) is None


def test_bins_of_one_picture_are_not_joined():
    bins = [{'count': n, 'probability': p, 'observed': p} for n, p in
            ((5, 0.1), (1, 0.3), (2, 0.6), (0, None), (1, 0.9))]  # fmt: skip
    line, rings = _calibration({'calibration': {'bins': bins}}, LOOKS[0], 'observed')
    assert (line['x'], line['mode']) == ([0.1, 0.6], 'lines+markers')
    assert (rings['x'], rings['mode']) == ([0.3, 0.9], 'markers')
    assert 'one image' in rings['name']


def test_two_weights_stand_side_by_side(synthetic, tmp_path, capsys):
    out = tmp_path / 'out'
    evaluate(synthetic, out, weights=['default', 'weak'], threads=1)
    scores = json.loads((out / 'scores.json').read_text())
    assert set(scores) == {'default', 'weak'}
    assert scores['weak']['weights'] == 'weak'
    with (out / 'cases.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert [row['weights'] for row in rows] == ['default'] * 6 + ['weak'] * 6
    alone = tmp_path / 'alone'
    evaluate(synthetic, alone, weights=['weak'], threads=1)
    assert json.loads((alone / 'scores.json').read_text()) == scores['weak']
    page = (out / 'report.html').read_text()
    figures = json.loads(re.search(r'id="figures">(.*?)</script>', page, re.S)[1])
    for name in ('roc', 'pr', 'curve', 'reliability', 'probability'):
        named = ' '.join(trace['name'] for trace in figures[name]['data'])
        assert 'default' in named
        assert 'weak' in named
    colours = {trace['line']['color'] for trace in figures['roc']['data'] if 'line' in trace}
    assert len(colours) == 2
    assert '<caption>Scores</caption>' in page
    assert '<h2>Misses, weak</h2>' in page or '<h2>Best masks, weak</h2>' in page
    used = set(re.findall('#[0-9a-fA-F]{3,8}', json.dumps(figures)))
    assert used <= set(DARK)
    for table in re.findall('<table>.*?</table>', page, re.S):
        assert table.startswith('<table><caption>')
        assert all('scope="' in head for head in re.findall(r'<th\b[^>]*>', table))


def test_weights_that_cannot_be_told_apart_are_refused(synthetic, tmp_path):
    with pytest.raises(InputError, match='default: is given twice'):
        evaluate(synthetic, tmp_path / 'out', weights=['default', 'default'])
    with pytest.raises(InputError, match='5 are given, at most 4'):
        evaluate(synthetic, tmp_path / 'out', weights=list('abcde'))
    assert _names(['a/run.onnx', 'b/run.onnx', 'default']) == [
        'a/run.onnx', 'b/run.onnx', 'default',
    ]  # fmt: skip


def test_methods_stand_beside_the_scores(pourit, stripe_weights, tmp_path):
    from live_pour import pour_frame

    folder, out = tmp_path / 'set', tmp_path / 'out'
    for k, name in ((2, 'a'), (7, 'b')):
        rgb = pour_frame(k).color
        write(folder / 'pos' / f'{name}.jpg', rgb[..., ::-1])
        write(folder / 'mask' / f'{name}.png', (rgb.mean(-1) > 90).astype(np.uint8) * 255)
    write(folder / 'neg' / 'c.jpg', pour_frame(0, False).color)
    options = ['--weights', stripe_weights, '--methods', 'cam,eigen_cam', '--out', out]
    status, said, err = pourit('eval', folder, *options)
    assert status == 0, err
    assert 'Eigen-CAM' in said
    methods = json.loads((out / 'scores.json').read_text())['methods']
    assert list(methods) == ['cam', 'eigen_cam']
    assert methods['cam']['masks'] == 2
    assert methods['cam']['best_iou'] > max(0.5, methods['eigen_cam']['best_iou'])
    assert methods['cam']['deletion'] is None
    assert 'Class activation methods' in (out / 'report.html').read_text()

    shutil.rmtree(folder / 'mask')
    status, _, err = pourit('eval', folder, *options, '--overwrite')
    assert status == 2
    assert '--methods needs true masks' in err
    assert (out / 'scores.json').is_file()
