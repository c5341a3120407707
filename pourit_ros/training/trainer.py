# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Network, optimiser, averaged weights and checkpoints of one training run, on Fabric."""

from __future__ import annotations

import copy
import math
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from ..errors import InputError
from .batches import Batch
from .config import TrainConfig
from .networks import Network, Runner, build, frozen_parts
from .objective import objective
from .processes import whole_batch

CLIP = 2.0


class Trainer:
    """One run, step by step; the same recipe and data give the same weights on one machine.

    This also holds with several processes, up to rounding: the batch of a step is the recipe's,
    however many share it, and the loss is that of the whole batch. (Except for the blocks that the
    published network drops at random.)

    AdamW (Loshchilov and Hutter, ICLR 2019), linear warm-up, then a cosine to 1 % of the rate;
    gradients clipped to norm 2. The result is `average`, the exponential moving average of the
    weights (Polyak and Juditsky, 1992).

    `data`: identifiers of the sets, kept in checkpoints. Raises InputError, WeightsError.
    """

    def __init__(
        self,
        config: TrainConfig,
        fabric: Fabric,
        data: dict[str, str],
        encoder_init: Path | None = None,
        init: str | None = None,
    ) -> None:
        fabric.seed_everything(config.seed, verbose=False)
        self.config, self.fabric, self.data, self.step = config, fabric, data, 0
        network = build(config.network, encoder_init, init)
        for part in frozen_parts(network, config.optimiser.frozen):
            part.requires_grad_(False)
        self.average: Network = copy.deepcopy(network).eval().to(fabric.device)
        fine_tuned = init is not None and config.loss.twin > 0
        self._start = Runner(copy.deepcopy(self.average)) if fine_tuned else None
        if config.loss.passes and fabric.world_size > 1:
            raise InputError(
                f'{config.name}: loss.class_contrast, usage, patches and explicit_patches train '
                'in one process only'
            )
        self._teacher = Runner(self.average)
        # The order in which images arrive, and on CPUs the faster one for depthwise convolutions.
        runner = Runner(network.to(memory_format=torch.channels_last))
        rates = config.optimiser
        optimiser = torch.optim.AdamW(
            [
                {'params': _trained(network, encoder=True), 'lr': rates.encoder_rate},
                {'params': _trained(network, encoder=False), 'lr': rates.head_rate},
            ],
            weight_decay=rates.weight_decay,
        )
        self.network = network
        # What is dropped at random must not be the same in each process.
        torch.manual_seed(config.seed + fabric.global_rank)
        self._runner, self._optimiser = fabric.setup(runner, optimiser)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimiser, self._rate)

    def _rate(self, step: int) -> float:
        optimiser = self.config.optimiser
        decay = 0.5 + 0.5 * math.cos(math.pi * min(step / optimiser.steps, 1))
        return min(1.0, (step + 1) / max(optimiser.warmup, 1)) * max(decay, 0.01)

    def advance(self, batch: Batch) -> dict[str, float]:
        """Take one step; return its losses by name, with their sum as 'loss'.

        `batch`: this process's share, see `Cropper.batch`.
        """
        self._runner.train()
        share = self._to_device(batch)
        with self.fabric.autocast():
            output = self._runner(share.images, share.valid)
        batch, output = whole_batch(self.fabric, share, output)
        losses = objective(
            self.network, output, batch, self.config.loss, self.step, self._start, self._teacher
        )
        total = torch.stack(list(losses.values())).sum()
        self._optimiser.zero_grad(set_to_none=True)
        # Gradients are averaged over the processes; they are parts of a sum.
        self.fabric.backward(total * self.fabric.world_size)
        self.fabric.clip_gradients(self._runner, self._optimiser, max_norm=CLIP)
        self._optimiser.step()
        self._schedule.step()
        self.step += 1
        self._follow()
        return {name: part.item() for name, part in losses.items()} | {'loss': total.item()}

    def _to_device(self, batch: Batch) -> Batch:
        device = self.fabric.device
        moved = {f.name: getattr(batch, f.name).to(device) for f in fields(batch)}
        return replace(batch, **moved)

    @torch.no_grad()
    def _follow(self) -> None:
        # A young average must not remember the untrained head.
        keep = min(self.config.optimiser.ema, self.step / (self.step + 10))
        for mean, value in zip(self.average.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(value, 1 - keep)

    def _state(self) -> dict[str, Any]:
        return {
            'model': self._runner,
            'average': self.average.state_dict(),
            'optimiser': self._optimiser,
            'schedule': self._schedule.state_dict(),
            'step': self.step,
            'recipe': _words(self.config),
            'data': self.data,
        }

    def save(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all."""
        partial = path.with_name(f'.{path.name}.partial')
        self.fabric.save(partial, self._state())
        if self.fabric.is_global_zero:
            partial.replace(path)

    def resume(self, path: Path) -> None:
        """Resume from a checkpoint of the same recipe and data. Raises InputError."""
        if not path.is_file():
            raise InputError(f'no checkpoint {path}; start without --resume')
        state = self._state()
        try:
            self.fabric.load(path, state)
        except Exception as error:
            line = ' '.join(str(error).split())
            raise InputError(f'{path}: cannot resume from checkpoint ({line[:200]})') from error
        for what, ours in (('recipe', _words(self.config)), ('data', self.data)):
            other = [k for k in {*ours, *state[what]} if ours.get(k) != state[what].get(k)]
            if other:
                raise InputError(
                    f'{path}: was made with another {what} ({", ".join(sorted(other))})'
                )
        self.average.load_state_dict(state['average'])
        self._schedule.load_state_dict(state['schedule'])
        self.step = state['step']


def _trained(network: Network, encoder: bool) -> list[torch.nn.Parameter]:
    return [
        parameter
        for name, parameter in network.named_parameters()
        if parameter.requires_grad and name.startswith('encoder.') == encoder
    ]


def _words(config: TrainConfig) -> dict[str, str]:
    """A recipe as strings, for comparison with a checkpoint's; without losses that are off.

    So checkpoints from before a loss was added can be resumed.
    """
    words = asdict(config)
    for field in fields(config.loss):
        if words['loss'][field.name] == field.default:
            del words['loss'][field.name]
    return {key: str(value) for key, value in words.items()}
