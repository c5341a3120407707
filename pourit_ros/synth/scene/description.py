# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""One synthetic scene, as numbers: the input of the engines and labels.

Base frame: z up, the table at z = 0, the target's base centre at the origin. SI units.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...geometry import Container, PinholeCamera, Pose
from ...geometry.fall import GRAVITY, crossing_time, falling
from .containers import Shape

SPLITS = ('train', 'val')
STYLES = ('smooth', 'ripple', 'twist', 'breakup', 'aerated')
HOLDERS = ('gripper', 'arm', 'hand')
PROPS = (
    'straw', 'rod', 'spoon', 'cable', 'thread', 'towel', 'band', 'wet_trail', 'drips', 'box',
    'drain',
)  # fmt: skip
# Bubbles scatter all light, and take none.
FROTH = (0.9, 0.92, 0.93)
SURFACES = ('plain', 'cloth', 'marble', 'wood', 'tile', 'steel')


@dataclass(frozen=True)
class Assets:
    """Files that scenes may use: environment maps (lat-long .hdr); without them, drawn rooms."""

    hdri: tuple[Path, ...] = ()

    @classmethod
    def find(cls, folder: str | Path | None) -> Assets:
        """All `*.hdr` of a folder; raises InputError for a folder without maps."""
        if folder is None:
            return cls()
        found = tuple(sorted(Path(folder).glob('*.hdr')))
        if not found:
            raise InputError(f'{folder}: holds no *.hdr environment maps')
        return cls(found)


@dataclass(frozen=True)
class Material:
    """`kind`: clear, opaque or metal. `color`: linear RGB 0..1; of a clear wall its transmission.

    `texture`: '' (plain), 'label' or one of SURFACES, drawn from `seed`; `color` is then unused.
    """

    kind: str
    color: tuple[float, float, float]
    roughness: float = 0.3
    ior: float = 1.5
    texture: str = ''
    seed: int = 0


@dataclass(frozen=True)
class LiquidDescription:
    """`absorption` RGB 1/m; `milkiness` 0 (clear) .. 1 (opaque), scattering linear RGB `color`."""

    name: str
    absorption: tuple[float, float, float]
    milkiness: float
    color: tuple[float, float, float]
    ior: float


@dataclass(frozen=True, eq=False)
class ContainerDescription:
    """A container with its frame at the base's centre, z out of the mouth.

    `level`: height (m, base frame) of the liquid standing in it, None when empty; `foam` m: depth
    of foam below it. `shape_id`: number of the shape within its kind.
    """

    shape: Shape
    shape_id: int
    material: Material
    model: Container
    T_base_container: Pose
    level: float | None
    foam: float = 0.0


