# SPDX-License-Identifier: Apache-2.0
"""Plates on disk: pictures without a stream, with all that is needed to put one in."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..files import replacing
from ..geometry.stream import GRAVITY
from .composite import Plate
from .description import FlowDescription, Light, SceneDescription, falling
from .environment import panorama
from .environment import radiance as radiance_from
from .labels import StillLabels
from .pairs import TABLE
from .parts import INSTANCES, TABLE_FRONT, TABLE_HALF_WIDTH
from .random_scenes import random_scene, reflowed
from .surroundings import panorama_directions

ROOM_HEIGHT, ROOM_WIDTH = 128, 256
# Rougher tables blur a thin stream's mirror image away.
MIRROR = 0.1
WALL = INSTANCES.index('wall')
SOURCE = [INSTANCES.index(name) for name in ('source', 'liquid_source')]
WALL_HALF_WIDTH, WALL_LOW, WALL_HIGH = 3.0, -1.2, 1.8


class PlateError(InputError):
    """A plate that cannot be used; one line that names the file."""


@dataclass(frozen=True, eq=False)
class Backdrop:
    """A plate with the scene that it shows and its labels."""

    scene: SceneDescription
    plate: Plate
    labels: StillLabels

    def varied(self, variant: int) -> SceneDescription:
        """The scene with another stream; deterministic."""
        return reflowed(self.scene, variant)


def make_backdrop(
    scene: SceneDescription, radiance: NDArray[np.float32], labels: StillLabels
) -> Backdrop:
    """A backdrop of a picture (H, W, 3) of the scene without its stream, linear RGB."""
    room = room_around(scene, radiance, labels.instances)
    return Backdrop(scene, _plate(scene, radiance, labels, room), labels)


def room_around(
    scene: SceneDescription, radiance: NDArray[np.float32], instances: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """`lights_around` with table and wall, in the colours that the picture shows."""
    room, centre, direction = scene.environment, _centre(scene.flow), _directions(scene)
    color = lights_around(scene).reshape(-1, 3)
    with np.errstate(divide='ignore', invalid='ignore'):
        if room.wall_distance > 0:
            way = (room.wall_distance - centre[1]) / direction[:, 1]
            point = centre + way[:, None] * direction
            hit = (way > 0) & (np.abs(point[:, 0]) < WALL_HALF_WIDTH)
            hit &= (point[:, 2] > WALL_LOW) & (point[:, 2] < WALL_HIGH)
            color[hit] = _as_seen(scene, radiance, instances, point[hit], WALL)
        way = -centre[2] / direction[:, 2]
        point = centre + way[:, None] * direction
        hit = (way > 0) & (np.abs(point[:, 0]) < TABLE_HALF_WIDTH)
        hit &= (point[:, 1] > -TABLE_FRONT) & (point[:, 1] < room.table_depth)
        color[hit] = _as_seen(scene, radiance, instances, point[hit], TABLE)
    return color.reshape(ROOM_HEIGHT, ROOM_WIDTH, 3)


def lights_around(scene: SceneDescription) -> NDArray[np.float32]:
    """Panorama (ROOM_HEIGHT, ROOM_WIDTH, 3) in the optical frame around the middle of the fall.

    The environment and its lamps.
    """
    direction = _directions(scene)
    color = radiance_from(panorama(scene.environment), direction).astype(np.float32)
    for lamp in scene.environment.lights:
        _add_lamp(color, direction, lamp, _centre(scene.flow))
    return color.reshape(ROOM_HEIGHT, ROOM_WIDTH, 3)


def _directions(scene: SceneDescription) -> NDArray[np.float64]:
    """Directions (N, 3) of the panorama's pixels in the base frame."""
    ahead = panorama_directions(ROOM_HEIGHT, ROOM_WIDTH).reshape(-1, 3)
    return scene.camera.T_base_cam.rotate(ahead)


def _centre(flow: FlowDescription) -> NDArray[np.float64]:
    """The middle (3,) of the fall, base frame."""
    t = float(np.sqrt(max(flow.exit_point[2] - flow.end_height, 0.01) / GRAVITY))
    return falling(flow.exit_point, flow.exit_velocity, t)


def save_plate(path: Path, backdrop: Backdrop) -> None:
    """Write one `.npz`, whole or not at all."""
    plate, scene, labels = backdrop.plate, backdrop.scene, backdrop.labels
    hdr = scene.environment.hdr
    key = {
        'seed': scene.seed,
        'index': scene.index,
        'split': scene.split,
        'size': plate.camera.width,
        'poured_from': scene.source.shape.kind,
        'hdr': hdr.name if hdr else None,
        'mark': _mark(scene),
    }
    with replacing(path) as partial, partial.open('wb') as file:
        np.savez_compressed(
            file,
            key=np.array(json.dumps(key)),
            radiance=np.minimum(plate.radiance, 6e4).astype(np.float16),
            depth=labels.depth,
            opaque=labels.opaque,
            instances=labels.instances,
            room=np.minimum(plate.room, 6e4).astype(np.float16),
        )


