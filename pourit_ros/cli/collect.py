# SPDX-License-Identifier: Apache-2.0
"""`pourit collect`: colour frames with yes/no labels out of rosbags."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .errors import CommandError
from .options import Device, DeviceOption, Out, Threads, Weights
from .progress import progress_bar

if TYPE_CHECKING:
    from ..bags.marks import Change


def collect(
    bags: Annotated[
        list[Path], typer.Argument(metavar='BAG...', help='rosbag2: folders, .mcap or .db3.')
    ],
    out: Out,
    liquid: Annotated[
        list[str] | None,
        typer.Option(
            metavar='START:STOP',
            help='Seconds from the first colour frame in which liquid flows; repeatable. '
            'START: alone is to the end.',
        ),
    ] = None,
    marks: Annotated[
        Path | None,
        typer.Option(
            metavar='FILE', help='CSV bag,time,liquid: a row where flow starts or stops.'
        ),
    ] = None,
    propose: Annotated[
        bool,
        typer.Option('--propose', help='Let the model write the marks, to be corrected by you.'),
    ] = False,
    unsure: Annotated[
        float, typer.Option(min=0.0, help='Seconds around each change that are left out.')
    ] = 0.2,
    every: Annotated[
        int | None,
        typer.Option(min=1, help='Keep every n-th frame; by default at most 10 a second.'),
    ] = None,
    color: Annotated[
        str | None, typer.Option(metavar='TOPIC', help='Colour topic; found by name if not given.')
    ] = None,
    weights: Weights = 'default',
    device: DeviceOption = Device.auto,
    threads: Threads = None,
) -> None:
    """Collect colour frames with yes/no labels of liquid from rosbags.

    Writes images/<bag>_<index>.jpg and labels.csv (file,liquid,twin), which train and eval read.
    Say when liquid flows with --liquid or --marks. --propose writes marks.csv and proposal.jpg
    with --weights, and no label.

    Example: pourit collect my_bag --out frames --liquid 12.0:18.5
    """
    if (bool(liquid), marks is not None, propose).count(True) != 1:
        raise CommandError('give one of --liquid START:STOP, --marks FILE and --propose')
    if propose:
        _propose(bags, out, weights, device, threads, every, color)
        return
    from ..bags.collect import CollectOptions, bag_names
    from ..bags.collect import collect as collect_frames
    from ..bags.marks import read_marks

    names = bag_names(bags)
    changes = read_marks(marks, names) if marks else _from_intervals(names, liquid or [])
    options = CollectOptions(every, unsure)
    with progress_bar() as bar:
        task = bar.add_task('collect', total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        done = collect_frames(bags, out, changes, options, color, show)
    typer.echo(
        f'{done.wet} wet, {done.dry} dry, {done.pairs} pairs; left out {done.left_out} near a '
        f'change, {done.unusable} unusable: {out}'
    )


def _propose(
    bags: list[Path],
    out: Path,
    weights: str,
    device: Device,
    threads: int | None,
    every: int | None,
    color: str | None,
) -> None:
    from ..bags.propose import propose
    from ..perception import Segmenter

    segmenter = Segmenter.load(weights, device.kind, threads)
    with progress_bar() as bar:
        task = bar.add_task('propose', total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        threshold = segmenter.metadata.presence_threshold
        found = propose(bags, out, segmenter, threshold, every, color, show)
    for name, changes in found.items():
        said = ', '.join(
            f'{"starts" if change.liquid else "stops"} {change.time:.3f} s' for change in changes
        )
        typer.echo(f'{name}: {said or "no flow found"}')
    typer.echo(f'Nothing is labelled yet. Look at {out / "proposal.jpg"}, correct the times in')
    typer.echo(f'{out / "marks.csv"}, then run again with --marks {out / "marks.csv"}')


def _from_intervals(names: list[str], texts: list[str]) -> dict[str, tuple[Change, ...]]:
    from ..bags.marks import changes_of, parse_interval

    if len(names) > 1:
        raise CommandError('--liquid is for a single bag: each has its own times, use --marks')
    return {names[0]: changes_of(parse_interval(text) for text in texts)}
