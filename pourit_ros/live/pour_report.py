# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Film, account and page of pours over DDS, each run again from its recording."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..report.account import Account
from ..sim.film import Film, write_side_by_side
from ..sim.page import write_sim_page
from ..sim.rerun import rerun
from ..sim.setup import Setup
from ..sim.trial import Moment, Trial
from .pour import NODES, LivePour

# Volumes of a pour and of its recording, run again, differ by rounding alone, m3.
ROUNDING = 1e-9


def film_pours(
    setup: Setup,
    pours: Mapping[str, LivePour],
    path: Path,
    on_image: Callable[[], object] = lambda: None,
) -> tuple[dict[str, Trial], dict[str, list[Moment]]]:
    """Run recorded pours again and write them side by side as one MP4; trials and moments by loop.

    `on_image` is called after every image. Raises InputError for a recording that lacks something.
    """
    films, trials = {}, {}
    for loop, pour in pours.items():
        film = films[loop] = Film(f'{loop} loop', pour.recording.view, on_image=on_image)
        trial = trials[loop] = rerun(setup, pour.recording, film)
        for name in ('poured', 'caught', 'spilled'):
            live, again = getattr(pour, name), getattr(trial, name)
            if abs(live - again) > ROUNDING:
                raise InputError(
                    f'the recording of the {loop} loop is not complete: {name} {1e6 * live:.3f} '
                    f'ml, by its twists {1e6 * again:.3f} ml'
                )
    write_side_by_side(path, list(films.values()))
    return trials, {loop: film.moments for loop, film in films.items()}


def account_of(
    setup: Setup, pours: Mapping[str, LivePour], trials: Mapping[str, Trial]
) -> Account:
    """Of the images of all loops, with the volumes of each; its problem: controllers' faults."""
    each = [pour.account for pour in pours.values()]
    account = Account(
        'demo',
        given=sum(one.given for one in each),
        answered=sum(one.answered for one in each),
        liquid=sum(one.liquid for one in each),
        measured=sum(one.measured or 0 for one in each),
        depth_used=sum(one.depth_used or 0 for one in each),
        dropped=sum((one.dropped for one in each), Counter()),
        depth_unused=sum((one.depth_unused for one in each), Counter()),
        not_measured=sum((one.not_measured for one in each), Counter()),
        what='images',
    )
    rows = {}
    for loop, pour in pours.items():
        trial, latency = trials[loop], None
        speed = f'{pour.real_time_factor:.2f} x real time'
        if pour.latency_ms:
            latency = float(np.median(pour.latency_ms))
            speed += f', image to distance {latency:.0f} ms (median)'
        notes = trial.told(), speed, *pour.account.notes
        account.notes += [f'{loop} loop: {note}' for note in notes]
        rows[loop] = {
            **trial.row(),
            'real_time_factor': round(pour.real_time_factor, 3),
            'latency_ms': latency,
            **pour.account.facts,
        }
    account.facts = {'setup': asdict(setup), 'loops': rows}
    account.problem = '; '.join(
        f'the controller of the {loop} loop ended as {trial.state}: {trial.reason}'
        for loop, trial in trials.items()
        if trial.state != 'done'
    )
    return account


def write_pour_page(
    path: Path,
    setup: Setup,
    pours: Mapping[str, LivePour],
    trials: Mapping[str, Trial],
    moments: Mapping[str, list[Moment]],
    account: Account,
    disturbances: str,
    video: Path,
) -> None:
    """Write the page: as that of a simulated pour, with the nodes, their speed and the account."""
    factors = ', '.join(f'{pour.real_time_factor:.2f}' for pour in pours.values())
    facts = {'ROS 2 nodes over Fast DDS': ', '.join(NODES), 'x real time': factors}
    write_sim_page(path, setup, trials, moments, disturbances, video, facts, account)
