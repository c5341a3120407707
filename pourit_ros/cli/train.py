# SPDX-License-Identifier: Apache-2.0
"""`pourit train`: the liquid classifier from rendered pairs or labelled pictures."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

import typer

from ..errors import InputError
from .options import Device, DeviceOption, Threads
from .progress import long_task


class Precision(str, Enum):
    """Of the network's arithmetic."""

    float32 = '32-true'
    bf16 = 'bf16-mixed'
    fp16 = '16-mixed'

    @property
    def kind(self) -> Literal['32-true', 'bf16-mixed', '16-mixed']:
        """The name that Fabric knows it by."""
        return self.value


def train(
    data: Annotated[
        list[Path],
        typer.Option(help='Folder of pourit synth or pourit collect; may be given repeatedly.'),
    ],
    val: Annotated[
        Path, typer.Option(help='The same, held out: both thresholds are chosen on it.')
    ],
    out: Annotated[Path, typer.Option(help="The run's folder.")],
    config: Annotated[
        str, typer.Option(help='Recipe: default, weak, published, or a YAML file.')
    ] = 'default',
    init: Annotated[
        str | None, typer.Option(help='Weights to start from: a shipped name or a file.')
    ] = None,
    encoder_init: Annotated[
        Path | None, typer.Option(help='MobileNetV2 weights of ImageNet, npz.')
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Instead of the recipe's.")] = None,
    resume: Annotated[bool, typer.Option(help='Go on with a run that was cut off.')] = False,
    device: DeviceOption = Device.auto,
    devices: Annotated[int, typer.Option(min=1, help='GPUs, or CPU processes.')] = 1,
    precision: Annotated[Precision, typer.Option(help='Of arithmetic.')] = Precision.float32,
    threads: Threads = None,
    workers: Annotated[int, typer.Option(min=1, help='Threads that prepare batches.')] = 2,
) -> None:
    """Train the liquid classifier.

    Writes weights.safetensors, TensorBoard events and pictures of CAMs on fixed frames (cams/)
    into the run's folder, and a checkpoint while it runs.

    Example: pourit train --config weak --data lab --val lab_val --init default --out run
    """
    try:
        import lightning_fabric  # noqa: F401
        import tensorboard  # noqa: F401
    except ImportError as error:
        raise InputError(f"{error.name} is missing: pip install 'pourit_ros[train]'") from None
    import torch

    from ..training.config import load_config
    from ..training.data_sets import open_data
    from ..training.fit import Run, fit, make_fabric

    recipe = load_config(config).with_run(steps, seed)
    sets = [open_data(folder) for folder in data]
    run = Run(
        # Every sample as often as any other.
        sets=[(s, len(s)) for s in sets],
        held_out=open_data(val),
        out=out,
        encoder_init=encoder_init,
        init=init,
        workers=workers,
    )
    if threads is not None:
        torch.set_num_threads(threads)
    fabric = make_fabric(device.value, devices, precision.kind)
    with long_task('steps', recipe.optimiser.steps) as report:
        result = fit(
            recipe, run, fabric, resume, lambda step, loss: report(step, f', loss {loss:.3f}')
        )
    if result is not None:
        typer.echo(str(result))
    typer.echo(f'weights: {out / "weights.safetensors"}')
