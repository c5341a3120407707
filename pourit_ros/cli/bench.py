# SPDX-License-Identifier: Apache-2.0
"""`pourit bench`: the measurements that the documentation quotes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from .progress import track

app = typer.Typer(no_args_is_help=True, help='Measure and report.')


@app.callback()
def bench() -> None:
    """Measure and report."""


@app.command()
def geometry(
    trials: Annotated[int, typer.Option(min=10, help='Simulated pours.')] = 10_000,
    seed: Annotated[int, typer.Option(help='Seed of the simulation.')] = 0,
    json_file: Annotated[
        Path | None, typer.Option('--json', help='Also write the figures here.')
    ] = None,
) -> None:
    """How exactly simulated pours are recovered, and whether the stated covariance holds.

    `exact`: exact projections and poses. `noisy`: rasterised masks whose centre line is off by
    1 px, poses off by 5 mm and 2 degrees (one sigma, each axis).

    Example: pourit bench geometry --trials 10000
    """
    from ..bench.geometry import exact_trials, noisy_trials
    from ..geometry import NoiseModel

    figures = {}
    for name, run in (
        ('exact', exact_trials(trials, seed)),
        ('noisy', noisy_trials(trials, seed, NoiseModel())),
    ):
        *_, result = track(run, name, trials + 1)
        assert result is not None
        figures[name] = result.summary()
    for name, summary in figures.items():
        typer.echo(f'{name}:')
        for key, value in summary.items():
            typer.echo(f'  {key}: {value:.4g}')
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2) + '\n')
