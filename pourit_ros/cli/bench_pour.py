# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`pourit bench pour`: closed loop against open loop in the simulated cell."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from ..files import check_folder, result_folder
from .inputs import check_inputs
from .options import Weights
from .progress import long_task
from .terminal import show


def pour(
    trials: Annotated[int, typer.Option(min=1, help='Trials for each row of the table.')] = 100,
    seed: Annotated[int, typer.Option(min=0, help='Number of the first trial.')] = 0,
    disturbances: Annotated[
        str,
        typer.Option(
            metavar='NAMES',
            help='all, none, each (none, then each alone), or names joined by commas.',
        ),
    ] = 'all',
    perception: Annotated[
        Literal['network', 'truth'],
        typer.Option(help='What sees: the network on rendered images, or the truth with noise.'),
    ] = 'network',
    weights: Weights = 'default',
    jobs: Annotated[int | None, typer.Option(min=1, help='Processes; all cores.')] = None,
    rows: Annotated[
        Path | None,
        typer.Option(help='Keep every trial in this file; trials found in it are not run again.'),
    ] = None,
    videos: Annotated[
        Path | None,
        typer.Option(
            help='New folder for videos of the success that open loop misses most and of the '
            'worst closed loop.'
        ),
    ] = None,
) -> None:
    """Measure the closed loop against the open loop on the same simulated trials.

    Each trial runs twice, with and without correction by sight, in the cell of `pourit sim`.
    caught: share of what was poured that landed in the cup. no spill: trials with at most 2 ml
    beside it. volume error: mean absolute difference of what was poured and what was asked for.
    Intervals are 95 % by bootstrap over trials.

    Example: pourit bench pour --trials 100 --rows trials.jsonl --json > pour.json

    Example: pourit bench pour --trials 50 --disturbances each --perception truth
    """
    check_inputs(weights=weights if perception == 'network' else None)
    from ..bench.pour import groups_of, run_all, summarise, table_of, tasks, write_videos

    wanted = tasks(trials, seed, groups_of(disturbances), perception, weights)
    if videos is not None:
        check_folder(videos)
    found = []
    with long_task('pours', len(wanted)) as report:
        for row in run_all(wanted, rows, jobs or os.cpu_count() or 1):
            found.append(row)
            report(len(found))
    summary = summarise(found)
    if videos is not None:
        with result_folder(videos, 'bench') as folder:
            write_videos(found, folder)
    show(summary[0] if len(summary) == 1 else summary, table_of(summary))
