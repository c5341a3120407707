# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Every number of one trial, and the disturbances that may be drawn into it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..synth.scene.description import LIQUIDS, LiquidDescription
from ..synth.scene.random_liquids import colored_liquid, usual_liquid

Vector = tuple[float, ...]

ML = 1e-6
GREEN: Vector = (0.1, 0.42, 0.22)
STILL: Vector = (0.0, 0.0, 0.0)
# Bottles of sets with colours: plastic and enamelled steel, linear RGB.
BOTTLES: tuple[Vector, ...] = (
    GREEN, (0.05, 0.12, 0.4), (0.7, 0.7, 0.72), (0.03, 0.03, 0.035), (0.5, 0.06, 0.05),
    (0.65, 0.35, 0.05), (0.25, 0.1, 0.35),
)  # fmt: skip
MOST_OFF = 0.06
MOST_MOVED = 0.08
REACH = 0.61, 0.72
MOST_BIAS = 0.02, float(np.radians(1.0))
MOST_NOISE = 0.005, float(np.radians(2.0))
LATENCIES = 0.05, 0.2
MOST_DROPPED = 0.3
MOST_SLIP = 0.012, float(np.radians(8.0)), float(np.radians(3.0))
MOST_MISTAKEN = 60 * ML


@dataclass(frozen=True)
class Setup:
    """One trial of the cell. Base frame: that of the arm, z up; SI units.

    Without arguments: the middle of everything, undisturbed. `draw` draws one.
    """

    seed: int = 0
    """Of all noise: the same setup gives the same trial."""
    fill: float = 330 * ML
    """Liquid in the bottle at the start, m3."""
    told_fill: float = 330 * ML
    """What the controller is told of it, m3."""
    target_volume: float = 100 * ML
    """What is to be poured, m3."""
    cup_capacity: float = 350 * ML
    """What the cup holds before it runs over, m3."""
    cup_fill: float = 0.0
    """What is in the cup at the start, m3."""
    target_place: Vector = (0.66, 0.0)
    """Where the cup stands at the start, m."""
    start_height: float = 0.1
    """Height of the bottle's mouth above the cup's rim at the start, m."""
    start_tilt: float = 0.65
    """Of the bottle at the start, rad: nothing flows yet."""
    start_offset: Vector = STILL
    """(3,) m by which the bottle starts beside the place from which it would hit the cup."""
    target_move: Vector = (0.0, 0.0)
    """By which the cup is moved on the table, m."""
    move_at: float = 4.0
    """When that begins, s."""
    move_for: float = 1.0
    """How long that takes, s."""
    camera_from: Vector = (0.56, 0.2, 0.36)
    """Distance from the cup (m), azimuth from the base's x and elevation (rad) of the camera."""
    camera_shift: Vector = STILL
    """(3,) m by which the camera is believed elsewhere, base axes."""
    camera_turn: Vector = STILL
    """Rotation vector (3,) rad by which it is believed turned, base axes."""
    pose_shift: float = 0.0
    """Noise of reported poses: root mean square length of the shift, m."""
    pose_turn: float = 0.0
    """Noise of reported poses: root mean square angle, rad."""
    latency: float = LATENCIES[0]
    """From an image's stamp until what was seen in it is known, s."""
    drop_share: float = 0.0
    """Share of images that are lost."""
    slip: Vector = STILL
    """How far the bottle slides along its axis (m), tilts and yaws (rad) in the gripper."""
    slip_at: float = 2.5
    """When it begins to, s."""
    slip_for: float = 3.0
    """How long it slips, s."""
    speed_factor: float = 1.0
    """On the model's exit speed."""
    liquid: LiquidDescription = field(default_factory=lambda: LIQUIDS['water'])
    """What is poured."""
    bottle_color: Vector = GREEN
    """Linear RGB."""
    lamp: bool = True
    """Off: only the dim light of the room."""

    def __post_init__(self) -> None:
        """Raise InputError for volumes and shares that cannot be."""
        volumes = (self.fill, self.told_fill, self.cup_fill, self.cup_capacity, self.target_volume)
        if not all(np.isfinite(v) and 0 <= v < 0.01 for v in volumes):
            raise InputError('setup: volumes are m3, from 0 to 0.01 (ten litres)')
        if not (0 <= self.drop_share < 1 and self.cup_fill <= self.cup_capacity):
            raise InputError('setup: drop_share is within 0 to 1, cup_fill at most cup_capacity')

    def target_at(self, time: float) -> NDArray[np.float64]:
        """Where the cup stands (2,) m at a time: it is moved smoothly, at rest before and after.

        The minimum-jerk path (Flash & Hogan 1985) of a hand that moves it.
        """
        x = min(max((time - self.move_at) / self.move_for, 0.0), 1.0)
        share = x**3 * (10 - 15 * x + 6 * x * x)
        return np.asarray(self.target_place) + share * np.asarray(self.target_move)

    def slipped(self, time: float) -> NDArray[np.float64]:
        """How far (3,) m, rad, rad the bottle has slipped by a time."""
        x = min(max((time - self.slip_at) / self.slip_for, 0.0), 1.0)
        share = x * x * (3 - 2 * x)
        return share * np.asarray(self.slip)

    def dropped(self, image: int) -> bool:
        """Whether the image of this number is lost."""
        return bool(np.random.default_rng((self.seed, 71, image)).random() < self.drop_share)


