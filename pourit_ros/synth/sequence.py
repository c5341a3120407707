# SPDX-License-Identifier: Apache-2.0
"""A whole pour as RGB-D frames with truth: approach, tilt, flow, correction, stop."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ..geometry import Container, PinholeCamera, Pose
from ..geometry.stream import GRAVITY
from ..pipeline import NANOSECONDS, Frame
from ..sim.scenario import Scenario, look_at
from .looks import LIQUIDS, banded, plain, studio, wood
from .meshes import Mesh, box, lathe, quad, tube
from .raycast import Liquid, Render, Surface, render

# Wall-clock like stamps, so that nothing downstream can rely on bags starting at zero.
FIRST_STAMP = 1_700_000_000 * NANOSECONDS

BOTTLE = [
    (0.0, -0.105), (0.031, -0.105), (0.033, -0.10), (0.033, 0.02), (0.030, 0.04), (0.017, 0.075),
    (0.013, 0.082), (0.013, 0.102), (0.0145, 0.102), (0.0145, 0.105), (0.0115, 0.105),
    (0.0115, 0.07),
]  # fmt: skip
CUP = [
    (0.0, 0.0), (0.029, 0.0), (0.031, 0.003), (0.040, 0.103), (0.040, 0.105), (0.0375, 0.105),
    (0.028, 0.005), (0.0, 0.005),
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class PourFrame:
    """One frame with its truth: `coverage` (H, W) 0..1 of the stream in the air above the rim.

    `landing_point` (3,) m in the base frame, None while nothing flows.
    """

    frame: Frame
    coverage: NDArray[np.float64]
    landing_point: NDArray[np.float64] | None


@dataclass(frozen=True)
class PourPlan:
    """Times in seconds and offsets of the landing point from the target's mouth in metres.

    `empty`: the same motion with nothing in the source.
    """

    duration: float = 6.0
    tilt_by: float = 1.2
    flow_from: float = 1.3
    correct_from: float = 2.2
    correct_by: float = 3.2
    flow_until: float = 4.7
    first_offset: float = 0.052
    last_offset: float = 0.003
    height: float = 0.075
    empty: bool = False

    def tilt(self, t: float) -> float:
        """Source's axis from vertical, radians."""
        there = _ease((t - 0.2) / (self.tilt_by - 0.2))
        back = _ease((t - self.flow_until + 0.25) / 0.8)
        return float(np.radians(35 + 67 * there - 60 * back))

    def offset(self, t: float) -> float:
        """Offset of the landing point along the pouring direction, m."""
        done = _ease((t - self.correct_from) / (self.correct_by - self.correct_from))
        return self.first_offset + (self.last_offset - self.first_offset) * done

    def speed(self, t: float) -> float:
        """Horizontal exit speed, m/s."""
        return 0.16 + 0.14 * _ease((t - self.flow_from) / 0.8)


def _ease(x: float) -> float:
    x = min(max(x, 0.0), 1.0)
    return x * x * (3 - 2 * x)


def pour_sequence(
    plan: PourPlan | None = None,
    rate: float = 15.0,
    size: tuple[int, int] = (640, 480),
    liquid: str = 'water',
    seed: int = 0,
) -> Iterator[PourFrame]:
    """Render a pour seen by a RealSense-like camera; `size` is (width, height).

    Poses: base frame z up with the table at z = 0; source and target are the presets
    'pourit_bottle' and 'cup'. Deterministic for given arguments.
    """
    plan = plan or PourPlan()
    width, height = size
    focal = 606.0 * width / 640
    camera = PinholeCamera(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)
    T_base_cam = look_at(np.array([0.07, -0.46, 0.25]), np.array([0.005, 0.0, 0.115]))
    for index in range(round(plan.duration * rate)):
        t = index / rate
        scenario = _scenario(plan, t, camera, T_base_cam)
        rng = np.random.default_rng((seed, index))
        picture = _picture(plan, t, scenario, liquid, seed, rng)
        stamp = FIRST_STAMP + round(index * NANOSECONDS / rate)
        frame = Frame(
            stamp,
            str(stamp),
            _sensor_color(picture.color, rng),
            camera,
            _sensor_depth(picture, LIQUIDS[liquid].milky, rng),
            T_base_cam.inverse() @ scenario.T_base_source,
            T_base_cam,
            scenario.T_base_target,
        )
        flowing = plan.flow_from <= t <= plan.flow_until and not plan.empty
        landing = scenario.landing_point if flowing else None
        yield PourFrame(frame, picture.coverage, landing)


