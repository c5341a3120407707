# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from ..geometry.plane import PlaneMode


class Plane(str, Enum):
    """How the pouring plane is found."""

    axis = 'axis'
    z_axis = 'z_axis'

    @property
    def mode(self) -> PlaneMode:
        """The name that the geometry knows it by."""
        return self.value


class Device(str, Enum):
    """Where the network runs."""

    auto = 'auto'
    cpu = 'cpu'
    cuda = 'cuda'

    @property
    def kind(self) -> Literal['auto', 'cpu', 'cuda']:
        """The name that the segmenter knows it by."""
        return self.value


Out = Annotated[Path, typer.Option('--out', help='Folder for the results.')]
Weights = Annotated[
    str,
    typer.Option(
        help='Name of shipped weights or a file: .safetensors, .onnx of pourit export, or the '
        "PourIt! authors' .pth."
    ),
]
DeviceOption = Annotated[Device, typer.Option(help='Where the network runs.')]
Threads = Annotated[int | None, typer.Option(min=1, help='CPU threads of the network.')]
PlaneOption = Annotated[
    Plane, typer.Option(help="Pouring plane from the container's axis, or PourIt!'s z axis.")
]
Container = Annotated[
    str, typer.Option('--container', help='Source container: preset or YAML file.')
]
Target = Annotated[str, typer.Option(help='Target container: preset or YAML file.')]
