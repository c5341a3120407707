# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Meshes of props, and of the gripper, arm or hand that holds the source.

Straws, rods, cables, threads, wet trails, drips, towels and bands are thin, long, clear or white
like a stream, and appear in images with and without one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...geometry import Pose
from .containers import Shape
from .description import ContainerDescription, Material, Prop
from .meshes import Mesh, box, grid_triangles, joined, merged, sphere, sweep, tube
from .waves import Waves

Z = np.array([0.0, 0.0, 1.0])


def prop_mesh(prop: Prop, target: Shape) -> Mesh:
    """The prop in its own frame; a wet trail runs down the `target`'s outside."""
    rng = np.random.default_rng(prop.seed)
    length, width, thickness = prop.size
    if prop.kind in ('straw', 'rod'):
        return _rod(length, 0.5 * width)
    if prop.kind == 'spoon':
        bowl = sphere(1.0)
        scaled = Mesh(bowl.vertices * [0.004, 0.014, 0.021] + [0, 0, 0.02], bowl.triangles)
        return merged([_without_uv(_rod(length, 0.5 * width)), scaled])
    if prop.kind in ('cable', 'thread'):
        return _hanging(rng, length, 0.5 * width, prop.kind == 'thread')
    if prop.kind == 'towel':
        return _towel(rng, length, width, thickness)
    if prop.kind == 'band':
        return box([0, 0, 0.5 * length], [width, thickness, length])
    if prop.kind == 'wet_trail':
        return _trail(rng, target, length, 0.5 * width, thickness)
    if prop.kind == 'drips':
        return _drips(rng, length, 0.5 * width)
    if prop.kind == 'drain':
        return _drain(0.5 * width, thickness)
    return box([0, 0, 0.5 * prop.size[2]], prop.size)


def holder_parts(
    kind: str, seed: int, source: ContainerDescription, eye: NDArray[np.float64]
) -> list[tuple[Mesh, Material]]:
    """Gripper, arm or hand around the source, reached from beyond it as seen from `eye` (3,)."""
    if not kind:
        return []
    rng = np.random.default_rng(seed)
    T = source.T_base_container
    axis = source.model.axis_in(T)
    grip_height = rng.uniform(0.25, 0.5) * source.shape.height
    grip = T.translation + grip_height * axis
    radius = float(np.interp(grip_height, source.shape.outer[:, 1], source.shape.outer[:, 0]))
    away = grip - eye
    away[2] = 0
    away = away / np.linalg.norm(away) + [rng.normal(0, 0.3), 0, rng.uniform(-0.1, 0.8)]
    away -= (away @ axis) * axis
    away /= np.linalg.norm(away)
    if kind == 'hand':
        return _hand(rng, grip, axis, away, radius)
    parts = _gripper(grip, axis, away, radius)
    if kind == 'arm':
        parts += _arm(rng, grip + 0.12 * away, away)
    else:
        shell = _shell(rng)
        wrist = np.linspace(grip + 0.03 * away, grip + 0.6 * away + 0.1 * Z, 5)
        parts.append((sweep(wrist, np.full(5, rng.uniform(0.03, 0.05))), shell))
    return parts


def _without_uv(mesh: Mesh) -> Mesh:
    return Mesh(mesh.vertices, mesh.triangles)


def _rod(length: float, radius: float) -> Mesh:
    z = np.linspace(0, length, 3)
    return sweep(np.outer(z, Z), np.full(3, radius))


def _hanging(rng: np.random.Generator, length: float, radius: float, straight: bool) -> Mesh:
    """From the origin downwards: a thread hangs straight, a cable curls."""
    s = np.linspace(0, 1, 60)
    bend = 0.0 if straight else rng.uniform(0.02, 0.12)
    x, y = Waves(rng, 3, 0.4, 1.6), Waves(rng, 3, 0.4, 1.6)
    across = np.column_stack([x(s) - x(s[:1]), y(s) - y(s[:1])]) * bend
    return sweep(np.column_stack([across, -length * s]), np.full(60, radius))


def _towel(rng: np.random.Generator, width: float, drop: float, thickness: float) -> Mesh:
    """A cloth over a rail along x at the origin that hangs in folds on both sides."""
    folds = Waves(rng, 4, 2 / width, 8 / width)
    x = np.linspace(-0.5 * width, 0.5 * width, 80)
    s = np.linspace(-1, 1, 41)
    hang = np.abs(s) * drop * rng.uniform(0.95, 1.0)
    y = (thickness + 0.012 * np.abs(s))[:, None] * np.sign(s)[:, None]
    y = y + 0.008 * np.abs(s)[:, None] * folds(x)
    rows = np.stack(np.broadcast_arrays(x[None], y, -hang[:, None]), axis=-1)
    return Mesh(rows.reshape(-1, 3), grid_triangles(*rows.shape[:2]))


