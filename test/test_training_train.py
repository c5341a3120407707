# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
import shutil
from dataclasses import replace
from pathlib import Path
from runpy import run_path

import cv2
import numpy as np
import pytest
import torch
import yaml
from synth_backdrops import save_backdrops

from pourit_ros.cli import main as cli
from pourit_ros.errors import InputError
from pourit_ros.perception.classifier import LiquidClassifier
from pourit_ros.perception.encoders.inverted_residuals import SameConv
from pourit_ros.perception.encoders.mobilenet_v2 import MobileNetV2
from pourit_ros.perception.weights import WeightsMetadata, load_weights, save_weights
from pourit_ros.synth.sets.dataset import make_dataset
from pourit_ros.synth.sets.engines import CompositeEngine
from pourit_ros.training.batches import Cropper
from pourit_ros.training.calibration import (
    _overlaps,
    calibrate,
    platt,
    recall_first,
    steady_threshold,
)
from pourit_ros.training.config import load_config
from pourit_ros.training.data_sets import RenderedPairs, Sample, fingerprint, open_data
from pourit_ros.training.fit import CHECKPOINT, WEIGHTS, Run, check, fit, make_fabric
from pourit_ros.training.networks import build
from pourit_ros.training.trainer import Trainer
from pourit_ros.training.twins import changed_cells, twin_difference

SIZE = 160


@pytest.fixture(scope='module')
def pairs(tmp_path_factory):
    backdrops = save_backdrops(tmp_path_factory.mktemp('backdrops'), 6, SIZE)
    folder = tmp_path_factory.mktemp('pours')
    engine = CompositeEngine(tuple(backdrops), seed=0, split='train', size=SIZE)
    assert not [d.problem for d in make_dataset(folder, engine, 12) if d.problem]
    return open_data(folder)


@pytest.fixture(scope='module')
def labelled(pairs, tmp_path_factory):
    """Four wet pictures of another shape, two of them paired, and the two twins."""
    folder = tmp_path_factory.mktemp('lab')
    rows = ['file,liquid,twin']
    for k in range(4):
        sample = pairs[k]
        cv2.imwrite(str(folder / f'wet{k}.png'), sample.picture[10:130, :, ::-1])
        twin = f'dry{k}.png' if k < 2 else ''
        rows.append(f'wet{k}.png,1,{twin}')
        if twin:
            cv2.imwrite(str(folder / twin), sample.twin[10:130, :, ::-1])
            rows.append(f'{twin},0,')
    (folder / 'labels.csv').write_text('\n'.join(rows) + '\n')
    return open_data(folder)


@pytest.fixture(scope='module')
def encoder_init(tmp_path_factory):
    """An archive in the layout of the ImageNet weights, with random values."""
    torch.manual_seed(0)
    layers = [m for m in MobileNetV2().modules() if isinstance(m, SameConv)]
    arrays = {}
    for i, layer in enumerate(layers):
        arrays[f'{i:02d}.weight'] = layer.weight.detach().numpy()
        arrays[f'{i:02d}.bias'] = layer.bias.detach().numpy()
    path = tmp_path_factory.mktemp('weights') / 'encoder.npz'
    np.savez(path, **arrays)
    return path


def small(name, steps=30):
    config = load_config(name).with_run(steps, 3)
    batch = replace(config.batch, pairs=2, crop=96)
    return replace(config, batch=batch, input_size=SIZE)


@pytest.fixture(scope='module')
def fabric():
    return make_fabric('cpu')


def trainer(config, fabric, encoder_init=None):
    return Trainer(config, fabric, {'pours': 'hash'}, encoder_init)


def test_recipes_that_come_with_the_package():
    weak, default, published = (load_config(n) for n in ('weak', 'default', 'published'))
    assert not weak.uses_masks
    assert weak.loss.twin > 0
    assert default.uses_masks
    assert published.network == {'architecture': 'published_network'}
    # Facts of the published recipe: contrast at 0.7 after 2,000 of 20,000 steps.
    assert published.loss.contrast_band == (0.7, 0.7)
    assert published.loss.contrast_after == 2000
    assert (published.optimiser.steps, published.optimiser.warmup) == (20000, 1500)


