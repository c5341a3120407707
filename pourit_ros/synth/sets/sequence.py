# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A whole pour as RGB-D frames with truth: approach, tilt, flow, correction, stop."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ...geometry import Container, PinholeCamera, Pose
from ...geometry.fall import fall_time
from ...pipeline import NANOSECONDS, Frame
from ..render.camera_model import CameraModel
from ..scene.containers import Shape, preset_shape, random_shape
from ..scene.description import (
    LIQUIDS,
    CameraDescription,
    ContainerDescription,
    Departures,
    EnvironmentDescription,
    FlowDescription,
    Light,
    Material,
    SceneDescription,
    landing_point,
)
from ..scene.scenario import look_at
from ..scene.stream import Stream
from .pairs import photograph
from .preview import preview

# Wall-clock like stamps, so that nothing downstream can rely on bags starting at zero.
FIRST_STAMP = 1_700_000_000 * NANOSECONDS

# Both stand on the table, in its base frame.
TARGET_PLACE = Pose.from_quaternion([0.06, 0.0, 0.0], [0, 0, 0, 1])
CAN_PLACE = Pose.from_quaternion([0.27, 0.22, 0.0], [0, 0, 0, 1])
# A parcel leaves with this speed downwards, m/s, from this place beside the lip's lowest, m.
DOWNWARD = 0.22
ON_LIP = np.array([-0.003, 0.0, 0.006])
# Steps, s, in which the stream remembers the source's motion.
STEP = 0.01

GREEN = Material('opaque', (0.1, 0.42, 0.22), 0.3)
WHITE = Material('opaque', (0.75, 0.77, 0.8), 0.3, 1.5, 'label', 1)
RED = Material('opaque', (0.55, 0.1, 0.08), 0.3)
WALL = Material('opaque', (0.3, 0.36, 0.33), 0.8)
LAMP = Light((-0.9, -1.1, 1.5), (0.3, 0.3), (120.0, 114.0, 108.0))


@dataclass(frozen=True, eq=False)
class PourFrame:
    """One frame with its truth: `coverage` (H, W) 0..1 of the stream in the air above the rim.

    `landing_point` (3,) m in the base frame, None while nothing flows.
    """

    frame: Frame
    coverage: NDArray[np.float32]
    landing_point: NDArray[np.float64] | None


@dataclass(frozen=True)
class PourPlan:
    """Times in seconds and offsets of the landing point from the target's mouth in metres.

    `height`: of the place where liquid leaves the lip above the target's rim, m; `empty`: the same
    motion with an empty source.
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

    @property
    def fall_time(self) -> float:
        """From the lip to the target's rim, s."""
        return float(fall_time(self.height, DOWNWARD))

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
    'pourit_bottle' and 'cup'. The camera keeps the exposure of the first frame. Deterministic for
    given arguments.
    """
    plan = plan or PourPlan()
    exposure, T_shape_source = None, _T_shape_source()
    for index in range(round(plan.duration * rate)):
        scene = pour_scene(plan, index / rate, size, liquid, seed)
        radiance, labels = preview(scene)
        exposure = exposure or CameraModel.of(scene.camera).expose(radiance)
        rng = np.random.default_rng((seed, index))
        color, depth = photograph(scene, radiance, labels, exposure, rng)
        stamp = FIRST_STAMP + round(index * NANOSECONDS / rate)
        frame = Frame(
            color,
            scene.camera.model,
            depth=(depth / 1000).astype(np.float32),
            T_cam_source=(
                scene.camera.T_base_cam.inverse() @ scene.source.T_base_container @ T_shape_source
            ),
            T_base_cam=scene.camera.T_base_cam,
            T_base_target=scene.target.T_base_container,
            stamp_ns=stamp,
            name=str(stamp),
        )
        yield PourFrame(frame, labels.air, _landing(scene))


def pour_scene(
    plan: PourPlan, t: float, size: tuple[int, int], liquid: str, seed: int
) -> SceneDescription:
    """The scene at `t` s, for any engine; `size`: (width, height) px, `liquid`: of LIQUIDS."""
    source, target = preset_shape('pourit_bottle'), preset_shape('cup')
    poured = np.clip((t - plan.flow_from) / (plan.flow_until - plan.flow_from), 0, 1)
    level = 0.01 + 0.06 * float(poured) * (not plan.empty)
    can = random_shape('can', 1)
    return SceneDescription(
        seed=seed,
        index=0,
        split='train',
        time=t,
        camera=_camera(size, seed),
        source=_standing(source, GREEN, _T_base_shape(plan, t, source), None),
        target=_standing(target, WHITE, TARGET_PLACE, level),
        liquid=LIQUIDS[liquid],
        flow=_flow(plan, t, level, seed),
        table=Material('opaque', (0.2, 0.12, 0.06), 0.75, 1.5, 'wood', seed),
        environment=EnvironmentDescription(None, seed, 0.0, 0.6, 1.0, WALL, 0.7, (LAMP,)),
        holder='gripper',
        holder_seed=seed,
        others=(_standing(can, RED, CAN_PLACE, None),),
    )


def _standing(
    shape: Shape, material: Material, T_base_shape: Pose, level: float | None
) -> ContainerDescription:
    up = np.array([0.0, 0.0, 1.0])
    model = Container(shape.kind, up, shape.height * up, shape.rim_radius)
    return ContainerDescription(shape, 0, material, model, T_base_shape, level)


def _camera(size: tuple[int, int], seed: int) -> CameraDescription:
    width, height = size
    focal = 606.0 * width / 640
    return CameraDescription(
        PinholeCamera(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2),
        look_at(np.array([0.07, -0.46, 0.25]), np.array([0.005, 0.0, 0.115])),
        exposure_time=0.0,
        exposure=1.0,
        white_balance=(1.0, 1.0, 1.0),
        blur=0.45,
        sharpen=0.3,
        read_noise=1.0,
        shot_noise=2.0,
        jpeg_quality=0,
        sensor='realsense',
        seed=seed,
    )


def _exit(plan: PourPlan, t: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Place (3,) and velocity (3,) with which a parcel leaves at `t`, base frame."""
    v = plan.speed(t)
    mouth = TARGET_PLACE.apply([[0, 0, preset_shape('cup').height]])[0]
    # Until it pours, the bottle waits higher and further back.
    waiting = 1 - _ease((t - 0.1) / (plan.tilt_by - 0.1))
    leaving = _ease((t - plan.flow_until - 0.1) / 0.9)
    away = np.array([-0.07, 0.0, 0.06]) * max(waiting, leaving)
    above = np.array([plan.offset(t) - v * plan.fall_time, 0.0, plan.height])
    return mouth + above + away, np.array([v, 0.0, -DOWNWARD])


