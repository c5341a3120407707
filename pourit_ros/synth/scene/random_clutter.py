# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Clutter that stands and hangs in a random scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from ...geometry import Pose
from ...geometry.fall import GRAVITY
from .description import CameraDescription, ContainerDescription, FlowDescription, Material, Prop
from .draws import any_color, draw_number, rgb
from .random_vessels import standing

# Tall enough, most of them, to stand behind a stream in the air.
_GLASSES = ('glass_bottle', 'flask', 'wine_glass', 'jug', 'pet_bottle', 'tumbler')
_GLASS_SHARE = (0.22, 0.2, 0.14, 0.18, 0.12, 0.14)
_OTHERS = ('tumbler', 'mug', 'glass_bottle', 'pet_bottle', 'flask', 'can', 'bowl', 'jug')


def glasses(
    rng: np.random.Generator,
    split: str,
    source: ContainerDescription,
    target: ContainerDescription,
    flow: FlowDescription,
    camera: CameraDescription,
) -> tuple[ContainerDescription, ...]:
    """Clear vessels behind the stream as the camera sees it, at times one in front of it."""
    fall = np.sqrt(2 * max(flow.exit_point[2] - target.shape.height, 0.01) / GRAVITY)
    middle = (flow.exit_point + 0.5 * fall * flow.exit_velocity)[:2]
    ahead = middle - camera.T_base_cam.translation[:2]
    ahead = ahead / np.linalg.norm(ahead)
    across = np.array([-ahead[1], ahead[0]])
    found: list[ContainerDescription] = []
    wanted = [(0.07, 0.24)] * int(rng.integers(1, 4))
    if rng.random() < 0.3:
        wanted.append((-0.16, -0.07))
    for low, high in wanted:
        for _ in range(10):
            kind = str(rng.choice(_GLASSES, p=_GLASS_SHARE)) if low > 0 else 'tumbler'
            place = middle + rng.uniform(low, high) * ahead + rng.normal(0, 0.03) * across
            thing = standing(rng, split, kind, place, liquid_share=0.45, clear=True)
            gap = 0.006 + thing.shape.radius
            taken = [(np.zeros(2), target.shape.radius)]
            taken += [(t.T_base_container.translation[:2], t.shape.radius) for t in found]
            if any(np.linalg.norm(place - p) < r + gap for p, r in taken):
                continue
            if _below(source, place, thing.shape.radius, thing.shape.height):
                found.append(thing)
                break
    return tuple(found)


def _below(
    source: ContainerDescription, place: NDArray[np.float64], radius: float, height: float
) -> bool:
    """Whether a vessel of this size at `place` (2,) stays clear of the source above."""
    line = np.linspace(0, source.shape.height, 12)[:, None] * [0, 0, 1.0]
    points = source.T_base_container.apply(line)
    over = np.linalg.norm(points[:, :2] - place, axis=1) < radius + source.shape.radius
    return bool((points[over, 2] - source.shape.radius > height).all())


def random_clutter(
    rng: np.random.Generator,
    split: str,
    source: ContainerDescription,
    target: ContainerDescription,
    flow: FlowDescription,
    camera: CameraDescription,
) -> tuple[tuple[ContainerDescription, ...], tuple[Prop, ...]]:
    """Containers and props around the pour, some of which look like a stream."""
    clutter = _Clutter(rng, split, target)
    others = clutter.vessels()
    clutter.choose_materials()
    clutter.in_target()
    clutter.upright()
    clutter.hanging()
    clutter.drain()
    clutter.wet(source, flow, camera)
    clutter.boxes()
    return tuple(others), tuple(clutter.props)