@pytest.mark.parametrize(
    ('change', 'hint'),
    [
        ({'seed': 'x'}, "seed cannot be 'x'"),
        ({'loss': None}, 'loss is missing'),
        ({'extra': 1}, 'has unknown extra'),
        ({'input_size': 8}, 'at least 32'),
        ({'network': {}}, 'architecture'),
    ],
)
def test_bad_recipes_name_file_and_key(tmp_path, change, hint):
    from pourit_ros.resources import find_resource

    content = yaml.safe_load(find_resource('config/train/weak.yaml').read_text())
    path = tmp_path / 'mine.yaml'
    path.write_text(yaml.safe_dump(content | change))
    with pytest.raises(InputError, match='mine') as caught:
        load_config(path)
    assert hint in str(caught.value)
    with pytest.raises(InputError, match='no recipe named'):
        load_config('strong')


@pytest.mark.parametrize('name', ['default', 'weak'])
def test_thirty_steps_improve_the_loss(pairs, fabric, encoder_init, name):
    config = small(name)
    run = trainer(config, fabric, encoder_init)
    crops = Cropper([(pairs, 1.0)], config)
    losses = [run.advance(crops.batch(i))['loss'] for i in range(30)]
    assert np.isfinite(losses).all()
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])


def test_all_losses_take_part_when_asked_for(pairs, fabric):
    config = small('weak')
    everything = replace(config.loss, mask=1.0, contrast_after=1, area=0.5)
    config = replace(config, loss=everything)
    run = trainer(config, fabric)
    crops = Cropper([(pairs, 1.0)], config)
    assert set(run.advance(crops.batch(0))) == {'presence', 'mask', 'twin', 'area', 'loss'}
    second = run.advance(crops.batch(1))
    assert 'contrast' in second
    parts = [v for k, v in second.items() if k != 'loss']
    assert second['loss'] == pytest.approx(sum(parts), rel=1e-5)


def test_losses_of_other_papers_take_part_when_asked_for(pairs, fabric):
    config = small('weak')
    names = ('patch_contrast', 'class_contrast', 'usage', 'patches', 'explicit_patches')
    others = replace(config.loss, contrast_after=0, **dict.fromkeys(names, 0.5))
    run = trainer(replace(config, loss=others), fabric)
    crops = Cropper([(pairs, 1.0)], run.config)
    for step in range(2):
        losses = run.advance(crops.batch(step))
        assert {*names} <= set(losses)
        assert np.isfinite(list(losses.values())).all()


def test_losses_that_run_the_network_again_need_one_process(pairs, fabric, monkeypatch):
    config = small('weak')
    config = replace(config, loss=replace(config.loss, usage=1.0))
    monkeypatch.setattr(type(fabric), 'world_size', 2)
    with pytest.raises(InputError, match='train in one process only'):
        trainer(config, fabric)


def test_published_recipe_takes_a_step(pairs, fabric):
    config = small('published')
    config = replace(config, loss=replace(config.loss, contrast_after=0))
    run = trainer(config, fabric)
    before = run.network.classifier.weight.clone()
    crops = Cropper([(pairs, 1.0)], config)
    batch = next(b for b in map(crops.batch, range(9)) if b.labels.any())
    losses = run.advance(batch)
    # The released code's bounds of both terms together.
    assert 0.0005 <= losses['contrast'] <= 2 * 7.601
    assert not torch.equal(before, run.network.classifier.weight)


def test_frozen_layers_stay_and_the_average_follows(pairs, fabric, encoder_init):
    config = small('default')
    run = trainer(config, fabric, encoder_init)
    before = {k: v.clone() for k, v in run.network.state_dict().items()}
    crops = Cropper([(pairs, 1.0)], config)
    for i in range(3):
        run.advance(crops.batch(i))
    after, average = run.network.state_dict(), run.average.state_dict()
    for key in before:
        frozen = key.startswith(('encoder.stem', 'encoder.blocks.0.', 'encoder.blocks.1.'))
        # With labels in balance the pooling's bias may stand still.
        if not key.startswith('presence.'):
            assert torch.equal(before[key], after[key]) == frozen, key
    assert not torch.equal(average['head.weight'], before['head.weight'])
    assert not torch.equal(average['head.weight'], after['head.weight'])


