# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Backdrops on disk: images without a stream, with everything needed to insert one."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...files import replacing
from ...geometry import PinholeCamera
from ...geometry.fall import GRAVITY, falling
from ..render.composite import Backdrop
from ..render.environment import panorama
from ..render.environment import radiance as radiance_from
from ..render.labels import StillLabels
from ..scene.description import FlowDescription, Light, SceneDescription
from ..scene.parts import INSTANCES, TABLE_FRONT, TABLE_HALF_WIDTH
from ..scene.random import random_scene, reflowed
from ..scene.strata import GENERAL, Mixture
from ..scene.surroundings import panorama_directions
from .pairs import TABLE

ROOM_HEIGHT, ROOM_WIDTH = 128, 256
# Rougher tables blur a thin stream's mirror image away.
MIRROR = 0.1
WALL = INSTANCES.index('wall')
SOURCE = [INSTANCES.index(name) for name in ('source', 'liquid_source')]
WALL_HALF_WIDTH, WALL_LOW, WALL_HIGH = 3.0, -1.2, 1.8


@dataclass(frozen=True, eq=False)
class StillScene:
    """A backdrop with the scene that it shows and its labels."""

    scene: SceneDescription
    backdrop: Backdrop
    labels: StillLabels

    def varied(self, variant: int) -> SceneDescription:
        """The scene with another stream; deterministic."""
        return reflowed(self.scene, variant)


def make_still(
    scene: SceneDescription, radiance: NDArray[np.float32], labels: StillLabels
) -> StillScene:
    """A still from an image (H, W, 3), linear RGB, of the scene without its stream."""
    room = room_around(scene, radiance, labels.instances)
    return StillScene(scene, _backdrop(scene, radiance, labels, room), labels)


def picture_size(camera: PinholeCamera) -> int:
    """The `size` with which this camera's scene was drawn; see `random_scene`."""
    return round(float(np.sqrt(camera.width * camera.height)))


def room_around(
    scene: SceneDescription, radiance: NDArray[np.float32], instances: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """`lights_around` with table and wall, in the colours of the image."""
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


def save_backdrop(path: Path, still: StillScene) -> None:
    """Write one `.npz`, whole or not at all."""
    backdrop, scene, labels = still.backdrop, still.scene, still.labels
    hdr = scene.environment.hdr
    key = {
        'seed': scene.seed,
        'index': scene.index,
        'split': scene.split,
        'size': picture_size(backdrop.camera),
        'poured_from': scene.source.shape.kind,
        'stratum': scene.stratum,
        'hdr': hdr.name if hdr else None,
        'mark': _mark(scene),
    }
    with replacing(path) as partial, partial.open('wb') as file:
        np.savez_compressed(
            file,
            key=np.array(json.dumps(key)),
            radiance=np.minimum(backdrop.radiance, 6e4).astype(np.float16),
            depth=labels.depth,
            opaque=labels.opaque,
            instances=labels.instances,
            room=np.minimum(backdrop.room, 6e4).astype(np.float16),
        )


def load_backdrop(path: Path) -> StillScene:
    """Read a backdrop; raises InputError."""
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
            mixture=Mixture(((key.get('stratum', GENERAL), 1.0),)),
        )
        # What this version draws for the seed must be what was rendered then.
        if not np.allclose(key['mark'], _mark(scene), atol=1e-9):
            raise InputError(f'{path}: was made by another version; generate the backdrops again')
        hdr = Path(key['hdr']) if key['hdr'] else None
        scene = replace(scene, environment=replace(scene.environment, hdr=hdr))
        labels = StillLabels(arrays['instances'], arrays['depth'], arrays['opaque'])
        radiance = arrays['radiance'].astype(np.float32)
        backdrop = _backdrop(scene, radiance, labels, arrays['room'].astype(np.float32))
        return StillScene(scene, backdrop, labels)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f'{path}: no such file') from None
    except (KeyError, OSError, ValueError, zipfile.BadZipFile):
        raise InputError(f'{path}: is not a backdrop of pourit synth') from None


def _backdrop(
    scene: SceneDescription,
    radiance: NDArray[np.float32],
    labels: StillLabels,
    room: NDArray[np.float32],
) -> Backdrop:
    # Liquid stands in the source up to its lip with and without a stream, as it does just before
    # it flows: what lies behind a clear neck is drawn already, and is no difference of the two.
    hidden = np.isin(labels.instances, SOURCE)
    return Backdrop(
        camera=scene.camera.model,
        radiance=radiance,
        first=labels.depth,
        opaque=np.where(hidden, labels.depth, labels.opaque),
        glossy=(labels.instances == TABLE) & (scene.table.roughness < MIRROR),
        up=scene.camera.T_base_cam.inverse().rotate([0, 0, 1.0]),
        room=room,
    )


def _mark(scene: SceneDescription) -> list[float]:
    """Numbers that change with the scene."""
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
    """Paint a lamp as a disc of its size; lamps smaller than a pixel keep their power."""
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
    """Colours (N, 3) of points (N, 3) of an instance: from the image, else its median there."""
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
