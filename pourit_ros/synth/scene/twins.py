# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A dry twin in which other things have moved too, as between two moments of a real pour."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from ...geometry import Pose
from .description import SPLITS, Prop, SceneDescription

_TWIN = 0x7317
# Props that stand or hang by themselves; the others touch the target.
_LOOSE = ('cable', 'thread', 'towel', 'band', 'box')


def moved_twin(scene: SceneDescription) -> tuple[SceneDescription, tuple[str, ...]]:
    """The scene with some things moved by millimetres to centimetres, and their names.

    At least one of source (about its lip, as before or after it pours), clutter, props and room
    moves; camera and target stay. Deterministic by the scene's seed and index.
    """
    rng = np.random.default_rng((scene.seed, scene.index, SPLITS.index(scene.split), _TWIN))
    twin, moved = scene, []
    others = list(scene.others)
    for k, other in enumerate(others):
        T = other.T_base_container
        turn = Rotation.from_euler('z', rng.normal(0, 0.3)).as_matrix()
        place = T.translation + [*rng.normal(0, 0.02, 2), 0.0]
        near = [scene.target, *others[:k], *others[k + 1 :]]
        if rng.random() < 0.7 and all(
            np.linalg.norm(place - n.T_base_container.translation)
            > n.shape.radius + other.shape.radius + 0.004
            for n in near
        ):
            others[k] = replace(other, T_base_container=Pose(turn @ T.rotation, place))
            moved.append(other.shape.kind)
    props = [
        _swayed(rng, p) if p.kind in _LOOSE and rng.random() < 0.7 else p for p in scene.props
    ]
    moved += [old.kind for old, new in zip(scene.props, props, strict=True) if old is not new]
    twin = replace(scene, others=tuple(others), props=tuple(props))
    tap = scene.source.shape.kind == 'tap'
    if not tap and (not moved or rng.random() < 0.5):
        twin = _source_moved(rng, twin)
        moved.append('source')
    if not moved or rng.random() < 0.2:
        room = scene.environment
        turned = room.rotation + rng.choice([-1, 1]) * rng.uniform(0.02, 0.1)
        twin = replace(twin, environment=replace(room, rotation=float(turned)))
        moved.append('room')
    return twin, tuple(moved)


def _swayed(rng: np.random.Generator, prop: Prop) -> Prop:
    T = prop.T_base_prop
    upright = prop.kind in ('box', 'band')
    lean = np.array([0, 0, rng.normal(0, 0.2)]) if upright else rng.normal(0, 0.08, 3)
    shift = np.array([*rng.normal(0, 0.025, 2), 0.0])
    turn = Rotation.from_rotvec(lean).as_matrix()
    return replace(prop, T_base_prop=Pose(turn @ T.rotation, T.translation + shift))


def _source_moved(rng: np.random.Generator, scene: SceneDescription) -> SceneDescription:
    """Tilt the source back about its lip and shift it a little; its liquid sinks from the lip."""
    source, flow = scene.source, scene.flow
    T = source.T_base_container
    axis = source.model.axis_in(T)
    hinge = np.cross([0, 0, 1.0], axis)
    size = float(np.linalg.norm(hinge))
    back = -np.radians(rng.uniform(1, 12))
    turn = Rotation.from_rotvec(back * hinge / max(size, 1e-9)).as_matrix()
    shift = rng.normal(0, 0.004, 3)
    place = turn @ (T.translation - flow.exit_point) + flow.exit_point + shift
    level = None if source.level is None else source.level + shift[2] - rng.uniform(0.002, 0.012)
    pose = Pose(turn @ T.rotation, place)
    return replace(scene, source=replace(source, T_base_container=pose, level=level))
