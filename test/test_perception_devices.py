# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Which device a network runs on, and what is refused, for any installation."""

import sys

import onnxruntime
import pytest

from pourit_ros.errors import InputError
from pourit_ros.perception import Segmenter, devices
from pourit_ros.perception.devices import PROVIDERS, onnx_device, provider_options


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Make a machine: onnxruntime's devices, a GPU or none, CUDA in PyTorch or not."""

    def make(*offered, gpu=False, torch_cuda=False):
        names = [PROVIDERS[name] for name in offered]
        monkeypatch.setattr(onnxruntime, 'get_available_providers', lambda: names)
        monkeypatch.setattr(devices, '_NVIDIA', (tmp_path,) if gpu else ())
        monkeypatch.setattr(devices, 'torch_has_cuda', lambda: torch_cuda)

    return make


@pytest.mark.parametrize(
    ('offered', 'gpu', 'torch_cuda', 'device', 'expected'),
    [
        (('cpu',), False, False, 'auto', 'cpu'),
        (('cpu',), True, True, 'auto', None),
        (('cpu',), True, False, 'auto', 'cpu'),
        (('cuda', 'cpu'), True, True, 'auto', 'cuda'),
        # An onnxruntime for CUDA on a machine without a GPU.
        (('cuda', 'cpu'), False, False, 'auto', 'cpu'),
        (('openvino', 'cpu'), False, False, 'auto', 'cpu'),
        (('openvino', 'cpu'), False, False, 'openvino', 'openvino'),
        (('tensorrt', 'cuda', 'cpu'), True, False, 'tensorrt', 'tensorrt'),
        (('cpu',), True, True, 'cuda', None),
        (('cpu',), True, True, 'cpu', 'cpu'),
    ],
)
def test_the_choice(machine, offered, gpu, torch_cuda, device, expected):
    machine(*offered, gpu=gpu, torch_cuda=torch_cuda)
    assert onnx_device(device) == expected


@pytest.mark.parametrize('device', ['cuda', 'tensorrt', 'openvino'])
def test_a_refusal_says_what_is_installed(machine, device):
    machine('cpu')
    with pytest.raises(InputError, match=f'device {device}: onnxruntime offers cpu') as caught:
        onnx_device(device)
    package = 'onnxruntime-openvino' if device == 'openvino' else 'onnxruntime-gpu'
    assert f'pip install {package}' in str(caught.value)


def test_without_onnxruntime_torch_is_left(monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    monkeypatch.setattr(devices, '_NVIDIA', ())
    assert onnx_device('auto') is None
    with pytest.raises(InputError, match='onnxruntime is not installed'):
        onnx_device('openvino')
    assert Segmenter('default', 'cpu').backend_name == 'torch'


@pytest.mark.filterwarnings('ignore:Specified provider')
def test_a_provider_that_does_not_load_is_no_silent_cpu(machine):
    """onnxruntime falls back to the CPU and only logs it."""
    machine('cuda', 'cpu')
    with pytest.raises(InputError, match='cannot load its CUDAExecutionProvider'):
        Segmenter('default', 'cuda')


def test_what_one_provider_leaves_the_next_takes(monkeypatch, tmp_path):
    monkeypatch.setenv('HOME', str(tmp_path))
    names = [name for name, _ in provider_options('tensorrt')]
    assert names == [PROVIDERS[name] for name in ('tensorrt', 'cuda', 'cpu')]
    assert provider_options('cpu') == [('CPUExecutionProvider', {})]
