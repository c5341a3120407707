# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`pourit bench`: the measurements that the documentation quotes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import InputError
from .bench_pour import pour
from .inputs import check_inputs
from .options import Threads, Weights
from .progress import long_task, track
from .terminal import add_command, show

app = typer.Typer(no_args_is_help=True, help='Measure and report.')


@app.callback()
def bench() -> None:
    """Measure and report."""


def geometry(
    trials: Annotated[int, typer.Option(min=10, help='Simulated pours.')] = 10_000,
    seed: Annotated[int, typer.Option(help='Seed of the simulation.')] = 0,
) -> None:
    """Measure how exactly simulated pours are recovered, and whether the covariance holds.

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
    lines = []
    for name, summary in figures.items():
        lines.append(f'{name}:')
        for key, value in summary.items():
            lines.append(f'  {key}: {value if isinstance(value, int) else format(value, ".4g")}')
    show(figures, '\n'.join(lines))


def chain(
    folder: Annotated[Path, typer.Argument(metavar='DIR', help='Folder from pourit synth.')],
    limit: Annotated[int | None, typer.Option(min=1, help='Number of pours to measure.')] = None,
    seed: Annotated[int, typer.Option(min=0, help='Seed of the pose noise.')] = 0,
    weights: Annotated[
        str | None,
        typer.Option(
            help='Take masks from these weights (a shipped name or a file); without it, '
            'the true masks.'
        ),
    ] = None,
) -> None:
    """Measure `pourit lift` on synthetic pours, with true masks or those of a network.

    One row for each way to find the pouring plane and each noise (one sigma, each axis) of the
    source's and the target's pose: error of the landing point, error of the distance, and how
    often the truth lies in the stated 95 % region.

    Example: pourit bench chain pours --json > chain.json

    Example: pourit bench chain val --weights default
    """
    check_inputs(folders=[folder], weights=weights)
    from ..bench.chain import PLANES, POSE_NOISE, load_pours, measure_chain
    from ..perception import Segmenter

    segmenter = None if weights is None else Segmenter(weights)
    pours = load_pours(folder, limit)
    rows = []
    for plane in PLANES:
        for noise in POSE_NOISE:
            run = measure_chain(pours, plane, noise, seed, segmenter)
            *_, result = track(run, f'{plane}, {noise}', len(pours) + 1)
            assert result is not None
            rows.append(result.summary())
    columns = [key for key in rows[0] if key != 'reasons']
    lines = [' | '.join(columns)]
    for row in rows:
        lines.append(' | '.join('-' if row[key] is None else str(row[key]) for key in columns))
    for row in rows:
        for reason, times in row['reasons'].items():
            lines.append(f'{row["plane"]}, {row["pose_noise"]}: {times} x {reason}')
    show(rows, '\n'.join(lines))


def speed(
    weights: Weights = 'default',
    threads: Annotated[int, typer.Option(min=1, help='CPU threads of the networks.')] = 2,
    frames: Annotated[int, typer.Option(min=1, help='Number of rounds.')] = 20,
) -> None:
    """Measure the time per frame, beside the published network on the same frame.

    Times, in turn, on a rendered 480 x 480 frame: the whole image, the region to which the poses
    restrict it (roi), the pipeline without the network (overhead), and the network of PourIt! as
    its live demo runs it. ratio: published / roi. Memory: resident, without that network.

    Example: pourit bench speed --json > speed.json
    """
    check_inputs(weights=weights)
    from ..perception.errors import require_torch

    require_torch('the published network')
    from ..bench.speed import measure_speed

    result = None
    for item in track(measure_speed(weights, threads, frames), 'speed', frames + 1):
        result = item
    assert result is not None
    figures = result.summary()
    show(figures, '\n'.join(f'{key}: {value}' for key, value in figures.items()))


def nodes(
    seconds: Annotated[float, typer.Option(help='How long to send frames, s.')] = 60.0,
    rate: Annotated[float, typer.Option(help='Frames per second.')] = 30.0,
    size: Annotated[str, typer.Option(metavar='WxH', help='Size of the images, px.')] = '640x480',
    weights: Weights = 'default',
    threads: Threads = None,
    whole_image: Annotated[
        bool, typer.Option('--whole-image', help='Send no source pose: look at the whole image.')
    ] = False,
) -> None:
    """Measure the live nodes at camera rate over Fast DDS, each in its own process.

    A camera sends rendered frames of a pour, stamped now, to liquid_perception and pour_monitor.
    Age: from the stamp to the arrival of the result. Medians, ages and memory leave out the first
    30 s, or the first third of a run below 90 s. Unaccounted: neither answered nor counted as
    dropped by the node.

    Example: pourit bench nodes --seconds 600 --json > nodes.json
    """
    check_inputs(weights=weights)
    from ..bench.nodes import RENDERED, NodesRun, measure_nodes, table, wet_frames
    from ..live.processes import require_ros

    run = NodesRun(seconds, rate, _pixels(size), weights, threads, whole_image)
    require_ros()
    frames = [f for f in track(wet_frames(run.size), 'render', RENDERED) if f is not None]
    with long_task('frames', round(seconds * rate)) as report:
        figures = measure_nodes(run, frames, report)
    show(figures, '\n'.join(table(figures)))


def flow(
    count: Annotated[int, typer.Option(min=10, help='Pours to render.')] = 300,
    seed: Annotated[int, typer.Option(min=0, help='Seed of the scenes and the pose noise.')] = 0,
    weights: Weights = 'default',
) -> None:
    """Measure how well the flow of rendered pours is told, and whether its deviation holds.

    Water, milk and cola at 8 to 100 ml/s, exit speeds of 0.15 to 0.9 m/s, images of 240 to 480
    px, poses off by 5 mm and 2 degrees (one sigma, each axis). Once with the masks of the
    weights, once with true ones, by liquid and by flow: measured over true flow, and how often
    the truth lies within one and two stated standard deviations.

    Example: pourit bench flow --count 300 --json > flow.json
    """
    check_inputs(weights=weights)
    from ..bench.flow import measure_flow
    from ..geometry import NoiseModel
    from ..perception import Segmenter

    results = None
    segmenter = Segmenter(weights)
    for item in track(measure_flow(count, seed, NoiseModel(), segmenter), 'flow', count + 1):
        results = item
    assert results is not None
    rows = [row for result in results for row in result.summary()]
    lines = [' | '.join(rows[0])]
    lines += [' | '.join('-' if x is None else str(x) for x in row.values()) for row in rows]
    for result in results:
        lines += [f'{result.masks}: {n} x {why}' for why, n in result.refused.most_common()]
    show(rows, '\n'.join(lines))


def _pixels(size: str) -> tuple[int, int]:
    """(width, height) of '640x480'."""
    width, times, height = size.partition('x')
    if not (times and width.isdecimal() and height.isdecimal()):
        raise InputError(f'--size {size}: expected WIDTHxHEIGHT, e.g. 640x480')
    return int(width), int(height)


for _measure in (geometry, chain, flow, speed, nodes, pour):
    add_command(app, _measure.__name__, _measure, measures=True)
