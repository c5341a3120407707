# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`pourit demo`: a simulated arm pours by sight, by the real nodes over DDS; page and video."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..files import check_folder, result_folder
from .ending import end_with
from .options import Out, Overwrite
from .progress import progress_bar

if TYPE_CHECKING:
    from ..live.pour import LivePour
    from ..sim.setup import Setup

LOOPS = ('closed', 'open')
# A cup that is moved as soon as the pour has begun.
SEED, DISTURBANCES = 7, ('move',)


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
    from ..live.pour_report import account_of, film_pours, write_pour_page
    from ..sim.film import FPS
    from ..sim.setup import draw

    setup = draw(SEED, DISTURBANCES)
    with result_folder(out, 'demo', overwrite=overwrite) as folder:
        pours = {loop: _pour(setup, loop, folder / loop) for loop in LOOPS}
        # Nothing runs beside the film.
        os.environ['LP_NUM_THREADS'] = str(os.cpu_count() or 1)
        video = folder / 'pour.mp4'
        with progress_bar() as bar:
            images = round(FPS * sum(pour.recording.duration for pour in pours.values()))
            task = bar.add_task('film', total=images)
            trials, moments = film_pours(setup, pours, video, lambda: bar.advance(task))
        account = account_of(setup, pours, trials)
        account.write(folder)
        write_pour_page(
            folder / 'demo.html', setup, pours, trials, moments, account,
            ','.join(DISTURBANCES), video,
        )  # fmt: skip
    end_with(account, [out / name for name in ('demo.html', 'pour.mp4', *LOOPS)])


def _pour(setup: Setup, loop: str, folder: Path) -> LivePour:
    from ..live.pour import pour_live

    with progress_bar() as bar:
        task = bar.add_task(f'{loop} loop', total=round(1e6 * setup.target_volume))

        def show(state: str, poured_ml: float) -> None:
            doing = f'{loop} loop, ml ({state or "nodes start"})'
            bar.update(task, completed=round(poured_ml), description=doing)

        return pour_live(setup, DISTURBANCES, folder, correct=loop == 'closed', progress=show)
