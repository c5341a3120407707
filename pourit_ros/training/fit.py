# SPDX-License-Identifier: Apache-2.0
"""A whole training run: data, steps, checkpoints, pictures, calibration, weights."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray

from ..perception.classifier import LiquidClassifier
from ..perception.weights import WeightsMetadata, load_weights, save_weights
from .batches import Batch, Cropper
from .calibration import Calibration, calibrate
from .config import TrainConfig
from .data_sets import DataError, DataSet, fingerprint
from .monitor import Monitor
from .networks import keep_start
from .trainer import Trainer, TrainingError

CHECKPOINT = 'checkpoint.ckpt'
WEIGHTS = 'weights.safetensors'
SHOWN = 8

Progress = Callable[[int, float], None]
Precision = Literal['32-true', 'bf16-mixed', '16-mixed']


@dataclass(frozen=True)
class Run:
    """What a run needs beside its recipe.

    `sets`: to train on, each with its share of the samples; `held_out`: for the thresholds and
    the pictures; `out`: the run's folder; `encoder_init`, `init`: start weights; `every`: steps
    between checkpoints; `workers`: threads that prepare batches.
    """

    sets: Sequence[tuple[DataSet, float]]
    held_out: DataSet
    out: Path
    encoder_init: Path | None = None
    init: str | None = None
    every: int = 250
    workers: int = 1


def fit(
    config: TrainConfig, run: Run, fabric: Fabric, resume: bool, progress: Progress
) -> Calibration | None:
    """Train, calibrate, write `weights.safetensors` into the run's folder.

    The folder holds a checkpoint while training runs; `resume` goes on from it. Weights that
    were started from others (`init`) end half-way between the two, see `keep_start`. `progress` is
    told the step and a running mean of the loss. Returns the calibration; None for the published
    network, whose thresholds are part of the method, and on all processes but the first. Raises
    TrainingError, ConfigError, DataError, WeightsError.
    """
    checkpoint = run.out / CHECKPOINT
    if checkpoint.exists() and not resume:
        raise TrainingError(f'{run.out}: holds a run that was cut off; --resume goes on with it')
    if (run.out / WEIGHTS).exists():
        raise TrainingError(f'{run.out}: holds a finished run; choose another folder')
    if not run.held_out.has_both:
        raise DataError(f'{run.held_out.folder}: thresholds need pictures with and without liquid')
    # Numbered: two sets may bear one name.
    data = {f'{k}:{s.folder.name}': fingerprint(s) for k, (s, _) in enumerate(run.sets)}
    trainer = Trainer(config, fabric, data, run.encoder_init, run.init)
    if resume:
        trainer.resume(checkpoint)
    run.out.mkdir(parents=True, exist_ok=True)
    first = fabric.is_global_zero
    monitor = Monitor(run.out, _fixed_pictures(run.held_out), trainer.step) if first else None
    mean: float | None = None
    for batch in _batches(Cropper(run.sets, config), trainer, run.workers):
        losses = trainer.advance(batch)
        mean = losses['loss'] if mean is None else 0.98 * mean + 0.02 * losses['loss']
        progress(trainer.step, mean)
        if monitor is not None and trainer.step % 20 == 0:
            monitor.scalars(trainer.step, losses)
        if trainer.step % run.every == 0:
            trainer.save(checkpoint)
            if monitor is not None:
                monitor.cams(trainer.step, trainer.average)
    if monitor is None:
        return None
    monitor.cams(trainer.step, trainer.average)
    monitor.close()
    # Whatever becomes of the calibration, the steps are not lost.
    trainer.save(checkpoint)
    result = _finish(trainer, run)
    checkpoint.unlink(missing_ok=True)
    return result


def _finish(trainer: Trainer, run: Run) -> Calibration | None:
    network = trainer.average.cpu().eval()
    before = None if run.init is None else load_weights(run.init)
    if before is not None:
        keep_start(network, before.model)
    metadata = _metadata(trainer.config, run, trainer.data, before and before.metadata)
    if not isinstance(network, LiquidClassifier):
        save_weights(run.out / WEIGHTS, network, metadata)
        return None
    calibration = calibrate(network, metadata, run.held_out)
    save_weights(run.out / WEIGHTS, network, calibration.metadata)
    return calibration


def _metadata(
    config: TrainConfig, run: Run, data: dict[str, str], before: WeightsMetadata | None
) -> WeightsMetadata:
    """What the weights file says of itself; thresholds are those of the start until calibrated."""
    presence, mask, licence = 0.5, 0.5, 'Apache-2.0'
    if config.network['architecture'] == 'published_network':
        mask = 0.7
    start = 'random weights' if run.encoder_init is None else f'ImageNet ({run.encoder_init.name})'
    if before is not None:
        mask, licence = before.mask_threshold, before.licence
        start = f'{before.recipe} ({before.origin}) and averaged with it'
    sets = ', '.join(f'{name} {digest}' for name, digest in data.items())
    recipe = f'{config.name}, {config.optimiser.steps} steps, seed {config.seed}, data: {sets}'
    return WeightsMetadata(
        config.input_size, presence, mask, recipe, licence, f'started from {start}'
    )


def _batches(cropper: Cropper, trainer: Trainer, workers: int) -> Iterator[Batch]:
    """Batches of the remaining steps in order, prepared ahead by threads."""
    last, rank = trainer.config.optimiser.steps, trainer.fabric.global_rank
    # The threads share the cores with the network already.
    cv2.setNumThreads(1)
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[Batch]] = deque()
        try:
            for step in range(trainer.step, last):
                waiting.append(pool.submit(cropper.batch, step, rank))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _fixed_pictures(data: DataSet) -> list[NDArray[np.uint8]]:
    count = min(SHOWN, len(data))
    return [data[k * len(data) // count].picture for k in range(count)]


def make_fabric(device: str, devices: int = 1, precision: Precision = '32-true') -> Fabric:
    """Set up Fabric; raises TrainingError for a device or precision that is not there."""
    if device == 'cuda' and not torch.cuda.is_available():
        raise TrainingError('device cuda: torch sees no CUDA device here, choose cpu or auto')
    accelerator = {'auto': 'auto', 'cpu': 'cpu', 'cuda': 'cuda'}[device]
    # The published network carries parameters that nothing uses.
    strategy = 'ddp_find_unused_parameters_true' if devices > 1 else 'auto'
    try:
        fabric = Fabric(
            accelerator=accelerator, devices=devices, strategy=strategy, precision=precision
        )
        fabric.launch()
    except Exception as error:
        line = ' '.join(str(error).split())
        raise TrainingError(f'cannot set up {devices} x {device}, {precision}: {line}') from error
    return fabric