class _Clutter:
    """Props one kind after the other: the order of the draws is part of what a seed means."""

    def __init__(self, rng: np.random.Generator, split: str, target: ContainerDescription) -> None:
        self.rng, self.split, self.target = rng, split, target
        self.props: list[Prop] = []
        self._taken = [(np.zeros(2), target.shape.radius + (target.shape.handle or (0,))[0])]

    def _free_place(self, radius: float) -> NDArray[np.float64] | None:
        for _ in range(12):
            place = self.rng.uniform([-0.36, -0.12], [0.36, 0.3])
            if all(np.linalg.norm(place - p) > r + radius + 0.008 for p, r in self._taken):
                self._taken.append((place, radius))
                return place
        return None

    def _put(
        self,
        kind: str,
        rotation: Rotation,
        at: ArrayLike,
        size: Sequence[float] | NDArray[np.float64],
        material: Material,
    ) -> None:
        pose = Pose(rotation.as_matrix(), np.asarray(at, dtype=float))
        number = draw_number(self.rng, self.split)
        self.props.append(Prop(kind, pose, rgb(size), material, number))

    def _paint(self, value: tuple[float, float] = (0.05, 0.9)) -> Material:
        color = any_color(self.rng, 0.8, value)
        return Material('opaque', color, self.rng.uniform(0.2, 0.7))

    def vessels(self) -> list[ContainerDescription]:
        """Containers that stand around."""
        others = []
        for _ in range(int(self.rng.integers(0, 4))):
            kind = str(self.rng.choice(_OTHERS))
            thing = standing(self.rng, self.split, kind, np.zeros(2), liquid_share=0.6)
            # Behind the target's front, lest it hide the scene from the camera.
            place = self._free_place(thing.shape.radius)
            if place is None or place[1] < 0.02:
                continue
            pose = Pose(thing.T_base_container.rotation, np.array([*place, 0.0]))
            others.append(replace(thing, T_base_container=pose))
        return others

    def choose_materials(self) -> None:
        """What straws, spoons and rods are of, and where those in the target lean."""
        clear = rgb(np.clip(self.rng.normal(0.98, 0.01, 3), 0.9, 1))
        self._clear = Material('clear', clear, 0.0, 1.49)
        self._steel = Material('metal', (0.7, 0.7, 0.7), self.rng.uniform(0.08, 0.3))
        self._yaw = self.rng.uniform(0, 2 * np.pi)

    def in_target(self) -> None:
        """A straw, spoon or rod: foot on the cavity's floor at one side, resting on the rim."""
        rng, shape = self.rng, self.target.shape
        if rng.random() >= 0.22 or shape.kind in ('sink', 'pan'):
            return
        kind = str(rng.choice(['straw', 'spoon', 'rod'], p=[0.45, 0.3, 0.25]))
        thick = {'straw': rng.uniform(0.002, 0.004), 'spoon': 0.0025}.get(
            kind, rng.uniform(0.002, 0.005)
        )
        length = float(np.hypot(shape.height, 2 * shape.rim_radius)) + rng.uniform(0.03, 0.1)
        foot = 0.5 * shape.inner_radius(shape.floor + 0.004)
        rise, run = shape.height - shape.floor, 0.9 * shape.rim_radius + foot - thick
        away = np.array([np.cos(self._yaw), np.sin(self._yaw), 0.0])
        turn = Rotation.from_rotvec(np.arctan2(run, rise) * np.cross([0, 0, 1.0], away))
        at = -(foot - thick) * away + np.array([0, 0, shape.floor + thick])
        material = {'straw': self._paint((0.3, 0.95)), 'spoon': self._steel}.get(kind, self._clear)
        self._put(kind, turn, at, (length, 2 * thick, 2 * thick), material)

    def upright(self) -> None:
        """A clear or white rod beside the scene, the nearest thing to a still stream."""
        rng = self.rng
        if rng.random() >= 0.16:
            return
        place = self._free_place(0.01)
        if place is None:
            return
        tilt = Rotation.from_rotvec([*rng.normal(0, 0.12, 2), 0.0])
        material = self._clear if rng.random() < 0.6 else self._paint((0.6, 0.95))
        width = rng.uniform(0.003, 0.012)
        self._put('rod', tilt, [*place, 0.0], (rng.uniform(0.1, 0.3), width, width), material)

    def hanging(self) -> None:
        """A cable or thread, a towel, a band behind the scene."""
        rng = self.rng
        if rng.random() < 0.18:
            place = [rng.uniform(-0.25, 0.25), rng.uniform(0.08, 0.28)]
            kind = 'cable' if rng.random() < 0.6 else 'thread'
            width = rng.uniform(0.002, 0.006) if kind == 'cable' else rng.uniform(0.0004, 0.0012)
            value = (0.02, 0.25) if rng.random() < 0.5 else (0.6, 0.95)
            at, length = [*place, rng.uniform(0.25, 0.6)], rng.uniform(0.2, 0.45)
            self._put(kind, Rotation.identity(), at, (length, width, width), self._paint(value))
        if rng.random() < 0.16:
            place = [rng.uniform(-0.3, 0.3), rng.uniform(0.14, 0.32)]
            turn = Rotation.from_euler('z', rng.normal(0, 0.4))
            at = [*place, rng.uniform(0.15, 0.32)]
            size = (rng.uniform(0.12, 0.3), rng.uniform(0.08, 0.25), 0.004)
            self._put('towel', turn, at, size, self._paint((0.4, 0.95)))
        if rng.random() < 0.14:
            place = [rng.uniform(-0.3, 0.3), rng.uniform(0.12, 0.3)]
            turn = Rotation.from_euler('zy', [rng.normal(0, 0.5), rng.normal(0, 0.25)])
            size = (rng.uniform(0.15, 0.4), rng.uniform(0.006, 0.02), 0.001)
            self._put('band', turn, [*place, 0.0], size, self._paint((0.75, 0.95)))

    def drain(self) -> None:
        """The drain of a sink."""
        if self.target.shape.kind == 'sink' and self.target.material.kind != 'clear':
            ring = self.rng.uniform(0.02, 0.03)
            at = [*self.rng.normal(0, 0.01, 2), self.target.shape.floor + 0.001]
            self._put('drain', Rotation.identity(), at, (0.01, 2 * ring, 0.003), self._steel)

    def wet(
        self, source: ContainerDescription, flow: FlowDescription, camera: CameraDescription
    ) -> None:
        """A trail down the target's outside, where the camera sees it; drips at the lip."""
        rng, water = self.rng, Material('clear', (1.0, 1.0, 1.0), 0.0, 1.333)
        if rng.random() < 0.3:
            eye = camera.T_base_cam.translation
            turn = Rotation.from_euler('z', np.arctan2(eye[1], eye[0]) + rng.normal(0, 0.5))
            length = rng.uniform(0.4, 0.95) * self.target.shape.height
            size = (length, rng.uniform(0.002, 0.006), 0.0007)
            self._put('wet_trail', turn, np.zeros(3), size, water)
        if rng.random() < 0.4 and source.shape.kind != 'tap':
            size = (rng.uniform(0.02, 0.1), rng.uniform(0.002, 0.005), 0.002)
            self._put('drips', Rotation.identity(), flow.exit_point, size, water)

    def boxes(self) -> None:
        """Boxes at the back, some with a label."""
        rng = self.rng
        for _ in range(int(rng.integers(0, 4))):
            size = rng.uniform(0.04, 0.3, 3)
            at = [rng.uniform(-0.7, 0.7), rng.uniform(0.34, 0.6), 0.0]
            turn, paint = Rotation.from_euler('z', rng.uniform(0, 3)), self._paint()
            label = 'label' if rng.random() < 0.5 else ''
            paint = replace(paint, texture=label, seed=draw_number(rng, self.split))
            self._put('box', turn, at, size, paint)
