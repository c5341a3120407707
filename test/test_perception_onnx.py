# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Exported models: the same answers in onnxruntime, and files that are refused."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from typer import Typer
from typer.testing import CliRunner

from pourit_ros.cli.export import export
from pourit_ros.errors import InputError
from pourit_ros.formats.images import read_image
from pourit_ros.geometry.region import Region
from pourit_ros.perception import Segmenter
from pourit_ros.perception.classifier import LiquidClassifier
from pourit_ros.perception.encoders import ENCODERS
from pourit_ros.perception.errors import WeightsError
from pourit_ros.perception.find_weights import SHIPPED
from pourit_ros.perception.onnx_backend import graph_name, load_onnx
from pourit_ros.perception.onnx_export import save_onnx
from pourit_ros.perception.published_network import PublishedNetwork
from pourit_ros.perception.weights import PUBLISHED, WeightsMetadata, load_weights, save_weights
from pourit_ros.resources import find_resource

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
    expected = Segmenter(folder / 'random.safetensors', 'cpu').segment(rgb, region)
    result = Segmenter(folder / 'random.onnx', 'cpu', threads=1).segment(rgb, region)
    assert result.probability == pytest.approx(expected.probability, abs=1e-3)
    assert result.present == expected.present
    np.testing.assert_allclose(result.cam, expected.cam, atol=1e-3)
    assert (result.mask != expected.mask).mean() < 1e-3


@pytest.mark.parametrize(
    ('shape', 'region'), [((480, 640), None), ((120, 160), Region(0, 0, 30, 120, 400.0))]
)
def test_shipped_graphs_say_what_torch_says(shape, region, tmp_path):
    """Of each encoder that can be exported, with tensors as training writes them."""
    for name, make in ENCODERS.items():
        if not make().exportable:
            continue
        torch.manual_seed(3)
        network = LiquidClassifier(name).eval()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter += 0.05 * parameter.abs().mean() * torch.randn(parameter.shape)
        save_weights(tmp_path / f'{name}.safetensors', network, METADATA)
        segmenter = Segmenter(tmp_path / f'{name}.safetensors', 'cpu', threads=1)
        assert segmenter.backend_name == 'onnxruntime', f'{name}: run scripts/graphs.py'
        result = segmenter.segment(picture(*shape), region)
        expected = Segmenter.from_model(network, METADATA).segment(picture(*shape), region)
        assert result.probability == pytest.approx(expected.probability, abs=1e-3)
        np.testing.assert_allclose(result.cam, expected.cam, atol=1e-3)
        assert (result.mask != expected.mask).mean() < 1e-3


@pytest.mark.parametrize('name', SHIPPED)
def test_shipped_weights_see_what_they_see_in_torch(name, desk):
    image = read_image(desk / 'photo.jpg')
    model, metadata = load_weights(name)
    expected = Segmenter.from_model(model, metadata).segment(image)
    result = Segmenter(name, 'cpu').segment(image)
    assert result.present
    assert result.probability == pytest.approx(expected.probability, abs=1e-3)
    assert (result.mask != expected.mask).sum() <= 2


def test_shipped_graphs_are_those_of_the_network():
    graphs = find_resource('models/graphs/mobilenet_v2-c48-r4.onnx').parent
    able = {graph_name(LiquidClassifier(n).config) for n, m in ENCODERS.items() if m().exportable}
    assert {path.name for path in graphs.iterdir()} == able
    assert all(path.stat().st_size < 400_000 for path in graphs.iterdir())


def test_tensors_that_do_not_fit_are_refused(model, tmp_path):
    save_weights(tmp_path / 'good.safetensors', model, METADATA)
    with safe_open(tmp_path / 'good.safetensors', 'np') as file:
        header, good = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    path = tmp_path / 'bad.safetensors'
    less = {key: value for key, value in good.items() if key != 'head.weight'}
    for tensors, says in (
        (less, 'lacks the tensor head.weight'),
        ({**good, 'extra': np.zeros(3, np.float32)}, 'has an unknown tensor extra'),
        ({**good, 'head.weight': np.zeros((1, 5, 1, 1), np.float32)}, 'another shape or type'),
        ({**good, 'head.weight': good['head.weight'] * np.nan}, 'head.weight holds values that'),
    ):
        save_file(tensors, path, header)
        with pytest.raises(WeightsError, match=says) as caught:
            Segmenter(path, 'cpu')
        assert '\n' not in str(caught.value)
    path.write_bytes((tmp_path / 'good.safetensors').read_bytes()[:100_000])
    with pytest.raises(WeightsError, match='damaged'):
        Segmenter(path, 'cpu')


