# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The parts behind a tap's nozzle: pipes, hoses, columns, levers and handles.

In the nozzle's frame, whose origin lies at its upper end: z points down, out of the mouth, and -x
points to where the tap is fixed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .meshes import Mesh, sweep, tube

LONGEST = 0.45


@dataclass(frozen=True, eq=False)
class Plumbing:
    """The metal parts of a tap.

    `pipe`: centre line and radius (N, 4) of the spout, from the nozzle on; `fixtures`: the rest
    of the tap; `reach`: m from the nozzle back to its column, 0 where it comes out of a wall.
    """

    pipe: NDArray[np.float64]
    fixtures: tuple[Mesh, ...]
    reach: float


def plumbing(rng: np.random.Generator, radius: float) -> Plumbing:
    """The tap behind a nozzle of this radius (m)."""
    kind = str(rng.choice(['bare', 'swan', 'mixer', 'wall'], p=[0.3, 0.25, 0.27, 0.18]))
    return {'bare': _bare, 'swan': _swan, 'mixer': _mixer, 'wall': _wall}[kind](rng, radius)


def _bare(rng: np.random.Generator, radius: float) -> Plumbing:
    """A bare pipe or ribbed hose with a bend, down to the table or back to a wall."""
    u = rng.uniform
    turned = np.pi if rng.random() < 0.7 else 0.5 * np.pi
    line, bend = _arc(u(0.04, 0.1), u(0.01, 0.06), turned, u(0.25, LONGEST))
    thick = np.full(len(line), 0.93 * radius * u(0.7, 1.0))
    if rng.random() < 0.4:
        line, thick = _ribbed(line, float(thick[0]), u(0.004, 0.008))
    reach = 2 * bend if turned > 3 else 0.0
    return Plumbing(np.column_stack([line, thick]), (), reach)


def _swan(rng: np.random.Generator, radius: float) -> Plumbing:
    """A swan neck on a column with a lever."""
    u = rng.uniform
    line, bend = _arc(u(0.06, 0.11), u(0.01, 0.05), np.pi, LONGEST)
    thick = np.full(len(line), radius * u(0.75, 1.05))
    foot = line[-1]
    top = foot[2] - LONGEST + u(0.06, 0.2)
    wide = u(0.021, 0.029)
    column = _turned((foot[0], 0.0), [(top, 0.8 * wide), (top + 0.006, wide), (foot[2], wide)])
    parts = [column, *_lever(rng, np.array([foot[0], 0.0, top + u(0.02, 0.05)]), wide)]
    return Plumbing(np.column_stack([line, thick]), tuple(parts), 2 * bend)


def _mixer(rng: np.random.Generator, radius: float) -> Plumbing:
    """A basin mixer: a spout straight out of a stout body, a lever on its top."""
    u = rng.uniform
    reach, wide = u(0.1, 0.17), u(0.021, 0.028)
    rise = u(-0.03, 0.05)
    s = np.linspace(0, 1, 20)
    # Round into the nozzle, then straight back, up or down.
    x = -reach * s
    z = 0.001 - 0.019 * np.sin(np.clip(6 * s, 0, 1) * 0.5 * np.pi) + rise * s
    line = np.column_stack([x, 0 * s, z])
    thick = radius * np.interp(s, [0, 0.15, 1], [0.95, 1.0, u(1.0, 1.45)])
    head = z[-1] - u(0.015, 0.035)
    body = _turned(
        (-reach, 0.0),
        [(head, 0.75 * wide), (head + 0.004, wide), (z[-1] + 0.03, wide),
         (z[-1] + LONGEST, u(1.0, 1.25) * wide)],
    )  # fmt: skip
    top = np.array([-reach, 0.0, head])
    towards = np.array([u(-1, 1) * 0.4 + (1 if rng.random() < 0.5 else -1), u(-0.5, 0.5), 0.0])
    towards /= np.linalg.norm(towards)
    tip = top + u(0.06, 0.11) * towards - [0, 0, u(0.012, 0.05)]
    if rng.random() < 0.5:
        lever = sweep(np.linspace(top, tip, 4), np.linspace(0.0065, 0.0045, 4))
    else:
        lever = _paddle(top, tip, u(0.016, 0.026), u(0.005, 0.009))
    dome = sweep(np.array([top + [0, 0, 0.004], top - [0, 0, 0.004], top - [0, 0, 0.008]]),
                 np.array([0.95, 0.85, 0.6]) * wide)  # fmt: skip
    return Plumbing(np.column_stack([line, thick]), (body, lever, dome), reach)