@dataclass(frozen=True, eq=False)
class Departures:
    """How parcels left a moving source: `times` (K,) s, increasing; `points`, `velocities` (K, 3).

    They are interpolated between the times, and constant before and after them.
    """

    times: NDArray[np.float64]
    points: NDArray[np.float64]
    velocities: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FlowDescription:
    """A stream whose parcels fall freely from `exit_point` (3,) with `exit_velocity` (3,) m/s.

    With `departures`, these give each parcel's departure, and the two above are those of the
    newest. `rate` m³/s; `lip_half_width` m: half the width of the sheet at the lip, across the
    fall; `start`, `stop`: when the first and the last parcel leave, s; `end_height`: z (m) where
    it meets the liquid or the container below; `splash` 0..1; `seed`: of its ripples and drops;
    `air` 0..1: its whiteness from bubbles.
    """

    rate: float
    exit_point: NDArray[np.float64]
    exit_velocity: NDArray[np.float64]
    lip_half_width: float
    start: float
    stop: float
    end_height: float
    style: str
    splash: float
    seed: int
    departures: Departures | None = None
    air: float = 0.0

    def departed(
        self, times: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Exit points and velocities (N, 3) of the parcels that left at `times` (N,) s."""
        past = self.departures
        if past is None:
            shape = (len(times), 3)
            return np.broadcast_to(self.exit_point, shape), np.broadcast_to(
                self.exit_velocity, shape
            )
        points, velocities = (
            np.column_stack([np.interp(times, past.times, column) for column in table.T])
            for table in (past.points, past.velocities)
        )
        return points, velocities

    @property
    def rate_ml_s(self) -> float:
        """Flow rate in ml/s."""
        return 1e6 * self.rate

    @property
    def speed(self) -> float:
        """Exit speed, m/s."""
        return float(np.linalg.norm(self.exit_velocity))

    @property
    def fall_speed(self) -> float:
        """Speed gained from rest by the fall to the end, m/s."""
        return float(np.sqrt(2 * GRAVITY * max(self.exit_point[2] - self.end_height, 0.0)))


@dataclass(frozen=True, eq=False)
class CameraDescription:
    """Camera of the colour image, with its electronics.

    `exposure_time` s (the shutter opens at `SceneDescription.time`); `exposure`: factor on the
    image after its automatic exposure; `white_balance` (3,) factors; `blur` px sigma of the
    lens; `sharpen` strength of the unsharp mask; `read_noise`, `shot_noise` in 8-bit steps, the
    latter at full scale; `jpeg_quality` 0: none; `levels` 0..1: strength of automatic contrast;
    `sensor`: the depth sensor to imitate, 'realsense' or 'kinect'; `seed`: of the noise, shared by
    a pair's images.
    """

    model: PinholeCamera
    T_base_cam: Pose
    exposure_time: float
    exposure: float
    white_balance: tuple[float, float, float]
    blur: float
    sharpen: float
    read_noise: float
    shot_noise: float
    jpeg_quality: int
    sensor: str
    seed: int
    levels: float = 1.0


@dataclass(frozen=True, eq=False)
class Prop:
    """An object, not a container: `kind` of PROPS; its origin is where it stands or hangs.

    `size` m: length, width, thickness; `seed`: of its shape.
    """

    kind: str
    T_base_prop: Pose
    size: tuple[float, float, float]
    material: Material
    seed: int


@dataclass(frozen=True)
class Light:
    """A rectangular lamp at `position` towards the scene; `size` m, `radiance` RGB W/(m² sr)."""

    position: tuple[float, float, float]
    size: tuple[float, float]
    radiance: tuple[float, float, float]


@dataclass(frozen=True)
class EnvironmentDescription:
    """Lighting and surroundings: `hdr` file, or a room drawn from `seed`.

    `rotation` rad about the vertical; `gain`: factor on its radiance; `wall_distance` m behind
    the target, 0: no wall, so the environment itself is visible; `table_depth` m behind the
    target.
    """

    hdr: Path | None
    seed: int
    rotation: float
    gain: float
    wall_distance: float
    wall: Material
    table_depth: float
    lights: tuple[Light, ...]


@dataclass(frozen=True, eq=False)
class SceneDescription:
    """Everything about one scene at `time` (s). The negative twin is the same without `flow`.

    `stratum`: the kind of scene that was drawn, of `strata.STRATA`.
    """

    seed: int
    index: int
    split: str
    time: float
    camera: CameraDescription
    source: ContainerDescription
    target: ContainerDescription
    liquid: LiquidDescription
    flow: FlowDescription
    table: Material
    environment: EnvironmentDescription
    holder: str
    holder_seed: int
    others: tuple[ContainerDescription, ...] = ()
    props: tuple[Prop, ...] = field(default=())
    stratum: str = 'general'

    @property
    def falling_liquid(self) -> LiquidDescription:
        """The liquid as it falls: whitened by its bubbles, if any."""
        if not self.flow.air:
            return self.liquid
        milky = max(self.liquid.milkiness, self.flow.air)
        return replace(self.liquid, milkiness=milky, color=FROTH)


# Absorption 1/m of clear liquids, milkiness and scattered colour of the others.
LIQUIDS: dict[str, LiquidDescription] = {
    d.name: d
    for d in (
        LiquidDescription('water', (0.5, 0.15, 0.1), 0.0, (0.8, 0.85, 0.9), 1.333),
        LiquidDescription('oil', (3.0, 9.0, 75.0), 0.0, (0.8, 0.6, 0.1), 1.47),
        LiquidDescription('tea', (18.0, 60.0, 190.0), 0.0, (0.5, 0.2, 0.04), 1.335),
        LiquidDescription('red_juice', (8.0, 160.0, 120.0), 0.0, (0.6, 0.03, 0.05), 1.345),
        LiquidDescription('green_soda', (60.0, 4.0, 45.0), 0.0, (0.1, 0.6, 0.15), 1.34),
        LiquidDescription('cola', (90.0, 210.0, 420.0), 0.0, (0.1, 0.03, 0.01), 1.345),
        LiquidDescription('coffee', (150.0, 300.0, 600.0), 0.25, (0.05, 0.02, 0.008), 1.34),
        LiquidDescription('cloudy_juice', (6.0, 60.0, 250.0), 0.6, (0.8, 0.55, 0.12), 1.345),
        LiquidDescription('orange_juice', (6.0, 60.0, 400.0), 1.0, (0.85, 0.4, 0.03), 1.35),
        LiquidDescription('milk', (0.5, 1.0, 4.0), 1.0, (0.86, 0.83, 0.76), 1.35),
        LiquidDescription('chocolate', (80.0, 160.0, 300.0), 1.0, (0.22, 0.1, 0.05), 1.35),
        LiquidDescription('milk_coffee', (60.0, 110.0, 200.0), 1.0, (0.42, 0.23, 0.11), 1.35),
        LiquidDescription('milk_tea', (20.0, 50.0, 120.0), 1.0, (0.58, 0.32, 0.14), 1.345),
        LiquidDescription('cocoa', (80.0, 160.0, 280.0), 1.0, (0.26, 0.11, 0.05), 1.35),
        LiquidDescription('caramel', (20.0, 80.0, 300.0), 1.0, (0.42, 0.17, 0.03), 1.4),
        LiquidDescription('smoothie', (30.0, 90.0, 90.0), 1.0, (0.6, 0.25, 0.22), 1.35),
        LiquidDescription('beer', (8.0, 35.0, 150.0), 0.25, (0.62, 0.36, 0.1), 1.34),
    )
}


def landing_point(scene: SceneDescription) -> NDArray[np.float64]:
    """Where the stream's centre line crosses the target's rim plane (3,), base frame, m."""
    rim = scene.target.model.rim_in(scene.target.T_base_container)
    start, velocity = scene.flow.exit_point, scene.flow.exit_velocity
    return falling(start, velocity, crossing_time(start, velocity, rim.mouth, rim.axis))