def test_resumed_run_equals_the_whole_run(pairs, fabric, tmp_path):
    config = small('weak', steps=4)
    crops = Cropper([(pairs, 1.0)], config)
    whole = trainer(config, fabric)
    for i in range(4):
        whole.advance(crops.batch(i))
    first = trainer(config, fabric)
    for i in range(2):
        first.advance(crops.batch(i))
    first.save(tmp_path / CHECKPOINT)
    assert [p.name for p in tmp_path.iterdir()] == [CHECKPOINT]
    second = trainer(config, fabric)
    second.resume(tmp_path / CHECKPOINT)
    assert second.step == 2
    for i in range(second.step, 4):
        second.advance(crops.batch(i))
    for key, value in whole.average.state_dict().items():
        torch.testing.assert_close(second.average.state_dict()[key], value, msg=key)


def test_resume_refuses_what_is_not_its_own(fabric, tmp_path):
    config = small('weak')
    path = tmp_path / CHECKPOINT
    trainer(config, fabric).save(path)
    with pytest.raises(InputError, match=r'another recipe \(seed'):
        trainer(replace(config, seed=5), fabric).resume(path)
    with pytest.raises(InputError, match=r'another data \(pours'):
        Trainer(config, fabric, {'pours': 'other'}).resume(path)
    with pytest.raises(InputError, match='--resume'):
        trainer(config, fabric).resume(tmp_path / 'absent.ckpt')
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match='cannot resume from checkpoint'):
        trainer(config, fabric).resume(path)


@pytest.mark.parametrize('name', ['default', 'weak'])
def test_batches_keep_labels_true_and_twins_aligned(pairs, name):
    config = small(name)
    crops = Cropper([(pairs, 1.0)], config)
    shown = 0
    for step in range(6):
        batch = crops.batch(step)
        count, side = len(batch.images), batch.images.shape[-1]
        assert batch.images.dtype == torch.uint8
        assert side % 32 == 0
        assert side <= config.batch.crop
        assert batch.coverage.shape == batch.valid.shape == (count, 1, side, side)
        assert batch.paired.tolist() == list(range(0, count, 2))
        assert batch.labels[1::2].sum() == 0
        assert batch.known[1::2].all()
        assert batch.coverage[1::2].sum() == 0
        if name == 'weak':
            # No mask leaves the data set.
            assert not batch.known[::2].any()
            assert batch.coverage.sum() == 0
            assert torch.equal(batch.sure[::2], batch.labels[::2] > 0)
        else:
            covered = batch.coverage[::2].sum((1, 2, 3))
            hidden = batch.through_glass[::2].sum((1, 2, 3))
            assert torch.equal(covered >= 12, batch.labels[::2] > 0)
            empty = (covered == 0) & (hidden < 12)
            assert torch.equal((covered >= 12) | empty, batch.sure[::2])
        assert batch.through_glass[1::2].sum() == 0
        assert batch.sure[1::2].all()
        shown += int(batch.labels.sum())
        again = crops.batch(step)
        assert torch.equal(again.images, batch.images)
        for processes in range(1, config.batch.pairs + 1):
            shares = [crops.batch(step, rank, processes) for rank in range(processes)]
            for what in ('images', 'plain', 'labels', 'valid', 'coverage', 'known', 'sure',
                         'through_glass'):  # fmt: skip
                joined = torch.cat([getattr(share, what) for share in shares])
                assert torch.equal(joined, getattr(batch, what)), what
    assert not torch.equal(batch.images[0], batch.images[2])
    assert shown > 6


class StreamInABottle:
    """One pair whose stream shows through glass only, but for what is `visible`."""

    has_masks = has_both = True
    folder = Path('bottle')

    def __init__(self, visible):
        self.visible = visible

    def __len__(self):
        return 1

    def __getitem__(self, index):
        picture = np.full((64, 64, 3), 90, np.uint8)
        stream = np.zeros((64, 64), np.uint8)
        stream[8:56, 28:36] = 255
        visible = np.where(np.arange(64)[:, None] < self.visible, stream, 0).astype(np.uint8)
        return Sample(picture, True, picture.copy(), visible, stream - visible)

    def files(self):
        return iter(())