def test_networks_without_a_graph_run_in_torch(tmp_path):
    save_weights(tmp_path / 'wide.safetensors', LiquidClassifier(channels=32), METADATA)
    segmenter = Segmenter(tmp_path / 'wide.safetensors', 'cpu')
    assert segmenter.backend_name == 'torch'
    with pytest.raises(InputError, match='runs in PyTorch only'):
        Segmenter(tmp_path / 'wide.safetensors', 'openvino')


def test_the_file_says_what_it_is(folder):
    _, metadata = load_onnx(folder / 'random.onnx')
    assert metadata == METADATA
    segmenter = Segmenter(folder / 'random.onnx')
    assert segmenter.metadata == METADATA
    assert segmenter.backend_name == 'onnxruntime'
    assert segmenter.device == 'cpu'
    onnx.checker.check_model(folder / 'random.onnx')
    assert [file.name for file in folder.glob('.*')] == []


def test_threads_of_torch_stay(folder):
    before = torch.get_num_threads()
    Segmenter(folder / 'random.onnx', threads=before + 1)
    Segmenter(folder / 'random.safetensors', threads=before + 1)
    assert torch.get_num_threads() == before


def test_an_export_that_differs_is_not_written(model, tmp_path, monkeypatch):
    monkeypatch.setattr('pourit_ros.perception.onnx_export.TOLERANCE', -1.0)
    with pytest.raises(WeightsError, match='differs from PyTorch'):
        save_onnx(tmp_path / 'a.onnx', model, METADATA)
    assert list(tmp_path.iterdir()) == []


def test_what_is_refused(folder, model, tmp_path):
    with pytest.raises(WeightsError, match='not a multiple of 32'):
        save_onnx(tmp_path / 'a.onnx', model, replace(METADATA, input_size=100))
    with pytest.raises(WeightsError, match='mit_b0 cannot be exported'):
        save_onnx(tmp_path / 'a.onnx', LiquidClassifier('mit_b0'), METADATA)
    with pytest.raises(WeightsError, match='PyTorch weights must end in'):
        load_weights(folder / 'random.onnx')
    broken = tmp_path / 'broken.onnx'
    broken.write_bytes((folder / 'random.onnx').read_bytes()[:100_000])
    with pytest.raises(WeightsError, match='damaged'):
        Segmenter(broken)
    proto = onnx.load(folder / 'random.onnx')
    del proto.metadata_props[:]
    onnx.save(proto, tmp_path / 'foreign.onnx')
    with pytest.raises(WeightsError, match='not exported by this package'):
        Segmenter(tmp_path / 'foreign.onnx')
    onnx.helper.set_model_props(proto, {'architecture': 'liquid_classifier'})
    onnx.save(proto, tmp_path / 'bare.onnx')
    with pytest.raises(WeightsError, match='bad header'):
        Segmenter(tmp_path / 'bare.onnx')
    with pytest.raises(InputError, match='device cuda'):
        Segmenter(folder / 'random.onnx', 'cuda')


def test_command_line_errors(folder, tmp_path):
    weights = ('--weights', folder / 'random.safetensors')
    result = run(*weights, '--out', tmp_path / 'a.pt')
    assert 'end in .onnx' in str(result.exception)
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
        'from pourit_ros.perception.onnx_export import save_onnx\n'
        'from pourit_ros.perception.weights import load_weights\n'
        f'try: save_onnx(Path({str(tmp_path / "a.onnx")!r}), '
        f'*load_weights({str(folder / "random.safetensors")!r}))\n'
        'except InputError as error: print(error)\n'
    )
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert says in result.stdout, result.stderr
    assert f'needs {missing}' in result.stdout
    assert list(tmp_path.iterdir()) == []
