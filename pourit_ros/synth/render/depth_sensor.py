# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Imitate the depth of a stereo camera (RealSense D400), from exact depth.

Imitated effects: clear objects that read as the wall behind them, as themselves, or as nothing;
occlusion by the second camera; fattened, jagged outlines of block matching; holes on dark, plain,
glossy and overexposed areas; disparity steps. Set by eye on the frames published with PourIt!
(ICCV 2023), whose depth images are 45 to 50 % holes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

# Depth of "nothing there": further than any sensor reads.
FAR = 9.0
NEAR = 0.05
# Holes grow where the matching cost has no minimum: this many px of disparity at an outline.
OUTLINE = 4.0


@dataclass(frozen=True)
class DepthSensor:
    """One stereo camera.

    `baseline`, `color_baseline`: from the depth camera to its twin and to the colour camera, m,
    signed (positive: the other camera lies to the right); `reach`: m; `severity` 0..1: share of
    holes on surfaces that are hard to match; `window`: px (at 480 rows) by which block matching
    fattens objects; `clear_shares`: of a glass wall read as the background, as itself, as
    something between, as nothing; `stream_shares`: of a clear stream read as the background, as
    itself, as nothing; `steps`: disparity steps in a pixel.
    """

    baseline: float
    color_baseline: float
    reach: float
    severity: float
    window: int
    clear_shares: tuple[float, float, float, float]
    stream_shares: tuple[float, float, float]
    steps: float = 16.0

    @classmethod
    def draw(cls, kind: str, rng: np.random.Generator) -> DepthSensor:
        """Draw one of `kind` 'realsense' (D435-like, 52 mm) or 'kinect' (projector at 75 mm)."""
        side = 1.0 if rng.random() < 0.7 else -1.0
        wall, own, between, nothing = rng.dirichlet([3.0, 1.2, 0.4, 2.2])
        behind, itself, hole = rng.dirichlet([2.2, 1.3, 1.7])
        stereo = kind == 'realsense'
        return cls(
            baseline=side * (0.052 if stereo else 0.075),
            color_baseline=-side * float(rng.uniform(0, 0.03)),
            reach=float(rng.uniform(1.3, 2.5)),
            severity=float(rng.uniform(0.15, 1.0) if stereo else rng.uniform(0.05, 0.6)),
            window=int(rng.integers(7, 12)),
            clear_shares=(float(wall), float(own), float(between), float(nothing)),
            stream_shares=(float(behind), float(itself), float(hole)),
            steps=16.0 if stereo else 8.0,
        )


@dataclass(frozen=True, eq=False)
class ExactDepth:
    """The sensor's view; all (H, W), depths in m along z, inf or 0 where there is nothing.

    `first`: first surface, clear ones included; `opaque`: first surface without clear objects;
    `clear`: the first surface is clear; `stream`: the first surface is the stream; `glossy`: a
    surface like a mirror.
    """

    first: NDArray[np.float32]
    opaque: NDArray[np.float32]
    clear: NDArray[np.bool_]
    stream: NDArray[np.bool_]
    glossy: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class _Places:
    """Where a sensor fails: smooth random fields (H, W), about uniform in 0..1."""

    glass: NDArray[np.float32]
    mix: NDArray[np.float32]
    fattened: NDArray[np.float32]
    large: NDArray[np.float32]
    small: NDArray[np.float32]
    outline: NDArray[np.float32]
    stream: NDArray[np.float32]


# The images of one film share them, and they cost more than the rest of an image.
@lru_cache(maxsize=2)
def _places(pattern: int, height: int, width: int) -> _Places:
    rng, shape, scale = np.random.default_rng(pattern), (height, width), height / 480.0
    first = rng.uniform(14, 26)
    fields = [_patches(rng, shape, size * scale) for size in (first, 6, 6, 34, 9, 5)]
    glass, mix, fattened, large, small, outline = fields
    stream = _patches(rng, shape, rng.uniform(10, 22) * scale)
    return _Places(glass, mix, fattened, large, small, outline, stream)


