# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Kinds of random scenes, by which scores are broken down, and how each differs from the usual."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import InputError
from .containers import SOURCES


@dataclass(frozen=True)
class Stratum:
    """How scenes of a kind differ from the usual ones; None and 0 keep the usual mixture.

    Shares: `colored` of liquids that are opaque and tan, brown or of any hue, otherwise dyed;
    `rates` ml/s, log-uniform, in a share `rated` of the scenes; `speeds` m/s at the lip; `drops` m
    from the lip to the target's rim. `only_source`: kind of source; `targets`: kinds and their
    shares; `clear_target`: of clear walls; `fills`: of the target's height. `wide`: images are
    16:9; `dim`: dark and noisy; `distance`: factor on the camera's. `glass`: clear vessels stand
    behind the stream; `moved`: not only the liquid differs between the twins.
    """

    about: str
    colored: float = 0.0
    water: bool = False
    rates: tuple[float, float] | None = None
    rated: float = 1.0
    speeds: tuple[float, float] | None = None
    drops: tuple[float, float] | None = None
    only_source: str | None = None
    targets: dict[str, float] | None = None
    clear_target: bool = False
    fills: tuple[float, float] | None = None
    wide: bool = False
    dim: bool = False
    distance: tuple[float, float] | None = None
    glass: bool = False
    moved: bool = False


GENERAL = 'general'
STRATA: dict[str, Stratum] = {
    GENERAL: Stratum('the usual mixture'),
    'tan': Stratum(
        'opaque liquids between milk and chocolate, beer, smoothies, free hues',
        colored=1.0,
        rates=(6, 160),
        rated=0.6,
    ),
    'tap': Stratum(
        'taps over basins, cups and glasses: laminar, aerated, trickling',
        water=True,
        rates=(6, 200),
        rated=0.6,
        drops=(0.04, 0.2),
        only_source='tap',
        targets={
            'sink': 0.62, 'tumbler': 0.12, 'mug': 0.07, 'bowl': 0.07, 'pan': 0.05, 'jug': 0.07,
        },
        distance=(0.85, 1.25),
    ),
    'thin': Stratum(
        'streams of 1 to 8 ml/s',
        colored=0.35,
        rates=(1, 8),
        speeds=(0.12, 0.5),
        drops=(0.04, 0.2),
    ),
    'dim': Stratum(
        'dark, noisy 16:9 images with a small stream',
        colored=0.25,
        rates=(3, 90),
        wide=True,
        dim=True,
        distance=(1.2, 1.9),
    ),
    'in_glass': Stratum(
        'streams that continue inside a clear, nearly empty vessel',
        colored=0.3,
        rates=(4, 120),
        rated=0.7,
        drops=(0.02, 0.08),
        targets={
            'tumbler': 0.35, 'wine_glass': 0.15, 'flask': 0.15, 'pet_bottle': 0.15, 'jug': 0.2,
        },
        clear_target=True,
        fills=(0.03, 0.3),
    ),
    'before_glass': Stratum(
        'streams in front of clear vessels, sometimes behind one',
        colored=0.3,
        rates=(4, 120),
        rated=0.7,
        glass=True,
    ),
    'moved': Stratum(
        'something else moves between the twins as well',
        colored=0.25,
        rates=(2, 40),
        rated=0.4,
        moved=True,
    ),
    'flow': Stratum(
        'streams of 8 to 100 ml/s, by which the measured flow is judged',
        rates=(8, 100),
        speeds=(0.15, 0.9),
    ),
}  # fmt: skip
MIXTURE = {
    GENERAL: 0.28, 'tan': 0.16, 'tap': 0.14, 'thin': 0.16, 'dim': 0.1, 'in_glass': 0.05,
    'before_glass': 0.05, 'moved': 0.06,
}  # fmt: skip


@dataclass(frozen=True)
class Mixture:
    """Weights of strata, by name."""

    weights: tuple[tuple[str, float], ...] = ((GENERAL, 1.0),)

    @classmethod
    def parse(cls, text: str | None) -> Mixture:
        """Read 'thin', 'thin=2,tap=1'; without text, MIXTURE. Raises InputError."""
        if text is None:
            return cls(tuple(MIXTURE.items()))
        weights: dict[str, float] = {}
        for part in text.split(','):
            name, given, value = (p.strip() for p in part.partition('='))
            if name not in STRATA:
                raise InputError(f'unknown stratum {name!r}; strata: {", ".join(STRATA)}')
            if name in weights:
                raise InputError(f'stratum {name} is given twice')
            try:
                weights[name] = float(value) if given else 1.0
            except ValueError:
                raise InputError(f'stratum {name}: {value!r} is not a number') from None
            if not (0 < weights[name] < np.inf):
                raise InputError(f'stratum {name}: a weight must be greater than 0, not {value}')
        return cls(tuple(weights.items()))

    def still(self) -> Mixture:
        """The strata whose twins share one backdrop; raises InputError if there are none."""
        left = tuple((n, w) for n, w in self.weights if not STRATA[n].moved)
        if not left:
            names = ', '.join(n for n, _ in self.weights)
            raise InputError(
                f'stratum {names} works with pathtrace only, since both twins of a composite '
                'share one backdrop'
            )
        return Mixture(left)

    def draw(self, seed: int, index: int, split: int) -> str:
        """Draw the stratum of a scene by name; deterministic."""
        if len(self.weights) == 1:
            return self.weights[0][0]
        share = np.array([weight for _, weight in self.weights])
        rng = np.random.default_rng((seed, index, split, 0x57A7))
        return self.weights[int(rng.choice(len(share), p=share / share.sum()))][0]


USUAL = Mixture()


def check_source(kind: str | None, strata: Sequence[str] = ()) -> None:
    """Raise InputError for an unknown kind of source, or one unsuitable for these strata."""
    if kind is None:
        return
    if kind not in SOURCES:
        raise InputError(f'nothing pours from a {kind!r}; sources: {", ".join(SOURCES)}')
    for name in strata:
        only = STRATA[name].only_source
        if only is not None and only != kind:
            raise InputError(f'stratum {name} pours from a {only}, not from a {kind}')
