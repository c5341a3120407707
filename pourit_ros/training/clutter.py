# SPDX-License-Identifier: Apache-2.0
"""Hard negatives: things in both frames of a pair that look like liquid and are not."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

from .containers import tap
from .layers import Image, Layer, blend, chance, colour, curve, flat, log_uniform, stroke


def _tube(
    rng: np.random.Generator, size: int, points: np.ndarray, width: float, paint: Image
) -> list[Layer]:
    """A band along a polyline with a round shade and, at times, a glint along it."""
    layers = [stroke(size, points, width, paint * rng.uniform(0.5, 0.9))]
    if width > 3:
        layers.append(stroke(size, points, width * 0.6, paint))
    if chance(rng, 0.6):
        shift = rng.normal(0, 0.15 * width, 2)
        glint = np.full(3, rng.uniform(180, 255), np.float32)
        layers.append(stroke(size, points + shift, width * 0.2, glint, rng.uniform(0.3, 0.9)))
    return layers


def cable(rng: np.random.Generator, size: int) -> list[Layer]:
    """Paint a cable or bent band across the picture."""
    points = curve(rng.uniform(-0.15, 1.15, (4, 2)) * size)
    return _tube(rng, size, points, log_uniform(rng, 1, 14), colour(rng, 0.8))


def rod(rng: np.random.Generator, size: int, near: np.ndarray | None = None) -> list[Layer]:
    """Paint a straight rod or straw; `near` (2,) pixels puts its end close to a place."""
    start = rng.uniform(-0.1, 1.1, 2) * size
    if near is not None:
        start = near + rng.normal(0, 0.08, 2) * size
    angle, length = rng.uniform(0, np.pi), log_uniform(rng, 0.1, 0.8) * size
    end = start + length * np.array([np.cos(angle), np.sin(angle)])
    return _tube(rng, size, np.array([start, end]), log_uniform(rng, 1, 13), colour(rng, 0.8))


def box(rng: np.random.Generator, size: int) -> list[Layer]:
    """Paint a box with rounded, softly shaded edges and perhaps a dark joint on it."""
    centre, sides = rng.uniform(0, 1, 2) * size, rng.uniform(0.06, 0.45, 2) * size
    return _box(rng, size, centre, sides, rng.uniform(0, 180))


def _box(
    rng: np.random.Generator, size: int, centre: np.ndarray, sides: np.ndarray, degrees: float
) -> list[Layer]:
    ink = np.zeros((size, size), np.uint8)
    corners = cv2.boxPoints((tuple(map(float, centre)), tuple(map(float, sides)), degrees))
    cv2.fillPoly(ink, [np.round(corners).astype(np.int32)], 255)
    ink = cv2.GaussianBlur(ink, (0, 0), rng.uniform(0.8, 5) * size / 256)
    alpha = np.clip((ink.astype(np.float32) / 255 - 0.5) * 6 + 0.5, 0, 1)
    white = chance(rng, 0.6)
    paint = np.full(3, rng.uniform(170, 250), np.float32) if white else colour(rng)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    slope = (x - centre[0]) * rng.uniform(-1, 1) + (y - centre[1]) * rng.uniform(-1, 1)
    picture = np.clip(flat((size, size), paint) + slope[..., None] * 256 / size, 0, 255)
    if chance(rng, 0.5):
        joint = tuple(int(v) for v in centre + rng.normal(0, 0.1, 2) * sides)
        radius = max(1, int(rng.uniform(0.1, 0.4) * min(sides)))
        cv2.circle(picture, joint, radius, [rng.uniform(0, 60)] * 3, -1, cv2.LINE_AA)
    return [Layer(picture, alpha)]


def robot_arm(rng: np.random.Generator, size: int, wrist: np.ndarray) -> list[Layer]:
    """Paint a robot: white links with dark joints from beyond the picture to the wrist (2,)."""
    points = [wrist]
    heading = np.deg2rad(rng.uniform(-150, -30))
    layers: list[Layer] = []
    width = rng.uniform(0.08, 0.22) * size
    for _ in range(rng.integers(2, 5)):
        length = rng.uniform(0.12, 0.35) * size
        points.append(points[-1] + length * np.array([np.cos(heading), np.sin(heading)]))
        heading += rng.normal(0, 0.7)
    for a, b in pairwise(points):
        degrees = float(np.rad2deg(np.arctan2(*(b - a)[::-1])))
        span = np.array([np.linalg.norm(b - a) * 1.25, width * rng.uniform(0.7, 1.2)])
        layers += _box(rng, size, (a + b) / 2, span, degrees)
    for point in points:
        if chance(rng, 0.5):
            ink = np.zeros((size, size), np.uint8)
            where = tuple(int(v) for v in point + rng.normal(0, 0.3 * width, 2))
            cv2.circle(ink, where, int(width * rng.uniform(0.2, 0.6)), 255, -1, cv2.LINE_AA)
            tone = np.full(3, rng.uniform(5, 70), np.float32)
            alpha = ink.astype(np.float32) / np.float32(255)
            layers.append(Layer(flat((size, size), tone), alpha))
    return layers


def ring(rng: np.random.Generator, size: int) -> list[Layer]:
    """Paint a disc, a ring or an arc."""
    ink = np.zeros((size, size), np.uint8)
    centre = tuple(int(v) for v in rng.uniform(0, 1, 2) * size)
    axes = tuple(int(v) for v in rng.uniform(0.02, 0.2, 2) * size)
    thick = -1 if chance(rng, 0.4) else int(rng.integers(1, 6))
    angles = rng.uniform(0, 180), rng.uniform(0, 180), rng.uniform(180, 360)
    cv2.ellipse(ink, centre, axes, *angles, 255, thick, cv2.LINE_AA)
    alpha = ink.astype(np.float32) / np.float32(255)
    return [Layer(flat((size, size), colour(rng)), alpha)]


def glints(rng: np.random.Generator, size: int) -> list[Layer]:
    """Paint short bright streaks, as light on polished edges and wet walls leaves them."""
    layers = []
    for _ in range(rng.integers(1, 6)):
        start = rng.uniform(0, 1, 2) * size
        step = rng.normal(0, 0.12, 2) * size
        points = np.array([start, start + step / 2 + rng.normal(0, 2, 2), start + step])
        tone = np.full(3, rng.uniform(190, 255), np.float32)
        layers.append(stroke(size, points, rng.uniform(1, 3.5), tone, rng.uniform(0.3, 1)))
    return layers


def wet_streak(rng: np.random.Generator, size: int) -> list[Layer]:
    """Paint a bright vertical mirror image, as glossy tables show of lamps and white things."""
    x, top = rng.uniform(0, 1) * size, rng.uniform(0.3, 0.9) * size
    bottom = top + log_uniform(rng, 0.1, 0.4) * size
    points = np.array([[x, top], [x + rng.normal(0, 3), bottom]])
    layer = stroke(size, points, log_uniform(rng, 3, 25) * size / 256, np.full(3, 230.0))
    alpha = cv2.GaussianBlur(layer.alpha, (0, 0), rng.uniform(1, 4)) * rng.uniform(0.1, 0.6)
    return [Layer(layer.colour, alpha, layer.x, layer.y)]


def chrome_bar(rng: np.random.Generator, size: int) -> list[Layer]:
    """Paint an upright chrome pipe: bands of random brightness across it."""
    width, height = int(log_uniform(rng, 4, 26) * size / 256), int(rng.uniform(0.2, 0.8) * size)
    across = np.interp(np.linspace(0, 13, width), np.arange(14), rng.random(14) * 255)
    picture = np.broadcast_to(across[None, :, None], (height, width, 3)).astype(np.float32)
    if chance(rng, 0.3):
        picture = picture.swapaxes(0, 1).copy()
    alpha = np.full(picture.shape[:2], rng.uniform(0.8, 1), np.float32)
    picture = blend(picture, colour(rng), np.full(alpha.shape, 0.25, np.float32))
    x, y = (int(v) for v in rng.uniform(-0.1, 1, 2) * size)
    return [Layer(picture, alpha, x, y)]


def scatter(rng: np.random.Generator, size: int, most: int, near: np.ndarray) -> list[Layer]:
    """Choose up to `most` things; rods are drawn to the place `near` (2,) half of the time."""
    layers: list[Layer] = []
    for _ in range(rng.integers(0, most + 1)):
        kind = rng.choice(9, p=[0.19, 0.2, 0.13, 0.09, 0.11, 0.08, 0.1, 0.04, 0.06])
        if kind == 1:
            layers += rod(rng, size, near if chance(rng, 0.5) else None)
        elif kind == 7:
            layers += robot_arm(rng, size, rng.uniform(0, 1, 2) * size)
        elif kind == 8:
            x, y = rng.uniform(0, 1, 2) * size
            layers.append(tap(rng, size, (x, y), log_uniform(rng, 2, 14) * size / 256).layer)
        else:
            plain = {0: cable, 2: box, 3: ring, 4: glints, 5: wet_streak, 6: chrome_bar}
            layers += plain[int(kind)](rng, size)
    return layers