def draw(seed: int, switches: Iterable[str] = ()) -> Setup:
    """Draw a trial with the disturbances `switches`, names out of SWITCHES.

    Each disturbance has random numbers of its own: another switch changes nothing of it. Raises
    InputError for a name that is none.
    """
    wanted = tuple(switches)
    if unknown := sorted(set(wanted) - set(_DRAWS)):
        raise InputError(f'no disturbance {unknown[0]!r}; there are {", ".join(SWITCHES)}')
    setup = _usual(seed)
    for number, (name, change) in enumerate(_DRAWS.items()):
        if name in wanted:
            setup = replace(setup, **change(np.random.default_rng((seed, 1, number)), setup))
    return setup


def _usual(seed: int) -> Setup:
    """What differs between any two trials, though nothing disturbs them."""
    rng = np.random.default_rng((seed, 0))
    fill = float(rng.uniform(260, 360)) * ML
    return Setup(
        seed=seed,
        fill=fill,
        told_fill=fill,
        target_volume=float(rng.uniform(60, 130)) * ML,
        target_place=(float(rng.uniform(0.64, 0.69)), float(rng.uniform(-0.03, 0.03))),
        start_height=float(rng.uniform(0.09, 0.12)),
        start_tilt=float(rng.uniform(0.55, 0.7)),
        camera_from=(
            float(rng.uniform(0.52, 0.64)),
            float(rng.uniform(-0.3, 0.3)),
            float(rng.uniform(0.25, 0.48)),
        ),
    )


def _start(rng: np.random.Generator, _: Setup) -> dict[str, Any]:
    off = MOST_OFF * np.sqrt(rng.random()) * _unit(rng, 2)
    return {'start_offset': (*off.tolist(), float(rng.uniform(-0.015, 0.015)))}


def _move(rng: np.random.Generator, setup: Setup) -> dict[str, Any]:
    by = float(rng.uniform(0.03, MOST_MOVED)) * _unit(rng, 2)
    # Neither too near nor too far: an arm cannot follow a cup to where it cannot pour.
    if not REACH[0] < setup.target_place[0] + by[0] < REACH[1]:
        by[0] = -by[0]
    when = {'move_at': float(rng.uniform(2.5, 7.0)), 'move_for': float(rng.uniform(0.7, 1.6))}
    return {'target_move': tuple(by.tolist()), **when}


def _camera(rng: np.random.Generator, _: Setup) -> dict[str, Any]:
    shift, turn = (most * rng.random() * _unit(rng, 3) for most in MOST_BIAS)
    return {'camera_shift': tuple(shift.tolist()), 'camera_turn': tuple(turn.tolist())}


def _noise(rng: np.random.Generator, _: Setup) -> dict[str, Any]:
    share = float(rng.uniform(0.3, 1.0))
    return {'pose_shift': share * MOST_NOISE[0], 'pose_turn': share * MOST_NOISE[1]}


def _latency(rng: np.random.Generator, _: Setup) -> dict[str, Any]:
    return {'latency': float(rng.uniform(*LATENCIES))}


def _drops(rng: np.random.Generator, _: Setup) -> dict[str, Any]:
    return {'drop_share': float(rng.uniform(0.05, MOST_DROPPED))}


def _slip(rng: np.random.Generator, _: Setup) -> dict[str, Any]:
    by = rng.uniform(-1, 1, 3) * MOST_SLIP
    when = {'slip_at': float(rng.uniform(1.5, 6.0)), 'slip_for': float(rng.uniform(1.5, 4.0))}
    return {'slip': tuple(by.tolist()), **when}


def _fill(rng: np.random.Generator, setup: Setup) -> dict[str, Any]:
    return {'told_fill': setup.fill + float(rng.uniform(-1, 1)) * MOST_MISTAKEN}


def _speed(rng: np.random.Generator, _: Setup) -> dict[str, Any]:
    return {'speed_factor': float(np.exp(rng.uniform(np.log(0.7), np.log(1.4))))}


def _color(rng: np.random.Generator, _: Setup) -> dict[str, Any]:
    kind = usual_liquid if rng.random() < 0.6 else colored_liquid
    bottle = BOTTLES[int(rng.integers(len(BOTTLES)))]
    return {'bottle_color': bottle, 'liquid': kind(rng, 'val')}


def _lamp(rng: np.random.Generator, _: Setup) -> dict[str, Any]:
    return {'lamp': bool(rng.random() < 0.5)}


# The order is part of the seeds: new ones go to the end.
_DRAWS: dict[str, Callable[[np.random.Generator, Setup], dict[str, Any]]] = {
    'start': _start, 'move': _move, 'camera': _camera, 'noise': _noise, 'latency': _latency,
    'drops': _drops, 'slip': _slip, 'fill': _fill, 'speed': _speed, 'color': _color,
    'lamp': _lamp,
}  # fmt: skip
SWITCHES = tuple(_DRAWS)


def _unit(rng: np.random.Generator, size: int) -> NDArray[np.float64]:
    vector = rng.standard_normal(size)
    return np.asarray(vector / np.linalg.norm(vector))