def load_plate(path: Path) -> Backdrop:
    """Read a plate; raises PlateError."""
    try:
        with np.load(path, allow_pickle=False) as data:
            key: dict[str, Any] = json.loads(str(data['key']))
            arrays = {name: data[name] for name in data.files if name != 'key'}
        scene = random_scene(
            key['seed'],
            key['index'],
            key['split'],
            size=key['size'],
            poured_from=key.get('poured_from'),
        )
        # What this version draws for the seed must be what was rendered then.
        if not np.allclose(key['mark'], _mark(scene), atol=1e-9):
            raise PlateError(f'{path}: was made by another version; make the backgrounds anew')
        hdr = Path(key['hdr']) if key['hdr'] else None
        scene = replace(scene, environment=replace(scene.environment, hdr=hdr))
        labels = StillLabels(arrays['instances'], arrays['depth'], arrays['opaque'])
        radiance = arrays['radiance'].astype(np.float32)
        plate = _plate(scene, radiance, labels, arrays['room'].astype(np.float32))
        return Backdrop(scene, plate, labels)
    except PlateError:
        raise
    except FileNotFoundError:
        raise PlateError(f'{path}: no such file') from None
    except (KeyError, OSError, ValueError, zipfile.BadZipFile):
        raise PlateError(f'{path}: is no background of pourit synth') from None


def _plate(
    scene: SceneDescription,
    radiance: NDArray[np.float32],
    labels: StillLabels,
    room: NDArray[np.float32],
) -> Plate:
    # Liquid stands in the source up to its lip with and without a stream, as it does just before
    # it flows: what lies behind a clear neck is drawn already, and is no difference of the two.
    hidden = np.isin(labels.instances, SOURCE)
    return Plate(
        camera=scene.camera.model,
        radiance=radiance,
        first=labels.depth,
        opaque=np.where(hidden, labels.depth, labels.opaque),
        glossy=(labels.instances == TABLE) & (scene.table.roughness < MIRROR),
        up=scene.camera.T_base_cam.inverse().rotate([0, 0, 1.0]),
        room=room,
    )


def _mark(scene: SceneDescription) -> list[float]:
    """Numbers that change when the scene does."""
    source, camera = scene.source.T_base_container, scene.camera.T_base_cam
    values = [*source.matrix[:3].ravel(), *camera.matrix[:3].ravel(), *scene.flow.exit_point]
    values += [*scene.liquid.absorption, scene.liquid.milkiness, scene.table.roughness]
    return [float(v) for v in values]


def _add_lamp(
    color: NDArray[np.float32],
    direction: NDArray[np.float64],
    lamp: Light,
    centre: NDArray[np.float64],
) -> None:
    """Paint a lamp as a disc of its size; one smaller than a pixel keeps its power."""
    offset = np.asarray(lamp.position) - centre
    distance = float(np.linalg.norm(offset))
    radius = float(np.sqrt(lamp.size[0] * lamp.size[1] / np.pi)) / distance
    least = 1.2 * np.pi / ROOM_HEIGHT
    power = min(1.0, (radius / least) ** 2)
    on = direction @ (offset / distance) > np.cos(max(radius, least))
    color[on] = power * np.asarray(lamp.radiance, np.float32) + (1 - power) * color[on]


def _as_seen(
    scene: SceneDescription,
    radiance: NDArray[np.float32],
    instances: NDArray[np.uint8],
    point: NDArray[np.float64],
    instance: int,
) -> NDArray[np.float32]:
    """Colours (N, 3) of points (N, 3) of an instance: from the picture, else its median there."""
    shown = radiance[instances == instance]
    typical = np.median(shown, axis=0) if len(shown) else np.median(radiance, axis=(0, 1))
    color = np.broadcast_to(typical, (len(point), 3)).astype(np.float32)
    ahead = scene.camera.T_base_cam.inverse().apply(point)
    front = np.nonzero(ahead[:, 2] > 0.05)[0]
    if not len(front):
        return color
    u, v = np.rint(scene.camera.model.project(ahead[front])).T
    height, width = instances.shape
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    row, column = v[inside].astype(np.intp), u[inside].astype(np.intp)
    same = instances[row, column] == instance
    color[front[inside][same]] = radiance[row[same], column[same]]
    return color
