# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Liquids of random scenes, each with its own colour."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .description import LIQUIDS, LiquidDescription
from .draws import draw_number, rgb

_USUAL = {
    'water': 0.44, 'oil': 0.06, 'tea': 0.08, 'red_juice': 0.06, 'green_soda': 0.04, 'cola': 0.06,
    'coffee': 0.05, 'cloudy_juice': 0.05, 'orange_juice': 0.05, 'milk': 0.08, 'chocolate': 0.03,
}  # fmt: skip
# Ends, in linear RGB, between which a liquid's scattered colour lies: much milk, and little.
_COLORED: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    'milk_coffee': ((0.68, 0.47, 0.29), (0.2, 0.085, 0.03)),
    'milk_tea': ((0.72, 0.48, 0.29), (0.4, 0.18, 0.06)),
    'cocoa': ((0.5, 0.27, 0.15), (0.11, 0.04, 0.016)),
    'caramel': ((0.6, 0.33, 0.09), (0.28, 0.08, 0.012)),
    'smoothie': ((0.85, 0.62, 0.5), (0.35, 0.12, 0.1)),
    'beer': ((0.8, 0.55, 0.2), (0.45, 0.2, 0.04)),
}
_COLORED_SHARE = {
    'milk_coffee': 0.24, 'milk_tea': 0.14, 'cocoa': 0.14, 'caramel': 0.1, 'smoothie': 0.1,
    'beer': 0.1, 'dyed': 0.18,
}  # fmt: skip
# A dyed liquid lets so much of each colour's light through so much of itself, m.
_DYED_WAY = 0.01
# Of beer, and of coffee that has been frothed up: so many scenes show foam, this deep (m).
_FOAM_SHARE = {'beer': 0.85, 'milk_coffee': 0.3, 'cocoa': 0.2}
_FOAM_DEPTH = 0.004, 0.03


def usual_liquid(
    rng: np.random.Generator, split: str, name: str | None = None
) -> LiquidDescription:
    """One of the usual liquids, with random strength and shade; `name`: which one."""
    drawn = str(rng.choice(list(_USUAL), p=list(_USUAL.values())))
    base = LIQUIDS[name or drawn]
    own = np.random.default_rng((draw_number(rng, split), 1))
    strength = own.lognormal(0, 0.35) * own.lognormal(0, 0.12, 3)
    color = np.clip(np.asarray(base.color) * own.lognormal(0, 0.12, 3), 0.002, 0.95)
    milk = float(np.clip(base.milkiness + 0.1 * own.normal(), 0, 1)) if base.milkiness else 0.0
    return replace(
        base,
        absorption=rgb(np.asarray(base.absorption) * strength),
        milkiness=milk,
        color=rgb(color),
    )


def colored_liquid(rng: np.random.Generator, split: str) -> LiquidDescription:
    """A tan or brown liquid between milk and chocolate, a smoothie, a beer, or any hue."""
    name = str(rng.choice(list(_COLORED_SHARE), p=list(_COLORED_SHARE.values())))
    own = np.random.default_rng((draw_number(rng, split), 1))
    if name == 'dyed':
        return _dyed(own)
    light, dark = (np.log(end) for end in _COLORED[name])
    t = own.uniform(0, 1) ** 1.3
    color = np.exp((1 - t) * light + t * dark) * own.lognormal(0, 0.1, 3)
    if name == 'smoothie':
        # Any fruit: the pale and the deep end both turn about the colour wheel.
        color = _hued(own, (0.2, 0.7), (0.45, 0.95))
    base = LIQUIDS[name]
    milk = own.uniform(0.1, 0.45) if name == 'beer' else own.uniform(0.9, 1.0)
    strength = own.lognormal(0, 0.35) * own.lognormal(0, 0.12, 3)
    return replace(
        base,
        absorption=rgb(np.asarray(base.absorption) * strength),
        milkiness=float(milk),
        color=rgb(np.clip(color, 0.004, 0.93)),
    )


def foam_depth(rng: np.random.Generator, liquid: LiquidDescription) -> float:
    """Depth (m) of foam on this liquid; 0: none."""
    share, depth = rng.random(), rng.uniform(*_FOAM_DEPTH)
    return float(depth) if share < _FOAM_SHARE.get(liquid.name, 0.0) else 0.0


def _dyed(rng: np.random.Generator) -> LiquidDescription:
    """Paint-like, cloudy or clear, of any hue."""
    color = _hued(rng, (0.15, 1.0), (0.2, 0.95))
    milk = float(rng.choice([1.0, rng.uniform(0.2, 0.8), 0.0], p=[0.6, 0.2, 0.2]))
    absorption = -np.log(np.clip(color, 0.01, 0.98)) / _DYED_WAY
    return LiquidDescription('dyed', rgb(absorption), milk, rgb(color), 1.34)


def _hued(
    rng: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]
) -> np.ndarray:
    hue, s, v = rng.random(), rng.uniform(*saturation), rng.uniform(*value)
    ramp = np.clip(np.abs((6 * hue + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
    color: np.ndarray = np.clip((v * (1 - s + s * ramp)) ** 2.0, 0.004, 0.93)
    return color
