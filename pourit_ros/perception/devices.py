# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Where a network runs: names of devices, and what this installation offers of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from ..errors import InputError

Device: TypeAlias = Literal['auto', 'cpu', 'cuda', 'tensorrt', 'openvino']
DEVICES: tuple[str, ...] = get_args(Device)
#: onnxruntime's names; a provider is part of the onnxruntime that is installed, or is not.
PROVIDERS = {
    'cpu': 'CPUExecutionProvider',
    'cuda': 'CUDAExecutionProvider',
    'tensorrt': 'TensorrtExecutionProvider',
    'openvino': 'OpenVINOExecutionProvider',
}
_PACKAGES = {
    'cpu': 'onnxruntime',
    'cuda': 'onnxruntime-gpu',
    'tensorrt': 'onnxruntime-gpu',
    'openvino': 'onnxruntime-openvino',
}
# Where drivers of NVIDIA show a GPU: on a PC, on a Jetson, in WSL.
_NVIDIA = ('/dev/nvidia0', '/dev/nvhost-gpu', '/dev/dxg')


def check_device(device: str) -> None:
    """Raise InputError unless it is a device's name."""
    if device not in DEVICES:
        raise InputError(f'unknown device {device!r}, choose {", ".join(DEVICES)}')


def onnx_device(device: str) -> str | None:
    """Which of onnxruntime's devices to use; None: PyTorch on CUDA, or without onnxruntime.

    `auto`: CUDA where there is a GPU, through onnxruntime or else PyTorch, otherwise the CPU.
    PyTorch is imported only where there is a GPU, or to serve `cuda`. Raises InputError, with what
    is installed, for a device that nothing here offers.
    """
    offered = offered_devices()
    if device == 'auto':
        if any(Path(file).exists() for file in _NVIDIA):
            if 'cuda' in offered:
                return 'cuda'
            if torch_has_cuda():
                return None
        return 'cpu' if offered else None
    if device in offered:
        return device
    if device == 'cpu' or (device == 'cuda' and torch_has_cuda()):
        return None
    found = f'offers {", ".join(offered)}' if offered else 'is not installed'
    torch = ', PyTorch finds no CUDA device' if device == 'cuda' else ''
    raise InputError(
        f'device {device}: onnxruntime {found}{torch}; choose auto, or pip install '
        f'{_PACKAGES[device]} in place of onnxruntime'
    )


def torch_has_cuda() -> bool:
    """Whether PyTorch is installed and finds a CUDA device."""
    try:
        import torch
    except ImportError:
        return False
    return bool(torch.cuda.is_available())


def provider_options(device: str) -> list[tuple[str, dict[str, Any]]]:
    """The provider of a device, and those that take over what it leaves."""
    names = {'tensorrt': ['tensorrt', 'cuda', 'cpu'], 'cpu': ['cpu']}.get(device, [device, 'cpu'])
    return [(PROVIDERS[name], _options(name)) for name in names]


def _options(device: str) -> dict[str, Any]:
    if device != 'tensorrt':
        return {}
    # Building an engine takes minutes, so it is kept.
    cache = Path.home() / '.cache' / 'pourit_ros' / 'tensorrt'
    cache.mkdir(parents=True, exist_ok=True)
    return {'trt_engine_cache_enable': True, 'trt_engine_cache_path': str(cache)}


def load_onnxruntime() -> Any:
    """Import onnxruntime without its telemetry; raises ModuleNotFoundError."""
    # Builds since 1.32 would report their use to Microsoft. What a lab runs stays in the lab,
    # unless it has said otherwise itself.
    os.environ.setdefault('ORT_DISABLE_TELEMETRY', '1')
    import onnxruntime  # type: ignore[import-untyped,import-not-found,unused-ignore]

    return onnxruntime


def offered_devices() -> list[str]:
    """Devices that the installed onnxruntime was built for; none without it."""
    try:
        onnxruntime = load_onnxruntime()
    except ModuleNotFoundError:
        return []
    available = onnxruntime.get_available_providers()
    return [device for device, provider in PROVIDERS.items() if provider in available]