def _trail(
    rng: np.random.Generator, shape: Shape, length: float, half_width: float, thickness: float
) -> Mesh:
    """A run of liquid down the outside along +x, from the rim to a bead at its end."""
    outer = shape.outer[1:]
    down = outer[::-1]
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(down, axis=0), axis=1))])
    s = np.linspace(0, min(length, along[-1]), 60)
    r, z = (np.interp(s, along, down[:, k]) for k in (0, 1))
    wander = 0.6 * half_width * Waves(rng, 3, 8, 40)(s)
    centre = np.column_stack([r, wander, z])
    # Thin at the rim, a thicker bead at the running end.
    shapely = 0.6 + 0.2 * Waves(rng, 3, 20, 60)(s) + 0.7 * np.exp(-(((s[-1] - s) / 0.006) ** 2))
    ends = np.sqrt(np.clip(np.minimum(s, s[-1] - s) / 0.003, 1e-3, 1))
    size = np.clip(shapely, 0.2, 2) * ends
    side = np.tile([0.0, 1.0, 0.0], (60, 1))
    return tube(centre, side, half_width * size, thickness * size, 16)


def _drips(rng: np.random.Generator, reach: float, radius: float) -> Mesh:
    """A drop about to fall from beside the lip, and perhaps drops below it."""
    aside = np.array([*rng.normal(0, 2.5 * radius, 2), 0.0])
    hanging = sphere(radius)
    stretched = hanging.vertices * [0.9, 0.9, 1.3] + aside - [0, 0, radius]
    drops = [Mesh(stretched, hanging.triangles)]
    for _ in range(int(rng.integers(0, 3))):
        ball = sphere(radius * rng.uniform(0.5, 0.9))
        drops.append(Mesh(ball.vertices + aside - [0, 0, reach * rng.uniform(0.3, 1)],
                          ball.triangles))  # fmt: skip
    return merged(drops)


def _drain(radius: float, height: float) -> Mesh:
    """A flat dome in a ring, over the hole of a basin."""
    ring = np.array([[1.0, 0.0], [1.0, 1.0], [0.88, 1.2], [0.8, 0.7], [0.76, 0.4]])
    dome = [[0.7 * np.cos(a), 0.5 + 1.5 * np.sin(a)] for a in np.linspace(0, 0.5 * np.pi, 8)]
    profile = np.vstack([ring, dome]) * [radius, height]
    angle = np.linspace(0, 2 * np.pi, 49)
    rows = [
        np.column_stack([r * np.cos(angle), r * np.sin(angle), np.full(49, z)]) for r, z in profile
    ]
    return joined(np.array(rows))


def _oriented_box(
    centre: NDArray[np.float64], axes: NDArray[np.float64], size: tuple[float, float, float]
) -> Mesh:
    return box(np.zeros(3), size).moved(Pose(axes, centre))


def _gripper(
    grip: NDArray[np.float64], axis: NDArray[np.float64], away: NDArray[np.float64], radius: float
) -> list[tuple[Mesh, Material]]:
    dark = Material('opaque', (0.05, 0.05, 0.055), 0.5)
    across = np.cross(away, axis)
    axes = np.column_stack([axis, np.cross(away, axis), away])
    fingers = [
        _oriented_box(grip + sign * (radius + 0.007) * across + 0.02 * away, axes,
                      (0.02, 0.012, 0.075))
        for sign in (-1, 1)
    ]  # fmt: skip
    palm = _oriented_box(
        grip + (0.085 + 0.3 * radius) * away, axes, (0.06, max(0.12, 2.6 * radius), 0.055)
    )
    return [(merged(fingers), dark), (palm, Material('opaque', (0.75, 0.75, 0.73), 0.35))]


def _shell(rng: np.random.Generator) -> Material:
    if rng.random() < 0.65:
        return Material('opaque', (0.8, 0.8, 0.78), 0.35)
    r, g, b = rng.uniform(0.02, 0.6, 3)
    return Material('opaque', (float(r), float(g), float(b)), rng.uniform(0.2, 0.6))


