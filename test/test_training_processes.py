# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Training with two real processes on CPU, through the command line."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml

from pourit_ros.perception.weights import load_weights
from pourit_ros.resources import find_resource
from pourit_ros.training.config import load_config
from pourit_ros.training.data_sets import open_data
from pourit_ros.training.fit import CHECKPOINT, WEIGHTS, Run, fit, make_fabric
from pourit_ros.training.networks import build

STEPS = 4
SIDE = 64
TOLERANCE = 2e-3


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
    """Six wet pictures, four of them with their dry twin: shares of a batch differ in size."""
    folder = tmp_path_factory.mktemp('lab')
    rng = np.random.default_rng(0)
    rows = ['file,liquid,twin']
    for k in range(6):
        dry = cv2.resize(rng.integers(40, 200, (6, 6, 3), np.uint8), (SIDE, SIDE))
        wet = dry.copy()
        cv2.line(wet, (10 + 7 * k, 5), (20 + 5 * k, 58), (235, 240, 250), 6, cv2.LINE_AA)
        twin = f'dry{k}.png' if k < 4 else ''
        rows += [f'wet{k}.png,1,{twin}', f'dry{k}.png,0,']
        cv2.imwrite(str(folder / f'wet{k}.png'), wet)
        cv2.imwrite(str(folder / f'dry{k}.png'), dry)
    (folder / 'labels.csv').write_text('\n'.join(rows) + '\n')
    return folder


@pytest.fixture(scope='module')
def recipe(tmp_path_factory):
    """`weak` with three small pairs a step, and contrast, which compares all of a batch."""
    content = yaml.safe_load(find_resource('config/train/weak.yaml').read_text())
    content |= {'input_size': SIDE}
    content['network'] |= {'channels': 16}
    content['batch'] |= {'pairs': 3, 'crop': SIDE}
    content['optimiser'] |= {'steps': STEPS, 'warmup': 2, 'ema': 0.5}
    # Gradients somewhat above the norm that they are clipped to: their scale matters.
    weights = dict.fromkeys(('presence', 'twin', 'contrast'), 0.15)
    content['loss'] |= weights | {'contrast_after': 1}
    path = tmp_path_factory.mktemp('recipe') / 'tiny.yaml'
    path.write_text(yaml.safe_dump(content))
    return path


def start(*command):
    root = Path(__file__).resolve().parents[1]
    path = os.pathsep.join(filter(None, [str(root), os.environ.get('PYTHONPATH')]))
    environment = os.environ | {'PYTHONPATH': path, 'CUDA_VISIBLE_DEVICES': ''}
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        capture_output=True, text=True, env=environment, timeout=600,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def train(pictures, recipe, out, *more):
    return start(
        '-m', 'pourit_ros', 'train', '--config', recipe, '--data', pictures, '--val', pictures,
        '--out', out, '--device', 'cpu', '--devices', 2, *more,
    )  # fmt: skip


def test_two_processes_train_as_one(pictures, recipe, tmp_path):
    """Cut off in the middle and gone on with, and the same weights as one process gives."""
    out = tmp_path / 'two'
    script = Path(__file__).with_name('cut_off_training.py')
    code, _, error = start(script, recipe, pictures, out, 2, 3)
    assert code == 0, error
    assert (out / CHECKPOINT).is_file()
    assert not (out / WEIGHTS).exists()
    code, output, error = train(pictures, recipe, out, '--resume')
    assert code == 0, error
    # One process speaks.
    assert output.count('weights: ') == 1
    assert (out / WEIGHTS).is_file()
    assert not (out / CHECKPOINT).exists()

    config, data = load_config(recipe), open_data(pictures)
    alone = Run([(data, 1.0)], [data], tmp_path / 'one')
    fit(config, alone, make_fabric('cpu'), False, lambda step, loss: None)
    two, one = (load_weights(folder / WEIGHTS).model.state_dict() for folder in (out, alone.out))
    torch.manual_seed(config.seed)
    begin = build(config.network).state_dict()

    def distance(left, right):
        return torch.cat([(left[key] - right[key]).flatten() for key in one]).norm().item()

    # Of how far training moved the weights: sums of float32 in another order, and Adam, which
    # makes steps of gradients however small.
    assert distance(one, two) < TOLERANCE * distance(one, begin)


def test_what_is_wrong_is_said_once(pictures, recipe, tmp_path):
    """Before other processes are started, and by the one that met it afterwards."""
    code, _, error = train(pictures, recipe, tmp_path / 'run', '--resume')
    assert code == 2
    assert error.count('start without --resume') == 1
    assert error.count('\n') == 1
    code, _, error = train(pictures, recipe, tmp_path / 'run', '--devices', 4)
    assert code == 2
    assert 'batch.pairs is 3, which is too few for 4 processes' in error
