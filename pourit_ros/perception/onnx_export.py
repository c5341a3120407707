# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Write liquid classifiers as ONNX files; `onnx_backend` runs them."""

from __future__ import annotations

import copy
import io
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import InputError
from ..files import replacing
from .backends import Backend
from .classifier import LiquidClassifier
from .encoders import ENCODERS
from .errors import WeightsError
from .metadata import WeightsMetadata
from .onnx_backend import ARCHITECTURE, PREFIX, graph_name, load_onnx
from .torch_backend import TorchBackend

OPSET = 18
# Of logits, between PyTorch and onnxruntime.
TOLERANCE = 1e-3
# What the encoders' coarsest stage divides by: other sides would need another padding.
STRIDE = 32


class _Graph(nn.Module):
    """The graph of the file: image in, logits out."""

    def __init__(self, model: LiquidClassifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, rgb: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """(1, H, W, 3) uint8 RGB, (1, H, W) bool -> CAM logits (1, h, w), presence (1,)."""
        images = self.model.normalise(rgb.permute(0, 3, 1, 2))
        output = self.model(images, valid[:, None])
        return output.cam[:, 0], output.presence


def save_onnx(path: Path, model: LiquidClassifier, metadata: WeightsMetadata) -> float:
    """Write a classifier as ONNX with its metadata; the file appears whole or not at all.

    Inputs `rgb` (1, H, W, 3) uint8 and `valid` (1, H, W) bool, False on letterbox borders; H and
    W are free multiples of 32. Outputs `cam` (1, H / 4, W / 4) and `presence` (1,), logits.
    Returns the largest difference of a logit between PyTorch and onnxruntime. Raises
    WeightsError when that is above 1e-3, for encoders that are not exportable and for an input
    size that is not a multiple of 32; InputError without onnx or onnxruntime.
    """
    if not model.encoder.exportable:
        able = ', '.join(name for name, make in ENCODERS.items() if make().exportable)
        raise WeightsError(f'encoder {model.config["encoder"]} cannot be exported, {able} can')
    if metadata.input_size % STRIDE:
        raise WeightsError(
            f'input size {metadata.input_size} is not a multiple of {STRIDE}, so it cannot be '
            'exported'
        )
    try:
        import onnx  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ModuleNotFoundError:
        raise InputError('exporting needs onnx: pip install onnx') from None
    model = model.eval().cpu().to(memory_format=torch.contiguous_format)
    slope = model.presence.scale.item() / model.presence.sharpness
    header = {'architecture': ARCHITECTURE, 'presence_slope': repr(slope), **metadata.to_header()}
    with replacing(path) as partial:
        proto = onnx.load_model_from_string(_trace(model))
        onnx.helper.set_model_props(proto, header)
        partial.write_bytes(proto.SerializeToString())
        error = _largest_difference(model, load_onnx(partial).backend)
        if not error <= TOLERANCE:
            raise WeightsError(
                f'{path}: not written, onnxruntime differs from PyTorch by {error:.2g}'
            )
    return error


def save_graph(folder: Path, model: LiquidClassifier) -> Path:
    """Write the graph alone, without tensors, for all weights of the model's configuration.

    onnxruntime gets the tensors from the .safetensors file (`onnx_backend.load_into_graph`).
    """
    import onnx  # type: ignore[import-untyped,import-not-found,unused-ignore]

    model = copy.deepcopy(model).eval().cpu().to(memory_format=torch.contiguous_format)
    for parameter in model.parameters():
        # The exporter would keep one of two tensors that hold the same.
        torch.nn.init.normal_(parameter)
    proto = onnx.load_model_from_string(_trace(model, fold=False))
    for tensor in proto.graph.initializer:
        assert tensor.name.removeprefix(PREFIX) in model.state_dict(), tensor.name
        tensor.ClearField('raw_data')
        tensor.data_location = onnx.TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = 'location', 'safetensors'
    proto.producer_version = ''
    for node in proto.graph.node:
        # Paths of this machine.
        node.ClearField('doc_string')
    path = folder / graph_name(model.config)
    path.write_bytes(proto.SerializeToString(deterministic=True))
    return path


def _trace(model: LiquidClassifier, fold: bool = True) -> bytes:
    """Export with free height and width; without `fold` all tensors keep their names."""
    example = torch.zeros(1, 96, 128, 3, dtype=torch.uint8)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The tracer warns that padding is decided by the example: by its being a multiple of 32.
        warnings.simplefilter('ignore')
        torch.onnx.export(
            _Graph(model),
            (example, torch.ones(1, 96, 128, dtype=torch.bool)),
            buffer,
            input_names=['rgb', 'valid'],
            output_names=['cam', 'presence'],
            dynamic_axes={
                'rgb': {1: 'height', 2: 'width'},
                'valid': {1: 'height', 2: 'width'},
                'cam': {1: 'cam_height', 2: 'cam_width'},
            },
            opset_version=OPSET,
            do_constant_folding=fold,
            dynamo=False,
        )
    return buffer.getvalue()


def _largest_difference(model: LiquidClassifier, exported: Backend) -> float:
    """Over logits of noise in three shapes, with borders and without."""
    reference = TorchBackend(model, torch.device('cpu'))
    rng = np.random.default_rng(0)
    worst = 0.0
    for height, width, border in ((96, 128, 0), (256, 160, 13), (64, 384, 24)):
        rgb = rng.integers(0, 256, (height, width, 3), np.uint8)
        valid = np.ones((height, width), np.bool_)
        valid[:border] = valid[height - border :] = False
        expected, got = reference.run(rgb, valid), exported.run(rgb, valid)
        worst = max(
            worst,
            float(np.abs(expected.cam - got.cam).max()),
            abs(expected.presence - got.presence),
        )
    return worst
