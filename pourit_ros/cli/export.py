# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`pourit export`: weights as a deployable model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ..errors import InputError
from ..files import check_file
from ..perception.errors import require_torch
from .inputs import check_inputs
from .options import Overwrite, Weights
from .terminal import say


def export(
    out: Annotated[Path, typer.Option('--out', help='File to write, .onnx.')],
    weights: Weights = 'default',
    overwrite: Overwrite = False,
    format_: Annotated[Literal['onnx'], typer.Option('--format', help='What to write.')] = 'onnx',
) -> None:
    """Export weights to ONNX, checked against PyTorch.

    Every command takes the file as --weights; so does any other program that has onnxruntime. The
    commands need no export: they run .safetensors files in onnxruntime too. Needs PyTorch and the
    package onnx: pip install 'pourit_ros[export]'.

    Example: pourit export --format onnx --out liquid.onnx
    """
    if out.suffix != '.onnx':
        raise InputError(f'{out}: the name of an ONNX file must end in .onnx')
    if not out.parent.is_dir():
        raise InputError(f'{out.parent}: no such folder')
    check_file(out, [weights], overwrite)
    check_inputs(weights=weights)
    require_torch('export')
    from ..perception.classifier import LiquidClassifier
    from ..perception.onnx_export import save_onnx
    from ..perception.weights import load_weights

    model, metadata = load_weights(weights)
    if not isinstance(model, LiquidClassifier):
        raise InputError(
            f'{weights}: the published network is for comparison only and cannot be exported'
        )
    error = save_onnx(out, model, metadata)
    say(f'{out}: logits within {error:.1g} of PyTorch')
