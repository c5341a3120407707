# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What the RGB-D camera delivers: the stream in the drawn image, then the camera's electronics.

The stream is ray-traced into the image by the compositor of the synthetic pours, only in its own
part of the image; colour and depth then go through the models of camera and depth sensor.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from ..geometry import PinholeCamera, Pose
from ..synth.render.camera_model import CameraModel, Exposure
from ..synth.render.composite import Backdrop, composite, stream_depth
from ..synth.render.depth_sensor import DepthSensor, ExactDepth, sense
from ..synth.scene.description import Departures, FlowDescription
from ..synth.scene.meshes import Mesh, merged
from ..synth.scene.stream import Stream
from ..synth.scene.surroundings import panorama_directions
from .liquid import Parcel
from .setup import Setup

# Around the stream's part of the image, px at 240 rows: refraction looks that far.
AROUND = 40
RINGS, SIDES = 56, 16
# Thinner streams than this are drops, m3/s.
DRIPPING = 3e-6
LEAST_FLOW = 2e-7
LEAST_SPEED = 0.08
# The flow of a stream is the mean over so much of its newest part, s.
MEAN_OVER = 0.2
# Half the width of the sheet at the lip, per root of the flow: 5 mm at 12 ml/s.
LIP_WIDTH = 0.005 / np.sqrt(12e-6)
# How much longer people's pictures are exposed without the lamp.
DIM = 5.0
# From stored steps to linear light, as monitors do it.
_LINEAR = ((np.arange(256) / 255) ** 2.2).astype(np.float32)


