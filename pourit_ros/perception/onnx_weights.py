# SPDX-License-Identifier: Apache-2.0
"""Liquid classifiers as ONNX files, and onnxruntime to run them."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..errors import InputError
from .backends import RawOutput, TorchBackend
from .classifier import LiquidClassifier
from .errors import WeightsError
from .weights import WeightsMetadata

OPSET = 18
# Of logits, between PyTorch and onnxruntime.
TOLERANCE = 1e-3
# What the encoders' coarsest stage divides by: other sides would need another padding.
STRIDE = 32
_FORMAT = 'liquid_classifier'


class OnnxBackend:
    """onnxruntime on the CPU; see `backends.Backend`."""

    def __init__(self, session: Any, presence_slope: float) -> None:
        self._session = session
        self.presence_slope = presence_slope

    def run(self, rgb: npt.NDArray[np.uint8], valid: npt.NDArray[np.bool_]) -> RawOutput:
        """Run on (H, W, 3) RGB; `valid` (H, W) is False on borders. H, W: multiples of 32."""
        cam, presence = self._session.run(None, {'rgb': rgb[None], 'valid': valid[None]})
        return RawOutput(cam[0], float(presence[0]))


class _Graph(nn.Module):
    """What the file computes: image in, logits out."""

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
    WeightsError when that is above 1e-3, for encoders other than MobileNetV2 (traced, attention
    keeps the example's size) and for an input size that is no multiple of 32; InputError without
    onnx or onnxruntime.
    """
    encoder = model.config['encoder']
    if encoder != 'mobilenet_v2':
        raise WeightsError(f'encoder {encoder} cannot be exported, mobilenet_v2 can')
    if metadata.input_size % STRIDE:
        raise WeightsError(
            f'input size {metadata.input_size} is no multiple of {STRIDE}: not exportable'
        )
    try:
        import onnx  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ModuleNotFoundError:
        raise InputError('exporting needs onnx: pip install onnx onnxruntime') from None
    model = model.eval().cpu().to(memory_format=torch.contiguous_format)
    slope = model.presence.scale.item() / model.presence.sharpness
    header = {'architecture': _FORMAT, 'presence_slope': repr(slope), **metadata.to_header()}
    partial = path.with_name(f'.{path.stem}.{os.getpid()}.onnx')
    try:
        proto = onnx.load_model_from_string(_trace(model))
        onnx.helper.set_model_props(proto, header)
        partial.write_bytes(proto.SerializeToString())
        error = _largest_difference(model, load_onnx(partial, None)[0])
        if not error <= TOLERANCE:
            raise WeightsError(
                f'{path}: not written, onnxruntime differs from PyTorch by {error:.2g}'
            )
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return error


def load_onnx(path: Path, threads: int | None) -> tuple[OnnxBackend, WeightsMetadata]:
    """Open a file of `save_onnx`; raises WeightsError, and InputError without onnxruntime."""
    try:
        import onnxruntime  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ModuleNotFoundError:
        raise InputError(
            f'{path}: running ONNX needs onnxruntime: pip install onnxruntime'
        ) from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads or 0
    # Threads that wait between frames by spinning take the processor from all others.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    try:
        session = onnxruntime.InferenceSession(
            path.read_bytes(), options, providers=['CPUExecutionProvider']
        )
    except OSError:
        raise
    except Exception as error:
        raise WeightsError(f'{path}: damaged or not an ONNX model') from error
    header = session.get_modelmeta().custom_metadata_map
    if header.get('architecture') != _FORMAT:
        raise WeightsError(f'{path}: not exported by this package (pourit export)')
    try:
        metadata = WeightsMetadata.from_header(header)
        backend = OnnxBackend(session, float(header['presence_slope']))
    except (KeyError, ValueError) as error:
        raise WeightsError(f'{path}: bad header ({error})') from error
    return backend, metadata


def _trace(model: LiquidClassifier) -> bytes:
    """Export with free height and width."""
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
            dynamo=False,
        )
    return buffer.getvalue()


def _largest_difference(model: LiquidClassifier, exported: OnnxBackend) -> float:
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
