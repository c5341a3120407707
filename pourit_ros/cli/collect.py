# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`pourit collect`: colour frames with yes/no labels from rosbags."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError
from ..files import check_folder
from .ending import end_with
from .inputs import check_inputs
from .options import DeviceOption, Out, Overwrite, Threads, Weights
from .progress import progress_bar
from .terminal import say

if TYPE_CHECKING:
    from ..bags.marks import Change


def collect(
    bags: Annotated[
        list[Path],
        typer.Argument(metavar='BAG...', help='rosbag2 bags: folders, .mcap or .db3 files.'),
    ],
    out: Out,
    liquid: Annotated[
        list[str] | None,
        typer.Option(
            metavar='START:STOP',
            help='Interval in which liquid flows, in seconds from the first colour '
            'frame; repeatable. START: alone runs to the end.',
        ),
    ] = None,
    marks: Annotated[
        Path | None,
        typer.Option(
            metavar='FILE', help='CSV of bag,time,liquid: one row where flow starts or stops.'
        ),
    ] = None,
    propose: Annotated[
        bool,
        typer.Option('--propose', help='Let the model propose the marks, for you to correct.'),
    ] = False,
    unsure: Annotated[
        float, typer.Option(min=0.0, help='Leave out this many seconds around each change.')
    ] = 0.2,
    every: Annotated[
        int | None,
        typer.Option(min=1, help='Keep every n-th frame; default: at most 10 per second.'),
    ] = None,
    color: Annotated[
        str | None, typer.Option(metavar='TOPIC', help='Colour topic; default: found by name.')
    ] = None,
    overwrite: Overwrite = False,
    weights: Weights = 'default',
    device: DeviceOption = 'auto',
    threads: Threads = None,
) -> None:
    """Collect colour frames with yes/no labels of liquid from rosbags.

    Writes images/<bag>_<index>.jpg and labels.csv (file,liquid,twin), which train and eval read.
    Say when liquid flows with --liquid or --marks. --propose writes marks.csv and proposal.jpg
    with the help of --weights, but no labels.

    Example: pourit collect my_bag --out frames --liquid 12.0:18.5
    """
    if (bool(liquid), marks is not None, propose).count(True) != 1:
        raise InputError('give one of --liquid START:STOP, --marks FILE or --propose')
    protected: list[str | Path] = [weights, *([marks] if marks else [])]
    check_folder(out, [*bags, *protected], overwrite)
    check_inputs([*bags, *([marks] if marks else [])], weights=weights if propose else None)
    if propose:
        _propose(bags, out, weights, device, threads, every, color, overwrite)
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

        done = collect_frames(bags, out, changes, options, color, show, protected, overwrite)
    end_with(done.account, [out])


def _propose(
    bags: list[Path],
    out: Path,
    weights: str,
    device: DeviceOption,
    threads: int | None,
    every: int | None,
    color: str | None,
    overwrite: bool,
) -> None:
    from ..bags.propose import propose
    from ..perception import Segmenter

    segmenter = Segmenter(weights, device, threads)
    with progress_bar() as bar:
        task = bar.add_task('propose', total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        threshold = segmenter.metadata.presence_threshold
        found, account = propose(bags, out, segmenter, threshold, every, color, show, overwrite)
    for name, changes in found.items():
        said = ', '.join(
            f'{"starts" if change.liquid else "stops"} {change.time:.3f} s' for change in changes
        )
        say(f'{name}: {said or "no flow found"}')
    say(f'Nothing is labelled yet. Look at {out / "proposal.jpg"}, correct the times in')
    say(f'{out / "marks.csv"}, then run again with --marks {out / "marks.csv"} and another --out')
    end_with(account, ())


def _from_intervals(names: list[str], texts: list[str]) -> dict[str, tuple[Change, ...]]:
    from ..bags.marks import changes_of, parse_interval

    if len(names) > 1:
        raise InputError('--liquid is for a single bag; for several, use --marks')
    return {names[0]: changes_of(parse_interval(text) for text in texts)}
