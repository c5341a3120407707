# SPDX-License-Identifier: Apache-2.0
"""`pourit export`: weights as a deployable model."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from .errors import CommandError
from .options import Weights


class Format(str, Enum):
    """Kinds of deployable models."""

    onnx = 'onnx'


def export(
    out: Annotated[Path, typer.Option('--out', help='File to write, .onnx.')],
    weights: Weights = 'default',
    format_: Annotated[Format, typer.Option('--format', help='What to write.')] = Format.onnx,
) -> None:
    """Export weights to ONNX, checked against PyTorch.

    Every command takes the file as --weights and runs it in onnxruntime. Needs the packages onnx
    and onnxruntime.

    Example: pourit export --format onnx --out liquid.onnx
    """
    if out.suffix != '.onnx':
        raise CommandError(f'{out}: the name of an ONNX file ends in .onnx')
    if not out.parent.is_dir():
        raise CommandError(f'{out.parent}: no such folder')
    from ..perception.classifier import LiquidClassifier
    from ..perception.onnx_weights import save_onnx
    from ..perception.weights import load_weights

    model, metadata = load_weights(weights)
    if not isinstance(model, LiquidClassifier):
        raise CommandError(f'{weights}: the published network is for comparison, not exported')
    error = save_onnx(out, model, metadata)
    typer.echo(f'{out}: logits within {error:.1g} of PyTorch')
