# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Draw random scenes that share nothing between training and validation."""

from __future__ import annotations

from dataclasses import replace
from zlib import crc32

import numpy as np
from scipy.spatial.transform import Rotation

from ...errors import InputError
from ...geometry import PinholeCamera, Pose
from ...geometry.fall import fall_time, falling
from .containers import SOURCES, TARGETS, random_shape
from .description import (
    HOLDERS,
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
    SceneDescription,
)
from .draws import any_color, draw_number, rgb
from .random_clutter import glasses, random_clutter
from .random_liquids import colored_liquid, foam_depth, usual_liquid
from .random_vessels import basin_material, model_of, standing, tap_material, wall_material
from .scenario import look_at
from .strata import STRATA, Mixture, Stratum, check_source

# So that a stratum's own draws leave the usual ones where they are.
_OWN = 0x0117
# A stream of less is round soon, m³/s.
THIN = 10e-6
# One of more lands before it breaks into drops, m³/s.
BREAKS = 25e-6


def random_scene(
    seed: int,
    index: int,
    split: str,
    assets: Assets | None = None,
    size: int = 320,
    poured_from: str | None = None,
    mixture: Mixture | None = None,
) -> SceneDescription:
    """Draw scene `index` of a set; `size` px: of the square image (a sensor's central crop).

    A 16:9 image is as large in area, its sides 4/3 and 3/4 of `size`. Deterministic by (seed,
    index, split, mixture), and by the assets' file names. `mixture`: of strata; None: only the
    general one. `poured_from` replaces the kind of source; if that is the kind that would have
    been drawn, the scene is the same. Raises InputError for an unknown split or kind.
    """
    if split not in SPLITS:
        raise InputError(f'unknown split {split!r}; splits: {", ".join(SPLITS)}')
    number = SPLITS.index(split)
    name = (mixture or Mixture()).draw(seed, index, number)
    check_source(poured_from, [name])
    stratum = STRATA[name]
    rng = np.random.default_rng((seed, index, number))
    own = np.random.default_rng((seed, index, number, _OWN))
    liquid = _liquid(rng, own, split, stratum)
    drawn = str(rng.choice(SOURCES, p=_SOURCE_SHARE))
    source_kind = poured_from or stratum.only_source or drawn
    target_kind = str(rng.choice(TARGETS, p=_TARGET_SHARE))
    if source_kind == 'tap' and rng.random() < 0.5:
        target_kind = 'sink'
    target = _target(rng, own, split, target_kind, stratum, liquid)
    source, flow = _pouring(rng, split, source_kind, target, stratum, own)
    camera = _camera(rng, size, source, target, stratum, own)
    others, props = random_clutter(rng, split, source, target, flow, camera)
    table, environment = _surface(rng, split), _environment(rng, split, assets or Assets())
    holder = str(rng.choice(HOLDERS, p=[0.25, 0.45, 0.3])) if source_kind != 'tap' else ''
    holder_seed = draw_number(rng, split)
    if stratum.glass:
        others = glasses(own, split, source, target, flow, camera)
    if stratum.only_source == 'tap':
        environment = _washroom(own, split, environment, source)
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
        table,
        environment,
        holder,
        holder_seed,
        others,
        props,
        name,
    )


def reflowed(scene: SceneDescription, variant: int) -> SceneDescription:
    """The same scene with another stream: `variant` >= 1 redraws rate, style, timing and ripples.

    Deterministic by the scene's seed, index and `variant`. The containers do not move.
    """
    split, stratum = SPLITS.index(scene.split), STRATA[scene.stratum]
    rng = np.random.default_rng((scene.seed, scene.index, split, variant))
    own = np.random.default_rng((scene.seed, scene.index, split, variant, _OWN))
    v = scene.flow.exit_velocity * rng.uniform(0.85, 1.15)
    most = scene.source.shape.rim_radius, scene.target.shape.rim_radius
    rate, half_width = _rate(rng, float(np.linalg.norm(v)), *most, stratum, own)
    if scene.source.shape.kind == 'tap':
        half_width = _jet_radius(rate, float(np.linalg.norm(v)), most[0])
    flow = replace(scene.flow, exit_velocity=v, rate=rate, lip_half_width=half_width)
    flow = _styled(rng, scene.split, flow, stratum, own)
    flow = replace(flow, end_height=_end_height(flow, scene.target))
    return replace(scene, flow=flow)


_SOURCE_SHARE = (0.26, 0.18, 0.12, 0.1, 0.13, 0.06, 0.1, 0.05)
_TARGET_SHARE = (0.3, 0.2, 0.12, 0.06, 0.12, 0.05, 0.08, 0.04, 0.03)