def _T_base_shape(plan: PourPlan, t: float, source: Shape) -> Pose:
    """Pose of the source's shape, from whose lip the stream leaves."""
    tilt = plan.tilt(t)
    lip = _exit(plan, t)[0] - ON_LIP
    low = np.array([np.cos(tilt), 0.0, -np.sin(tilt)])
    axis = np.array([np.sin(tilt), 0.0, np.cos(tilt)])
    place = lip - source.rim_radius * low - source.height * axis
    return Pose(Rotation.from_euler('y', tilt).as_matrix(), place)


def _T_shape_source() -> Pose:
    """Pose of the preset's frame, +y out of the mouth, in the shape's, +z out of it."""
    source = Container.load('pourit_bottle')
    R = Rotation.from_euler('x', 90, degrees=True).as_matrix()
    return Pose(R, [0, 0, preset_shape('pourit_bottle').height] - R @ source.mouth)


@lru_cache
def _departures(plan: PourPlan) -> Departures:
    times = np.arange(plan.flow_from, plan.flow_until + STEP, STEP)
    points, velocities = zip(*(_exit(plan, t) for t in times), strict=True)
    return Departures(times, np.array(points), np.array(velocities))


def _flow(plan: PourPlan, t: float, level: float, seed: int) -> FlowDescription:
    point, velocity = _exit(plan, float(np.clip(t, plan.flow_from, plan.flow_until)))
    # Beside the target it falls on to the table.
    beside = plan.offset(t - plan.fall_time) > preset_shape('cup').rim_radius
    return FlowDescription(
        rate=50e-6,
        exit_point=point,
        exit_velocity=velocity,
        lip_half_width=0.008,
        start=np.inf if plan.empty else plan.flow_from,
        stop=plan.flow_until,
        end_height=0.0 if beside else level,
        style='smooth',
        splash=0.0,
        seed=seed,
        departures=_departures(plan),
    )


def _landing(scene: SceneDescription) -> NDArray[np.float64] | None:
    """Where liquid lands or, before the first has landed, will land."""
    flow, target = scene.flow, scene.target
    if not flow.start <= scene.time <= flow.stop:
        return None
    rim = target.model.rim_in(target.T_base_container)
    there = Stream(flow).landing_point(scene.time, rim.mouth, rim.axis)
    return landing_point(scene) if there is None else there


def write_truth(path: Path, truth: dict[int, NDArray[np.float64] | None]) -> None:
    """Write a table of stamps (s) with landing points (m, base frame), empty while none flows."""
    with path.open('w', newline='') as file:
        table = csv.writer(file)
        table.writerow(['stamp', 'landing_x', 'landing_y', 'landing_z'])
        for stamp, landing in truth.items():
            point = ['', '', ''] if landing is None else [f'{x:.6f}' for x in landing]
            table.writerow([f'{stamp // 10**9}.{stamp % 10**9:09d}', *point])
