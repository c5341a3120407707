# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`pourit synth`: labelled synthetic pours."""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..errors import InputError
from ..files import check_working_folder, result_folder, working_folder
from .cluster import on_cluster
from .inputs import check_inputs
from .options import ClusterOption, Container, Out, Overwrite, Target
from .progress import long_task, track
from .terminal import say

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..pipeline import Frame
    from ..synth.sets.dataset import Engine

# The recipe of a set, by which its folder is known.
RECIPE = 'dataset.json'
# Of the failed scenes so many are named.
NAMED = 5


EngineName = Literal['composite', 'pathtrace', 'backdrop']


def synth(
    out: Out,
    overwrite: Overwrite = False,
    count: Annotated[int, typer.Option(min=0, help='Pairs (or backdrops) in the set.')] = 12,
    engine: Annotated[
        EngineName | None,
        typer.Option(
            help='pathtrace: photoreal pairs; backdrop: path-traced images without a stream; '
            'composite: ray-traced streams over such backdrops, fast. Default: composite with '
            '--backdrops, else pathtrace.'
        ),
    ] = None,
    split: Annotated[
        Literal['train', 'val'], typer.Option(help='Split whose scenes to draw from.')
    ] = 'train',
    seed: Annotated[int, typer.Option(min=0, help='Seed of everything random.')] = 0,
    size: Annotated[
        int,
        typer.Option(
            min=64, max=1024, help='Side of the images in pixels; with --sequence, their width.'
        ),
    ] = 320,
    jobs: Annotated[
        int | None, typer.Option(min=1, help='Number of processes; default: one per core.')
    ] = None,
    cluster: ClusterOption = None,
    backdrops: Annotated[
        Path | None,
        typer.Option(
            help='With composite: folder made by --engine backdrop, or folder of '
            "RGB-D photos of dry pours in PourIt!'s layout, with the poses of both containers."
        ),
    ] = None,
    container: Container = 'pourit_bottle',
    target: Target = 'cup',
    poured_from: Annotated[
        str | None,
        typer.Option(
            help='With pathtrace or backdrop: only scenes with this source (tap, jug, ...).'
        ),
    ] = None,
    stratum: Annotated[
        str | None,
        typer.Option(
            help='With pathtrace or backdrop: scenes of one kind (thin) or a mixture of some '
            '(thin=2,tap=1): general, tan, tap, thin, dim, in_glass, before_glass, moved, flow; '
            'default: a mixture of all, with --poured-from general.'
        ),
    ] = None,
    environment_maps: Annotated[
        Path | None, typer.Option(help='Folder of .hdr panoramas; default: drawn rooms only.')
    ] = None,
    sheet: Annotated[
        bool, typer.Option('--sheet', help='Also draw a contact sheet of the set, sheet.png.')
    ] = False,
    sequence: Annotated[
        bool,
        typer.Option(
            '--sequence', help='Instead of a set, write one whole pour as a rosbag2 with truth.'
        ),
    ] = False,
    rate: Annotated[
        float, typer.Option(min=1.0, max=60.0, help='With --sequence: frame rate, Hz.')
    ] = 15.0,
    liquid: Annotated[
        str, typer.Option(help='With --sequence: liquid (water, tea, milk, orange_juice, ...).')
    ] = 'water',
) -> None:
    """Make labelled synthetic pours: every scene with and without its stream.

    Writes PourIt!'s file layout and one JSON per pair: both images, sensor-like and true depth,
    masks of the stream in the air and through clear walls, instances, poses. The same seed gives
    the same files, with any --jobs or --cluster; an interrupted command resumes where it stopped.

    Example: pourit synth --engine backdrop --count 100 --out rooms

    Example: pourit synth --count 1000 --backdrops rooms --out pours --sheet

    Example: pourit synth --sequence --size 480 --out sequence
    """
    if cluster is not None and (jobs is not None or sequence):
        raise InputError('--cluster goes neither with --jobs nor with --sequence')
    if sequence:
        _sequence(out, size, rate, liquid, seed, overwrite)
        return
    given = [folder for folder in (backdrops, environment_maps) if folder is not None]
    check_working_folder(out, 'synth', given, RECIPE)
    check_inputs(folders=given)
    if engine is None:
        engine = 'pathtrace' if backdrops is None else 'composite'
    maker = _engine(
        engine,
        split,
        seed,
        size,
        backdrops,
        environment_maps,
        container,
        target,
        poured_from,
        stratum,
    )
    with working_folder(out, 'synth', given, RECIPE):
        _make(out, maker, count, jobs or os.cpu_count() or 1, engine, cluster)
        if sheet and engine != 'backdrop':
            from ..synth.sets.contact_sheet import write_sheet

            write_sheet(out, out / 'sheet.png')
            say(f'Contact sheet: {out / "sheet.png"}')


