# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""One pour in the cell: images, latency, controller, arm, and what came of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from ..control.controller import ENDED, Command, PourController
from ..control.limits import lip_to_tip
from ..control.outflow import lip_of, tilt_of
from ..control.settings import ControllerSettings
from ..control.sighting import Sighting
from ..errors import InputError
from ..geometry import Pose
from .cell import Cell
from .eyes import Eyes
from .setup import Setup

RATE = 15.0
"""Images per second."""
REPORTS = 30.0
"""Poses of the bottle per second, from the arm's joints."""
VISIBLE = 3.2e-6
"""From here on the camera of the cell usually sees a flow, m3/s (docs/simulation.md)."""
MOST_POSE_AGE = 0.5
"""With a third of 15 images a second lost, the cup's poses come this late (s) now and then."""
LONGEST = 40.0
"""A pour that takes longer (s) is cut off."""
SPILL = 2e-6
"""m3: more than that beside the cup is a spill."""
# A start that is refused for so long (s) is not coming.
PATIENCE = 3.0
# What is in the air lands within that time, s.
SETTLING = 1.0


@dataclass(frozen=True)
class Moment:
    """The cell at one instant of a trial; volumes m3, flow m3/s, angles rad, lengths m."""

    time: float
    state: str
    tilt: float
    flow: float
    caught: float
    spilled: float
    off: float | None
    """Horizontal distance of the true landing point from the target's mouth."""
    seen: bool | None
    """Whether the last image that arrived showed liquid."""
    speed: float
    """Of the lip, m/s."""
    turn: float
    """rad/s."""


@dataclass(frozen=True)
class Trial:
    """The result of one pour; SI units."""

    setup: Setup
    state: str
    reason: str
    duration: float
    target_volume: float
    poured: float
    caught: float
    spilled: float
    peak_tilt: float
    peak_speed: float
    peak_turn: float
    images: int
    seen: int
    """Images in which liquid was found."""

    @property
    def caught_share(self) -> float:
        """Of what was poured; 0 where nothing was."""
        return self.caught / self.poured if self.poured > 0 else 0.0

    @property
    def volume_error(self) -> float:
        """Poured minus wanted, m3."""
        return self.poured - self.target_volume

    @property
    def clean(self) -> bool:
        """Whether next to nothing went beside the cup."""
        return self.spilled <= SPILL

    def told(self) -> str:
        """What came of it, in one line."""
        state = f'{self.state} ({self.reason})' if self.reason else self.state
        return (
            f'{state}, {100 * self.caught_share:.1f} % in the cup, '
            f'{1e6 * self.spilled:.1f} ml beside it, {1e6 * self.volume_error:+.1f} ml from '
            f'{1e6 * self.target_volume:.0f} ml, in {self.duration:.1f} s'
        )

    def row(self) -> dict[str, object]:
        """The trial as a row of a table: ml, s, degrees, m/s."""
        numbers = {k: v for k, v in asdict(self).items() if k != 'setup'}
        for name in ('target_volume', 'poured', 'caught', 'spilled'):
            numbers[f'{name}_ml'] = round(1e6 * numbers.pop(name), 3)
        numbers['peak_tilt_deg'] = round(float(np.degrees(numbers.pop('peak_tilt'))), 2)
        return {
            'seed': self.setup.seed,
            **numbers,
            'caught_share': round(self.caught_share, 5),
            'clean': self.clean,
        }


def cell_settings(setup: Setup, correct: bool) -> ControllerSettings:
    """The controller's settings for the cell: what its camera sees, how many images it loses."""
    return ControllerSettings(
        target_volume=setup.target_volume,
        correct=correct,
        visible_flow=VISIBLE,
        max_pose_age=MOST_POSE_AGE,
    )


Watch = Callable[[Cell, Moment, bool], None]
"""Called every control period with the cell, the moment, and whether an image was just taken."""


def run_trial(
    setup: Setup,
    eyes: Eyes,
    settings: ControllerSettings,
    *,
    size: tuple[int, int] = (320, 240),
    watch: Watch | None = None,
) -> Trial:
    """Pour once, from the start to the last drop that lands.

    What the eyes see at an image's stamp, and the cup's pose, reach the controller after the
    setup's latency; images are lost as the setup says, and the cup's poses with them. The bottle's
    poses come from the arm, at once. The controller knows nothing else.
    """
    cell = Cell(setup, size)
    controller = PourController(cell.source, cell.target, settings)
    post: deque[tuple[float, Sighting, Pose]] = deque()
    peaks = [0.0, 0.0, 0.0]
    seen: bool | None = None
    number = found = 0
    next_image = next_pose = 0.0
    ended_at: float | None = None
    command: Command | None = None
    refused = ''
    while cell.time < LONGEST:
        now = cell.time
        imaged = False
        if now >= next_pose - 1e-9:
            next_pose += 1 / REPORTS
            controller.set_source(now, cell.reported_source(), now)
        if now >= next_image - 1e-9:
            next_image += 1 / RATE
            if not setup.dropped(number):
                sighting = eyes.look(cell)
                post.append((now + setup.latency, sighting, cell.reported_target()))
                found += bool(sighting.present)
                imaged = True
            number += 1
        while post and post[0][0] <= now + 1e-9:
            _, sighting, target = post.popleft()
            controller.set_target(sighting.stamp, target, now)
            controller.see(sighting, now)
            seen = sighting.present
            if controller.state == 'idle':
                try:
                    controller.start(now, setup.told_fill, setup.cup_fill)
                except InputError as error:
                    refused = str(error)
        command = controller.step(now)
        T_base_source, tip = cell.T_base_source, cell.T_base_tip.translation
        lip = lip_of(cell.source, T_base_source)
        cell.command(lip_to_tip(command.twist, lip, tip))
        tilt = tilt_of(cell.source, T_base_source)
        moment = moment_of(cell, command.state, command.twist, tilt, seen)
        peaks = [max(p, v) for p, v in zip(peaks, (tilt, moment.speed, moment.turn), strict=True)]
        if watch is not None:
            watch(cell, moment, imaged)
        if command.state == 'idle' and now > PATIENCE:
            break
        if command.state in ENDED and cell.flow == 0 and cell.in_air == 0:
            ended_at = now if ended_at is None else ended_at
            if now - ended_at > SETTLING:
                break
        cell.step()
    assert command is not None
    reason = command.reason or (refused if command.state == 'idle' else '')
    return Trial(
        setup, command.state, reason, ended_at or cell.time, setup.target_volume,
        cell.poured, cell.caught, cell.spilled, peaks[0], peaks[1], peaks[2], number, found,
    )  # fmt: skip


def moment_of(
    cell: Cell, state: str, lip_twist: NDArray[np.float64], tilt: float, seen: bool | None
) -> Moment:
    """The cell at its time, while the lip is to move with `lip_twist` (6,) in base axes."""
    off = None
    if cell.landing is not None:
        offset = cell.landing - cell.target.mouth_in(cell.T_base_target)
        off = float(np.hypot(*offset[:2]))
    speed, turn = float(np.linalg.norm(lip_twist[:3])), float(np.linalg.norm(lip_twist[3:]))
    return Moment(
        cell.time, state, tilt, cell.flow, cell.caught, cell.spilled, off, seen, speed, turn
    )
