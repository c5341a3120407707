# SPDX-License-Identifier: Apache-2.0
"""Model, optimiser, averaged weights and checkpoints of one training run."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ..errors import InputError
from ..perception.classifier import LiquidClassifier
from .batches import Batch
from .losses import (
    mask_loss,
    pairs_interleaved,
    presence_loss,
    twin_contrast,
    twin_difference,
)

_CLIP = 2.0


class TrainingError(InputError):
    """Training cannot start or go on with what it was given."""


@dataclass(frozen=True)
class Recipe:
    """What decides a training run; the same recipe gives the same weights on one machine.

    `supervision`: 'masks' learns from the coverage that rendering knows, 'twins' from image labels
    and the pairing with the dry twin alone.
    """

    encoder_init: Path
    steps: int = 3000
    seed: int = 0
    supervision: Literal['masks', 'twins'] = 'masks'
    environment_maps: Path | None = None
    photographs: Path | None = None
    pairs: Path | None = None
    composites: int = 6000
    pairs_per_batch: int = 7
    crop: int = 224
    encoder_rate: float = 3e-4
    head_rate: float = 1e-3
    ema: float = 0.998

    def identity(self) -> dict[str, str]:
        """Return the recipe in words, to compare with a checkpoint's."""
        return {key: str(value) for key, value in asdict(self).items()}


class Trainer:
    """Model, optimiser and averaged weights of one run.

    The encoder starts from ImageNet; its stem and first two blocks stay as they are, since edges
    and colours need no relearning and their gradients cost most. AdamW (Loshchilov and Hutter,
    ICLR 2019), 60 warm-up steps, then a cosine to 1 % of the rate; gradients clipped to norm 2.
    The result is the exponential moving average of the weights (Polyak and Juditsky, 1992).
    """

    def __init__(self, recipe: Recipe) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.step = recipe, 0
        self.model = LiquidClassifier()
        self.model.encoder.load_imagenet(recipe.encoder_init)
        self.model.to(memory_format=torch.channels_last)
        for part in (self.model.encoder.stem, *self.model.encoder.blocks[:2]):
            part.requires_grad_(False)
        encoder = [p for p in self.model.encoder.parameters() if p.requires_grad]
        heads = [p for n, p in self.model.named_parameters() if not n.startswith('encoder.')]
        self.optimiser = torch.optim.AdamW(
            [
                {'params': encoder, 'lr': recipe.encoder_rate},
                {'params': heads, 'lr': recipe.head_rate},
            ],
            weight_decay=1e-4,
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimiser, self._rate)
        self.average = LiquidClassifier()
        self.average.load_state_dict(self.model.state_dict())

    def _rate(self, step: int) -> float:
        decay = 0.5 + 0.5 * math.cos(math.pi * min(step / self.recipe.steps, 1))
        return min(1.0, (step + 1) / 60) * max(decay, 0.01)

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch: presence, and masks or twins."""
        images = self.model.normalise(batch.images)
        output = self.model(images.contiguous(memory_format=torch.channels_last))
        loss = presence_loss(output.presence, batch.labels)
        if self.recipe.supervision == 'masks':
            return loss + mask_loss(output.cam, batch.coverage)
        wet, dry = pairs_interleaved(batch.images)
        return loss + twin_contrast(*pairs_interleaved(output.cam), twin_difference(wet, dry))

    def advance(self, batch: Batch) -> float:
        """Take one step and return its loss."""
        loss = self.loss(batch)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), _CLIP)
        self.optimiser.step()
        self.schedule.step()
        self.step += 1
        # a young average must not remember the untrained head
        keep = min(self.recipe.ema, self.step / (self.step + 10))
        with torch.no_grad():
            for mean, value in zip(
                self.average.parameters(), self.model.parameters(), strict=True
            ):
                mean.lerp_(value, 1 - keep)
        return loss.item()

    def save(self, path: Path) -> None:
        """Write a checkpoint; it appears whole or not at all."""
        partial = path.with_name(f'.{path.name}.partial')
        torch.save(
            {
                'recipe': self.recipe.identity(),
                'step': self.step,
                'model': self.model.state_dict(),
                'average': self.average.state_dict(),
                'optimiser': self.optimiser.state_dict(),
                'schedule': self.schedule.state_dict(),
            },
            partial,
        )
        partial.replace(path)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint of the same recipe. Raises TrainingError."""
        if not path.is_file():
            raise TrainingError(f'no checkpoint {path}; start without --resume')
        state: dict[str, Any] = torch.load(path, map_location='cpu', weights_only=True)
        ours = self.recipe.identity()
        other = [key for key in ours if state['recipe'].get(key) != ours[key]]
        if other:
            raise TrainingError(f'{path} has another {", ".join(other)}; use its recipe')
        self.model.load_state_dict(state['model'])
        self.average.load_state_dict(state['average'])
        self.optimiser.load_state_dict(state['optimiser'])
        self.schedule.load_state_dict(state['schedule'])
        self.step = state['step']
