# SPDX-License-Identifier: Apache-2.0
"""Draws scenes at random, without anything in common between training and validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ..errors import InputError
from ..geometry import Container, PinholeCamera, Pose
from ..geometry.stream import GRAVITY
from ..sim.scenario import look_at
from .containers import SOURCES, Shape, random_shape
from .description import (
    HOLDERS,
    LIQUIDS,
    SPLITS,
    STYLES,
    SURFACES,
    Assets,
    CameraDescription,
    ContainerDescription,
    EnvironmentDescription,
    FlowDescription,
    Light,
    LiquidDescription,
    Material,
    Prop,
    SceneDescription,
    falling,
)

# Every tenth number is validation's: shapes, colours, rooms and streams of the two never meet.
VAL_EVERY = 10
_LIQUID_SHARE = (0.44, 0.06, 0.08, 0.06, 0.04, 0.06, 0.05, 0.05, 0.05, 0.08, 0.03)


def random_scene(
    seed: int,
    index: int,
    split: str,
    assets: Assets | None = None,
    size: int = 320,
    poured_from: str | None = None,
) -> SceneDescription:
    """Draw scene `index` of a set; `size` px: of the square picture (a sensor's central crop).

    Deterministic by (seed, index, split), and by the assets' file names. `poured_from` replaces
    the kind of source that is drawn; with the kind that would be drawn the scene is the same.
    Raises InputError for an unknown split or kind.
    """
    if split not in SPLITS:
        raise InputError(f'no split {split!r}; splits: {", ".join(SPLITS)}')
    check_source(poured_from)
    rng = np.random.default_rng((seed, index, SPLITS.index(split)))
    liquid = _liquid(rng, split)
    drawn = str(rng.choice(SOURCES, p=_SOURCE_SHARE))
    source_kind = poured_from or drawn
    target_kind = str(rng.choice(_TARGET_KINDS, p=_TARGET_SHARE))
    if source_kind == 'tap' and rng.random() < 0.5:
        target_kind = 'sink'
    target = _standing(rng, split, target_kind, np.zeros(2), liquid_share=0.85)
    source, flow = _pouring(rng, split, source_kind, target)
    camera = _camera(rng, size, source, target)
    others, props = _clutter(rng, split, source, target, flow, camera)
    return SceneDescription(
        seed,
        index,
        split,
        0.0,
        camera,
        source,
        target,
        liquid,
        flow,
        _surface(rng, split),
        _environment(rng, split, assets or Assets()),
        str(rng.choice(HOLDERS, p=[0.25, 0.45, 0.3])) if source_kind != 'tap' else '',
        _number(rng, split),
        others,
        props,
    )


def check_source(kind: str | None) -> None:
    """Refuse, with InputError, what is no kind of source."""
    if kind is not None and kind not in SOURCES:
        raise InputError(f'nothing pours from a {kind!r}; sources: {", ".join(SOURCES)}')


def reflowed(scene: SceneDescription, variant: int) -> SceneDescription:
    """The same scene with another stream: `variant` >= 1 draws rate, style, timing and ripples.

    Deterministic by the scene's seed, index and `variant`. The containers do not move.
    """
    split = SPLITS.index(scene.split)
    rng = np.random.default_rng((scene.seed, scene.index, split, variant))
    v = scene.flow.exit_velocity * rng.uniform(0.85, 1.15)
    most = scene.source.shape.rim_radius, scene.target.shape.rim_radius
    rate, half_width = _rate(rng, float(np.linalg.norm(v)), *most)
    flow = replace(scene.flow, exit_velocity=v, rate=rate, lip_half_width=half_width)
    flow = _styled(rng, scene.split, flow)
    flow = replace(flow, end_height=_end_height(flow, scene.target))
    return replace(scene, flow=flow)


def example_scene() -> SceneDescription:
    """The first training scene of seed 0 without any assets: an instance to look at."""
    return random_scene(0, 0, 'train')


_SOURCE_SHARE = (0.26, 0.18, 0.12, 0.1, 0.13, 0.06, 0.1, 0.05)
_TARGET_KINDS = (
    'tumbler',
    'mug',
    'cup',
    'wine_glass',
    'bowl',
    'pan',
    'flask',
    'pet_bottle',
    'sink',
)
_TARGET_SHARE = (0.3, 0.2, 0.12, 0.06, 0.12, 0.05, 0.08, 0.04, 0.03)
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


def _number(rng: np.random.Generator, split: str) -> int:
    """A number of the split's own: val's are the multiples of VAL_EVERY."""
    tens = int(rng.integers(1, 1 << 27)) * VAL_EVERY
    rest = int(rng.integers(1, VAL_EVERY))
    return tens if split == 'val' else tens + rest


def _rgb(values: NDArray[np.float64] | Sequence[float]) -> tuple[float, float, float]:
    r, g, b = (float(v) for v in values)
    return r, g, b


def _any_color(
    rng: np.random.Generator, saturation: float = 0.8, value: tuple[float, float] = (0.05, 0.9)
) -> tuple[float, float, float]:
    # Most things of a kitchen or lab are nearly grey, few are vivid.
    hue, s, v = rng.random(), saturation * rng.random() ** 2.2, rng.uniform(*value)
    six = 6 * hue + np.array([0, 4, 2])
    ramp = np.clip(np.abs(six % 6 - 3) - 1, 0, 1)
    return _rgb((v * (1 - s + s * ramp)) ** 1.6)


def _liquid(rng: np.random.Generator, split: str) -> LiquidDescription:
    base = LIQUIDS[str(rng.choice(list(LIQUIDS), p=_LIQUID_SHARE))]
    own = np.random.default_rng((_number(rng, split), 1))
    strength = own.lognormal(0, 0.35) * own.lognormal(0, 0.12, 3)
    color = np.clip(np.asarray(base.color) * own.lognormal(0, 0.12, 3), 0.002, 0.95)
    milk = float(np.clip(base.milkiness + 0.1 * own.normal(), 0, 1)) if base.milkiness else 0.0
    return replace(
        base,
        absorption=_rgb(np.asarray(base.absorption) * strength),
        milkiness=milk,
        color=_rgb(color),
    )


def _wall_material(rng: np.random.Generator, split: str, kind: str) -> Material:
    number = _number(rng, split)
    if rng.random() < _CLEAR_SHARE[kind]:
        tint = np.clip(rng.normal(0.985, 0.01, 3), 0.9, 1.0)
        if rng.random() < 0.12:
            tint = tint * np.array([[0.55, 0.85, 0.5], [0.75, 0.5, 0.2]])[rng.integers(2)]
        ior = 1.57 if kind == 'pet_bottle' else 1.5
        return Material('clear', _rgb(tint), 0.0, ior, '', number)
    if rng.random() < _METAL_SHARE.get(kind, 0.06):
        grey = rng.uniform(0.55, 0.85)
        color = (grey, grey, 0.98 * grey)
        return Material('metal', color, rng.uniform(0.08, 0.4), 1.5, '', number)
    texture = 'label' if rng.random() < 0.45 else ''
    return Material('opaque', _any_color(rng), rng.uniform(0.1, 0.6), 1.5, texture, number)


def _container(shape: Shape) -> Container:
    return Container(
        shape.kind, np.array([0, 0, 1.0]), np.array([0, 0, shape.height]), shape.rim_radius
    )


def _standing(
    rng: np.random.Generator,
    split: str,
    kind: str,
    place: NDArray[np.float64],
    liquid_share: float,
) -> ContainerDescription:
    shape_id = _number(rng, split)
    shape = random_shape(kind, shape_id)
    turn = Rotation.from_euler('z', rng.uniform(0, 2 * np.pi)).as_matrix()
    fill = rng.uniform(0.08, 0.85)
    level = shape.floor + fill * (shape.height - shape.floor)
    material = _wall_material(rng, split, kind)
    wet = rng.random() < liquid_share
    pose = Pose(turn, np.array([*place, 0.0]))
    return ContainerDescription(
        shape, shape_id, material, _container(shape), pose, float(level) if wet else None
    )


def _pouring(
    rng: np.random.Generator, split: str, kind: str, target: ContainerDescription
) -> tuple[ContainerDescription, FlowDescription]:
    shape_id = _number(rng, split)
    shape = random_shape(kind, shape_id)
    azimuth = rng.normal(0, 0.55) + (np.pi if rng.random() < 0.5 else 0)
    along = np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
    tilt = np.pi if kind == 'tap' else np.radians(rng.uniform(58, 118))
    if kind in ('jug', 'kettle', 'cup'):
        tilt = np.radians(rng.uniform(50, 95))
    up = np.array([0, 0, 1.0])
    z = np.sin(tilt) * along + np.cos(tilt) * up
    low = along if kind == 'tap' else np.cos(tilt) * along - np.sin(tilt) * up
    R = np.column_stack([low, np.cross(z, low), z])
    if not shape.spout and kind != 'tap':
        R = R @ Rotation.from_euler('z', rng.uniform(0, 2 * np.pi)).as_matrix()
    speed = rng.uniform(0.2, 0.8)
    down = np.radians(rng.uniform(-5, 25)) + 0.6 * max(0.0, tilt - np.pi / 2)
    v = speed * (np.cos(down) * along - np.sin(down) * up)
    if kind == 'tap':
        v = np.array([0, 0, -rng.uniform(0.4, 1.4)])
    # Above the rim by `drop`, higher where the source's body would touch the table.
    drop = rng.uniform(0.03, 0.16)
    lip_radius = 0.0 if kind == 'tap' else shape.rim_radius + shape.spout
    lip_z = target.shape.height + drop
    lowest = lip_z - lip_radius * low[2] - shape.height * z[2] - shape.radius * np.sin(tilt)
    if kind != 'tap':
        lip_z += max(0.0, 0.015 - lowest)
    fall = (v[2] + np.sqrt(v[2] ** 2 + 2 * GRAVITY * (lip_z - target.shape.height))) / GRAVITY
    offset = rng.uniform(-0.45, 0.4) * along + rng.normal(0, 0.12) * np.cross(up, along)
    lip = target.shape.rim_radius * offset - v * fall
    lip[2] = lip_z
    mouth = lip - lip_radius * low
    pose = Pose(R, mouth - shape.height * z)
    most = shape.rim_radius, target.shape.rim_radius
    rate, half_width = _rate(rng, float(np.linalg.norm(v)), *most)
    thickness = rate / float(np.linalg.norm(v)) / np.pi / half_width
    if kind == 'tap':
        half_width = thickness = float(np.sqrt(rate / np.pi / np.linalg.norm(v)))
        half_width, exit_point = min(half_width, 0.9 * shape.rim_radius), lip
        level = None
    else:
        exit_point = lip + (thickness + 0.0006) * up - 0.004 * v / np.linalg.norm(v)
        level = float(lip_z + min(2 * thickness + 0.001, 0.9 * shape.rim_radius))
    flow = FlowDescription(rate, exit_point, v, half_width, -10.0, 10.0, 0.0, 'smooth', 0.0, 0)
    flow = _styled(rng, split, flow)
    flow = replace(flow, end_height=_end_height(flow, target))
    material = _wall_material(rng, split, kind)
    return (
        ContainerDescription(shape, shape_id, material, _container(shape), pose, level),
        flow,
    )


def _rate(
    rng: np.random.Generator, speed: float, source_radius: float, target_radius: float
) -> tuple[float, float]:
    """Rate (m³/s) and half width (m) at the lip that both mouths can take."""
    rate = float(rng.lognormal(np.log(90e-6), 0.7))
    fits = np.pi * speed * min(0.5 * source_radius**2, 0.3 * target_radius**2)
    rate = float(np.clip(rate, 3e-6, min(250e-6, fits)))
    if source_radius < 0.024:
        half_width = source_radius * rng.uniform(0.55, 0.92)
    else:
        half_width = rng.uniform(0.008, 0.016)
    round_radius = float(np.sqrt(rate / np.pi / speed))
    # A trickle leaves in a string as narrow as itself, not in a film over the whole lip.
    half_width = min(half_width, 0.85 * target_radius, 3.0 * round_radius)
    return rate, float(max(half_width, round_radius))


def _styled(rng: np.random.Generator, split: str, flow: FlowDescription) -> FlowDescription:
    style = str(rng.choice(STYLES, p=[0.15, 0.4, 0.3, 0.15]))
    if style == 'breakup' and flow.rate > 60e-6:
        # A thick stream lands long before it would break.
        style = 'ripple'
    start, stop = -10.0, 10.0
    moment = rng.random()
    if moment < 0.07:
        start = -rng.uniform(0.06, 0.2)
    elif moment < 0.14:
        stop = -rng.uniform(0.01, 0.1)
    splash = float(rng.random() ** 2)
    return replace(
        flow, style=style, start=start, stop=stop, splash=splash, seed=_number(rng, split)
    )


def _end_height(flow: FlowDescription, target: ContainerDescription) -> float:
    """Where the stream meets the liquid, the cavity's wall or, beside the target, the table."""
    shape = target.shape
    surface = shape.floor if target.level is None else target.level
    p, v = flow.exit_point, flow.exit_velocity
    t_end = (v[2] + np.sqrt(v[2] ** 2 + 2 * GRAVITY * max(p[2] - surface, 1e-3))) / GRAVITY
    line = np.array([falling(p, v, t) for t in np.linspace(0, t_end, 200)])
    reach = np.hypot(line[:, 0], line[:, 1])
    wall = np.interp(line[:, 2], shape.inner[:, 1], shape.inner[:, 0])
    hits = (line[:, 2] < shape.height - 1e-3) & (reach > wall - 0.003)
    return float(line[hits.argmax(), 2]) if hits.any() else float(surface)


def _camera(
    rng: np.random.Generator,
    size: int,
    source: ContainerDescription,
    target: ContainerDescription,
) -> CameraDescription:
    mouth = source.model.mouth_in(source.T_base_container)
    at = np.array([0.6 * mouth[0], 0.6 * mouth[1], 0.45 * mouth[2] + rng.uniform(0.02, 0.07)])
    at[:2] += rng.normal(0, 0.02, 2)
    # Focal length over height of the square: RealSense D4xx, Kinect 1, Kinect 2, Azure Kinect.
    kind = int(rng.choice(4, p=[0.55, 0.15, 0.2, 0.1]))
    ratio = (606 / 480, 525 / 480, 1081 / 1080, 608 / 720)[kind] * rng.uniform(0.97, 1.03)
    distance = rng.uniform(0.42, 0.78) * (1 if kind == 0 else rng.uniform(0.8, 1.0))
    distance = max(distance, 1.15 * mouth[2] * ratio, 3.2 * target.shape.radius)
    elevation, turn = np.radians(rng.uniform(5, 38)), rng.normal(0, 0.2)
    back = np.array(
        [
            np.sin(turn) * np.cos(elevation),
            -np.cos(turn) * np.cos(elevation),
            np.sin(elevation),
        ]
    )
    T_base_cam = look_at(at + distance * back, at, float(rng.normal(0, 0.03)))
    centre = 0.5 * (size - 1) + rng.normal(0, 0.01, 2) * size
    model = PinholeCamera(
        size, size, ratio * size, ratio * size, float(centre[0]), float(centre[1])
    )
    return CameraDescription(
        model,
        T_base_cam,
        exposure_time=float(np.exp(rng.uniform(np.log(0.001), np.log(0.02)))),
        exposure=float(rng.lognormal(0, 0.3)),
        white_balance=_rgb(rng.lognormal(0, 0.05, 3)),
        blur=rng.uniform(0.35, 0.8),
        sharpen=rng.uniform(0.0, 0.9),
        read_noise=float(rng.lognormal(np.log(1.0), 0.5)),
        shot_noise=float(rng.lognormal(np.log(2.0), 0.5)),
        jpeg_quality=int(rng.integers(60, 99)) if rng.random() < 0.7 else 0,
        sensor='realsense' if kind == 0 else 'kinect',
        seed=int(rng.integers(1 << 31)),
    )


def _surface(rng: np.random.Generator, split: str) -> Material:
    texture = str(rng.choice(SURFACES, p=[0.15, 0.2, 0.25, 0.25, 0.07, 0.08]))
    if texture == 'steel':
        roughness, kind = rng.uniform(0.15, 0.35), 'metal'
    elif texture in ('marble', 'tile'):
        roughness, kind = rng.uniform(0.04, 0.2), 'opaque'
    elif texture == 'cloth':
        roughness, kind = rng.uniform(0.7, 0.95), 'opaque'
    else:
        roughness, kind = rng.uniform(0.15, 0.8), 'opaque'
    return Material(kind, _any_color(rng, 0.3), roughness, 1.5, texture, _number(rng, split))


def _environment(rng: np.random.Generator, split: str, assets: Assets) -> EnvironmentDescription:
    ours = [f for f in assets.hdri if (crc32(f.name.encode()) % 4 == 0) == (split == 'val')]
    pick, drawn = rng.random(), rng.random() < 0.35
    hdr = ours[int(pick * len(ours))] if ours and not drawn else None
    lights = []
    for _ in range(int(rng.integers(0, 3))):
        position = rng.uniform([-1.2, -1.3, 0.9], [1.2, 0.5, 1.8])
        radiance = rng.uniform(3, 18) * np.clip(rng.normal(1, 0.1, 3), 0.6, 1.4)
        w, h = rng.uniform(0.08, 0.4, 2)
        lights.append(Light(_rgb(position), (float(w), float(h)), _rgb(radiance)))
    wall = replace(_surface(rng, split), kind='opaque', roughness=0.8)
    walled, depth = rng.random() < 0.7, rng.uniform(0.25, 0.7)
    return EnvironmentDescription(
        hdr,
        _number(rng, split),
        rng.uniform(0, 2 * np.pi),
        float(rng.lognormal(0, 0.2)),
        depth + rng.uniform(0.1, 1.0) if walled else 0.0,
        wall,
        depth,
        tuple(lights),
    )


def _clutter(
    rng: np.random.Generator,
    split: str,
    source: ContainerDescription,
    target: ContainerDescription,
    flow: FlowDescription,
    camera: CameraDescription,
) -> tuple[tuple[ContainerDescription, ...], tuple[Prop, ...]]:
    others: list[ContainerDescription] = []
    taken = [(np.zeros(2), target.shape.radius + (target.shape.handle or (0,))[0])]
    kinds = ('tumbler', 'mug', 'glass_bottle', 'pet_bottle', 'flask', 'can', 'bowl', 'jug')

    def free_place(radius: float) -> NDArray[np.float64] | None:
        for _ in range(12):
            place = rng.uniform([-0.36, -0.12], [0.36, 0.3])
            if all(np.linalg.norm(place - p) > r + radius + 0.008 for p, r in taken):
                taken.append((place, radius))
                return place
        return None

    for _ in range(int(rng.integers(0, 4))):
        kind = str(rng.choice(kinds))
        thing = _standing(rng, split, kind, np.zeros(2), liquid_share=0.6)
        # Behind the target's front, lest it hide the scene from the camera.
        place = free_place(thing.shape.radius)
        if place is None or place[1] < 0.02:
            continue
        pose = Pose(thing.T_base_container.rotation, np.array([*place, 0.0]))
        others.append(replace(thing, T_base_container=pose))
    props: list[Prop] = []

    def put(
        kind: str,
        rotation: Rotation,
        at: NDArray[np.float64],
        size: Sequence[float] | NDArray[np.float64],
        material: Material,
    ) -> None:
        pose = Pose(rotation.as_matrix(), np.asarray(at, dtype=float))
        props.append(Prop(kind, pose, _rgb(size), material, _number(rng, split)))

    def paint(value: tuple[float, float] = (0.05, 0.9)) -> Material:
        return Material('opaque', _any_color(rng, 0.8, value), rng.uniform(0.2, 0.7))

    clear = Material('clear', _rgb(np.clip(rng.normal(0.98, 0.01, 3), 0.9, 1)), 0.0, 1.49)
    steel = Material('metal', (0.7, 0.7, 0.7), rng.uniform(0.08, 0.3))
    shape, yaw = target.shape, rng.uniform(0, 2 * np.pi)

    def leaning(length: float, thick: float) -> tuple[Rotation, NDArray[np.float64]]:
        # Foot on the cavity's floor at one side, resting on the rim at the other.
        foot = 0.5 * shape.inner_radius(shape.floor + 0.004)
        rise, run = shape.height - shape.floor, 0.9 * shape.rim_radius + foot - thick
        tilt = np.arctan2(run, rise)
        away = np.array([np.cos(yaw), np.sin(yaw), 0.0])
        turn = Rotation.from_rotvec(tilt * np.cross([0, 0, 1.0], away))
        return turn, -(foot - thick) * away + np.array([0, 0, shape.floor + thick])

    if rng.random() < 0.22 and shape.kind not in ('sink', 'pan'):
        kind = str(rng.choice(['straw', 'spoon', 'rod'], p=[0.45, 0.3, 0.25]))
        thick = {'straw': rng.uniform(0.002, 0.004), 'spoon': 0.0025}.get(
            kind, rng.uniform(0.002, 0.005)
        )
        length = float(np.hypot(shape.height, 2 * shape.rim_radius)) + rng.uniform(0.03, 0.1)
        rotation, at = leaning(length, thick)
        material = {'straw': paint((0.3, 0.95)), 'spoon': steel}.get(kind, clear)
        put(kind, rotation, at, (length, 2 * thick, 2 * thick), material)
    if rng.random() < 0.16:
        # Upright beside the scene: a clear or white rod, the nearest thing to a still stream.
        place = free_place(0.01)
        if place is not None:
            tilt = Rotation.from_rotvec([*rng.normal(0, 0.12, 2), 0.0])
            material = clear if rng.random() < 0.6 else paint((0.6, 0.95))
            width = rng.uniform(0.003, 0.012)
            put(
                'rod',
                tilt,
                np.array([*place, 0.0]),
                (rng.uniform(0.1, 0.3), width, width),
                material,
            )
    if rng.random() < 0.18:
        place = np.array([rng.uniform(-0.25, 0.25), rng.uniform(0.08, 0.28)])
        kind = 'cable' if rng.random() < 0.6 else 'thread'
        width = rng.uniform(0.002, 0.006) if kind == 'cable' else rng.uniform(0.0004, 0.0012)
        value = (0.02, 0.25) if rng.random() < 0.5 else (0.6, 0.95)
        put(
            kind,
            Rotation.identity(),
            np.array([*place, rng.uniform(0.25, 0.6)]),
            (rng.uniform(0.2, 0.45), width, width),
            paint(value),
        )
    if rng.random() < 0.16:
        place = np.array([rng.uniform(-0.3, 0.3), rng.uniform(0.14, 0.32)])
        put(
            'towel',
            Rotation.from_euler('z', rng.normal(0, 0.4)),
            np.array([*place, rng.uniform(0.15, 0.32)]),
            (rng.uniform(0.12, 0.3), rng.uniform(0.08, 0.25), 0.004),
            paint((0.4, 0.95)),
        )
    if rng.random() < 0.14:
        place = np.array([rng.uniform(-0.3, 0.3), rng.uniform(0.12, 0.3)])
        put(
            'band',
            Rotation.from_euler('zy', [rng.normal(0, 0.5), rng.normal(0, 0.25)]),
            np.array([*place, 0.0]),
            (rng.uniform(0.15, 0.4), rng.uniform(0.006, 0.02), 0.001),
            paint((0.75, 0.95)),
        )
    water = Material('clear', (1.0, 1.0, 1.0), 0.0, 1.333)
    if rng.random() < 0.3:
        # Down the target's outside, on the side that the camera sees.
        side = np.arctan2(camera.T_base_cam.translation[1], camera.T_base_cam.translation[0])
        turn = Rotation.from_euler('z', side + rng.normal(0, 0.5))
        put(
            'wet_trail',
            turn,
            np.zeros(3),
            (rng.uniform(0.4, 0.95) * shape.height, rng.uniform(0.002, 0.006), 0.0007),
            water,
        )
    if rng.random() < 0.4 and source.shape.kind != 'tap':
        put(
            'drips',
            Rotation.identity(),
            flow.exit_point,
            (rng.uniform(0.02, 0.1), rng.uniform(0.002, 0.005), 0.002),
            water,
        )
    for _ in range(int(rng.integers(0, 4))):
        s = rng.uniform(0.04, 0.3, 3)
        at = np.array([rng.uniform(-0.7, 0.7), rng.uniform(0.34, 0.6), 0.0])
        put(
            'box',
            Rotation.from_euler('z', rng.uniform(0, 3)),
            at,
            s,
            replace(
                paint(), texture='label' if rng.random() < 0.5 else '', seed=_number(rng, split)
            ),
        )
    return tuple(others), tuple(props)
