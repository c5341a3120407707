# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`pourit demo`: a simulated arm pours by sight, by the real nodes over DDS; page and video."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ..errors import InputError
from ..files import check_folder, result_folder
from .ending import end_with
from .options import Out, Overwrite
from .progress import progress_bar

if TYPE_CHECKING:
    from ..live.pour import LivePour
    from ..report.account import Account
    from ..sim.setup import Setup
    from ..sim.trial import Moment, Trial

LOOPS = ('closed', 'open')
# A cup that is moved as soon as the pour has begun.
SEED, DISTURBANCES = 7, ('move',)
# Volumes of the film and of the pour may differ by so much, m3: one number in a message.
SAME = 1e-9


def demo(out: Out = Path('pourit_demo'), overwrite: Overwrite = False) -> None:
    """Pour by sight into a cup that is moved, with the real ROS 2 nodes.

    Starts pour_simulator (a Franka arm with a bottle), liquid_perception, pour_monitor and
    pour_controller, each in its process, and lets them pour over Fast DDS; then once more without
    correction by sight. Writes a page with the film of both, their recordings, and an account.

    Example: pourit demo --out demo
    """
    check_folder(out, overwrite=overwrite)
    from ..live.processes import require_ros
    from ..sim.franka import fr3_model, load_mujoco

    require_ros()
    load_mujoco(), fr3_model()
    from ..sim.setup import draw

    setup = draw(SEED, DISTURBANCES)
    with result_folder(out, 'demo', overwrite=overwrite) as folder:
        pours = {loop: _pour(setup, loop, folder / loop) for loop in LOOPS}
        trials, moments = _film(setup, pours, folder / 'pour.mp4')
        account = _account(setup, pours, trials)
        account.write(folder)
        _write_page(folder, setup, pours, trials, moments, account)
    end_with(account, [out / name for name in ('demo.html', 'pour.mp4', *LOOPS)])
    for loop, trial in trials.items():
        if trial.state != 'done':
            typer.echo(f'pourit: {loop} loop: {trial.state}: {trial.reason}', err=True)
            raise typer.Exit(1)


def _pour(setup: Setup, loop: str, folder: Path) -> LivePour:
    from ..live.pour import pour_live

    with progress_bar() as bar:
        task = bar.add_task(f'{loop} loop', total=round(1e6 * setup.target_volume))

        def show(state: str, poured_ml: float) -> None:
            doing = f'{loop} loop, ml ({state or "nodes start"})'
            bar.update(task, completed=round(poured_ml), description=doing)

        return pour_live(setup, DISTURBANCES, folder, correct=loop == 'closed', progress=show)


def _film(
    setup: Setup, pours: Mapping[str, LivePour], path: Path
) -> tuple[dict[str, Trial], dict[str, list[Moment]]]:
    """Run the recorded trials again, filmed; the film stands or falls with that."""
    from ..sim.film import FPS, Film, write_side_by_side
    from ..sim.rerun import rerun

    # Nothing runs beside it now.
    os.environ['LP_NUM_THREADS'] = str(os.cpu_count() or 1)
    films, trials = {}, {}
    with progress_bar() as bar:
        images = round(FPS * sum(pour.recording.duration for pour in pours.values()))
        task = bar.add_task('film', total=images)
        for loop, pour in pours.items():
            film = films[loop] = Film(
                f'{loop} loop', pour.recording.view, on_image=lambda: bar.advance(task)
            )
            trial = trials[loop] = rerun(setup, pour.recording, film)
            for name in ('poured', 'caught', 'spilled'):
                if abs(getattr(trial, name) - getattr(pour, name)) > SAME:
                    raise InputError(
                        f'the recording of the {loop} loop is not complete: {name} '
                        f'{1e6 * getattr(pour, name):.3f} ml, by its twists '
                        f'{1e6 * getattr(trial, name):.3f} ml'
                    )
    write_side_by_side(path, list(films.values()))
    return trials, {loop: film.moments for loop, film in films.items()}


def _account(setup: Setup, pours: Mapping[str, LivePour], trials: Mapping[str, Trial]) -> Account:
    """Of the images of both loops, with the volumes of each."""
    from ..report.account import Account

    accounts = {loop: pour.account for loop, pour in pours.items()}
    each = list(accounts.values())
    account = Account(
        'demo',
        given=sum(one.given for one in each),
        answered=sum(one.answered for one in each),
        liquid=sum(one.liquid for one in each),
        measured=sum(one.measured or 0 for one in each),
        depth_used=sum(one.depth_used or 0 for one in each),
        what='images',
    )
    for name in ('dropped', 'depth_unused', 'not_measured'):
        setattr(account, name, sum((getattr(one, name) for one in each), Counter()))
    rows = {}
    for loop, pour in pours.items():
        trial = trials[loop]
        latency = sorted(pour.latency_ms)
        median = latency[len(latency) // 2] if latency else None
        account.notes += [f'{loop} loop: {note}' for note in (
            f'{trial.state}, {100 * trial.caught_share:.1f} % in the cup, '
            f'{1e6 * trial.spilled:.1f} ml beside it, {1e6 * trial.volume_error:+.1f} ml from '
            f'{1e6 * trial.target_volume:.0f} ml, in {trial.duration:.1f} s',
            f'{pour.real_time_factor:.2f} x real time'
            + (f', image to distance {median:.0f} ms (median)' if latency else ''),
            *accounts[loop].notes,
        )]  # fmt: skip
        rows[loop] = {
            **trial.row(),
            'real_time_factor': round(pour.real_time_factor, 3),
            'latency_ms': median,
            **accounts[loop].facts,
        }
    account.facts = {'setup': asdict(setup), 'loops': rows}
    return account


def _write_page(
    folder: Path,
    setup: Setup,
    pours: Mapping[str, LivePour],
    trials: Mapping[str, Trial],
    moments: Mapping[str, list[Moment]],
    account: Account,
) -> None:
    from ..live.pour import NODES
    from ..sim.page import write_sim_page

    factors = ', '.join(f'{pour.real_time_factor:.2f}' for pour in pours.values())
    facts = {'ROS 2 nodes over Fast DDS': ', '.join(NODES), 'x real time': factors}
    write_sim_page(
        folder / 'demo.html', setup, trials, moments, ','.join(DISTURBANCES),
        folder / 'pour.mp4', facts, account,
    )  # fmt: skip
