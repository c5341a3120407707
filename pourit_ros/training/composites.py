# SPDX-License-Identifier: Apache-2.0
"""Flat 2D pictures of pouring, in pairs: one scene with its stream, and its dry twin."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from .backgrounds import Backgrounds
from .clutter import robot_arm, rod, scatter
from .containers import bottle, cup, tap
from .layers import Image, Layer, chance, log_uniform
from .sensor import Sensor
from .streams import Liquid, paint_stream, stream_path

# what the label 'liquid' needs to be true: visible area (pixels), visible change (grey levels)
MIN_AREA = 50.0
MIN_CONTRAST = 8.0


@dataclass(frozen=True)
class Pair:
    """A picture with a stream, its dry twin, and how much of each pixel the stream covers.

    `with_stream`, `without_stream`: (S, S, 3) uint8 RGB, same scene and camera, own noise each.
    `coverage`: (S, S) float32 in 0..1 of the visible stream in the air; its mirror image on the
    table, which only `with_stream` shows, is not part of it.
    """

    with_stream: npt.NDArray[np.uint8]
    without_stream: npt.NDArray[np.uint8]
    coverage: npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Scene:
    """Where things are in one picture: lengths in pixels; `unit` is the scale of the objects."""

    unit: float
    mouth: npt.NDArray[np.float64]
    side: int
    length: float
    width: float


class Compositor:
    """A stream of composite pairs, the same for the same backgrounds and seed.

    `size`: side of the pictures; `gloss`: share of scenes on a mirroring table.
    """

    def __init__(
        self, backgrounds: Backgrounds, seed: int, size: int = 256, gloss: float = 0.3
    ) -> None:
        self._backgrounds, self._size, self._gloss = backgrounds, size, gloss
        self._rng = np.random.default_rng(seed)

    def sample(self) -> Pair:
        """Return the next pair; scenes whose stream cannot be seen are thrown away."""
        while True:
            pair = self._compose()
            if pair is not None:
                return pair

    def _place(self) -> _Scene:
        rng, size = self._rng, self._size
        # small: a pour somewhere in a busy room; large: the close view of a region of interest
        unit = log_uniform(rng, 0.48, 1.4) * size / 256
        length = unit * log_uniform(rng, 36, 185)
        width = min(unit * log_uniform(rng, 6, 30), 0.4 * length)
        x = rng.uniform(0.15, 0.85) * size
        y = rng.uniform(0.06 * size, max(0.12 * size, 0.92 * size - length))
        return _Scene(unit, np.array([x, y]), 1 if chance(rng, 0.5) else -1, length, width)

    def _compose(self) -> Pair | None:
        rng, size = self._rng, self._size
        dry, table = self._backgrounds.scene(rng, size)
        scene = self._place()
        for layer in scatter(rng, size, 4, scene.mouth):
            layer.over(dry)

        liquid, from_tap = Liquid.draw(rng), chance(rng, 0.13)
        if from_tap:
            spread, radius = rng.normal(0, 0.05), rng.uniform(4, 15) * scene.unit
            source = tap(rng, size, (scene.mouth[0], scene.mouth[1]), radius)
            direction = np.array([spread, 1.0])
        else:
            lift = np.deg2rad(rng.uniform(-60, 25))
            angle = lift if scene.side > 0 else np.pi - lift
            axis = np.array([np.cos(angle), np.sin(angle)])
            mouth = (scene.mouth[0], scene.mouth[1])
            source = bottle(rng, size, mouth, angle, scene.unit, liquid.tone)
            direction = -axis + np.array([0, rng.uniform(0, 0.9)])
            if chance(rng, 0.4):
                grip = scene.mouth + axis * rng.uniform(20, 110) * scene.unit
                for layer in robot_arm(rng, size, grip):
                    layer.over(dry)
        direction /= np.linalg.norm(direction)
        direction[1] = max(direction[1], -0.3)
        width = min(scene.width, 1.8 * source.mouth_radius)
        lip = np.array([0, rng.uniform(0, 0.7) * max(source.mouth_radius - width / 2, 0)])
        curvature = log_uniform(rng, 4, 110) * scene.unit
        start = scene.mouth + lip
        path = stream_path(rng, start, direction, width, scene.length, curvature)

        seen = chance(rng, 0.93)  # else the source is outside the picture
        in_front = chance(rng, 0.5)
        if seen and not in_front:
            source.layer.over(dry)
        front: list[Layer] = []
        if chance(rng, 0.82):
            half = rng.uniform(15, 60) * scene.unit
            centre = path.points[-1] + half * np.array(
                [rng.uniform(-0.65, 0.65), rng.uniform(-0.2, 0.12)]
            )
            target = cup(rng, (centre[0], centre[1]), half, half * rng.uniform(1.1, 2.8))
            target.back.over(dry)
            if chance(rng, 0.12):
                for layer in rod(rng, size, centre):
                    layer.over(dry)
            front.append(target.front)
            if chance(rng, 0.5):
                table = min(table, centre[1] + half * rng.uniform(0.7, 2.5))
        wet = dry.copy()
        coverage = paint_stream(rng, wet, path, liquid, smooth=from_tap and chance(rng, 0.6))
        if seen and in_front:
            front.append(source.layer)
        for layer in front:
            layer.over(dry)
            layer.over(wet)
            layer.hide(coverage)
        if chance(rng, self._gloss):
            self._mirror(dry, wet, table)
        if chance(rng, 0.25):
            for layer in scatter(rng, size, 2, scene.mouth):
                layer.over(dry)
                layer.over(wet)
                layer.hide(coverage)
        return self._take(wet, dry, coverage)

    def _mirror(self, dry: Image, wet: Image, table: float) -> None:
        """Mirror the upper part of both pictures in the table, blurred and weak, in place."""
        rng, size = self._rng, self._size
        row = int(min(table, 0.97 * size) + rng.uniform(0, 0.1) * size)
        rows = min(size - row, row)
        if rows < 4:
            return
        blur, share = rng.uniform(0.5, 4), rng.uniform(0.08, 0.45)
        fade = np.linspace(1, rng.uniform(0, 1), rows, dtype=np.float32)[:, None, None] * share
        for picture in (dry, wet):
            image = cv2.GaussianBlur(picture[row - rows : row][::-1], (0, 0), blur)
            picture[row : row + rows] += fade * (image - picture[row : row + rows])

    def _take(self, wet: Image, dry: Image, coverage: Image) -> Pair | None:
        rng = self._rng
        coverage = np.clip(coverage, 0, 1).astype(np.float32)
        if coverage.sum() < MIN_AREA * (self._size / 256) ** 2:
            return None
        sensor = Sensor.draw(rng)
        pair = Pair(sensor.expose(wet, rng), sensor.expose(dry, rng), coverage)
        # averaging leaves the liquid's difference and takes out most of the noise's
        change = cv2.absdiff(
            cv2.blur(pair.with_stream, (3, 3)), cv2.blur(pair.without_stream, (3, 3))
        ).max(-1)
        inside = coverage > 0.5
        if not inside.any() or np.median(change[inside]) < MIN_CONTRAST:
            return None
        return pair
