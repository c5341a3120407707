# SPDX-License-Identifier: Apache-2.0
"""What decides a training run, read from YAML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import yaml

from ..errors import InputError
from ..resources import find_resource


class ConfigError(InputError):
    """A training configuration makes no sense."""


@dataclass(frozen=True)
class BatchConfig:
    """How batches are cut from pictures.

    `pairs`: pairs of full crops a step; `crop`: their side, px, at most; `scales`: range of the
    picture's longer side as a multiple of the network's `input_size`; `look`: how far light and
    camera are changed, 0 (not) to 1, see `looks.Look.draw`.
    """

    pairs: int
    crop: int
    scales: tuple[float, float]
    look: float


@dataclass(frozen=True)
class OptimiserConfig:
    """AdamW with warm-up and cosine.

    `steps`, `warmup`: of training; rates of encoder and head; `frozen`: blocks of the encoder,
    with its stem, that stay as they are (0: none); `ema`: decay of the averaged weights.
    """

    steps: int
    warmup: int
    encoder_rate: float
    head_rate: float
    weight_decay: float
    frozen: int
    ema: float


@dataclass(frozen=True)
class LossConfig:
    """Weights of the losses.

    `contrast_after`: steps before feature contrast sets in; `contrast_band`: activation below
    which cells are background and from which they are liquid; between they are left out.
    """

    presence: float
    mask: float
    twin: float
    contrast: float
    contrast_after: int
    contrast_band: tuple[float, float]
    area: float

    @property
    def weights(self) -> tuple[float, ...]:
        """The factors alone."""
        return self.presence, self.mask, self.twin, self.contrast, self.area


@dataclass(frozen=True)
class TrainConfig:
    """A recipe. `network`: architecture and its arguments; `input_size`: px, at work."""

    name: str
    network: dict[str, Any]
    input_size: int
    batch: BatchConfig
    optimiser: OptimiserConfig
    loss: LossConfig
    seed: int

    def __post_init__(self) -> None:
        low, high = self.batch.scales
        checks = {
            'input_size must be at least 32': self.input_size >= 32,
            'batch.pairs must be at least 1': self.batch.pairs >= 1,
            'batch.crop must be a multiple of 32': self.batch.crop >= 32
            and self.batch.crop % 32 == 0,
            'batch.scales must rise from above 0': 0 < low <= high,
            'batch.look must lie in [0, 1]': 0 <= self.batch.look <= 1,
            'optimiser.steps must be at least 1': self.optimiser.steps >= 1,
            'optimiser.ema must lie in [0, 1)': 0 <= self.optimiser.ema < 1,
            'loss weights must not be negative': min(self.loss.weights) >= 0,
            'loss.contrast_band must rise within [0, 1]': 0
            <= self.loss.contrast_band[0]
            <= self.loss.contrast_band[1]
            <= 1,
            'loss.presence must be positive': self.loss.presence > 0,
        }
        for problem, good in checks.items():
            if not good:
                raise ConfigError(f'{self.name}: {problem}')

    @property
    def uses_masks(self) -> bool:
        """Whether the coverage of rendered scenes takes part."""
        return self.loss.mask > 0

    def with_run(self, steps: int | None, seed: int | None) -> TrainConfig:
        """The same recipe of another length, with another seed."""
        optimiser = self.optimiser if steps is None else replace(self.optimiser, steps=steps)
        return replace(self, optimiser=optimiser, seed=self.seed if seed is None else seed)


T = TypeVar('T')


def load_config(path_or_name: str | Path) -> TrainConfig:
    """Read a recipe: a YAML file, or the name of one that comes with the package.

    Raises ConfigError that names the file and the key.
    """
    path = Path(path_or_name)
    if not path.is_file():
        if not re.fullmatch(r'\w[\w-]*', str(path_or_name)):
            raise ConfigError(f'{path}: no such file')
        try:
            path = find_resource(f'config/train/{path_or_name}.yaml')
        except FileNotFoundError:
            raise ConfigError(
                f'no recipe named {path_or_name!r}: default, weak, published, or a YAML file'
            ) from None
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f'{path}: is no YAML ({" ".join(str(error).split())})') from None
    if not isinstance(content, Mapping):
        raise ConfigError(f'{path}: is no table of keys')
    parts = {'batch': BatchConfig, 'optimiser': OptimiserConfig, 'loss': LossConfig}
    values: dict[str, Any] = {'name': path.stem, **content}
    for key, kind in parts.items():
        values[key] = _read(kind, values.get(key), f'{path}: {key}')
    if not isinstance(values.get('network'), Mapping) or 'architecture' not in values['network']:
        raise ConfigError(f'{path}: network needs an architecture')
    return _read(TrainConfig, values, str(path))


def _read(kind: type[T], values: object, where: str) -> T:
    """A dataclass of plain fields from a mapping with exactly its keys."""
    if not isinstance(values, Mapping):
        raise ConfigError(f'{where} is missing')
    names = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    for verb, keys in (('lacks', names - values.keys()), ('does not know', values.keys() - names)):
        if keys:
            raise ConfigError(f'{where} {verb} {min(map(str, keys))}')
    converted: dict[str, Any] = {}
    for field in fields(kind):  # type: ignore[arg-type]
        value = values[field.name]
        try:
            if field.type == 'int':
                if int(value) != float(value):
                    raise ValueError
                value = int(value)
            elif field.type == 'float':
                value = float(value)
            elif field.type == 'tuple[float, float]':
                low, high = value
                value = (float(low), float(high))
        except (TypeError, ValueError):
            raise ConfigError(f'{where}: {field.name} is {value!r}') from None
        converted[field.name] = value
    return kind(**converted)