def _scenario(plan: PourPlan, t: float, camera: PinholeCamera, T_base_cam: Pose) -> Scenario:
    source, target = Container.load('pourit_bottle'), Container.load('cup')
    T_base_target = Pose.from_quaternion([0.06, 0.0, 0.0], [0, 0, 0, 1])
    pour = np.array([1.0, 0.0, 0.0])
    v, u = plan.speed(t), 0.22
    fall = (np.sqrt(u * u + 2 * GRAVITY * plan.height) - u) / GRAVITY
    mouth = target.mouth_in(T_base_target) + plan.height * np.array([0, 0, 1.0])
    mouth = mouth + (plan.offset(t) - v * fall) * pour
    # Until it pours, the bottle waits higher and further back.
    waiting = 1 - _ease((t - 0.1) / (plan.tilt_by - 0.1))
    leaving = _ease((t - plan.flow_until - 0.1) / 0.9)
    mouth = mouth + np.array([-0.07, 0.0, 0.06]) * max(waiting, leaving)
    upright = Rotation.from_euler('x', 90, degrees=True)
    R = (Rotation.from_euler('y', plan.tilt(t)) * upright).as_matrix()
    T_base_source = Pose(R, mouth - R @ source.mouth)
    return Scenario(
        camera, T_base_cam, T_base_source, T_base_target, source, target, v, u, 0.013, 1.0
    )


def _picture(
    plan: PourPlan, t: float, scenario: Scenario, liquid: str, seed: int, rng: np.random.Generator
) -> Render:
    look = LIQUIDS[liquid]
    to_bottle = Pose(Rotation.from_euler('x', -90, degrees=True).as_matrix(), np.zeros(3))
    T_bottle = scenario.T_base_source @ to_bottle
    target = scenario.T_base_target
    poured = np.clip((t - plan.flow_from) / (plan.flow_until - plan.flow_from), 0, 1)
    filled = 0.01 + 0.06 * poured * (not plan.empty)
    level = lathe([(0.0, filled), (0.0285 + 0.09 * filled, filled)]).moved(target)
    surface = look.milky * look.color + (1 - look.milky) * 0.35 * np.exp(-0.01 * look.absorption)
    hold = T_bottle.apply([[0, 0, -0.03]])[0]
    surfaces = [
        Surface(quad([-0.8, -0.5, 0], [1.6, 0, 0], [0, 1.2, 0]), wood(seed), 0.25),
        Surface(lathe(CUP).moved(target), banded([0.75, 0.77, 0.8], [0.10, 0.25, 0.42],
                                                  (0.03, 0.065)), 0.15),
        Surface(level, plain(surface), 0.3),
        Surface(lathe(BOTTLE).moved(T_bottle), plain([0.12, 0.42, 0.25]), 0.35),
        Surface(box(hold + [0, 0.042, 0], [0.03, 0.016, 0.09]), plain([0.08, 0.08, 0.09]), 0.1),
        Surface(box(hold + [0, -0.042, 0], [0.022, 0.012, 0.03]), plain([0.08, 0.08, 0.09]), 0.1),
        Surface(box(hold + [0, 0.12, 0.02], [0.09, 0.14, 0.1]), plain([0.82, 0.83, 0.85]), 0.1),
        Surface(lathe([(0.0, 0.0), (0.03, 0.0), (0.03, 0.1), (0.0, 0.1)]).moved(
            Pose.from_quaternion([0.27, 0.22, 0.0], [0, 0, 0, 1])), plain([0.55, 0.1, 0.08]), 0.2),
    ]  # fmt: skip
    mesh = _stream_mesh(plan, t, scenario, rng, filled + scenario.T_base_target.translation[2])
    stream = None
    if mesh is not None:
        stream = Liquid(mesh, look.absorption, look.milky, look.color, 0.008)
    light = np.array([-0.45, -0.55, 0.7])
    rim = float(scenario.target.mouth_in(target)[2])
    return render(
        surfaces, stream, scenario.camera, scenario.T_base_cam, studio(seed),
        light / np.linalg.norm(light), rim, rng,
    )  # fmt: skip