def _wall(rng: np.random.Generator, radius: float) -> Plumbing:
    """A wall tap: a spout, a bar across with two handles, rosettes at the wall."""
    u = rng.uniform
    line, _ = _arc(u(0.03, 0.07), u(0.005, 0.1), 0.5 * np.pi, u(0.1, 0.2))
    thick = np.full(len(line), 0.93 * radius * u(0.8, 1.05))
    back = line[-1]
    half, bar = u(0.06, 0.1), u(0.013, 0.02)
    across = np.array([0.0, 1.0, 0.0])
    parts = [sweep(np.linspace(back - half * across, back + half * across, 5), np.full(5, bar))]
    for side in (-1, 1):
        end = back + side * half * across
        behind = end - [u(0.06, 0.09), 0, 0]
        parts.append(sweep(np.linspace(end, behind, 4), np.full(4, 0.9 * bar)))
        parts.append(_disc(end - [0.035, 0, 0], 0.034))
        parts += _handle(rng, end, side)
    return Plumbing(np.column_stack([line, thick]), tuple(parts), 0.0)


def _arc(
    bend: float, rise: float, turned: float, ahead: float
) -> tuple[NDArray[np.float64], float]:
    """A line up from the nozzle, through a bend of this radius and straight on; and the bend."""
    angle = np.linspace(0, turned, 25)
    arc = np.column_stack([-bend * (1 - np.cos(angle)), 0 * angle, -rise - bend * np.sin(angle)])
    step = arc[-1] - arc[-2]
    step *= ahead / np.linalg.norm(step)
    rest = arc[-1] + np.outer(np.linspace(0, 1, 9)[1:], step)
    return np.vstack([[[0, 0, 0.001]], arc, rest]), bend


def _lever(rng: np.random.Generator, at: NDArray[np.float64], wide: float) -> list[Mesh]:
    """A stub out of the column's side and a rod upwards from it."""
    u = rng.uniform
    side = np.array([u(-0.3, 0.3), 1.0 if rng.random() < 0.5 else -1.0, 0.0])
    side /= np.linalg.norm(side)
    stub = at + (wide + u(0.012, 0.03)) * side
    tip = stub + u(0.05, 0.09) * (0.5 * side + np.array([u(-0.4, 0.4), 0, -1.0]))
    return [
        sweep(np.linspace(at, stub, 4), np.full(4, u(0.013, 0.018))),
        sweep(np.linspace(stub, tip, 4), np.linspace(0.005, 0.0035, 4)),
    ]


def _handle(rng: np.random.Generator, at: NDArray[np.float64], side: int) -> list[Mesh]:
    """A knob with a cross, or a lever, on the outer end of a bar."""
    u = rng.uniform
    out = np.array([0.0, float(side), 0.0])
    knob = at + u(0.03, 0.045) * out
    parts = [sweep(np.linspace(at, knob, 4), np.full(4, u(0.014, 0.019)))]
    turn = u(0, np.pi)
    arm = u(0.025, 0.035) * np.array([np.cos(turn), 0, np.sin(turn)])
    parts.append(sweep(np.linspace(knob - arm, knob + arm, 5), np.full(5, 0.006)))
    if rng.random() < 0.6:
        other = np.array([-arm[2], 0, arm[0]])
        parts.append(sweep(np.linspace(knob - other, knob + other, 5), np.full(5, 0.006)))
    return parts


def _turned(place: tuple[float, float], profile: list[tuple[float, float]]) -> Mesh:
    """An upright body about (x, y), of (height, radius) from the top to the foot."""
    z, r = np.array(profile).T
    fine = np.linspace(z[0], z[-1], 60)
    line = np.column_stack([np.full(60, place[0]), np.full(60, place[1]), fine])
    return sweep(line, np.interp(fine, z, r), 40)


def _disc(at: NDArray[np.float64], radius: float) -> Mesh:
    line = np.linspace(at, at - [0.006, 0, 0], 4)
    return sweep(line, radius * np.array([0.9, 1.0, 1.0, 1.0]), 36)


def _paddle(
    start: NDArray[np.float64], end: NDArray[np.float64], width: float, thick: float
) -> Mesh:
    """A flat lever from start to end, broad across it."""
    s = np.linspace(0, 1, 24)
    round_off = np.sqrt(1 - np.abs(2 * s - 1) ** 8)
    across = np.cross([0, 0, 1.0], end - start)
    side = np.tile(across / np.linalg.norm(across), (24, 1))
    line = start + np.outer(s, end - start)
    return tube(line, side, 0.5 * width * round_off, 0.5 * thick * round_off, 24)


def _ribbed(
    line: NDArray[np.float64], radius: float, pitch: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centre line and radii of a metal hose with a rib every `pitch` m."""
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    s = np.arange(0, along[-1], pitch / 6)
    fine = np.column_stack([np.interp(s, along, line[:, k]) for k in range(3)])
    return fine, radius * (1 + 0.12 * np.cos(2 * np.pi * s / pitch))
