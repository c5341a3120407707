# SPDX-License-Identifier: Apache-2.0
"""Exported models: the same answers in onnxruntime, and files that are refused."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from typer import Typer
from typer.testing import CliRunner

from pourit_ros.cli.export import export
from pourit_ros.errors import InputError
from pourit_ros.geometry.region import Region
from pourit_ros.perception import Segmenter
from pourit_ros.perception.classifier import LiquidClassifier
from pourit_ros.perception.errors import WeightsError
from pourit_ros.perception.onnx_weights import load_onnx, save_onnx
from pourit_ros.perception.published_network import PublishedNetwork
from pourit_ros.perception.weights import PUBLISHED, WeightsMetadata, load_weights, save_weights

onnx = pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')

METADATA = WeightsMetadata(96, 0.25, 0.4, 'random', 'Apache-2.0', 'torch.manual_seed')
APP = Typer()
APP.command()(export)


def run(*arguments):
    return CliRunner().invoke(APP, [str(argument) for argument in arguments])


@pytest.fixture(scope='module')
def model():
    torch.manual_seed(0)
    model = LiquidClassifier().eval()
    with torch.no_grad():
        model.presence.scale.fill_(1.5)
        model.presence.bias.fill_(0.3)
    return model


@pytest.fixture(scope='module')
def folder(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp('weights')
    save_weights(folder / 'random.safetensors', model, METADATA)
    result = run('--weights', folder / 'random.safetensors', '--out', folder / 'random.onnx')
    assert result.exit_code == 0, result.output
    assert 'within' in result.output
    return folder


def picture(height, width):
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize(
    ('shape', 'region'),
    [
        ((480, 640), None),
        ((97, 131), None),
        ((3, 7), None),
        ((480, 640), Region(100, 50, 301, 417, 900.0)),
        ((120, 160), Region(0, 0, 30, 120, 400.0)),
    ],
)
def test_same_answers_as_torch(folder, shape, region):
    rgb = picture(*shape)
    expected = Segmenter.load(folder / 'random.safetensors', 'cpu').segment(rgb, region)
    result = Segmenter.load(folder / 'random.onnx', 'cpu', threads=1).segment(rgb, region)
    assert result.probability == pytest.approx(expected.probability, abs=1e-3)
    assert result.present == expected.present
    np.testing.assert_allclose(result.cam, expected.cam, atol=1e-3)
    assert (result.mask != expected.mask).mean() < 1e-3


def test_the_file_says_what_it_is(folder):
    _, metadata = load_onnx(folder / 'random.onnx', None)
    assert metadata == METADATA
    segmenter = Segmenter.load(folder / 'random.onnx')
    assert segmenter.metadata == METADATA
    assert segmenter.backend_name == 'onnxruntime'
    assert segmenter.device.type == 'cpu'
    onnx.checker.check_model(folder / 'random.onnx')
    assert [file.name for file in folder.glob('.*')] == []


def test_threads_of_torch_stay(folder):
    before = torch.get_num_threads()
    Segmenter.load(folder / 'random.onnx', threads=before + 1)
    assert torch.get_num_threads() == before


def test_an_export_that_differs_is_not_written(model, tmp_path, monkeypatch):
    monkeypatch.setattr('pourit_ros.perception.onnx_weights.TOLERANCE', -1.0)
    with pytest.raises(WeightsError, match='differs from PyTorch'):
        save_onnx(tmp_path / 'a.onnx', model, METADATA)
    assert list(tmp_path.iterdir()) == []


def test_what_is_refused(folder, model, tmp_path):
    with pytest.raises(WeightsError, match='no multiple of 32'):
        save_onnx(tmp_path / 'a.onnx', model, replace(METADATA, input_size=100))
    with pytest.raises(WeightsError, match='mit_b0 cannot be exported'):
        save_onnx(tmp_path / 'a.onnx', LiquidClassifier('mit_b0'), METADATA)
    with pytest.raises(WeightsError, match='weights of PyTorch end in'):
        load_weights(folder / 'random.onnx')
    broken = tmp_path / 'broken.onnx'
    broken.write_bytes((folder / 'random.onnx').read_bytes()[:100_000])
    with pytest.raises(WeightsError, match='damaged'):
        Segmenter.load(broken)
    proto = onnx.load(folder / 'random.onnx')
    del proto.metadata_props[:]
    onnx.save(proto, tmp_path / 'foreign.onnx')
    with pytest.raises(WeightsError, match='not exported by this package'):
        Segmenter.load(tmp_path / 'foreign.onnx')
    onnx.helper.set_model_props(proto, {'architecture': 'liquid_classifier'})
    onnx.save(proto, tmp_path / 'bare.onnx')
    with pytest.raises(WeightsError, match='bad header'):
        Segmenter.load(tmp_path / 'bare.onnx')
    with pytest.raises(InputError, match='device cuda'):
        Segmenter.load(folder / 'random.onnx', 'cuda')


def test_command_line_errors(folder, tmp_path):
    weights = ('--weights', folder / 'random.safetensors')
    result = run(*weights, '--out', tmp_path / 'a.pt')
    assert 'ends in .onnx' in str(result.exception)
    result = run(*weights, '--out', tmp_path / 'no' / 'a.onnx')
    assert 'no such folder' in str(result.exception)
    save_weights(tmp_path / 'p.safetensors', PublishedNetwork(), PUBLISHED)
    result = run('--weights', tmp_path / 'p.safetensors', '--out', tmp_path / 'a.onnx')
    assert 'published network' in str(result.exception)
    assert not (tmp_path / 'a.onnx').exists()
    assert run(*weights, '--out', tmp_path / 'a.onnx', '--format', 'trt').exit_code == 2


@pytest.mark.parametrize(('missing', 'says'), [('onnx', 'exporting'), ('onnxruntime', 'running')])
def test_without_the_packages_it_says_so(folder, tmp_path, missing, says):
    code = (
        f'import sys; sys.modules[{missing!r}] = None\n'
        'from pathlib import Path\n'
        'from pourit_ros.errors import InputError\n'
        'from pourit_ros.perception.onnx_weights import save_onnx\n'
        'from pourit_ros.perception.weights import load_weights\n'
        f'try: save_onnx(Path({str(tmp_path / "a.onnx")!r}), '
        f'*load_weights({str(folder / "random.safetensors")!r}))\n'
        'except InputError as error: print(error)\n'
    )
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert says in result.stdout, result.stderr
    assert f'needs {missing}' in result.stdout
    assert list(tmp_path.iterdir()) == []