def sense(
    scene: ExactDepth,
    color: NDArray[np.uint8],
    focal: float,
    sensor: DepthSensor,
    pattern: int,
    rng: np.random.Generator,
) -> NDArray[np.uint16]:
    """Return the sensor's depth (H, W), millimetres, 0 where it has none.

    `color` (H, W, 3) uint8 RGB decides what is dark, plain or overexposed; `focal`: px;
    `pattern`: seed of the places of failure, the same for images of one scene, since holes stay in
    place from frame to frame; `rng`: the noise of this frame.
    """
    shape = scene.first.shape
    scale = shape[0] / 480.0
    where = _places(pattern, shape[0], shape[1])
    first, opaque = _far_where_unknown(scene.first), _far_where_unknown(scene.opaque)
    near_stream = _grow(scene.stream, 3)
    clear_stream = scene.clear & near_stream

    depth = np.where(clear_stream, opaque, first)
    depth = _through_glass(depth, first, opaque, scene.clear & ~near_stream, sensor, where)
    depth[depth > sensor.reach] = 0.0

    window = max(3, round(sensor.window * scale) | 1)
    # Disparity for a baseline of one metre, px.
    disparity = np.where(depth > 0, focal / np.maximum(depth, NEAR), 0).astype(np.float32)
    fat, thin = cv2.dilate(disparity, _disc(window)), cv2.dilate(disparity, np.ones((3, 3)))
    disparity = np.where(where.fattened < 0.5, fat, thin)
    known = (disparity > 0) & _seen_by_twin(disparity, sensor.baseline)
    known &= _seen_by_twin(disparity, sensor.color_baseline)
    known &= ~_hard_to_match(first, color, scene.glossy, sensor.severity, where, scale)
    jump = cv2.morphologyEx(disparity, cv2.MORPH_GRADIENT, np.ones((5, 5)))
    outline = jump * abs(sensor.baseline) > OUTLINE
    known &= ~(outline & (where.outline < 0.55))
    # Sensors drop small islands of depth and fill small holes.
    tidy = cv2.morphologyEx(known.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3)))
    island = max(3, round(9 * scale) | 1)
    known = cv2.morphologyEx(tidy, cv2.MORPH_OPEN, _disc(island)) > 0

    # Last, so that a thin clear stream is not tidied away.
    visible = clear_stream & scene.stream
    if visible.any():
        disparity, known = _clear_stream(
            disparity, known, visible, first, focal, sensor, window, where.stream
        )
    measured = disparity * abs(sensor.baseline)
    wobble = cv2.GaussianBlur(rng.standard_normal(shape, np.float32), (0, 0), 2.5 * scale + 0.5)
    measured = np.round((measured + 0.25 * wobble) * sensor.steps) / sensor.steps
    depth = focal * abs(sensor.baseline) / np.maximum(measured, 0.2)
    depth = cv2.medianBlur(depth.astype(np.float32), 5)
    return np.where(known, np.round(1000 * np.clip(depth, 0, FAR)), 0).astype(np.uint16)


def _through_glass(
    depth: NDArray[np.float32],
    first: NDArray[np.float32],
    opaque: NDArray[np.float32],
    glass: NDArray[np.bool_],
    sensor: DepthSensor,
    where: _Places,
) -> NDArray[np.float32]:
    patches = where.glass
    wall, own, between, _ = np.cumsum(sensor.clear_shares)
    reading = np.select(
        [patches < wall, patches < own, patches < between],
        [opaque, first, first + (opaque - first) * where.mix],
        0.0,
    )
    return np.where(glass, reading, depth).astype(np.float32)


