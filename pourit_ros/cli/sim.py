# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`pourit sim`: one pour in the simulated cell, closed loop beside open loop, without ROS."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from ..files import check_folder, replacing, result_folder
from .inputs import check_inputs
from .options import Out, Overwrite, Weights
from .terminal import say, show

LOOPS = ('closed', 'open')


def sim(
    out: Out = Path('pourit_sim'),
    seed: Annotated[int, typer.Option(min=0, help='Number of the trial.')] = 0,
    disturbances: Annotated[
        str,
        typer.Option(
            metavar='NAMES', help='all, none, or names joined by commas: see docs/simulation.md.'
        ),
    ] = 'all',
    loop: Annotated[
        Literal['both', 'closed', 'open'],
        typer.Option(help='With or without correction by sight.'),
    ] = 'both',
    perception: Annotated[
        Literal['network', 'truth'],
        typer.Option(help='What sees: the network on rendered images, or the truth with noise.'),
    ] = 'network',
    weights: Weights = 'default',
    video: Annotated[bool, typer.Option('--video/--no-video', help='Film the pour.')] = True,
    overwrite: Overwrite = False,
) -> None:
    """Pour by sight with a simulated Franka arm; write a page and a video.

    A bottle in the arm's hand, a cup, an RGB-D camera: MuJoCo moves the arm, the package's outflow
    model pours, its compositor draws the stream, and its perception and controller close the loop,
    disturbed as the seed says. The open loop pours the same trial without looking.

    Example: pourit sim --seed 3 --out sim

    Example: pourit sim --disturbances move,fill --perception truth --no-video --out quick
    """
    check_inputs(weights=weights if perception == 'network' else None)
    from ..sim.disturbances import disturbances_of, name_of

    group = disturbances_of(disturbances)
    check_folder(out, overwrite=overwrite)
    from ..sim.eyes import Eyes, PerceptionEyes, TrueEyes, view_of
    from ..sim.film import Film, write_side_by_side
    from ..sim.page import write_sim_page
    from ..sim.setup import draw
    from ..sim.trial import cell_settings, run_trial

    setup = draw(seed, group)
    loops = LOOPS if loop == 'both' else (loop,)
    trials, films, moments = {}, [], {}
    with result_folder(out, 'sim', overwrite=overwrite) as folder:
        for name in loops:
            eyes: Eyes
            if perception == 'network':
                from ..perception import Segmenter

                eyes = PerceptionEyes(Segmenter(weights))
            else:
                eyes = TrueEyes(seed)
            film = Film(f'{name} loop', view_of(eyes), filmed=video)
            settings = cell_settings(setup, name == 'closed')
            say(f'{name} loop ...')
            trials[name] = run_trial(setup, eyes, settings, watch=film)
            films.append(film)
            moments[name] = film.moments
        movie = folder / 'pour.mp4' if video else None
        if movie is not None:
            write_side_by_side(movie, films)
        rows = {name: trial.row() for name, trial in trials.items()}
        document = {'disturbances': name_of(group), 'setup': asdict(setup), 'trials': rows}
        with replacing(folder / 'sim.json') as partial:
            partial.write_text(json.dumps(document, indent=1) + '\n', encoding='ascii')
        write_sim_page(folder / 'sim.html', setup, trials, moments, name_of(group), movie)
    for name, trial in trials.items():
        say(f'{name} loop: {trial.told()}')
    for file in ('sim.html', *(['pour.mp4'] if video else []), 'sim.json'):
        say(f'  {out / file}')
    show(document, '')
