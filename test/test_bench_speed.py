# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`pourit bench speed` as a person runs it, on random weights."""

import json

import pytest
import torch
from typer.testing import CliRunner

from pourit_ros.cli.bench import app
from pourit_ros.perception.classifier import LiquidClassifier
from pourit_ros.perception.weights import WeightsMetadata, save_weights


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp('weights') / 'random.safetensors'
    metadata = WeightsMetadata(384, 0.0, 0.5, 'random', 'Apache-2.0', 'torch.manual_seed')
    save_weights(path, LiquidClassifier(), metadata)
    return path


def test_figures_are_consistent(weights):
    before = torch.get_num_threads()
    arguments = ['--weights', weights, '--threads', 1, '--frames', 2, '--json']
    try:
        result = CliRunner().invoke(app, ['speed', *map(str, arguments)])
    finally:
        torch.set_num_threads(before)
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    assert list(figures) == [
        'frame_ms_p50', 'frame_ms_p95', 'roi_ms_p50', 'overhead_ms_p50', 'published_ms_p50',
        'ratio', 'rss_mb', 'backend', 'threads',
    ]  # fmt: skip
    assert (figures['backend'], figures['threads']) == ('onnxruntime', 1)
    assert figures['frame_ms_p95'] >= figures['frame_ms_p50'] > 0
    assert figures['ratio'] == pytest.approx(
        figures['published_ms_p50'] / figures['roi_ms_p50'], rel=0.01
    )
    # 13.7 M parameters on 900 tokens of 16 px, twice, against a fraction of a MobileNet.
    assert figures['ratio'] > 3
    assert 50 < figures['rss_mb'] < 4000