def _clear_stream(
    disparity: NDArray[np.float32],
    known: NDArray[np.bool_],
    stream: NDArray[np.bool_],
    first: NDArray[np.float32],
    focal: float,
    sensor: DepthSensor,
    window: int,
    patches: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Around the stream: patches of the wall behind, of its own surface, of nothing."""
    wide = _grow(stream, window)
    nearest = cv2.erode(np.where(stream, first, FAR).astype(np.float32), np.ones((window, window)))
    behind, itself, _ = np.cumsum(sensor.stream_shares)
    own = wide & (patches >= behind) & (patches < itself) & (nearest < FAR)
    disparity = np.where(own, focal / np.maximum(nearest, NEAR), disparity).astype(np.float32)
    return disparity, (known & ~(wide & (patches >= behind))) | own


def _hard_to_match(
    first: NDArray[np.float32],
    color: NDArray[np.uint8],
    glossy: NDArray[np.bool_],
    severity: float,
    where: _Places,
    scale: float,
) -> NDArray[np.bool_]:
    """Dark, plain, far, glossy or overexposed areas fail in large soft patches."""
    grey = cv2.cvtColor(color, cv2.COLOR_RGB2GRAY).astype(np.float32)
    # On a blurred picture: the noise of one frame does not decide what is plain.
    texture = cv2.GaussianBlur(grey, (0, 0), 0.7)
    texture = np.abs(texture - cv2.GaussianBlur(grey, (0, 0), 4 * scale))
    texture = cv2.GaussianBlur(texture, (0, 0), 4 * scale)
    far = np.clip((first - 0.6) / 0.8, 0, 1)
    plain = np.clip(0.30 - 0.06 * texture, 0, 0.3) * np.clip(1.3 - grey / 110, 0.1, 1)
    plain = plain * severity * (0.4 + far)
    mirror = np.clip(1.15 - 0.13 * texture, 0, 0.97) * np.clip(1.5 - grey / 120, 0.15, 1)
    chance = np.where(glossy, np.maximum(plain, mirror * severity), plain)
    spots = 0.85 * where.large + 0.15 * where.small
    return (spots < chance) | _grow(grey > 250, 5)


def _seen_by_twin(disparity: NDArray[np.float32], baseline: float) -> NDArray[np.bool_]:
    """Which pixels a camera `baseline` m to the right also sees; `disparity` for one metre."""
    rows, columns = np.nonzero(disparity > 0)
    shift = disparity[rows, columns] * np.float32(baseline)
    there = np.rint(columns - shift).astype(np.intp)
    inside = (there >= 0) & (there < disparity.shape[1])
    rows, columns, there = rows[inside], columns[inside], there[inside]
    shift = np.abs(shift[inside])
    nearest = np.full(disparity.shape, -1.0, np.float32)
    np.maximum.at(nearest, (rows, there), shift)
    # Close the cracks that forward warping leaves between neighbours.
    nearest = cv2.dilate(nearest, np.ones((3, 5)))
    seen = np.zeros(disparity.shape, bool)
    seen[rows, columns] = shift >= nearest[rows, there] - 1.2
    return seen


def _patches(rng: np.random.Generator, shape: tuple[int, ...], size: float) -> NDArray[np.float32]:
    """Smooth random field (H, W), about uniform in 0..1, with patches of `size` px."""
    height, width = shape[:2]
    size = max(size, 1.0)
    rows, columns = (max(2, round(n / size)) + 3 for n in (height, width))
    coarse = rng.standard_normal((rows, columns), np.float32)
    margin = int(3 * size)
    field = cv2.resize(coarse, (width + margin, height + margin), interpolation=cv2.INTER_CUBIC)
    field = field[:height, :width]
    return ndtr((field - field.mean()) / (field.std() + 1e-9)).astype(np.float32)


def _far_where_unknown(depth: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.where(np.isfinite(depth) & (depth > NEAR), depth, FAR).astype(np.float32)


def _grow(mask: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    return cv2.dilate(mask.astype(np.uint8), _disc(size)) > 0


def _disc(size: int) -> NDArray[np.uint8]:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
