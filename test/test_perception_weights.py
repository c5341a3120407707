# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Weights files: what is written comes back, anything else is refused in one line."""

import dataclasses

import pytest
import safetensors
import safetensors.torch
import torch

from pourit_ros.perception.classifier import LiquidClassifier
from pourit_ros.perception.errors import WeightsError
from pourit_ros.perception.find_weights import find_weights
from pourit_ros.perception.published_network import PublishedNetwork
from pourit_ros.perception.weights import (
    PUBLISHED,
    WeightsMetadata,
    load_weights,
    save_weights,
)

METADATA = WeightsMetadata(
    input_size=96,
    presence_threshold=0.4,
    mask_threshold=0.35,
    recipe='random',
    licence='Apache-2.0',
    origin='torch.manual_seed',
)


@pytest.fixture(scope='module')
def liquid():
    return LiquidClassifier(channels=8, sharpness=3.0).eval()


@pytest.fixture(scope='module')
def published():
    return PublishedNetwork().eval()


@pytest.fixture(scope='module')
def checkpoint(published, tmp_path_factory):
    """As the authors save it: from a network wrapped for several GPUs."""
    path = tmp_path_factory.mktemp('published') / 'iter_014000.pth'
    torch.save({f'module.{k}': v for k, v in published.state_dict().items()}, path)
    return path


def refused(path, match):
    with pytest.raises(WeightsError, match=match) as info:
        load_weights(path)
    assert '\n' not in str(info.value)
    assert path.name in str(info.value)


def test_round_trip(liquid, tmp_path):
    path = tmp_path / 'a.safetensors'
    save_weights(path, liquid, METADATA)
    model, metadata = load_weights(path)
    assert metadata == METADATA
    assert isinstance(model, LiquidClassifier)
    assert not model.training
    assert model.config == {'encoder': 'mobilenet_v2', 'channels': 8, 'sharpness': 3.0}
    state = model.state_dict()
    assert all(torch.equal(v, state[k]) for k, v in liquid.state_dict().items())
    assert list(tmp_path.iterdir()) == [path]


def test_header_is_readable_without_this_package(liquid, tmp_path):
    path = tmp_path / 'a.safetensors'
    save_weights(path, liquid, METADATA)
    with safetensors.safe_open(path, 'np') as file:
        header = file.metadata()
    assert header['architecture'] == 'liquid_classifier'
    assert header['licence'] == 'Apache-2.0'
    assert header['input_size'] == '96'


def test_published_checkpoint(published, checkpoint, tmp_path):
    model, metadata = load_weights(checkpoint)
    assert isinstance(model, PublishedNetwork)
    assert metadata == PUBLISHED
    state = model.state_dict()
    assert all(torch.equal(v, state[k]) for k, v in published.state_dict().items())
    copy = tmp_path / 'published.safetensors'
    save_weights(copy, model, metadata)
    assert isinstance(load_weights(copy).model, PublishedNetwork)


def test_names_are_found_in_the_model_folder(liquid, tmp_path, monkeypatch):
    monkeypatch.setenv('POURIT_MODEL_DIR', str(tmp_path))
    save_weights(tmp_path / 'default.safetensors', liquid, METADATA)
    assert find_weights('default') == tmp_path / 'default.safetensors'
    assert load_weights('default').metadata == METADATA


def test_unknown_names_and_missing_files(tmp_path, monkeypatch):
    monkeypatch.setenv('POURIT_MODEL_DIR', str(tmp_path))
    with pytest.raises(WeightsError, match="no weights named 'nonesuch'"):
        load_weights('nonesuch')
    refused(tmp_path / 'nonesuch.safetensors', 'no such weights file')
    refused(tmp_path / 'nonesuch.pth', 'no such weights file')


@pytest.mark.parametrize('name', ['weights.safetensors', 'weights.pth', 'weights.onnx', 'weights'])
@pytest.mark.parametrize('content', [b'', b'<html>not found</html>', bytes(4096)])
def test_other_files_are_refused(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    refused(path, 'damaged or not|end in')


def test_folder_is_no_weights_file(tmp_path):
    refused(tmp_path, 'no such weights file')


@pytest.mark.parametrize('share', [0.001, 0.5, 0.999])
def test_truncated_files_are_refused(liquid, checkpoint, tmp_path, share):
    whole = tmp_path / 'whole.safetensors'
    save_weights(whole, liquid, METADATA)
    for source in (whole, checkpoint):
        data = source.read_bytes()
        path = tmp_path / f'cut{source.suffix}'
        path.write_bytes(data[: int(len(data) * share)])
        refused(path, 'damaged or not')


def test_foreign_checkpoints_are_refused(published, tmp_path):
    path = tmp_path / 'foreign.pth'
    state = dict(published.state_dict())

    torch.save([1, 2], path)
    refused(path, 'no plain table of tensors')
    torch.save({'epoch': 3, 'state_dict': state}, path)
    refused(path, 'no plain table of tensors')
    torch.save({k: v for k, v in state.items() if 'attn_proj' not in k}, path)
    refused(path, r'lacks 2 tensors such as attn_proj\.bias')
    torch.save({**state, 'decoder.weight': torch.zeros(1)}, path)
    refused(path, r'has unknown 1 tensors such as decoder\.weight')
    torch.save({**state, 'classifier.weight': torch.zeros(20, 512, 1, 1)}, path)
    refused(path, r'classifier\.weight has shape \(20, 512, 1, 1\), the network needs \(1, 512')
    torch.save({**state, 'classifier.weight': torch.full((1, 512, 1, 1), torch.nan)}, path)
    refused(path, 'not finite')
    torch.save(published, path)  # a pickled module would run code
    refused(path, 'damaged or not')


def test_foreign_safetensors_are_refused(liquid, tmp_path):
    path = tmp_path / 'foreign.safetensors'
    state = liquid.state_dict()
    save_weights(path, liquid, METADATA)
    with safetensors.safe_open(path, 'pt') as file:
        header = file.metadata()

    safetensors.torch.save_file(state, path)
    refused(path, 'not weights of this package')
    safetensors.torch.save_file(state, path, {**header, 'architecture': 'unet'})
    refused(path, "architecture 'unet'")
    for key, value in (
        ('input_size', 'large'),
        ('mask_threshold', '7'),
        ('config', '{"encoder": "resnet"}'),
        ('config', '{"layers": 3}'),
        ('config', '{'),
    ):
        safetensors.torch.save_file(state, path, {**header, key: value})
        refused(path, 'bad header')
    del header['licence']
    safetensors.torch.save_file(state, path, header)
    refused(path, 'bad header')


def test_metadata_must_make_sense():
    with pytest.raises(ValueError, match='input_size is 8'):
        dataclasses.replace(METADATA, input_size=8)
    with pytest.raises(ValueError, match=r'presence_threshold is 1\.5'):
        dataclasses.replace(METADATA, presence_threshold=1.5)
