# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The configuration of a training run, read from YAML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import yaml

from ..errors import InputError
from ..resources import find_resource


@dataclass(frozen=True)
class BatchConfig:
    """How batches are cut from images.

    `pairs`: pairs of full crops per step; `crop`: their largest side, px; `scales`: range of the
    image's longer side as a multiple of the network's `input_size`; `look`: strength of the
    changes of light and camera, 0 (none) to 1, see `looks.Look.draw`.
    """

    pairs: int
    crop: int
    scales: tuple[float, float]
    look: float


@dataclass(frozen=True)
class OptimiserConfig:
    """AdamW with warm-up and cosine.

    `steps`, `warmup`: of training; rates of encoder and head; `frozen`: number of encoder blocks,
    after the stem, that are not trained (0: none); `ema`: decay of the averaged weights.
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

    `contrast_after`: steps before feature contrast starts; `contrast_band`: activations below
    which cells are background and above which they are liquid; those between are left out. Both
    hold for ToCo's `patch_contrast` (PTC) and `class_contrast` (CTC), too. `usage`: of USAGE's
    generation and regularisation, with maps pooled at `temperature`. `patches`,
    `explicit_patches`: of PPL, `patch_grid` tiles a side. Recipes may leave out what is off.
    """

    presence: float
    mask: float
    twin: float
    contrast: float
    contrast_after: int
    contrast_band: tuple[float, float]
    area: float
    patch_contrast: float = 0.0
    class_contrast: float = 0.0
    usage: float = 0.0
    temperature: float = 0.5
    patches: float = 0.0
    explicit_patches: float = 0.0
    patch_grid: int = 2

    @property
    def weights(self) -> tuple[float, ...]:
        """Only the factors."""
        return (
            self.presence, self.mask, self.twin, self.contrast, self.area, self.patch_contrast,
            self.class_contrast, self.usage, self.patches, self.explicit_patches,
        )  # fmt: skip

    @property
    def passes(self) -> bool:
        """Whether a step runs the network again, on crops, tiles or with averaged weights."""
        return max(self.class_contrast, self.usage, self.patches, self.explicit_patches) > 0


@dataclass(frozen=True)
class TrainConfig:
    """A recipe. `network`: architecture and its arguments; `input_size`: px, in use."""

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
            'batch.scales must be positive and increasing': 0 < low <= high,
            'batch.look must lie in [0, 1]': 0 <= self.batch.look <= 1,
            'optimiser.steps must be at least 1': self.optimiser.steps >= 1,
            'optimiser.ema must lie in [0, 1)': 0 <= self.optimiser.ema < 1,
            'loss weights must not be negative': min(self.loss.weights) >= 0,
            'loss.contrast_band must be increasing and lie within [0, 1]': 0
            <= self.loss.contrast_band[0]
            <= self.loss.contrast_band[1]
            <= 1,
            'loss.presence must be positive': self.loss.presence > 0,
            'loss.temperature must be positive': self.loss.temperature > 0,
            'loss.patch_grid must be at least 1': self.loss.patch_grid >= 1,
            'loss.patches and explicit_patches need architecture liquid_classifier': max(
                self.loss.patches, self.loss.explicit_patches
            )
            == 0
            or self.network.get('architecture') == 'liquid_classifier',
        }
        for problem, good in checks.items():
            if not good:
                raise InputError(f'{self.name}: {problem}')

    @property
    def uses_masks(self) -> bool:
        """Whether the coverage of rendered scenes is used."""
        return self.loss.mask > 0

    def with_run(self, steps: int | None, seed: int | None) -> TrainConfig:
        """The same recipe with another length and seed."""
        optimiser = self.optimiser if steps is None else replace(self.optimiser, steps=steps)
        return replace(self, optimiser=optimiser, seed=self.seed if seed is None else seed)


T = TypeVar('T')


def load_config(path_or_name: str | Path) -> TrainConfig:
    """Read a recipe: a YAML file, or the name of one that comes with the package.

    Raises InputError with the file and the key.
    """
    path = Path(path_or_name)
    if not path.is_file():
        if not re.fullmatch(r'\w[\w-]*', str(path_or_name)):
            raise InputError(f'{path}: no such file')
        try:
            path = find_resource(f'config/train/{path_or_name}.yaml')
        except FileNotFoundError:
            raise InputError(
                f'no recipe named {path_or_name!r}: choose default, weak, published or a YAML file'
            ) from None
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f'{path}: is not valid YAML ({" ".join(str(error).split())})') from None
    if not isinstance(content, Mapping):
        raise InputError(f'{path}: is not a mapping of keys to values')
    parts = {'batch': BatchConfig, 'optimiser': OptimiserConfig, 'loss': LossConfig}
    values: dict[str, Any] = {'name': path.stem, **content}
    for key, kind in parts.items():
        values[key] = _read(kind, values.get(key), f'{path}: {key}')
    if not isinstance(values.get('network'), Mapping) or 'architecture' not in values['network']:
        raise InputError(f'{path}: network.architecture is missing')
    return _read(TrainConfig, values, str(path))


def _read(kind: type[T], values: object, where: str) -> T:
    """A dataclass of plain fields from a mapping with its keys; those with a default may lack."""
    if not isinstance(values, Mapping):
        raise InputError(f'{where} is missing')
    names = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    needed = {f.name for f in fields(kind) if f.default is MISSING}  # type: ignore[arg-type]
    for verb, keys in (('lacks', needed - values.keys()), ('has unknown', values.keys() - names)):
        if keys:
            raise InputError(f'{where} {verb} {min(map(str, keys))}')
    converted: dict[str, Any] = {}
    for field in fields(kind):  # type: ignore[arg-type]
        if field.name not in values:
            continue
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
            raise InputError(f'{where}: {field.name} cannot be {value!r}') from None
        converted[field.name] = value
    return kind(**converted)
