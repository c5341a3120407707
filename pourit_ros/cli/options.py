# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ..perception.devices import Device
from ..perception.find_weights import known_weights

Out = Annotated[Path, typer.Option('--out', help='Folder for the results; new or empty.')]
Overwrite = Annotated[
    bool, typer.Option('--overwrite', help='Replace the results of an earlier run.')
]
Weights = Annotated[
    str,
    typer.Option(
        autocompletion=known_weights,
        help='Name of shipped weights, or a file: .safetensors, .onnx from pourit export, or '
        "the PourIt! authors' .pth.",
    ),
]
DeviceOption = Annotated[
    Device,
    typer.Option(
        help='Where the network runs; auto: CUDA if there is a GPU, else the CPU. tensorrt and '
        'openvino need an onnxruntime that has them.'
    ),
]
TorchDevice = Annotated[Literal['auto', 'cpu', 'cuda'], typer.Option(help='Where PyTorch runs.')]
Threads = Annotated[int | None, typer.Option(min=1, help='CPU threads of the network.')]
Refine = Annotated[
    Literal['par', 'guided'] | None,
    typer.Option(
        '--refine',
        help='Move masks to edges of the image: pixel-adaptive refinement, or a guided filter. '
        'Default: not.',
    ),
]
PlaneOption = Annotated[
    Literal['axis', 'z_axis'],
    typer.Option(
        help="Pouring plane through the container's axis, or normal to its z axis as in PourIt!."
    ),
]
ClusterOption = Annotated[
    str | None,
    typer.Option(
        '--cluster',
        metavar='ADDRESS',
        help='Scheduler of a running Dask cluster that does the work: tcp://host:8786.',
    ),
]
Container = Annotated[
    str, typer.Option('--container', help='Source container: preset or YAML file.')
]
Target = Annotated[str, typer.Option(help='Target container: preset or YAML file.')]