def test_a_stream_behind_glass_is_neither_wet_nor_dry():
    config = small('default')
    hidden = Cropper([(StreamInABottle(visible=0), 1.0)], config).batch(0)
    assert (hidden.through_glass[::2].sum((1, 2, 3)) > 12).all()
    assert not hidden.sure[::2].any()
    assert not hidden.labels.any()
    half = Cropper([(StreamInABottle(visible=32), 1.0)], config).batch(0)
    assert half.labels[::2].all()
    assert half.sure.all()
    assert not (half.through_glass * half.coverage).round().any()


def test_rendered_pairs_tell_what_shows_through_glass_only(pairs):
    def grey(stem, name):
        return cv2.imread(str(pairs.folder / f'{stem}_mask_{name}.png'), cv2.IMREAD_GRAYSCALE)

    for stem, index in zip(pairs.stems, range(len(pairs)), strict=True):
        sample = pairs[index]
        visible, whole = grey(stem, 'visible'), grey(stem, 'through_glass')
        np.testing.assert_array_equal(sample.coverage, visible)
        expected = np.maximum(whole.astype(int) - visible, 0)
        np.testing.assert_array_equal(sample.through_glass, expected)
        assert set(pairs.files()) >= {pairs.folder / f'{stem}_mask_through_glass.png'}


def test_the_ablation_copies_all_that_training_reads(pairs):
    script = run_path(str(Path(__file__).parents[1] / 'scripts' / 'ablation.py'))
    read = {file.name[6:] for file in pairs.files()}
    assert read <= set(script['PAIR'])


def test_weak_labels_come_from_what_differs(pairs):
    config = small('weak')
    crops = Cropper([(pairs, 1.0)], config)
    masks = Cropper([(pairs, 1.0)], replace(config, loss=replace(config.loss, mask=1.0)))
    told = seen = 0
    for step in range(8):
        batch = crops.batch(step)
        told += int(batch.labels.sum())
        seen += int(masks.batch(step).labels.sum())
        cells = changed_cells(twin_difference(batch.plain[::2], batch.plain[1::2]))
        assert cells[batch.labels[::2] > 0].flatten(1).any(1).all()
    # Faint and thin streams give no evidence and stay without a label.
    assert 0.4 * seen < told <= 1.2 * seen


def test_unpaired_pictures_keep_their_label_by_staying_whole(labelled):
    config = small('weak')
    crops = Cropper([(labelled, 1.0)], config)
    whole = paired = 0
    for step in range(10):
        batch = crops.batch(step)
        twins = set((batch.paired + 1).tolist())
        for k in range(len(batch.images)):
            rows = batch.valid[k, 0].any(1).sum().item()
            columns = batch.valid[k, 0].any(0).sum().item()
            assert batch.images[k][:, ~batch.valid[k, 0]].sum() == 0
            if k in batch.paired.tolist():
                paired += 1
            elif k not in twins and batch.labels[k] > 0:
                whole += 1
                side = batch.images.shape[-1]
                assert (rows, columns) == (round(side * 120 / 160), side)
                assert not batch.known[k]
    assert whole > 3
    assert paired > 3


def test_shares_of_sets(pairs, labelled):
    config = small('weak')
    crops = Cropper([(pairs, 0.75), (labelled, 0.25)], config)
    # Only the pairs of the rendered set are wet and dry in every draw.
    wide = [c for i in range(20) for c in crops.batch(i).valid.float().mean((1, 2, 3)).tolist()]
    assert 0.02 < np.mean(np.array(wide) < 0.99) < 0.5


def test_fingerprints_follow_contents(pairs, tmp_path):
    copy = tmp_path / 'copy'
    shutil.copytree(pairs.folder, copy)
    assert fingerprint(open_data(copy)) == fingerprint(pairs)
    picture = copy / '000003_neg_rgb.jpg'
    picture.write_bytes(picture.read_bytes() + b'\0')
    assert fingerprint(open_data(copy)) != fingerprint(pairs)


