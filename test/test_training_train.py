# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest
import torch

from pourit_ros.perception.classifier import LiquidClassifier
from pourit_ros.perception.mobilenet_v2 import MobileNetV2, SameConv
from pourit_ros.perception.weights import WeightsMetadata, load_weights, save_weights
from pourit_ros.training.batches import Cropper
from pourit_ros.training.calibration import auroc, best_split, calibrate, platt
from pourit_ros.training.pairs import Pairs, compose_pairs, load_pairs, save_pairs
from pourit_ros.training.train import main
from pourit_ros.training.trainer import Recipe, Trainer, TrainingError


@pytest.fixture(scope='module')
def pairs() -> Pairs:
    return compose_pairs(24, 1, size=96)


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


@pytest.fixture(scope='module')
def recipe(encoder_init) -> Recipe:
    return Recipe(encoder_init, steps=30, pairs_per_batch=3, crop=64)


def cropper(pairs: Pairs, recipe: Recipe) -> Cropper:
    return Cropper([(pairs, 1.0)], recipe.seed, pairs=recipe.pairs_per_batch, crop=recipe.crop)


@pytest.mark.parametrize('supervision', ['masks', 'twins'])
def test_thirty_steps_improve_the_loss(pairs, recipe, supervision):
    trainer = Trainer(replace(recipe, supervision=supervision))
    crops = cropper(pairs, recipe)
    losses = [trainer.advance(crops.batch(i)) for i in range(recipe.steps)]
    assert np.isfinite(losses).all()
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_frozen_layers_stay_and_the_average_follows(pairs, recipe):
    trainer = Trainer(recipe)
    before = {k: v.clone() for k, v in trainer.model.state_dict().items()}
    crops = cropper(pairs, recipe)
    for i in range(3):
        trainer.advance(crops.batch(i))
    after, average = trainer.model.state_dict(), trainer.average.state_dict()
    for key in before:
        frozen = key.startswith(('encoder.stem', 'encoder.blocks.0.', 'encoder.blocks.1.'))
        assert torch.equal(before[key], after[key]) == frozen, key
        low, high = torch.minimum(before[key], after[key]), torch.maximum(before[key], after[key])
        if key == 'head.weight':
            assert not torch.equal(average[key], before[key])
            assert ((average[key] - high).max() < 1e-2) & ((low - average[key]).max() < 1e-2)


def test_resumed_run_equals_the_whole_run(pairs, recipe, tmp_path):
    crops = cropper(pairs, recipe)
    whole = Trainer(recipe)
    for i in range(4):
        whole.advance(crops.batch(i))
    first = Trainer(recipe)
    for i in range(2):
        first.advance(crops.batch(i))
    first.save(tmp_path / 'run.checkpoint')
    second = Trainer(recipe)
    second.resume(tmp_path / 'run.checkpoint')
    assert second.step == 2
    for i in range(second.step, 4):
        second.advance(crops.batch(i))
    for key, value in whole.average.state_dict().items():
        torch.testing.assert_close(second.average.state_dict()[key], value, msg=key)


def test_resume_refuses_another_recipe(recipe, tmp_path):
    Trainer(recipe).save(tmp_path / 'run.checkpoint')
    with pytest.raises(TrainingError, match='seed'):
        Trainer(replace(recipe, seed=5)).resume(tmp_path / 'run.checkpoint')
    with pytest.raises(TrainingError, match='--resume'):
        Trainer(recipe).resume(tmp_path / 'absent.checkpoint')


def test_batches_keep_labels_true_and_twins_aligned(pairs):
    crops = Cropper([(pairs, 1.0)], 0, pairs=3, crop=64)
    for step in range(6):
        batch = crops.batch(step)
        assert batch.images.dtype == torch.uint8
        assert batch.images.shape[-1] % 32 == 0
        assert batch.images.shape[-1] <= 64
        assert batch.coverage.shape == (len(batch.images), 1, *batch.images.shape[2:])
        assert batch.labels[1::2].sum() == 0
        assert batch.coverage[1::2].sum() == 0
        assert ((batch.coverage[::2].sum((1, 2, 3)) >= 12) == (batch.labels[::2] > 0)).all()
        again = crops.batch(step)
        assert torch.equal(again.images, batch.images)


def test_share_of_sets():
    dark = Pairs(np.zeros((1, 2, 64, 64, 3), np.uint8), np.full((1, 64, 64), 255, np.uint8))
    light = Pairs(np.full((1, 2, 64, 64, 3), 255, np.uint8), dark.coverage)
    crops = Cropper([(dark, 0.75), (light, 0.25)], 0, pairs=8, crop=32)
    means = torch.cat([crops.batch(i).images[::2].float().mean((1, 2, 3)) for i in range(30)])
    assert (means > 128).float().mean().item() == pytest.approx(0.25, abs=0.08)


def test_saved_pairs_come_back(pairs, tmp_path):
    save_pairs(tmp_path / 'new' / 'pairs.npz', pairs)
    again = load_pairs(tmp_path / 'new' / 'pairs.npz')
    np.testing.assert_array_equal(again.images, pairs.images)
    np.testing.assert_array_equal(again.coverage, pairs.coverage)
    assert [p.name for p in (tmp_path / 'new').iterdir()] == ['pairs.npz']


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


def test_auroc_and_split_by_hand():
    wet, dry = np.array([0.9, 0.8, 0.3]), np.array([0.1, 0.3])
    assert auroc(wet, dry) == pytest.approx((2 + 2 + 1.5) / 6)
    assert best_split(wet, dry) == pytest.approx(0.55)


def test_calibrated_weights_can_be_saved_and_read(pairs, tmp_path):
    torch.manual_seed(0)
    model = LiquidClassifier().eval()
    start = WeightsMetadata(96, 0.5, 0.5, 'test', 'Apache-2.0', 'random')
    result = calibrate(model, start, [pairs.select(range(6))])
    assert 0 <= result.mask_iou <= 1
    assert 0 <= result.metadata.presence_threshold <= 1
    assert result.metadata.mask_threshold in np.round(np.arange(0.1, 0.96, 0.05), 2)
    # recall and false alarms are those of the threshold that was chosen
    assert result.recall >= result.false_alarms
    save_weights(tmp_path / 'w.safetensors', model, result.metadata)
    loaded = load_weights(tmp_path / 'w.safetensors')
    assert loaded.metadata == result.metadata
    assert torch.equal(loaded.model.presence.scale, model.presence.scale)


def test_bad_input_gives_one_line_and_status_2(encoder_init, tmp_path, monkeypatch, capsys):
    out = tmp_path / 'new.safetensors'
    for encoder, maps, hint in (
        (tmp_path / 'absent.npz', tmp_path, 'absent.npz'),
        (encoder_init, tmp_path, 'hdr'),
    ):
        arguments = ['train', '--encoder-init', encoder, '--environment-maps', maps, '--out', out]
        monkeypatch.setattr('sys.argv', [str(a) for a in arguments])
        assert main() == 2
        error = capsys.readouterr().err
        assert error.count('\n') == 1
        assert hint in error
    assert not list(tmp_path.iterdir())