def _arm(
    rng: np.random.Generator, start: NDArray[np.float64], away: NDArray[np.float64]
) -> list[tuple[Mesh, Material]]:
    """Links from the hand back to a base behind the scene."""
    shell, dark = _shell(rng), Material('opaque', (0.035, 0.037, 0.045), 0.4)
    parts = [(_link(start - 0.06 * away, start + 0.06 * away, 0.042), shell)]
    place, towards = start + 0.04 * away, away
    for _ in range(int(rng.integers(2, 4))):
        towards = towards + [rng.normal(0, 0.5), rng.uniform(0.2, 1.0), rng.normal(0.2, 0.6)]
        towards /= np.linalg.norm(towards)
        ahead = place + rng.uniform(0.13, 0.28) * towards
        ahead[1] = max(ahead[1], start[1] + 0.08)
        ahead[2] = np.clip(ahead[2], 0.14, 0.9)
        radius = rng.uniform(0.045, 0.062)
        parts.append((_link(place, ahead, radius), shell))
        joint = np.cross(towards, rng.normal(0, 1, 3))
        joint *= 1.35 * radius / np.linalg.norm(joint)
        parts.append((_link(ahead - joint, ahead + joint, 1.1 * radius), shell))
        parts.append((_link(ahead + 0.99 * joint, ahead + 1.08 * joint, 1.02 * radius), dark))
        place, towards = ahead, np.array([rng.normal(0, 0.4), rng.uniform(0.1, 0.8),
                                          rng.normal(-0.2, 0.6)])  # fmt: skip
    foot = np.array([place[0], place[1] + 0.1, 0.0])
    parts.append((_link(place, foot + 0.1 * Z, 0.06), shell))
    parts.append((_link(foot, foot + 0.08 * Z, 0.085), dark))
    return parts


def _link(start: NDArray[np.float64], end: NDArray[np.float64], radius: float) -> Mesh:
    return sweep(np.array([start, 0.5 * (start + end), end]), np.full(3, radius), 28)


def _hand(
    rng: np.random.Generator,
    grip: NDArray[np.float64],
    axis: NDArray[np.float64],
    away: NDArray[np.float64],
    radius: float,
) -> list[tuple[Mesh, Material]]:
    """Four fingers and a thumb around the container, a palm behind it and a forearm."""
    tones = np.array([[0.72, 0.42, 0.3], [0.55, 0.3, 0.19], [0.3, 0.14, 0.08], [0.1, 0.05, 0.03]])
    r, g, b = tones[rng.integers(4)] * rng.uniform(0.85, 1.1, 3)
    skin = Material('opaque', (float(r), float(g), float(b)), 0.55)
    glove = rng.random() < 0.15
    if glove:
        skin = Material('opaque', (0.08, 0.2, 0.5) if rng.random() < 0.5 else (0.8, 0.8, 0.8), 0.6)
    across = np.cross(axis, away) * (1 if rng.random() < 0.5 else -1)
    parts = []
    thick = rng.uniform(0.0075, 0.0095)
    for k in range(5):
        thumb = k == 4
        turn = np.linspace(0.25, rng.uniform(2.1, 2.7) if not thumb else 1.7, 14)
        side = -across if thumb else across
        at = grip + (0.03 if thumb else (k - 1.5) * 2.1 * thick) * axis
        reach = radius + thick
        arc = at + reach * (np.outer(np.cos(turn), away) + np.outer(np.sin(turn), side))
        taper = thick * np.linspace(1.1, 0.8, 14) * (1.15 if thumb else 1.0)
        parts.append(sweep(arc, taper))
    palm = sphere(1.0, 20, 28)
    frame = np.column_stack([axis, across, away])
    stretched = palm.vertices * [0.045, 0.036, 0.02]
    parts.append(Mesh(stretched @ frame.T + grip + (radius + 0.014) * away, palm.triangles))
    elbow = away + [0, 0.3, rng.uniform(-0.5, 0.3)]
    line = grip + np.outer(np.linspace(radius + 0.03, 0.55, 8), elbow / np.linalg.norm(elbow))
    forearm = sweep(line, np.linspace(0.027, 0.043, 8))
    bare = glove or rng.random() < 0.5
    sleeve = skin if bare else Material('opaque', (0.05, 0.06, 0.1), 0.9, 1.5, 'cloth', 3)
    return [(merged([_without_uv(p) for p in parts]), skin), (forearm, sleeve)]
