# SPDX-License-Identifier: Apache-2.0
"""`pourit synth`: labelled synthetic pours."""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from ..files import result_folder
from .errors import CommandError
from .options import Container, Out, Target
from .progress import long_task, track

if TYPE_CHECKING:
    from ..pipeline import Frame
    from ..synth.dataset import Engine

# Of the failed scenes so many are named.
NAMED = 5


class EngineName(str, Enum):
    """What makes the pictures."""

    composite = 'composite'
    pathtrace = 'pathtrace'
    background = 'background'


class Split(str, Enum):
    """Training and validation share no container, liquid, room or stream."""

    train = 'train'
    val = 'val'


def synth(
    out: Out,
    count: Annotated[int, typer.Option(min=0, help='Pairs (or backgrounds) in the set.')] = 12,
    engine: Annotated[
        EngineName,
        typer.Option(
            help='pathtrace: photoreal pairs; background: path-traced pictures without a stream; '
            'composite: ray-traced streams over such backgrounds, fast.'
        ),
    ] = EngineName.composite,
    split: Annotated[Split, typer.Option(help='Which half of all scenes.')] = Split.train,
    seed: Annotated[int, typer.Option(min=0, help='Of everything that is random.')] = 0,
    size: Annotated[
        int, typer.Option(min=64, max=1024, help='Pixels along a side; of a sequence, its width.')
    ] = 320,
    jobs: Annotated[
        int | None, typer.Option(min=1, help='Processes; default: one for each core.')
    ] = None,
    backgrounds: Annotated[
        Path | None,
        typer.Option(
            help='With composite: folder made by --engine background, or of RGB-D photos of dry '
            "pours in PourIt!'s layout, with the poses of both containers."
        ),
    ] = None,
    container: Container = 'pourit_bottle',
    target: Target = 'cup',
    poured_from: Annotated[
        str | None,
        typer.Option(
            help='With pathtrace and background: only scenes with this source (tap, jug, ...).'
        ),
    ] = None,
    environment_maps: Annotated[
        Path | None, typer.Option(help='Folder of .hdr panoramas; without: drawn rooms alone.')
    ] = None,
    sheet: Annotated[
        bool, typer.Option('--sheet', help='Also draw a contact sheet of the set, sheet.png.')
    ] = False,
    sequence: Annotated[
        bool, typer.Option('--sequence', help='Instead: one whole pour as a rosbag2 with truth.')
    ] = False,
    rate: Annotated[float, typer.Option(min=1.0, max=60.0, help='With --sequence: Hz.')] = 15.0,
    liquid: Annotated[
        str, typer.Option(help='With --sequence: water, tea, milk, orange_juice, ...')
    ] = 'water',
) -> None:
    """Make labelled synthetic pours: every scene with and without its stream.

    Writes PourIt!'s file layout and one JSON a pair: both pictures, sensor-like and true depth,
    masks of the stream in the air and through clear walls, instances, poses. The same seed gives
    the same files, whatever --jobs is; a command that was stopped goes on where it was.

    Example: pourit synth --engine background --count 100 --out rooms

    Example: pourit synth --count 1000 --backgrounds rooms --out pours --sheet

    Example: pourit synth --sequence --size 480 --out sequence
    """
    if sequence:
        _sequence(out, size, rate, liquid, seed)
        return
    if out.exists() and not out.is_dir():
        raise CommandError(f'{out}: is a file, --out needs a folder')
    maker = _engine(
        engine,
        split.value,
        seed,
        size,
        backgrounds,
        environment_maps,
        container,
        target,
        poured_from,
    )
    _make(out, maker, count, jobs or os.cpu_count() or 1, engine)
    if sheet and engine is not EngineName.background:
        from ..synth.sheet import write_sheet

        write_sheet(out, out / 'sheet.png')
        typer.echo(f'Contact sheet: {out / "sheet.png"}')


def _engine(
    name: EngineName,
    split: str,
    seed: int,
    size: int,
    backgrounds: Path | None,
    environment_maps: Path | None,
    container: str,
    target: str,
    poured_from: str | None,
) -> Engine:
    from ..synth.description import Assets

    if name is EngineName.composite:
        from ..synth.engines import CompositeEngine, find_plates

        if poured_from is not None:
            raise CommandError('--poured-from is for backgrounds, composites take theirs')
        if backgrounds is None:
            raise CommandError(
                'composite needs --backgrounds DIR; pourit synth --engine background makes it'
            )
        plates = tuple(find_plates(backgrounds))
        return CompositeEngine(plates, seed, split, size, container, target)
    from ..synth.random_scenes import check_source

    assets = Assets.find(environment_maps)
    check_source(poured_from)
    _require('mitsuba', 'pyoidn')
    from ..synth.engines import BackgroundEngine, PathtraceEngine

    chosen = BackgroundEngine if name is EngineName.background else PathtraceEngine
    return chosen(seed, split, size, assets, poured_from)


def _require(*modules: str) -> None:
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise CommandError(f'{module} is not installed: pip install ".[synth]"')


def _make(out: Path, maker: Engine, count: int, jobs: int, engine: EngineName) -> None:
    from ..synth.dataset import make_dataset

    what = 'backgrounds' if engine is EngineName.background else 'pairs'
    there = len([i for i in maker.made(out) if i < count]) if out.is_dir() else 0
    problems = []
    made = 0
    start = time.monotonic()
    with long_task(what, count, there) as report:
        for done in make_dataset(out, maker, count, jobs):
            if done.problem:
                problems.append(done)
            else:
                made += 1
            report(there + made + len(problems))
    seconds = time.monotonic() - start
    speed = f', {made / seconds:.2f}/s with {jobs} processes' if made else ''
    typer.echo(f'{there + made} {what} in {out} ({made} new{speed})')
    for done in problems[:NAMED]:
        typer.echo(f'left out {done.index}: {done.problem}', err=True)
    if len(problems) > NAMED:
        typer.echo(f'and {len(problems) - NAMED} more left out', err=True)


def record_pour(
    folder: Path,
    bag: str,
    rate: float,
    size: tuple[int, int],
    liquid: str = 'water',
    seed: int = 0,
) -> dict[int, NDArray[np.float64] | None]:
    """Render a pour into `folder`/`bag`, a rosbag2, beside truth.csv.

    `size`: (width, height) px. Returns the true landing point (3,) m of each frame by stamp_ns, in
    order, None while nothing flows.
    """
    from ..bags.make import write_pour_bag
    from ..synth.sequence import PourPlan, pour_sequence, write_truth

    plan = PourPlan()
    truth: dict[int, NDArray[np.float64] | None] = {}

    def frames() -> Iterator[Frame]:
        for item in pour_sequence(plan, rate, size, liquid, seed):
            truth[item.frame.stamp_ns] = item.landing_point
            yield item.frame

    write_pour_bag(folder / bag, track(frames(), 'render', round(plan.duration * rate)))
    write_truth(folder / 'truth.csv', truth)
    return truth


def _sequence(out: Path, width: int, rate: float, liquid: str, seed: int) -> None:
    from ..synth.description import LIQUIDS

    if liquid not in LIQUIDS:
        raise CommandError(f'no liquid {liquid!r}; liquids: {", ".join(LIQUIDS)}')
    with result_folder(out) as folder:
        truth = record_pour(folder, 'pour', rate, (width, width * 3 // 4), liquid, seed)
    typer.echo(f'{len(truth)} frames: {out / "pour"}, truth: {out / "truth.csv"}')