def test_data_errors_name_the_file(pairs, tmp_path):
    with pytest.raises(InputError, match='no such folder'):
        open_data(tmp_path / 'absent')
    with pytest.raises(InputError, match='neither pairs'):
        open_data(tmp_path)
    copy = tmp_path / 'copy'
    shutil.copytree(pairs.folder, copy)
    (copy / '000001_mask_visible.png').unlink()
    with pytest.raises(InputError, match=r'000001_mask_visible\.png'):
        open_data(copy)[1]
    (copy / '000002_pos_rgb.jpg').write_bytes(b'no picture')
    with pytest.raises(InputError, match=r'000002_pos_rgb\.jpg: cannot be read'):
        open_data(copy)[2]


def test_platt_recovers_the_logistic_model():
    rng = np.random.default_rng(0)
    s = rng.normal(0, 2, 40000)
    wet = rng.random(40000) < 1 / (1 + np.exp(-(1.7 * s - 0.6)))
    scale, bias = platt(s[wet], s[~wet])
    assert scale == pytest.approx(1.7, abs=0.06)
    assert bias == pytest.approx(-0.6, abs=0.06)


def test_platt_of_separated_scores_is_finite():
    scale, bias = platt(np.array([2.0, 3.0, 4.0]), np.array([-4.0, -3.0, -2.0]))
    assert 0 < scale < 10
    assert bias == pytest.approx(0, abs=1e-6)


def test_split_by_hand():
    wet, dry = np.array([0.9, 0.8, 0.3]), np.array([0.1, 0.3])
    assert recall_first(wet, dry) == pytest.approx(0.55)


def test_split_takes_recall_for_few_false_alarms():
    dry = np.r_[np.linspace(0.01, 0.2, 96), 0.5, 0.6, 0.7, 0.8]
    # 0.4 is worth all four alarms, 0.15 not the five that it would cost.
    assert recall_first(np.array([0.9, 0.4, 0.15]), dry) == pytest.approx(0.3)
    # Nothing is won below 0.65: fewer alarms instead.
    assert recall_first(np.array([0.9, 0.65, 0.15]), dry) == pytest.approx(0.625)
    # Where they can be told apart, half-way.
    assert recall_first(np.array([0.9, 0.8]), np.array([0.1, 0.2])) == pytest.approx(0.5)
    # One false alarm of two cannot be helped.
    assert recall_first(np.array([0.4]), np.array([0.1, 1.0])) == pytest.approx(0.25)


def test_a_threshold_near_a_half_is_kept_where_another_is_hardly_better():
    count = len(np.arange(0.1, 0.96, 0.05))
    rng = np.random.default_rng(0)
    level = rng.uniform(0.3, 0.9, 50)[:, None]
    flat = level + np.linspace(0.02, 0, count)
    assert steady_threshold(flat) == 8  # 0.5, although 0.1 is best by 0.009
    steep = level + np.linspace(0.5, 0, count)
    # A standard error of 0.024 is less than a step of 0.029.
    assert level.std(ddof=1) / np.sqrt(50) < 0.5 / (count - 1)
    assert steady_threshold(steep) == 0
    assert steady_threshold(steep[:1]) == 0


def test_calibration_does_not_count_what_shows_only_through_glass():
    shown = np.zeros((40, 40), np.uint8)
    shown[5:35, 18:22] = 255
    visible, behind = shown.copy(), shown.copy()
    visible[20:], behind[:20] = 0, 0
    cam = (shown / 255).astype(np.float32)
    picture = np.zeros((40, 40, 3), np.uint8)
    for through, expected in ((behind, 1.0), (np.zeros_like(behind), 0.5)):
        sample = Sample(picture, True, None, visible, through)
        assert _overlaps(cam, sample) == pytest.approx([expected] * len(_overlaps(cam, sample)))


