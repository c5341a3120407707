# SPDX-License-Identifier: Apache-2.0
"""`pourit bench`: the measurements that the documentation quotes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..files import replacing
from .errors import CommandError
from .options import Threads, Weights
from .progress import long_task, track

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
            typer.echo(f'  {key}: {value if isinstance(value, int) else format(value, ".4g")}')
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2) + '\n')


@app.command()
def chain(
    folder: Annotated[Path, typer.Argument(metavar='DIR', help='A folder of pourit synth.')],
    limit: Annotated[int | None, typer.Option(min=1, help='Measure so many pours.')] = None,
    seed: Annotated[int, typer.Option(min=0, help='Seed of the pose noise.')] = 0,
    weights: Annotated[
        str | None,
        typer.Option(help='Masks of these weights (default, weak or a file); without: true ones.'),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option('--json', help='Also write the figures here.')
    ] = None,
) -> None:
    """How well `pourit lift` does on synthetic pours, with true masks or those of a network.

    One row for each way to find the pouring plane and each noise (one sigma, each axis) of the
    source's and the target's pose: error of the landing point, error of the distance, how often
    the truth lies in the stated 95 % region.

    Example: pourit bench chain pours --json chain.json

    Example: pourit bench chain val --weights default
    """
    from ..bench.chain import PLANES, POSE_NOISE, load_pours, measure_chain
    from ..perception import Segmenter

    segmenter = None if weights is None else Segmenter.load(weights)
    pours = load_pours(folder, limit)
    rows = []
    for plane in PLANES:
        for noise in POSE_NOISE:
            run = measure_chain(pours, plane, noise, seed, segmenter)
            *_, result = track(run, f'{plane}, {noise}', len(pours) + 1)
            assert result is not None
            rows.append(result.summary())
    columns = [key for key in rows[0] if key != 'reasons']
    typer.echo(' | '.join(columns))
    for row in rows:
        typer.echo(' | '.join('-' if row[key] is None else str(row[key]) for key in columns))
    for row in rows:
        for reason, times in row['reasons'].items():
            typer.echo(f'{row["plane"]}, {row["pose_noise"]}: {times} x {reason}')
    if json_file is not None:
        json_file.write_text(json.dumps(rows, indent=2) + '\n')


@app.command()
def speed(
    weights: Weights = 'default',
    threads: Annotated[int, typer.Option(min=1, help='CPU threads of the networks.')] = 2,
    frames: Annotated[int, typer.Option(min=1, help='Rounds to take.')] = 20,
    json_file: Annotated[
        Path | None, typer.Option('--json', help='Also write the figures here.')
    ] = None,
) -> None:
    """How long a frame takes, beside the published network on the same frame.

    On a rendered 480 x 480 frame, all in turn: the whole image, the region that poses leave of it
    (roi), the pipeline without the network (overhead), and the network of PourIt! as its live demo
    runs it. ratio: published / roi. Memory is what is resident without that network.

    Example: pourit bench speed --json speed.json
    """
    from ..bench.speed import measure_speed

    result = None
    for item in track(measure_speed(weights, threads, frames), 'speed', frames + 1):
        result = item
    assert result is not None
    figures = result.summary()
    for key, value in figures.items():
        typer.echo(f'{key}: {value}')
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2) + '\n')


@app.command()
def nodes(
    seconds: Annotated[float, typer.Option(help='How long frames are sent, s.')] = 60.0,
    rate: Annotated[float, typer.Option(help='Frames a second.')] = 30.0,
    size: Annotated[str, typer.Option(metavar='WxH', help='Size of the images, px.')] = '640x480',
    weights: Weights = 'default',
    threads: Threads = None,
    whole_image: Annotated[
        bool, typer.Option('--whole-image', help='Send no source pose: look at the whole image.')
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option('--json', help='Also write the figures here.')
    ] = None,
) -> None:
    """What the live nodes do at camera rate, over Fast DDS, each in its process.

    A camera shows rendered frames of a pour, stamped now, to liquid_perception and pour_monitor.
    Age: from the stamp to the arrival of the result. Medians, ages and memory leave out the first
    30 s, or the first third of a run below 90 s. Unaccounted: neither answered nor counted by the
    node as dropped.

    Example: pourit bench nodes --seconds 600 --json nodes.json
    """
    from ..bench.nodes import RENDERED, NodesRun, measure_nodes, table, wet_frames
    from ..ros_processes import require_ros

    run = NodesRun(seconds, rate, _pixels(size), weights, threads, whole_image)
    require_ros()
    frames = [f for f in track(wet_frames(run.size), 'render', RENDERED) if f is not None]
    with long_task('frames', round(seconds * rate)) as report:
        figures = measure_nodes(run, frames, report)
    for line in table(figures):
        typer.echo(line)
    if json_file is not None:
        with replacing(json_file) as partial:
            partial.write_text(json.dumps(figures, indent=2) + '\n')


def _pixels(size: str) -> tuple[int, int]:
    """(width, height) of '640x480'."""
    width, times, height = size.partition('x')
    if not (times and width.isdecimal() and height.isdecimal()):
        raise CommandError(f'--size {size}: expected WIDTHxHEIGHT, e.g. 640x480')
    return int(width), int(height)
