# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Weights files: safetensors with metadata, and the PourIt! authors' checkpoints."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from ..files import replacing
from .classifier import LiquidClassifier
from .errors import WeightsError
from .find_weights import find_weights
from .metadata import PUBLISHED, WeightsMetadata
from .published_network import PublishedNetwork

_ARCHITECTURES: dict[str, Callable[..., Any]] = {
    'liquid_classifier': LiquidClassifier,
    'published_network': PublishedNetwork,
}


class LoadedWeights(NamedTuple):
    """A network in evaluation mode, on the CPU, with the metadata of its file."""

    model: LiquidClassifier | PublishedNetwork
    metadata: WeightsMetadata


def save_weights(
    path: str | Path, model: LiquidClassifier | PublishedNetwork, metadata: WeightsMetadata
) -> None:
    """Write a .safetensors file, whole or not at all."""
    path = Path(path)
    architecture = next(n for n, c in _ARCHITECTURES.items() if type(model) is c)
    header = {
        'architecture': architecture,
        'config': json.dumps(model.config),
        **metadata.to_header(),
    }
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    with replacing(path) as partial:
        safetensors.torch.save_file(state, partial, header)


def load_weights(path_or_name: str | Path) -> LoadedWeights:
    """Read weights: our .safetensors, or a PourIt! checkpoint (.pth, strictly its 179 tensors).

    path_or_name: see `find_weights`. Raises WeightsError with one line that says what is wrong.
    """
    path = find_weights(path_or_name)
    if path.suffix == '.safetensors':
        return _load_safetensors(path)
    if path.suffix in ('.pth', '.pt'):
        return _load_published(path)
    raise WeightsError(f'{path}: the name of PyTorch weights must end in .safetensors or .pth')


def _load_safetensors(path: Path) -> LoadedWeights:
    try:
        with safetensors.safe_open(path, 'pt') as file:
            header = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except Exception as error:
        raise WeightsError(f'{path}: damaged or not safetensors ({_line(error)})') from error
    architecture = header.get('architecture')
    if architecture not in _ARCHITECTURES:
        raise WeightsError(f'{path}: not weights of this package (architecture {architecture!r})')
    try:
        metadata = WeightsMetadata.from_header(header)
        model = _ARCHITECTURES[architecture](**json.loads(header['config']))
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f'{path}: bad header ({_line(error)})') from error
    _fill(model, state, path)
    return LoadedWeights(model.eval(), metadata)


def _load_published(path: Path) -> LoadedWeights:
    try:
        state = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:
        raise WeightsError(f'{path}: damaged or not a PyTorch checkpoint') from error
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise WeightsError(f'{path}: not a checkpoint of PourIt! (no plain table of tensors)')
    model = PublishedNetwork()
    _fill(model, {str(k).removeprefix('module.'): v for k, v in state.items()}, path)
    return LoadedWeights(model.eval(), PUBLISHED)


def _fill(model: torch.nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Copy parameters; the names must match exactly."""
    wanted = model.state_dict()
    for verb, keys in (
        ('lacks', wanted.keys() - state.keys()),
        ('has unknown', state.keys() - wanted.keys()),
    ):
        if keys:
            raise WeightsError(
                f'{path}: not weights of this network, {verb} {len(keys)} tensors such as '
                f'{min(keys)}'
            )
    for key, value in state.items():
        if value.shape != wanted[key].shape:
            raise WeightsError(
                f'{path}: {key} has shape {tuple(value.shape)}, the network needs '
                f'{tuple(wanted[key].shape)}'
            )
        if not value.isfinite().all():
            raise WeightsError(f'{path}: {key} holds values that are not finite')
    model.load_state_dict(state)


def _line(error: Exception) -> str:
    return ' '.join(str(error).split()) or type(error).__name__
