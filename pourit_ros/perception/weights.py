# SPDX-License-Identifier: Apache-2.0
"""Weights files: safetensors that say what they are, and the PourIt! authors' checkpoints."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from ..resources import find_resource
from .classifier import LiquidClassifier
from .errors import WeightsError
from .published_network import PublishedNetwork

_ARCHITECTURES: dict[str, Callable[..., Any]] = {
    'liquid_classifier': LiquidClassifier,
    'published_network': PublishedNetwork,
}


@dataclass(frozen=True)
class WeightsMetadata:
    """What a weights file says about itself. Raises ValueError where it makes no sense."""

    input_size: int
    """Side of the square that images are letterboxed to, pixels."""
    presence_threshold: float
    """Probability above which liquid is present."""
    mask_threshold: float
    """CAM value above which a pixel belongs to the mask."""
    recipe: str
    """How the weights were trained."""
    licence: str
    """SPDX identifier or one line."""
    origin: str
    """Data and initial weights that they come from."""

    @classmethod
    def from_header(cls, header: Mapping[str, str]) -> WeightsMetadata:
        """Read the header of a file; raises KeyError or ValueError."""
        return cls(
            input_size=int(header['input_size']),
            presence_threshold=float(header['presence_threshold']),
            mask_threshold=float(header['mask_threshold']),
            recipe=header['recipe'],
            licence=header['licence'],
            origin=header['origin'],
        )

    def to_header(self) -> dict[str, str]:
        """What `from_header` reads."""
        return {name: str(value) for name, value in asdict(self).items()}

    def __post_init__(self) -> None:
        if self.input_size < 32:
            raise ValueError(f'input_size is {self.input_size}, it must be at least 32')
        for name in ('presence_threshold', 'mask_threshold'):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f'{name} is {getattr(self, name)}, it must lie in [0, 1]')


#: The live demo of PourIt!; its thresholds are in the code, not in the checkpoint.
PUBLISHED = WeightsMetadata(
    input_size=480,
    presence_threshold=0.5,
    mask_threshold=0.7,
    recipe='PourIt!, arXiv 2307.11299',
    licence='unclear: Apache-2.0 repository, but trained from non-commercial MiT weights',
    origin='https://github.com/hetolin/PourIt',
)


class LoadedWeights(NamedTuple):
    """A network in evaluation mode, on the CPU, and what its file says."""

    model: LiquidClassifier | PublishedNetwork
    metadata: WeightsMetadata


def save_weights(
    path: str | Path, model: LiquidClassifier | PublishedNetwork, metadata: WeightsMetadata
) -> None:
    """Write a .safetensors file; it appears whole or not at all."""
    path = Path(path)
    architecture = next(n for n, c in _ARCHITECTURES.items() if type(model) is c)
    header = {
        'architecture': architecture,
        'config': json.dumps(model.config),
        **metadata.to_header(),
    }
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    partial = path.with_name(f'.{path.name}.partial')
    try:
        safetensors.torch.save_file(state, partial, header)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def find_weights(path_or_name: str | Path) -> Path:
    """Locate a file by path, or a name such as 'default'.

    A name is looked up as <name>.safetensors in $POURIT_MODEL_DIR, then among the models that
    come with the package. Raises WeightsError.
    """
    path = Path(path_or_name)
    if path.is_file():
        return path
    if not re.fullmatch(r'\w[\w-]*', str(path_or_name)):
        raise WeightsError(f'{path}: no such weights file')
    folder = os.environ.get('POURIT_MODEL_DIR')
    if folder:
        path = Path(folder) / f'{path_or_name}.safetensors'
        if path.is_file():
            return path
    try:
        return find_resource(f'models/{path_or_name}.safetensors')
    except FileNotFoundError as error:
        raise WeightsError(
            f'no weights named {path_or_name!r}: give a file, or put {path_or_name}.safetensors '
            'into $POURIT_MODEL_DIR'
        ) from error


def load_weights(path_or_name: str | Path) -> LoadedWeights:
    """Read weights: our .safetensors, or a PourIt! checkpoint (.pth, strictly its 179 tensors).

    path_or_name: see `find_weights`. Raises WeightsError with one line that says what is wrong.
    """
    path = find_weights(path_or_name)
    if path.suffix == '.safetensors':
        return _load_safetensors(path)
    if path.suffix in ('.pth', '.pt'):
        return _load_published(path)
    raise WeightsError(f'{path}: weights of PyTorch end in .safetensors or .pth')


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
    """Copy parameters, all of them and no others."""
    wanted = model.state_dict()
    for verb, keys in (
        ('lacks', wanted.keys() - state.keys()),
        ('has foreign', state.keys() - wanted.keys()),
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