def _liquid(
    rng: np.random.Generator, own: np.random.Generator, split: str, stratum: Stratum
) -> LiquidDescription:
    liquid = usual_liquid(rng, split, 'water' if stratum.water else None)
    return colored_liquid(own, split) if own.random() < stratum.colored else liquid


def _target(
    rng: np.random.Generator,
    own: np.random.Generator,
    split: str,
    kind: str,
    stratum: Stratum,
    liquid: LiquidDescription,
) -> ContainerDescription:
    if stratum.targets is not None:
        names, shares = list(stratum.targets), list(stratum.targets.values())
        kind = str(own.choice(names, p=np.array(shares) / sum(shares)))
    fills = stratum.fills or (0.08, 0.85)
    # Water runs off from under a tap.
    share = 0.25 if stratum.only_source == 'tap' and kind == 'sink' else 0.85
    at = np.zeros(2)
    target = standing(rng, split, kind, at, share, stratum.clear_target, fills)
    if kind == 'sink' and stratum.only_source == 'tap':
        target = replace(target, material=basin_material(own, split))
    foam = foam_depth(own, liquid)
    if target.level is not None and foam:
        foam = min(foam, 0.8 * (target.level - target.shape.floor))
        target = replace(target, foam=foam)
    return target


def _pouring(
    rng: np.random.Generator,
    split: str,
    kind: str,
    target: ContainerDescription,
    stratum: Stratum,
    own: np.random.Generator,
) -> tuple[ContainerDescription, FlowDescription]:
    shape_id = draw_number(rng, split)
    shape = random_shape(kind, shape_id)
    azimuth = rng.normal(0, 0.55) + (np.pi if rng.random() < 0.5 else 0)
    if stratum.only_source == 'tap' and own.random() < 0.6:
        # Most taps stand at the back of their basin.
        azimuth = -0.5 * np.pi + own.normal(0, 0.5)
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
    elif stratum.speeds is not None:
        v *= own.uniform(*stratum.speeds) / speed
    # Above the rim by `drop`, higher where the source's body would touch the table.
    drop = rng.uniform(0.03, 0.16)
    if stratum.drops is not None:
        drop = own.uniform(*stratum.drops)
    lip_radius = 0.0 if kind == 'tap' else shape.rim_radius + shape.spout
    lip_z = target.shape.height + drop
    lowest = lip_z - lip_radius * low[2] - shape.height * z[2] - shape.radius * np.sin(tilt)
    if kind != 'tap':
        lip_z += max(0.0, 0.015 - lowest)
    fall = fall_time(lip_z - target.shape.height, -v[2])
    offset = rng.uniform(-0.45, 0.4) * along + rng.normal(0, 0.12) * np.cross(up, along)
    lip = target.shape.rim_radius * offset - v * fall
    if target.shape.kind == 'sink' and shape.reach:
        # The column stands beside the basin.
        reach = target.shape.rim_radius + 0.04 - shape.reach
        lip = -np.clip(reach, 0, 0.75 * target.shape.rim_radius) * along
    lip[2] = lip_z
    mouth = lip - lip_radius * low
    pose = Pose(R, mouth - shape.height * z)
    most = shape.rim_radius, target.shape.rim_radius
    rate, half_width = _rate(rng, float(np.linalg.norm(v)), *most, stratum, own)
    thickness = rate / float(np.linalg.norm(v)) / np.pi / half_width
    if kind == 'tap':
        half_width = _jet_radius(rate, float(np.linalg.norm(v)), shape.rim_radius)
        exit_point = lip
        level = None
    else:
        exit_point = lip + (thickness + 0.0006) * up - 0.004 * v / np.linalg.norm(v)
        level = float(lip_z + min(2 * thickness + 0.001, 0.9 * shape.rim_radius))
    flow = FlowDescription(rate, exit_point, v, half_width, -10.0, 10.0, 0.0, 'smooth', 0.0, 0)
    flow = _styled(rng, split, flow, stratum, own)
    flow = replace(flow, end_height=_end_height(flow, target))
    material = wall_material(rng, split, kind)
    if kind == 'tap' and stratum.only_source == 'tap':
        material = tap_material(own, split)
    return (
        ContainerDescription(shape, shape_id, material, model_of(shape), pose, level),
        flow,
    )


def _jet_radius(rate: float, speed: float, nozzle: float) -> float:
    """Half width (m) of a tap's round jet, no wider than its nozzle."""
    return min(float(np.sqrt(rate / np.pi / speed)), 0.9 * nozzle)


