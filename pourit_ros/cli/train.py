# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`pourit train`: train the liquid classifier on rendered pairs or labelled images."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

import typer

from ..errors import InputError
from ..files import check_working_folder, working_folder
from ..perception.errors import require_torch
from .inputs import check_inputs
from .options import Threads, TorchDevice
from .progress import long_task
from .terminal import say, show


def train(
    data: Annotated[
        list[Path],
        typer.Option(help='Folder from pourit synth or pourit collect; repeatable.'),
    ],
    val: Annotated[
        list[Path],
        typer.Option(
            help='Held-out folder of the same kind, repeatable; thresholds are chosen on these.'
        ),
    ],
    out: Annotated[Path, typer.Option(help='Folder for the run.')],
    config: Annotated[
        str, typer.Option(help='Recipe: default, weak, published, or a YAML file.')
    ] = 'default',
    init: Annotated[
        str | None,
        typer.Option(help='Weights to start from, with their network: a shipped name or a file.'),
    ] = None,
    encoder_init: Annotated[
        Path | None, typer.Option(help='ImageNet weights of the encoder, .npz.')
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps; default: the recipe's.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed; default: the recipe's.")] = None,
    resume: Annotated[bool, typer.Option(help='Resume an interrupted run.')] = False,
    device: TorchDevice = 'auto',
    devices: Annotated[
        int, typer.Option(min=1, help='GPUs, or CPU processes, that share each batch.')
    ] = 1,
    precision: Annotated[
        Literal['32-true', 'bf16-mixed', '16-mixed'], typer.Option(help='Arithmetic precision.')
    ] = '32-true',
    threads: Threads = None,
    workers: Annotated[int, typer.Option(min=1, help='Threads that prepare batches.')] = 2,
) -> None:
    """Train the liquid classifier.

    Writes weights.safetensors, TensorBoard events and images of CAMs on fixed frames (cams/)
    into the run's folder, and a checkpoint while it runs.

    Example: pourit train --config weak --data lab --val lab_val --init default --out run
    """
    check_inputs(
        [] if encoder_init is None else [encoder_init], folders=[*data, *val], weights=init
    )
    for module in ('lightning_fabric', 'tensorboard'):
        if find_spec(module) is None:
            raise InputError(f"{module} is missing: pip install 'pourit_ros[train]'")
    from ..training.config import load_config

    # Before torch, which takes seconds.
    recipe = load_config(config).with_run(steps, seed)
    require_torch('training')
    import torch

    from ..training.data_sets import open_data
    from ..training.fit import CHECKPOINT, Run, check, fit, make_fabric
    from ..training.processes import one_voice

    given = [*data, *val, *(path for path in (init, encoder_init) if path is not None)]
    check_working_folder(out, 'train', given, CHECKPOINT)
    sets = [open_data(folder) for folder in data]
    run = Run(
        # Every sample as often as any other.
        sets=[(s, len(s)) for s in sets],
        held_out=[open_data(folder) for folder in val],
        out=out,
        encoder_init=encoder_init,
        init=init,
        workers=workers,
    )
    check(recipe, run, resume, devices)
    published = recipe.network['architecture'] == 'published_network'
    fabric = make_fabric(device, devices, precision, unused=published)
    if threads is not None:
        # Not before: several processes are given their share of the cores.
        torch.set_num_threads(threads)
    with one_voice(fabric):
        if not fabric.is_global_zero:
            fit(recipe, run, fabric, resume, lambda step, loss: None)
            return
        with working_folder(out, 'train', given, CHECKPOINT), ExitStack() as bars:
            report = bars.enter_context(long_task('steps', recipe.optimiser.steps))
            looked = None

            def choosing(done: int, total: int) -> None:
                nonlocal looked
                if looked is None:
                    bars.close()
                    looked = bars.enter_context(long_task('images for the thresholds', total))
                looked(done)

            result = fit(
                recipe,
                run,
                fabric,
                resume,
                lambda step, loss: report(step, f', loss {loss:.3f}'),
                choosing,
            )
    weights = out / 'weights.safetensors'
    if result is not None:
        say(str(result))
    say(f'weights: {weights}')
    show({'weights': str(weights), **({} if result is None else asdict(result))}, '')
