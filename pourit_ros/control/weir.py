# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Tables of what a tilted cavity lets over its lip: kept volume, flow and exit speed.

For tilts t from 0 to pi, and for the excess e: the volume above the lip's level.

Head h over the lip, from the volume: e = integral of the surface's area from the lip upwards.
Flow through the round mouth as over a weir (Noda and Terashima, modelling of tilting ladles; the
same integral with a straight lip is 2/3 C L sqrt(2 g) h^1.5):

    q = C f integral_0^w L(u) sqrt(2 g (h - u sin t)) du,   L(u) = 2 sqrt(2 R u - u^2),

u the distance from the lip within the mouth's plane, w = min(2R, h / sin t) as far as the mouth is
wet. Up to 90 degrees the liquid leaves horizontally, through the mouth's upright projection:
f = sin t. Beyond, it leaves through the mouth itself: f = 1 (own choice).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..geometry.cavity import SLICES, Cavity
from ..geometry.fall import GRAVITY

TILTS = 181
EXCESSES = 72
# The stream narrows behind an opening, to 0.61 behind a slit (Kirchhoff), to about 0.64 here.
CONTRACTION = 0.64
# Emptying upside down takes T = T0 (D / d)^2.5 (Clanet and Searby, "On the glug-glug of ideal
# bottles", J. Fluid Mech. 510, 2004), T0 = 3 s for a tube of 0.2 m, growing with the root of its
# length.
FREE_EMPTYING, FREE_LENGTH = 3.0, 0.2


@dataclass(frozen=True, eq=False)
class WeirTables:
    """What a cavity lets out, on a grid; SI units.

    `kept` (TILTS,): volume that stays below the lip at tilts from 0 to pi. `flow` and `speed`
    (TILTS, EXCESSES): for the excess (j / (EXCESSES - 1))^2 * capacity. `most`: the largest flow.
    """

    capacity: float
    kept: NDArray[np.float64]
    flow: NDArray[np.float64]
    speed: NDArray[np.float64]
    most: float


def most_flow(cavity: Cavity) -> float:
    """The mean flow (m3/s) that air, on its way in through the neck, lets out of a bottle."""
    free = FREE_EMPTYING * np.sqrt(cavity.height / FREE_LENGTH)
    widening = max(cavity.widest / cavity.mouth_radius, 1.0)
    return float(cavity.capacity / (free * widening**2.5))


def weir_tables(cavity: Cavity, coefficient: float) -> WeirTables:
    """Make the tables of a cavity; takes about half a second."""
    tilts = np.linspace(0, np.pi, TILTS)
    excess = np.linspace(0, 1, EXCESSES) ** 2 * cavity.capacity
    most = most_flow(cavity)
    kept = np.array([cavity.volume_below_lip(t) for t in tilts])
    kept[0], kept[-1] = cavity.capacity, 0.0
    kept = np.minimum.accumulate(kept)
    flow, speed = np.zeros((2, TILTS, EXCESSES))
    for i, tilt in enumerate(tilts):
        head = _heads(cavity, float(tilt), kept[i], excess)
        free, wet = over_lip(head, float(tilt), cavity.mouth_radius, coefficient)
        flow[i] = np.minimum(np.maximum.accumulate(free), most)
        speed[i] = flow[i] / np.maximum(wet * CONTRACTION, 1e-9)
    flow[:, 0] = speed[:, 0] = 0.0
    return WeirTables(cavity.capacity, kept, flow, speed, most)


def _heads(
    cavity: Cavity, tilt: float, kept: float, excess: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Head (N,) m for volumes (N,) m3 above the lip; no more than the cavity holds."""
    lip = cavity.lip_level(tilt)
    corners = cavity.profile[:, 1] * np.cos(tilt) + cavity.profile[:, 0] * np.sin(tilt)
    room = max(float(corners.max()) - lip, 1e-6)
    # Fine near the lip, where the flow changes most.
    heads = np.linspace(0, 1, SLICES // 2) ** 2 * room
    volumes = np.maximum.accumulate(cavity.volume_below(tilt, lip + heads)) - kept
    return np.interp(excess, volumes, heads)


def over_lip(
    head: NDArray[np.float64], tilt: float, radius: float, coefficient: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Flow (N,) m3/s through a round mouth under heads (N,) m, and the section (N,) m2 it wets.

    `tilt` rad, `radius` of the mouth m. The integral of the module's docstring by the midpoint
    rule, after u = R (1 - cos a), which takes the root out of L(u).
    """
    sine = max(float(np.sin(tilt)), 1e-4)
    face = sine if tilt < 0.5 * np.pi else 1.0
    # The wet part of the mouth ends at this angle.
    end = np.arccos(np.clip(1 - head / (sine * radius), -1, 1))
    a = (np.arange(64) + 0.5) / 64 * end[:, None]
    u = radius * (1 - np.cos(a))
    part = 2 * radius * np.sin(a) * radius * np.sin(a) * end[:, None] / 64
    speed = np.sqrt(2 * GRAVITY * np.maximum(head[:, None] - u * sine, 0))
    flow = coefficient * face * np.sum(part * speed, axis=1)
    return flow, face * np.sum(part, axis=1)