def _stream_mesh(
    plan: PourPlan, t: float, scenario: Scenario, rng: np.random.Generator, level: float
) -> Mesh | None:
    """The parcels in the air at time t: those that left while the flow lasted."""
    youngest, oldest = max(0.0, t - plan.flow_until), t - plan.flow_from
    drop = scenario.mouth[2] - level
    u = scenario.downward_speed
    oldest = min(oldest, (np.sqrt(u * u + 2 * GRAVITY * drop) - u) / GRAVITY)
    if oldest - youngest < 0.01 or plan.empty:
        return None
    ages = np.linspace(youngest, oldest, 90)
    centre = scenario.centre_line(ages)
    wide = scenario.half_width(ages)
    # Ripples are frozen into the parcels, so they travel down with the flow.
    born = t - ages
    ripple = 0.14 * np.sin(95 * born) + 0.09 * np.sin(211 * born + 1) + 0.05 * np.sin(388 * born)
    grown = np.clip(ages / 0.05, 0, 1)
    wide = wide * (1 + grown * ripple)
    flat = wide * (0.55 + 0.25 * np.sin(160 * born) * grown)
    ends = np.clip(np.minimum(ages - youngest, oldest - ages) / 0.006, 0.05, 1)
    if youngest == 0:
        ends = np.where(ages < 0.02, 1.0, ends)
    turn = 1.2 * np.sin(20 * ages + 3 * t)
    across = np.array([0.0, 1.0, 0.0])
    side = np.cos(turn)[:, None] * scenario.direction + np.sin(turn)[:, None] * across
    return tube(centre, side, wide * ends, flat * ends)


def _sensor_color(linear: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Camera response: soft shoulder, gamma, lens blur, shot noise."""
    exposed = 1 - np.exp(-1.25 * np.clip(linear, 0, None))
    image = 255 * np.clip(exposed, 0, 1) ** (1 / 2.2)
    image = cv2.GaussianBlur(image, (0, 0), 0.55)
    image += rng.normal(0, 1.6, image.shape) + rng.normal(0, 1.0, (*image.shape[:2], 1))
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


def _sensor_depth(picture: Render, milky: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Stereo depth: quadratic noise, holes at edges; clear liquid reads as what is behind it."""
    depth = picture.depth if milky > 0.5 else picture.depth_behind
    depth = np.where(np.isfinite(depth) & (depth < 4.0), depth, 0.0)
    edges = cv2.dilate(depth, np.ones((3, 3))) - cv2.erode(depth, np.ones((3, 3))) > 0.03
    holes = edges & (rng.random(depth.shape) < 0.7)
    if milky <= 0.5:
        holes |= (picture.depth < picture.depth_behind) & (rng.random(depth.shape) < 0.5)
    noisy = depth + rng.normal(0, 1, depth.shape) * 0.0015 * depth**2
    return np.where(holes | (depth == 0), 0.0, np.round(noisy * 1000) / 1000).astype(np.float32)


def write_truth(path: Path, truth: dict[int, NDArray[np.float64] | None]) -> None:
    """Write a table of stamps (s) with landing points (m, base frame), empty while none flows."""
    with path.open('w', newline='') as file:
        table = csv.writer(file)
        table.writerow(['stamp', 'landing_x', 'landing_y', 'landing_z'])
        for stamp, landing in truth.items():
            point = ['', '', ''] if landing is None else [f'{x:.6f}' for x in landing]
            table.writerow([f'{stamp // 10**9}.{stamp % 10**9:09d}', *point])