class Photographer:
    """Takes the images of one trial; the first fixes the exposure."""

    def __init__(self, setup: Setup, camera: PinholeCamera, samples: int = 1) -> None:
        self.setup, self.camera, self._samples = setup, camera, samples
        self._sensor = DepthSensor.draw('realsense', np.random.default_rng((setup.seed, 81)))
        self._exposure: Exposure | None = None
        # In dim light small cameras amplify what there is, noise included, and stay dark.
        self._model = (
            CameraModel(shot_noise=2.0, read_noise=1.0, grey_world=0.5, grain=0.7, curve=0.3)
            if setup.lamp
            else CameraModel(
                shot_noise=6.0, read_noise=4.0, grey_world=0.5, grain=0.7, compensation=0.45
            )
        )

    def take(
        self,
        drawn: NDArray[np.uint8],
        depth: NDArray[np.float32],
        T_base_cam: Pose,
        streams: list[Mesh],
        image: int,
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Colour (H, W, 3) RGB and depth (H, W) m, 0 where the sensor has none.

        `drawn`, `depth`: the cell without `streams`, whose meshes are in the base frame; `image`:
        its number, which decides the noise.
        """
        radiance, exact = self.light(drawn, depth, T_base_cam, streams)
        if self._exposure is None:
            self._exposure = self._model.expose(_LINEAR[drawn])
        rng = np.random.default_rng((self.setup.seed, 82, image))
        color = self._model.develop(radiance, self._exposure, rng)
        seen = sense(exact, color, self.camera.fx, self._sensor, self.setup.seed, rng)
        return color, (seen / 1000).astype(np.float32)

    def plain(
        self,
        drawn: NDArray[np.uint8],
        depth: NDArray[np.float32],
        T_base_cam: Pose,
        streams: list[Mesh],
    ) -> NDArray[np.uint8]:
        """Colour (H, W, 3) RGB without a camera's noise and exposure."""
        radiance, _ = self.light(drawn, depth, T_base_cam, streams)
        bright = np.clip(radiance * (1.0 if self.setup.lamp else DIM), 0, 1) ** (1 / 2.2)
        shown: NDArray[np.uint8] = (255 * bright + 0.5).astype(np.uint8)
        return shown

    def light(
        self,
        drawn: NDArray[np.uint8],
        depth: NDArray[np.float32],
        T_base_cam: Pose,
        streams: list[Mesh],
    ) -> tuple[NDArray[np.float32], ExactDepth]:
        """Linear radiance (H, W, 3) with the streams in it, and the exact depth."""
        radiance, first = _LINEAR[drawn], depth
        wet = np.zeros(depth.shape, bool)
        if streams:
            mesh = merged(streams).moved(T_base_cam.inverse())
            box = self._box(mesh)
            if box is not None:
                rows, columns = box
                backdrop = self._backdrop(radiance[box], depth[box], box, T_base_cam)
                radiance[box] = composite(
                    backdrop, [mesh], self.setup.liquid, samples=self._samples
                )
                surface = stream_depth(backdrop, mesh)
                wet[rows, columns] = np.isfinite(surface)
                first = depth.copy()
                first[box] = np.minimum(depth[box], surface)
        clear = wet if self.setup.liquid.milkiness < 0.5 else np.zeros_like(wet)
        opaque = np.where(clear, depth, first)
        return radiance, ExactDepth(first, opaque, clear, wet, np.zeros_like(wet))

    def _box(self, mesh: Mesh) -> tuple[slice, slice] | None:
        """The part of the image around a mesh in the optical frame, None where it is not in it."""
        ahead = mesh.vertices[mesh.vertices[:, 2] > 0.05]
        if not len(ahead):
            return None
        camera = self.camera
        pixels = camera.project(ahead)
        around = AROUND * camera.height / 240
        low, high = pixels.min(axis=0) - around, pixels.max(axis=0) + around
        x0, y0 = np.maximum(low, 0).astype(int)
        x1, y1 = np.minimum(high, [camera.width, camera.height]).astype(int)
        if x1 - x0 < 8 or y1 - y0 < 8:
            return None
        return slice(int(y0), int(y1)), slice(int(x0), int(x1))

    def _backdrop(
        self,
        radiance: NDArray[np.float32],
        depth: NDArray[np.float32],
        box: tuple[slice, slice],
        T_base_cam: Pose,
    ) -> Backdrop:
        height, width = depth.shape
        camera = self.camera.crop(box[1].start, box[0].start, width, height)
        up = T_base_cam.rotation.T @ np.array([0.0, 0.0, 1.0])
        matt = np.zeros(depth.shape, bool)
        room = _room(T_base_cam, self.setup.lamp)
        return Backdrop(camera, radiance, depth, depth, matt, up, room)


def load_ray_tracer() -> None:
    """Load what draws streams. It takes a second, which the first drop would otherwise wait."""
    import open3d  # noqa: F401


def stream_meshes(
    runs: list[list[Parcel]], time: float, end_height: float, seed: int, rings: int = RINGS
) -> list[Mesh]:
    """Surfaces, at `time` in the base frame, of the streams that parcels make.

    They end at `end_height`, m.
    """
    meshes = []
    for run in runs:
        newest = [p for p in run if p.left_at > run[-1].left_at - MEAN_OVER]
        rate = sum(p.volume for p in newest) / sum(p.duration for p in newest)
        if rate < LEAST_FLOW or run[0].left_at - run[0].duration >= time:
            continue
        times = np.array([p.left_at for p in run])
        places = np.array([p.place for p in run])
        velocities = np.array([p.velocity for p in run])
        # What drips leaves without speed: a section of finite area needs some.
        velocities[np.linalg.norm(velocities, axis=1) < LEAST_SPEED] = [0, 0, -LEAST_SPEED]
        flow = FlowDescription(
            rate=rate,
            exit_point=places[-1],
            exit_velocity=velocities[-1],
            lip_half_width=float(max(LIP_WIDTH * np.sqrt(rate), 0.002)),
            start=float(times[0]) - run[0].duration,
            stop=float(times[-1]),
            end_height=end_height,
            style='breakup' if rate < DRIPPING else 'smooth',
            splash=0.0,
            seed=seed,
            departures=Departures(times, places, velocities),
        )
        surface = Stream(flow, rings, SIDES).surface(time)
        if surface is not None:
            meshes.append(replace(surface.mesh, uv=None))
    return meshes


def _room(T_base_cam: Pose, lamp: bool) -> NDArray[np.float32]:
    """Panorama (16, 32, 3) of linear light around the stream, in the optical frame."""
    direction = panorama_directions(16, 32) @ T_base_cam.rotation.T.astype(np.float32)
    up = direction[..., 2]
    room = np.where(up > 0, 0.35 + 0.35 * up, 0.2).astype(np.float32)
    if lamp:
        towards = np.array([0.35, -0.38, 1.0]) / np.linalg.norm([0.35, -0.38, 1.0])
        room += 6 * np.exp(-(((1 - direction @ towards) / 0.03) ** 2)).astype(np.float32)
    else:
        room *= 0.25
    return cv2.merge([room, room, np.float32(0.97) * room])