def _rate(
    rng: np.random.Generator,
    speed: float,
    source_radius: float,
    target_radius: float,
    stratum: Stratum,
    own: np.random.Generator,
) -> tuple[float, float]:
    """Rate (m³/s) and half width (m) at the lip that suit both mouths."""
    rate, least = float(rng.lognormal(np.log(90e-6), 0.7)), 3e-6
    if stratum.rates is not None and own.random() < stratum.rated:
        low, high = np.log(stratum.rates)
        rate, least = 1e-6 * float(np.exp(own.uniform(low, high))), 1e-6
    fits = np.pi * speed * min(0.5 * source_radius**2, 0.3 * target_radius**2)
    rate = float(np.clip(rate, least, min(250e-6, fits)))
    if source_radius < 0.024:
        half_width = source_radius * rng.uniform(0.55, 0.92)
    else:
        half_width = rng.uniform(0.008, 0.016)
    round_radius = float(np.sqrt(rate / np.pi / speed))
    # A trickle leaves in a string as narrow as itself, not in a film over the whole lip.
    half_width = min(half_width, 0.85 * target_radius, 3.0 * round_radius)
    return rate, float(max(half_width, round_radius))


def _styled(
    rng: np.random.Generator,
    split: str,
    flow: FlowDescription,
    stratum: Stratum,
    own: np.random.Generator,
) -> FlowDescription:
    style = str(rng.choice(STYLES[:4], p=[0.15, 0.4, 0.3, 0.15]))
    if flow.rate < THIN:
        # Surface tension rounds a trickle, and breaks it.
        style = str(own.choice(STYLES[:4], p=[0.45, 0.15, 0.05, 0.35]))
    if style == 'breakup' and flow.rate > BREAKS:
        # A thick stream lands long before it would break.
        style = 'ripple'
    air = 0.0
    if stratum.only_source == 'tap':
        style, air = _from_tap(own, flow)
    start, stop = -10.0, 10.0
    moment = rng.random()
    if moment < 0.07:
        start = -rng.uniform(0.06, 0.2)
    elif moment < 0.14:
        stop = -rng.uniform(0.01, 0.1)
    splash = float(rng.random() ** 2)
    number = draw_number(rng, split)
    return replace(flow, style=style, start=start, stop=stop, splash=splash, seed=number, air=air)


def _from_tap(rng: np.random.Generator, flow: FlowDescription) -> tuple[str, float]:
    """Style and whiteness of a jet: aerators need a strong flow; a weak one runs smooth."""
    kind = rng.random()
    if flow.rate > 25e-6 and kind < 0.55:
        return 'aerated', float(rng.uniform(0.2, 0.95))
    if kind < 0.85:
        return 'smooth', 0.0
    return 'breakup' if flow.rate < THIN else 'ripple', 0.0


def _end_height(flow: FlowDescription, target: ContainerDescription) -> float:
    """Where the stream meets the liquid, the cavity's wall or, beside the target, the table."""
    shape = target.shape
    surface = shape.floor if target.level is None else target.level
    p, v = flow.exit_point, flow.exit_velocity
    line = falling(p, v, np.linspace(0, fall_time(max(p[2] - surface, 1e-3), -v[2]), 200))
    reach = np.hypot(line[:, 0], line[:, 1])
    wall = np.interp(line[:, 2], shape.inner[:, 1], shape.inner[:, 0])
    hits = (line[:, 2] < shape.height - 1e-3) & (reach > wall - 0.003)
    return float(line[hits.argmax(), 2]) if hits.any() else float(surface)


