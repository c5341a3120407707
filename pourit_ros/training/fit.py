# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A whole training run: data, steps, checkpoints, images, calibration, weights."""

from __future__ import annotations

import logging
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

from ..errors import InputError
from ..perception.classifier import LiquidClassifier
from ..perception.weights import WeightsMetadata, load_weights, save_weights
from .batches import Batch, Cropper
from .calibration import Calibration, calibrate
from .config import TrainConfig
from .data_sets import DataSet, fingerprint
from .monitor import Monitor
from .networks import build, frozen_parts, keep_start
from .trainer import Trainer

CHECKPOINT = 'checkpoint.ckpt'
WEIGHTS = 'weights.safetensors'
SHOWN = 8

Progress = Callable[[int, float], None]
Precision = Literal['32-true', 'bf16-mixed', '16-mixed']


@dataclass(frozen=True)
class Run:
    """The inputs of a run besides its recipe.

    `sets`: training data, each with its share of the samples; `held_out`: for the thresholds and
    the images; `out`: the run's folder; `encoder_init`, `init`: start weights; `every`: steps
    between checkpoints; `workers`: threads that prepare batches.
    """

    sets: Sequence[tuple[DataSet, float]]
    held_out: Sequence[DataSet]
    out: Path
    encoder_init: Path | None = None
    init: str | None = None
    every: int = 250
    workers: int = 1


def check(config: TrainConfig, run: Run, resume: bool, processes: int = 1) -> None:
    """Raise what `fit` would raise before it starts, except for a checkpoint's contents.

    Called before several processes start, so that the error appears once.
    """
    checkpoint = run.out / CHECKPOINT
    if (run.out / WEIGHTS).exists():
        raise InputError(f'{run.out}: holds a finished run; choose another folder')
    if checkpoint.exists() and not resume:
        raise InputError(f'{run.out}: holds an interrupted run; --resume continues it')
    if resume and not checkpoint.is_file():
        raise InputError(f'no checkpoint {checkpoint}; start without --resume')
    for held_out in run.held_out:
        if not held_out.has_both:
            raise InputError(f'{held_out.folder}: thresholds need images with and without liquid')
    pairs = config.batch.pairs
    if pairs < processes:
        raise InputError(
            f'{config.name}: batch.pairs is {pairs}, which is too few for {processes} processes'
        )
    network = build(config.network, run.encoder_init, run.init)
    frozen_parts(network, config.optimiser.frozen)


def fit(
    config: TrainConfig,
    run: Run,
    fabric: Fabric,
    resume: bool,
    progress: Progress,
    choosing: Callable[[int, int], None] | None = None,
) -> Calibration | None:
    """Train, calibrate, write `weights.safetensors` into the run's folder.

    The folder holds a checkpoint while training runs; `resume` continues from it. Weights trained
    from others (`init`) end half-way between the two, see `keep_start`. `progress` receives the
    step and a running mean of the loss; `choosing` the number of images done for the thresholds,
    and of how many. Returns the calibration; None for the published network, whose thresholds are
    part of the method, and on all processes but the first. Raises InputError, WeightsError among
    them.
    """
    check(config, run, resume, fabric.world_size)
    checkpoint = run.out / CHECKPOINT
    # Numbered: two sets may bear one name.
    data = {f'{k}:{s.folder.name}': fingerprint(s) for k, (s, _) in enumerate(run.sets)}
    trainer = Trainer(config, fabric, data, run.encoder_init, run.init)
    if resume:
        trainer.resume(checkpoint)
    run.out.mkdir(parents=True, exist_ok=True)
    first = fabric.is_global_zero
    monitor = Monitor(run.out, _fixed_pictures(run.held_out[0]), trainer.step) if first else None
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
    # Whatever becomes of the calibration, the steps are not lost. All processes save together.
    trainer.save(checkpoint)
    if monitor is None:
        return None
    monitor.cams(trainer.step, trainer.average)
    monitor.close()
    result = _finish(trainer, run, choosing)
    checkpoint.unlink(missing_ok=True)
    return result


def _finish(
    trainer: Trainer, run: Run, choosing: Callable[[int, int], None] | None
) -> Calibration | None:
    network = trainer.average.cpu().eval()
    before = None if run.init is None else load_weights(run.init)
    if before is not None:
        keep_start(network, before.model)
    metadata = _metadata(trainer.config, run, trainer.data, before and before.metadata)
    if not isinstance(network, LiquidClassifier):
        save_weights(run.out / WEIGHTS, network, metadata)
        return None
    calibration = calibrate(network, metadata, run.held_out, choosing)
    save_weights(run.out / WEIGHTS, network, calibration.metadata)
    return calibration


def _metadata(
    config: TrainConfig, run: Run, data: dict[str, str], before: WeightsMetadata | None
) -> WeightsMetadata:
    """Metadata for the weights file; thresholds are the initial ones until calibrated."""
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
    """Batches of the remaining steps in order, prepared in advance by threads."""
    last = trainer.config.optimiser.steps
    rank, processes = trainer.fabric.global_rank, trainer.fabric.world_size
    # The threads share the cores with the network already.
    cv2.setNumThreads(1)
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[Batch]] = deque()
        try:
            for step in range(trainer.step, last):
                waiting.append(pool.submit(cropper.batch, step, rank, processes))
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


def make_fabric(
    device: str, devices: int = 1, precision: Precision = '32-true', unused: bool = False
) -> Fabric:
    """Set up Fabric and start its other processes; `unused`: some parameters get no gradient.

    Raises InputError for a missing device or precision.
    """
    if device == 'cuda' and not torch.cuda.is_available():
        raise InputError('device cuda: torch finds no CUDA device; choose cpu or auto')
    accelerator = {'auto': 'auto', 'cpu': 'cpu', 'cuda': 'cuda'}[device]
    strategy = 'auto'
    if devices > 1:
        strategy = 'ddp_find_unused_parameters_true' if unused else 'ddp'
    logging.getLogger('lightning_fabric').setLevel(logging.WARNING)
    try:
        fabric = Fabric(
            accelerator=accelerator, devices=devices, strategy=strategy, precision=precision
        )
        fabric.launch()
    except Exception as error:
        line = ' '.join(str(error).split())
        raise InputError(f'cannot use {devices} x {device}, {precision}: {line}') from error
    return fabric