def test_calibrated_weights_can_be_saved_and_read(pairs, labelled, tmp_path):
    torch.manual_seed(0)
    model = LiquidClassifier().eval()
    start = WeightsMetadata(96, 0.5, 0.35, 'test', 'Apache-2.0', 'random')
    result = calibrate(model, start, [pairs])
    assert 0 <= result.mask_iou <= 1
    assert result.metadata.mask_threshold in np.round(np.arange(0.1, 0.96, 0.05), 2)
    # Recall and false alarms are those of the threshold that was chosen.
    assert result.recall >= result.false_alarms
    save_weights(tmp_path / 'w.safetensors', model, result.metadata)
    loaded = load_weights(tmp_path / 'w.safetensors')
    assert loaded.metadata == result.metadata
    assert torch.equal(loaded.model.presence.scale, model.presence.scale)
    # Of several sets, all images count.
    seen = []
    both = calibrate(model, start, [pairs, labelled], lambda *at: seen.append(at))
    total = len(pairs) + len(labelled)
    assert seen == [(k, total) for k in range(total)]
    assert both.presence_auroc != result.presence_auroc
    # Without masks the mask threshold is not touched.
    unmasked = calibrate(model, start, [labelled])
    assert unmasked.mask_iou is None
    assert unmasked.metadata.mask_threshold == 0.35


def test_a_run_that_was_cut_off_goes_on(pairs, fabric, tmp_path):
    config = small('weak', steps=6)
    run = Run([(pairs, 1.0)], [RenderedPairs(pairs.folder)], tmp_path / 'run', every=2)
    # Calibration is not what is looked at here.
    run = replace(run, held_out=[_first(pairs, 2)])

    def stop(step, loss):
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(config, run, fabric, False, stop)
    assert (run.out / CHECKPOINT).exists()
    with pytest.raises(InputError, match='--resume'):
        fit(config, run, fabric, False, lambda step, loss: None)
    steps = []
    result = fit(config, run, fabric, True, lambda step, loss: steps.append(step))
    assert steps == [5, 6]
    assert result.mask_iou is not None
    whole = replace(run, out=tmp_path / 'whole')
    fit(config, whole, fabric, False, lambda step, loss: None)
    one, other = (load_weights(r.out / WEIGHTS) for r in (run, whole))
    assert one.metadata == other.metadata
    assert fingerprint(pairs) in one.metadata.recipe
    for key, value in one.model.state_dict().items():
        torch.testing.assert_close(value, other.model.state_dict()[key], msg=key)
    assert {p.name for p in run.out.iterdir()} == {'cams', 'events', WEIGHTS}
    assert cv2.imread(str(run.out / 'cams' / '000006.jpg')).any()
    with pytest.raises(InputError, match='finished'):
        fit(config, run, fabric, True, lambda step, loss: None)


def _first(pairs, count):
    data = RenderedPairs(pairs.folder)
    data.stems = data.stems[:count]
    return data