def _camera(
    rng: np.random.Generator,
    size: int,
    source: ContainerDescription,
    target: ContainerDescription,
    stratum: Stratum,
    own: np.random.Generator,
) -> CameraDescription:
    mouth = source.model.mouth_in(source.T_base_container)
    at = np.array([0.6 * mouth[0], 0.6 * mouth[1], 0.45 * mouth[2] + rng.uniform(0.02, 0.07)])
    at[:2] += rng.normal(0, 0.02, 2)
    # Focal length over picture height: RealSense D4xx, Kinect 1, Kinect 2, Azure Kinect.
    kind = int(rng.choice(4, p=[0.55, 0.15, 0.2, 0.1]))
    ratio = (606 / 480, 525 / 480, 1081 / 1080, 608 / 720)[kind] * rng.uniform(0.97, 1.03)
    distance = rng.uniform(0.42, 0.78) * (1 if kind == 0 else rng.uniform(0.8, 1.0))
    # A counter may leave the picture, its basin not.
    widest = min(target.shape.radius, target.shape.rim_radius + 0.04)
    distance = max(distance, 1.15 * mouth[2] * ratio, 3.2 * widest)
    if stratum.distance is not None:
        distance *= own.uniform(*stratum.distance)
    elevation, turn = np.radians(rng.uniform(5, 38)), rng.normal(0, 0.2)
    back = np.array(
        [
            np.sin(turn) * np.cos(elevation),
            -np.cos(turn) * np.cos(elevation),
            np.sin(elevation),
        ]
    )
    if stratum.wide:
        # Not always in the middle of a wide picture.
        at[0] += own.normal(0, 0.12) * distance
    T_base_cam = look_at(at + distance * back, at, float(rng.normal(0, 0.03)))
    width, height = (round(4 * size / 3), round(3 * size / 4)) if stratum.wide else (size, size)
    centre = 0.5 * (np.array([width, height]) - 1) + rng.normal(0, 0.01, 2) * size
    focal = ratio * height
    model = PinholeCamera(width, height, focal, focal, float(centre[0]), float(centre[1]))
    camera = CameraDescription(
        model,
        T_base_cam,
        exposure_time=float(np.exp(rng.uniform(np.log(0.001), np.log(0.02)))),
        exposure=float(rng.lognormal(0, 0.3)),
        white_balance=rgb(rng.lognormal(0, 0.05, 3)),
        blur=rng.uniform(0.35, 0.8),
        sharpen=rng.uniform(0.0, 0.9),
        read_noise=float(rng.lognormal(np.log(1.0), 0.5)),
        shot_noise=float(rng.lognormal(np.log(2.0), 0.5)),
        jpeg_quality=int(rng.integers(60, 99)) if rng.random() < 0.7 else 0,
        sensor='realsense' if kind == 0 else 'kinect',
        seed=int(rng.integers(1 << 31)),
    )
    return _dimmed(own, camera) if stratum.dim else camera


def _dimmed(rng: np.random.Generator, camera: CameraDescription) -> CameraDescription:
    """Too little light: long exposure, high gain, and still a dark image."""
    return replace(
        camera,
        exposure_time=rng.uniform(0.008, 0.033),
        exposure=float(rng.lognormal(np.log(0.42), 0.3)),
        white_balance=rgb(np.asarray(camera.white_balance) * [1, 1, 1 / rng.uniform(1, 1.25)]),
        read_noise=camera.read_noise * rng.uniform(1.0, 2.5),
        shot_noise=camera.shot_noise * rng.uniform(1.0, 2.5),
        levels=rng.uniform(0, 0.35),
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
    return Material(kind, any_color(rng, 0.3), roughness, 1.5, texture, draw_number(rng, split))


def _washroom(
    rng: np.random.Generator,
    split: str,
    room: EnvironmentDescription,
    source: ContainerDescription,
) -> EnvironmentDescription:
    """A tiled or plain wall close behind a tap, if there is one."""
    pipe = source.shape.pipe
    back = 0.0 if pipe is None else float(source.T_base_container.apply(pipe[:, :3])[:, 1].max())
    texture = str(rng.choice(['tile', 'plain', 'marble'], p=[0.5, 0.35, 0.15]))
    color = any_color(rng, 0.35, (0.35, 0.95))
    wall = Material('opaque', color, rng.uniform(0.1, 0.6), 1.5, texture, draw_number(rng, split))
    if rng.random() < 0.2:
        return room
    behind = max(back, 0.12) + rng.uniform(0.03, 0.3)
    return replace(
        room, wall=wall, wall_distance=behind, table_depth=min(room.table_depth, behind)
    )


def _environment(rng: np.random.Generator, split: str, assets: Assets) -> EnvironmentDescription:
    ours = [f for f in assets.hdri if (crc32(f.name.encode()) % 4 == 0) == (split == 'val')]
    pick, drawn = rng.random(), rng.random() < 0.35
    hdr = ours[int(pick * len(ours))] if ours and not drawn else None
    lights = []
    for _ in range(int(rng.integers(0, 3))):
        position = rng.uniform([-1.2, -1.3, 0.9], [1.2, 0.5, 1.8])
        radiance = rng.uniform(3, 18) * np.clip(rng.normal(1, 0.1, 3), 0.6, 1.4)
        w, h = rng.uniform(0.08, 0.4, 2)
        lights.append(Light(rgb(position), (float(w), float(h)), rgb(radiance)))
    wall = replace(_surface(rng, split), kind='opaque', roughness=0.8)
    walled, depth = rng.random() < 0.7, rng.uniform(0.25, 0.7)
    return EnvironmentDescription(
        hdr,
        draw_number(rng, split),
        rng.uniform(0, 2 * np.pi),
        float(rng.lognormal(0, 0.2)),
        depth + rng.uniform(0.1, 1.0) if walled else 0.0,
        wall,
        depth,
        tuple(lights),
    )