def _engine(
    name: EngineName,
    split: str,
    seed: int,
    size: int,
    backdrops: Path | None,
    environment_maps: Path | None,
    container: str,
    target: str,
    poured_from: str | None,
    stratum: str | None,
) -> Engine:
    from ..synth.scene.description import Assets

    if name == 'composite':
        from ..synth.sets.engines import CompositeEngine, find_backdrops

        for option, given in (('--poured-from', poured_from), ('--stratum', stratum)):
            if given is not None:
                raise InputError(
                    f'{option} does not apply to composites, which take it from their backdrops'
                )
        if backdrops is None:
            raise InputError(
                'composite needs --backdrops DIR; make one with pourit synth --engine backdrop'
            )
        return CompositeEngine(
            tuple(find_backdrops(backdrops)), seed, split, size, container, target
        )
    from ..synth.scene.strata import Mixture, check_source

    assets = Assets.find(environment_maps)
    check_source(poured_from)
    mixture = Mixture() if poured_from and stratum is None else Mixture.parse(stratum)
    check_source(poured_from, [kind for kind, _ in mixture.weights])
    if name == 'backdrop':
        mixture = mixture.still()
    _require('mitsuba', 'pyoidn')
    from ..synth.sets.engines import BackdropEngine, PathtraceEngine

    chosen = BackdropEngine if name == 'backdrop' else PathtraceEngine
    return chosen(seed, split, size, assets, poured_from, mixture=mixture)


def _require(*modules: str) -> None:
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise InputError(f'{module} is not installed: pip install ".[synth]"')


def _make(
    out: Path, maker: Engine, count: int, jobs: int, engine: EngineName, address: str | None
) -> None:
    from ..synth.sets.dataset import make_dataset

    what = 'backdrops' if engine == 'backdrop' else 'pairs'
    there = len([i for i in maker.made(out) if i < count]) if out.is_dir() else 0
    problems = []
    made = 0
    start = time.monotonic()
    with on_cluster(address) as cluster, long_task(what, count, there) as report:
        for done in make_dataset(out, maker, count, jobs, cluster=cluster):
            if done.problem:
                problems.append(done)
            else:
                made += 1
            report(there + made + len(problems))
    seconds = time.monotonic() - start
    who = f'{jobs} processes' if address is None else address
    speed = f', {made / seconds:.2f}/s with {who}' if made else ''
    say(f'{there + made} {what} in {out} ({made} new{speed})')
    for done in problems[:NAMED]:
        typer.echo(f'left out {done.index}: {done.problem}', err=True)
    if len(problems) > NAMED:
        typer.echo(f'and {len(problems) - NAMED} more left out', err=True)


def _sequence(out: Path, width: int, rate: float, liquid: str, seed: int, overwrite: bool) -> None:
    from ..bags.make import write_pour_bag
    from ..synth.scene.description import LIQUIDS
    from ..synth.sets.sequence import PourPlan, pour_sequence, write_truth

    if liquid not in LIQUIDS:
        raise InputError(f'unknown liquid {liquid!r}; liquids: {", ".join(LIQUIDS)}')
    plan = PourPlan()
    # True landing points (3,) m by stamp_ns, in order; None while nothing flows.
    truth: dict[int, NDArray[np.float64] | None] = {}

    def frames() -> Iterator[Frame]:
        for item in pour_sequence(plan, rate, (width, width * 3 // 4), liquid, seed):
            truth[item.frame.stamp_ns] = item.landing_point
            yield item.frame

    # Bags are told apart by their names, in collect's files as on a screen.
    bag = out.resolve().name or 'pour'
    with result_folder(out, 'synth', overwrite=overwrite) as folder:
        write_pour_bag(folder / bag, track(frames(), 'render', round(plan.duration * rate)))
        write_truth(folder / 'truth.csv', truth)
    say(f'{len(truth)} frames: {out / bag}, truth: {out / "truth.csv"}')