@pytest.mark.shared
@pytest.mark.parametrize('name', ['default', 'weak'])
def test_a_minute_of_training_beats_chance(shared_dir, tmp_path, fabric, name):
    """From ImageNet's weights, on scenes that share nothing with those it is tested on."""
    side, sets = 192, {}
    for split, count in (('train', 40), ('val', 12)):
        backdrops = save_backdrops(tmp_path / f'{split}_backdrops', count // 2, side, split)
        engine = CompositeEngine(tuple(backdrops), seed=0, split=split, size=side)
        assert not [d.problem for d in make_dataset(tmp_path / split, engine, count) if d.problem]
        sets[split] = open_data(tmp_path / split)
    config = load_config(name).with_run(100, 0)
    config = replace(config, batch=replace(config.batch, pairs=4, crop=160), input_size=side)
    init = shared_dir / 'weights' / 'mobilenet_v2_imagenet.npz'
    untrained = build(config.network, init)
    start = WeightsMetadata(side, 0.5, 0.5, 'none', 'Apache-2.0', 'ImageNet')
    chance = calibrate(untrained.eval(), start, [sets['val']])
    losses = []
    run = Run([(sets['train'], 1.0)], [sets['val']], tmp_path / 'run', encoder_init=init)
    result = fit(config, run, fabric, False, lambda step, loss: losses.append(loss))
    assert losses[-1] < 0.85 * losses[0]
    # Over the threshold that is best for each: 0.01 to 0.02 untrained, 0.13 to 0.19 when written.
    assert result.mask_iou > 3 * chance.mask_iou
    assert result.mask_iou > 0.08
    assert result.presence_auroc > 0.8


def test_fine_tuning_takes_the_network_from_its_start(labelled, fabric, tmp_path, encoder_init):
    network = LiquidClassifier('efficientnet_lite0', channels=16)
    start = tmp_path / 'lite.safetensors'
    save_weights(start, network, WeightsMetadata(SIZE, 0.5, 0.5, 'r', 'Apache-2.0', 'o'))
    run = Run([(labelled, 1.0)], [labelled], tmp_path / 'run', init=str(start))
    fit(small('weak', 1), run, fabric, False, lambda step, loss: None)
    assert load_weights(tmp_path / 'run' / 'weights.safetensors').model.config == network.config
    with pytest.raises(InputError, match='holds an encoder already'):
        check(small('weak', 1), replace(run, encoder_init=encoder_init, out=tmp_path / 'b'), False)
    with pytest.raises(InputError, match='is not a published_network'):
        check(small('published', 1), replace(run, out=tmp_path / 'c'), False)


def test_fine_tuning_starts_from_given_weights(labelled, fabric, tmp_path):
    """No step of any size: what comes out is what went in, calibrated anew."""
    config = load_config('weak').with_run(1, 0)
    config = replace(
        config, optimiser=replace(config.optimiser, encoder_rate=0, head_rate=0, weight_decay=0)
    )
    run = Run([(labelled, 1.0)], [labelled], tmp_path / 'run', init='default')
    fit(config, run, fabric, False, lambda step, loss: None)
    start, end = load_weights('default'), load_weights(run.out / WEIGHTS)
    for key, value in start.model.state_dict().items():
        if not key.startswith('presence.'):
            torch.testing.assert_close(value, end.model.state_dict()[key])
    assert end.metadata.mask_threshold == start.metadata.mask_threshold


def test_fine_tuning_ends_half_way(labelled, fabric, tmp_path):
    config = load_config('weak').with_run(1, 0)
    config = replace(config, batch=replace(config.batch, pairs=1, crop=64))
    run = Run([(labelled, 1.0)], [labelled], tmp_path / 'run', init='default')
    fit(config, run, fabric, False, lambda step, loss: None)
    start, end = load_weights('default').model, load_weights(run.out / WEIGHTS).model
    trained = Trainer(config, fabric, {'0:labelled': 'x'}, None, 'default')
    trained.advance(Cropper(run.sets, config).batch(0))
    moved = 0
    for key, value in trained.average.state_dict().items():
        if key.startswith('presence.'):
            continue
        middle = 0.5 * (value + start.state_dict()[key])
        torch.testing.assert_close(end.state_dict()[key], middle, rtol=1e-4, atol=1e-7)
        moved += int(not torch.equal(value, start.state_dict()[key]))
    assert moved > 10


def test_command_line(labelled, tmp_path, tmp_path_factory, monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr('sys.argv', ['pourit', 'train', *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return caught.value.code

    dry, empty = tmp_path_factory.mktemp('dry'), tmp_path_factory.mktemp('empty')
    shutil.copy(labelled.folder / 'dry0.png', dry)
    (dry / 'labels.csv').write_text('file,liquid,twin\ndry0.png,0,\n')
    folders = ('--data', labelled.folder, '--val', labelled.folder)
    for arguments, hint in (
        ((*folders, '--config', 'strong'), 'no recipe named'),
        ((*folders, '--encoder-init', tmp_path / 'absent.npz'), 'absent.npz'),
        ((*folders, '--init', 'absent'), 'absent'),
        ((*folders, '--resume'), '--resume'),
        (('--data', empty, '--val', empty), 'neither pairs'),
        (('--data', labelled.folder, '--val', dry), 'with and without'),
    ):
        assert call('--out', tmp_path / 'run', *arguments) == 2
        error = capsys.readouterr().err
        assert hint in error.splitlines()[-1]
    assert not list(tmp_path.iterdir())
    code = call('--out', tmp_path / 'run', *folders, '--config', 'weak', '--init', 'default',
                '--steps', 2)  # fmt: skip
    assert code == 0
    assert load_weights(tmp_path / 'run' / WEIGHTS).metadata.recipe.startswith('weak, 2 steps')
