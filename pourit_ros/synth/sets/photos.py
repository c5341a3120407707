# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Photographed RGB-D frames of dry, tilted containers as backdrops for streams."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from ...errors import InputError
from ...formats.scenes import load_pourit_frame
from ...geometry import Container, PinholeCamera, Pose
from ...geometry.fall import fall_time
from ...pipeline import Frame
from ..render.composite import Backdrop
from ..render.environment import panorama
from ..render.environment import radiance as radiance_from
from ..render.labels import StillLabels
from ..scene.description import ContainerDescription, FlowDescription, SceneDescription
from ..scene.random import random_scene
from ..scene.surroundings import panorama_directions
from .backdrops import ROOM_HEIGHT, ROOM_WIDTH, StillScene

SUFFIXES = ('_rgb.png', '_rgb.jpg')
# An axis nearer to upright than this does not pour.
LEAST_TILT = np.radians(40.0)
# The stream ends so far below the target's rim, m, out of the camera's sight in most cups.
BELOW_RIM = 0.03
# A picture's white is a lamp or a window: in truth brighter by so much.
HIGHLIGHT = 4.0
NO_DEPTH = 1.0


@dataclass(frozen=True, eq=False)
class PhotoScene(StillScene):
    """A photo with the poses of its containers; liquid and stream are redrawn each time."""

    seed: int

    def varied(self, variant: int) -> SceneDescription:
        """The scene with another liquid and stream."""
        drawn = random_scene(self.seed, variant, self.scene.split, size=self.backdrop.camera.width)
        scene = replace(self.scene, liquid=drawn.liquid, flow=drawn.flow)
        return replace(scene, flow=_flow(scene))


def find_photos(folder: Path) -> list[Path]:
    """Colour files of a folder in PourIt!'s layout (see `scenes`), in order."""
    return sorted(f for suffix in SUFFIXES for f in folder.glob(f'*{suffix}'))


def load_photo(
    path: Path, seed: int, split: str, size: int, source: str, target: str
) -> StillScene:
    """Make a still of a dry frame: central square, `size` px, with poses of both containers.

    `source`, `target`: container presets or files. Light around it and the flow are drawn from
    the seed; depth is the sensor's own, with holes filled from their nearest neighbour. Raises
    InputError when poses are missing or the source is not tilted.
    """
    frame = load_pourit_frame(path)
    if frame.T_cam_source is None or frame.T_base_cam is None or frame.T_base_target is None:
        lacking = frame.problem or 'no target pose (_Ttarget2cam.txt)'
        raise InputError(f'{path}: a stream needs the poses of both containers: {lacking}')
    color, depth, camera = _square(frame, size)
    pouring, receiving = Container.load(source), Container.load(target)
    number = sum(b * 257**k for k, b in enumerate(path.stem.encode())) % (1 << 31)
    scene = random_scene(seed, number, split, size=size)
    scene = replace(
        scene,
        camera=replace(scene.camera, model=camera, T_base_cam=frame.T_base_cam, blur=0.2),
        source=_standing(scene.source, pouring, frame.T_base_cam @ frame.T_cam_source),
        target=_standing(scene.target, receiving, frame.T_base_target),
        others=(),
        props=(),
        holder='',
    )
    try:
        scene = replace(scene, flow=_flow(scene))
    except ValueError as error:
        raise InputError(f'{path}: {error}') from None
    nothing = np.zeros(depth.shape, np.uint8)
    up = frame.T_base_cam.inverse().rotate([0, 0, 1.0])
    room = _room(scene, color)
    backdrop = Backdrop(camera, color, depth, depth, nothing > 0, up, room)
    return PhotoScene(scene, backdrop, StillLabels(nothing, depth, depth), seed)


def _square(
    frame: Frame, size: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], PinholeCamera]:
    height, width = frame.color.shape[:2]
    side = min(height, width)
    x, y = (width - side) // 2, (height - side) // 2
    box = slice(y, y + side), slice(x, x + side)
    camera = frame.camera.crop(x, y, side, side).resize(size, size)
    how = cv2.INTER_AREA if size < side else cv2.INTER_LINEAR
    picture = cv2.resize(
        frame.color[box].astype(np.float32) / 255, (size, size), interpolation=how
    )
    # Back to light; what is nearly white was clipped.
    light = np.where(picture < 0.04045, picture / 12.92, ((picture + 0.055) / 1.055) ** 2.4)
    light = light * (1 + (HIGHLIGHT - 1) * np.clip((picture - 0.92) / 0.08, 0, 1))
    depth = np.full((size, size), NO_DEPTH, np.float32)
    if frame.depth is not None:
        sampled = cv2.resize(frame.depth[box], (size, size), interpolation=cv2.INTER_NEAREST)
        unknown = ~(np.isfinite(sampled) & (sampled > 0))
        if not unknown.all():
            nearest = distance_transform_edt(unknown, return_distances=False, return_indices=True)
            depth = sampled[tuple(nearest)].astype(np.float32)
    return light.astype(np.float32), depth, camera


def _standing(
    drawn: ContainerDescription, model: Container, T_base_container: Pose
) -> ContainerDescription:
    return replace(drawn, model=model, T_base_container=T_base_container, level=None)


def _flow(scene: SceneDescription) -> FlowDescription:
    """A stream from the lowest point of the source's rim, in the direction of its tilt."""
    T, model = scene.source.T_base_container, scene.source.model
    axis, mouth = model.axis_in(T), model.mouth_in(T)
    level = axis * [1, 1, 0]
    if np.arccos(np.clip(axis[2], -1, 1)) < LEAST_TILT or np.linalg.norm(level) < 0.1:
        raise ValueError('the source container is not tilted enough to pour')
    along = level / np.linalg.norm(level)
    low = np.array([0, 0, -1.0]) + axis[2] * axis
    lip = mouth + model.rim_radius * low / np.linalg.norm(low)
    rim = scene.target.model.mouth_in(scene.target.T_base_container)
    drop = lip[2] - rim[2]
    if drop < 0.01:
        raise ValueError("the source's lip is not above the target's rim")
    drawn = scene.flow
    down = abs(drawn.exit_velocity[2])
    fall = float(fall_time(drop, down))
    # Into the cup where it stands within reach, else at the speed that was drawn.
    reach = float((rim - lip) @ along) / fall
    speed = reach if 0.1 < reach < 1.0 else float(np.linalg.norm(drawn.exit_velocity[:2]))
    velocity = speed * along - [0, 0, down]
    width = min(drawn.lip_half_width, 0.8 * model.rim_radius)
    rate = min(drawn.rate, 0.5 * np.pi * model.rim_radius**2 * float(np.linalg.norm(velocity)))
    return replace(
        drawn,
        rate=rate,
        exit_point=lip + [0, 0, 0.002],
        exit_velocity=velocity,
        lip_half_width=width,
        end_height=float(rim[2] - BELOW_RIM),
    )


def _room(scene: SceneDescription, color: NDArray[np.float32]) -> NDArray[np.float32]:
    """A drawn room, with the photo's overall brightness."""
    ahead = panorama_directions(ROOM_HEIGHT, ROOM_WIDTH).reshape(-1, 3)
    direction = scene.camera.T_base_cam.rotate(ahead)
    environment = replace(scene.environment, hdr=None)
    room = radiance_from(panorama(environment), direction)
    room = room.reshape(ROOM_HEIGHT, ROOM_WIDTH, 3) * (color.mean() / room.mean())
    return room.astype(np.float32)
