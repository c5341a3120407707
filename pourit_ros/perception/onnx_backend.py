# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Run a `LiquidClassifier` in onnxruntime; nothing here needs PyTorch.

A network is an exported file (`pourit export`), or the tensors of a .safetensors file in the graph
of its configuration, which comes with the package (models/graphs, from scripts/graphs.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import safetensors

from ..errors import InputError
from ..resources import find_resource
from .backends import RawOutput
from .devices import PROVIDERS, load_onnxruntime, provider_options
from .errors import WeightsError
from .metadata import WeightsMetadata

#: The `architecture` that the files of a `LiquidClassifier` state.
ARCHITECTURE = 'liquid_classifier'
ARCHITECTURES = (ARCHITECTURE, 'published_network')
#: Tensors have the names of the state dict after this in a graph.
PREFIX = 'model.'


class OnnxBackend:
    """onnxruntime, one image at a time; H, W: multiples of 32."""

    def __init__(self, session: Any, presence_slope: float) -> None:
        self._session = session
        self.presence_slope = presence_slope

    def run(self, rgb: npt.NDArray[np.uint8], valid: npt.NDArray[np.bool_]) -> RawOutput:
        """Run on (H, W, 3) RGB; `valid` (H, W) is False on borders."""
        cam, presence = self._session.run(None, {'rgb': rgb[None], 'valid': valid[None]})
        return RawOutput(cam[0], float(presence[0]))


class OnnxNetwork(NamedTuple):
    """An opened network and the metadata of its file."""

    backend: OnnxBackend
    metadata: WeightsMetadata


def load_onnx(path: Path, device: str = 'cpu', threads: int | None = None) -> OnnxNetwork:
    """Open an exported file; raises WeightsError, and InputError without onnxruntime."""
    session = _session(path, path.read_bytes(), {}, device, threads)
    header = session.get_modelmeta().custom_metadata_map
    if header.get('architecture') != ARCHITECTURE:
        raise WeightsError(f'{path}: not exported by this package (pourit export)')
    try:
        metadata = WeightsMetadata.from_header(header)
        return OnnxNetwork(OnnxBackend(session, float(header['presence_slope'])), metadata)
    except (KeyError, ValueError) as error:
        raise WeightsError(f'{path}: bad header ({error})') from error


def find_graph(path: Path) -> Path | None:
    """The graph for the weights of a .safetensors file; None: only PyTorch runs them.

    Raises WeightsError for a file that holds no network of this package.
    """
    header = _read(path).header
    architecture = header.get('architecture')
    if architecture not in ARCHITECTURES:
        raise WeightsError(f'{path}: not weights of this package (architecture {architecture!r})')
    if architecture != ARCHITECTURE:
        return None
    try:
        return find_resource(f'models/graphs/{graph_name(json.loads(header["config"]))}')
    except FileNotFoundError:
        return None
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f'{path}: bad header ({_line(error)})') from error


def graph_name(config: Mapping[str, Any]) -> str:
    """File name of the graph of a `LiquidClassifier` of this `config`."""
    return f'{config["encoder"]}-c{config["channels"]}-r{config["sharpness"]:g}.onnx'


def load_into_graph(
    path: Path, graph: Path, device: str = 'cpu', threads: int | None = None
) -> OnnxNetwork:
    """Open a .safetensors file in its graph; raises WeightsError, and InputError."""
    header, tensors = _read(path, tensors=True)
    for key, value in tensors.items():
        if not np.isfinite(value).all():
            raise WeightsError(f'{path}: {key} holds values that are not finite')
    try:
        metadata = WeightsMetadata.from_header(header)
        slope = float(tensors['presence.scale']) / float(json.loads(header['config'])['sharpness'])
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f'{path}: bad header ({_line(error)})') from error
    content = graph.read_bytes()
    wanted = _tensor_names(content)
    for names, fault in (
        (wanted - tensors.keys(), 'lacks the tensor'),
        (tensors.keys() - wanted, 'has an unknown tensor'),
    ):
        if names:
            raise WeightsError(f'{path}: not weights of this network, {fault} {min(names)}')
    session = _session(path, content, tensors, device, threads)
    return OnnxNetwork(OnnxBackend(session, slope), metadata)


def _tensor_names(graph: bytes) -> set[str]:
    """Names of the tensors that a graph takes from outside, without PREFIX.

    onnxruntime does not list them: they are read as the field `name` (8, a string) of TensorProto.
    """
    fields = re.finditer(rb'\x42(.)(?=' + re.escape(PREFIX.encode()) + rb')', graph, re.DOTALL)
    return {
        graph[field.end() + len(PREFIX) : field.end() + ord(field[1])].decode() for field in fields
    }


class _Content(NamedTuple):
    header: Mapping[str, str]
    tensors: Mapping[str, npt.NDArray[Any]]


def _read(path: Path, tensors: bool = False) -> _Content:
    try:
        with safetensors.safe_open(path, 'np') as file:
            names = file.keys() if tensors else ()
            return _Content(file.metadata() or {}, {name: file.get_tensor(name) for name in names})
    except Exception as error:
        raise WeightsError(f'{path}: damaged or not safetensors ({_line(error)})') from error


def _session(
    path: Path,
    graph: bytes,
    tensors: Mapping[str, npt.NDArray[Any]],
    device: str,
    threads: int | None,
) -> Any:
    try:
        onnxruntime = load_onnxruntime()
    except ModuleNotFoundError:
        raise InputError(
            f'{path}: running ONNX needs onnxruntime: pip install onnxruntime'
        ) from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads or 0
    # Threads that wait between frames by spinning take the processor from all others.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    # Regions come in many shapes: an arena would keep the largest block of each.
    options.enable_cpu_mem_arena = False
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(value) for value in tensors.values()]
    options.add_external_initializers([PREFIX + name for name in tensors], values)
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=provider_options(device))
    except Exception as error:
        misfit = 'not weights of this network, a tensor has another shape or type'
        raise WeightsError(
            f'{path}: {misfit if tensors else "damaged or not an ONNX model"}'
        ) from error
    if device != 'cpu' and session.get_providers()[0] != PROVIDERS[device]:
        raise InputError(
            f'device {device}: onnxruntime cannot load its {PROVIDERS[device]} on this machine; '
            'choose cpu'
        )
    return session


def _line(error: Exception) -> str:
    return ' '.join(str(error).split()) or type(error).__name__
