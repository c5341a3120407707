# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Containers of random scenes: shape, material, contents."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ...geometry import Container, Pose
from .containers import Shape, random_shape
from .description import ContainerDescription, Material
from .draws import any_color, draw_number, rgb

_CLEAR_SHARE = {
    'pet_bottle': 0.75,
    'glass_bottle': 0.85,
    'flask': 0.5,
    'can': 0.0,
    'jug': 0.5,
    'kettle': 0.1,
    'cup': 0.35,
    'tap': 0.0,
    'tumbler': 0.75,
    'mug': 0.05,
    'wine_glass': 1.0,
    'bowl': 0.2,
    'pan': 0.0,
    'sink': 0.0,
}
_METAL_SHARE = {'can': 0.7, 'kettle': 0.6, 'tap': 1.0, 'pan': 0.6, 'sink': 0.7, 'bowl': 0.2}


def wall_material(
    rng: np.random.Generator, split: str, kind: str, clear: bool = False
) -> Material:
    """Material of a container of this kind; `clear`: always glass or clear plastic."""
    number = draw_number(rng, split)
    if rng.random() < _CLEAR_SHARE[kind] or clear:
        tint = np.clip(rng.normal(0.985, 0.01, 3), 0.9, 1.0)
        if rng.random() < 0.12:
            tint = tint * np.array([[0.55, 0.85, 0.5], [0.75, 0.5, 0.2]])[rng.integers(2)]
        ior = 1.57 if kind == 'pet_bottle' else 1.5
        return Material('clear', rgb(tint), 0.0, ior, '', number)
    if rng.random() < _METAL_SHARE.get(kind, 0.06):
        grey = rng.uniform(0.55, 0.85)
        color = (grey, grey, 0.98 * grey)
        return Material('metal', color, rng.uniform(0.08, 0.4), 1.5, '', number)
    texture = 'label' if rng.random() < 0.45 else ''
    return Material('opaque', any_color(rng), rng.uniform(0.1, 0.6), 1.5, texture, number)


def tap_material(rng: np.random.Generator, split: str) -> Material:
    """Mostly chrome, otherwise brushed steel, brass or black paint."""
    number, kind = draw_number(rng, split), rng.random()
    if kind < 0.78:
        grey = rng.uniform(0.62, 0.8)
        return Material(
            'metal', (0.98 * grey, grey, grey), rng.uniform(0.03, 0.14), 1.5, '', number
        )
    if kind < 0.88:
        grey = rng.uniform(0.5, 0.65)
        return Material('metal', (grey, 0.98 * grey, 0.94 * grey), rng.uniform(0.25, 0.4), 1.5,
                        '', number)  # fmt: skip
    if kind < 0.94:
        return Material('metal', (0.8, 0.6, 0.3), rng.uniform(0.1, 0.3), 1.5, '', number)
    return Material('opaque', (0.02, 0.02, 0.022), rng.uniform(0.3, 0.6), 1.5, '', number)


def basin_material(rng: np.random.Generator, split: str) -> Material:
    """White ceramic, steel, or stone of any grey."""
    number, kind = draw_number(rng, split), rng.random()
    if kind < 0.5:
        white = rng.uniform(0.68, 0.88) * np.clip(rng.normal(1, 0.02, 3), 0.9, 1.05)
        return Material('opaque', rgb(white), rng.uniform(0.05, 0.2), 1.5, '', number)
    if kind < 0.8:
        grey = rng.uniform(0.5, 0.7)
        return Material('metal', (grey, grey, 0.98 * grey), rng.uniform(0.2, 0.4), 1.5, '', number)
    stone = rng.uniform(0.03, 0.6) * np.clip(rng.normal(1, 0.06, 3), 0.8, 1.2)
    return Material('opaque', rgb(stone), rng.uniform(0.15, 0.5), 1.5, '', number)


def model_of(shape: Shape) -> Container:
    """The geometry's view of a shape."""
    return Container(
        shape.kind, np.array([0, 0, 1.0]), np.array([0, 0, shape.height]), shape.rim_radius
    )


def standing(
    rng: np.random.Generator,
    split: str,
    kind: str,
    place: NDArray[np.float64],
    liquid_share: float,
    clear: bool = False,
    fills: tuple[float, float] = (0.08, 0.85),
) -> ContainerDescription:
    """An upright container at `place` (2,), sometimes with liquid, filled to one of `fills`."""
    shape_id = draw_number(rng, split)
    shape = random_shape(kind, shape_id)
    turn = Rotation.from_euler('z', rng.uniform(0, 2 * np.pi)).as_matrix()
    fill = rng.uniform(*fills)
    level = shape.floor + fill * (shape.height - shape.floor)
    material = wall_material(rng, split, kind, clear)
    wet = rng.random() < liquid_share
    pose = Pose(turn, np.array([*place, 0.0]))
    return ContainerDescription(
        shape, shape_id, material, model_of(shape), pose, float(level) if wet else None
    )
