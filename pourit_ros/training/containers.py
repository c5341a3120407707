# SPDX-License-Identifier: Apache-2.0
"""Painted source and target containers: bottles, cans, jugs, taps; cups and glasses."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .layers import (
    Image,
    Layer,
    blend,
    chance,
    colour,
    cylinder_shading,
    flat,
    log_uniform,
    smooth_noise,
)


@dataclass(frozen=True)
class Source:
    """A painted source container and the radius of its mouth, pixels."""

    layer: Layer
    mouth_radius: float


@dataclass(frozen=True)
class Target:
    """A target container: what lies behind the falling liquid, and what lies in front of it."""

    back: Layer
    front: Layer


def _profile(rng: np.random.Generator, unit: float) -> tuple[Image, float, int]:
    """Radius along the axis from the mouth, radius of the mouth, length of the neck."""
    length = int(rng.uniform(100, 230) * unit)
    body = rng.uniform(18, 42) * unit
    style = rng.choice(['bottle', 'can', 'jug'], p=[0.72, 0.16, 0.12])
    x = np.arange(length, dtype=np.float32)
    if style == 'bottle':
        mouth = rng.uniform(6, 15) * unit
        mouth, neck = min(mouth, 0.8 * body), rng.uniform(10, 45) * unit
    elif style == 'can':
        mouth, neck = body * rng.uniform(0.85, 1), 3 * unit
    else:
        mouth, neck = body * rng.uniform(0.6, 0.9), rng.uniform(5, 20) * unit
    step = np.clip((x - neck) / (rng.uniform(10, 50) * unit), 0, 1)
    step = step * step * (3 - 2 * step)
    radius = mouth + (body - mouth) * step
    if chance(rng, 0.35):
        radius *= 1 + 0.08 * np.sin((x - neck) / (rng.uniform(8, 25) * unit)) * step
    if chance(rng, 0.45):
        radius = np.where(x < rng.uniform(3, 8) * unit, mouth * rng.uniform(1.03, 1.3), radius)
    return radius.astype(np.float32), float(mouth), int(neck)


def _label(rng: np.random.Generator, picture: Image, start: int) -> None:
    """Print a label with bands, discs and rows of 'text' on the body, in place."""
    height, length = picture.shape[:2]
    left = int(rng.uniform(start, max(start + 1, length * 0.55)))
    right = int(rng.uniform(left, length))
    if right - left < 8:
        return
    label = flat((height, right - left), colour(rng))
    for _ in range(rng.integers(0, 4)):
        a, b = np.sort(rng.integers(0, right - left, 2))
        label[:, a:b] = colour(rng)
    for _ in range(rng.integers(0, 5)):
        centre = int(rng.integers(right - left)), int(rng.integers(height))
        axes = int(rng.uniform(2, height / 3)), int(rng.uniform(2, height / 3))
        cv2.ellipse(label, centre, axes, 0, 0, 360, colour(rng).tolist(), -1, cv2.LINE_AA)
    for _ in range(rng.integers(0, 14)):
        x, y = int(rng.integers(right - left)), int(rng.integers(height))
        size = int(rng.uniform(2, 26)), int(rng.uniform(1, 4))
        cv2.rectangle(label, (x, y), (x + size[0], y + size[1]), colour(rng).tolist(), -1)
    picture[:, left:right] = label


def bottle(
    rng: np.random.Generator,
    size: int,
    mouth: tuple[float, float],
    angle: float,
    unit: float,
    filling: Image,
) -> Source:
    """Paint a bottle, can or jug with its mouth at a pixel, opaque or clear, with a threaded neck.

    `angle` (rad, image axes, y down) is the direction from the mouth to the base; `unit` is the
    scale; `filling` (3,) the colour of the liquid that a clear neck may hold, flowing or not.
    """
    radius, mouth_radius, neck = _profile(rng, unit)
    length, height = len(radius), 2 * int(radius.max()) + 4
    x = np.arange(length, dtype=np.float32)[None]
    across = (np.arange(height, dtype=np.float32)[:, None] - height / 2) / radius[None]
    inside = np.clip((1 - np.abs(across)) * radius[None] + 0.5, 0, 1)
    q = np.clip(across, -1, 1)

    picture = flat((height, length), colour(rng))
    if chance(rng, 0.65):
        _label(rng, picture, neck + 5)
    clear_neck, clear_body = chance(rng, 0.6), chance(rng, 0.3)
    opacity: Image = np.ones((height, length), np.float32)
    if clear_body or clear_neck:
        glass = np.ones_like(opacity) if clear_body else np.clip((neck * 1.6 - x) / 4, 0, 1)
        tint = colour(rng) if chance(rng, 0.4) else np.full(3, rng.uniform(90, 230), np.float32)
        glass_paint, strength = flat((height, length), tint), rng.uniform(0.1, 0.5)
        if chance(rng, 0.5):
            inner = filling if chance(rng, 0.7) else colour(rng)
            filled = np.where(q > rng.uniform(-1.5, 0.8), np.float32(1), np.float32(0))
            glass_paint = blend(glass_paint, inner, filled)
            strength = strength + filled * rng.uniform(0, 0.5)
        picture = blend(picture, glass_paint, glass * inside)
        opacity = 1 - glass * (1 - strength)
    picture *= cylinder_shading(q, rng.uniform(-0.8, 0.8))[..., None]
    if clear_neck or chance(rng, 0.3):
        picture, opacity = _neck(rng, picture, opacity, q, x, neck, unit)
    for _ in range(rng.integers(0, 3) if chance(rng, 0.6) else 0):
        # tamper rings of caps, often of a loud colour or white
        start = rng.uniform(0, neck)
        ring = ((x > start) & (x < start + rng.uniform(2, 9) * unit)) * np.ones_like(q)
        picture = blend(picture, colour(rng) if chance(rng, 0.7) else 235.0, ring)
        opacity = np.maximum(opacity, ring)
    for _ in range(rng.integers(0, 4)):
        line = np.exp(-(((q - rng.uniform(-0.9, 0.9)) / rng.uniform(0.03, 0.14)) ** 2))
        broken = np.abs(smooth_noise(rng, height, length, 2, rng.uniform(2, 12)))
        line = line * np.clip(broken, 0, 1) * rng.uniform(0.2, 0.95)
        picture, opacity = blend(picture, 255.0, line), np.maximum(opacity, line)
    return Source(_turn(rng, picture, opacity * inside, mouth, angle, size), float(mouth_radius))


def _neck(
    rng: np.random.Generator,
    picture: Image,
    opacity: Image,
    q: Image,
    x: Image,
    neck: int,
    unit: float,
) -> tuple[Image, Image]:
    """Add what makes a clear neck sparkle: screw threads, Fresnel edges, broken glints."""
    height, length = q.shape
    near = np.clip((neck * rng.uniform(0.7, 1.5) - x) / 3, 0, 1)
    edge = np.clip((np.abs(q) - rng.uniform(0.65, 0.9)) * 6, 0, 1) * rng.uniform(0.2, 0.9) * near
    picture = blend(picture, 250.0 if chance(rng, 0.6) else 15.0, edge)
    pitch = rng.uniform(3, 9) * unit
    thread = np.sin(2 * np.pi * (x / pitch + q * rng.uniform(-0.25, 0.25)))
    thread = np.clip(thread * rng.uniform(1, 3) - rng.uniform(0, 1), 0, 1) * near
    thread *= np.clip(0.6 + smooth_noise(rng, height, length, 5, length / 4), 0, 1)
    picture = blend(picture, rng.uniform(150, 255), thread * rng.uniform(0.3, 0.9))
    spark = np.clip(smooth_noise(rng, height, length, height / 3, length / 4) - 0.6, 0, 1) * near
    dark = np.clip(smooth_noise(rng, height, length, height / 3, length / 4) - 0.8, 0, 1) * near
    picture = blend(blend(picture, 255.0, spark), 10.0, dark * 0.7)
    return picture, np.clip(opacity + edge + 0.6 * thread + spark + dark, 0, 1)


def _turn(
    rng: np.random.Generator,
    picture: Image,
    alpha: Image,
    mouth: tuple[float, float],
    angle: float,
    size: int,
) -> Layer:
    """Turn a picture drawn along +x from its mouth, and put the mouth at a pixel."""
    height = alpha.shape[0]
    c, s, side = np.cos(angle), np.sin(angle), 1 if chance(rng, 0.5) else -1
    matrix = np.array(
        [
            [c, -s * side, mouth[0] + s * side * height / 2],
            [s, c * side, mouth[1] - c * side * height / 2],
        ],
        np.float32,
    )
    flags = {'flags': cv2.INTER_LINEAR, 'borderMode': cv2.BORDER_CONSTANT}
    layers = np.dstack([np.clip(picture, 0, 255), alpha * 255]).astype(np.uint8)
    turned = cv2.warpAffine(layers, matrix, (size, size), **flags).astype(np.float32)
    return Layer(turned[..., :3], turned[..., 3] / 255)


def tap(rng: np.random.Generator, size: int, mouth: tuple[float, float], radius: float) -> Source:
    """Paint a chrome tap that ends at a pixel: a straight or bent pipe of the given radius."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    straight = (x - mouth[0]) / radius
    if chance(rng, 0.6):
        bend = rng.uniform(1.5, 6) * radius * (1 if chance(rng, 0.5) else -1)
        level = mouth[1] - rng.uniform(0.3, 4) * radius
        arc = (np.hypot(x - mouth[0] - bend, y - level) - abs(bend)) / radius
        back = (x - mouth[0] - 2 * bend) / radius
        down = np.where(np.abs(straight) < np.abs(back), straight, back)
        # the pipe behind runs on below the mouth; the one in front ends there
        cut = (y < mouth[1]) | (np.abs(back) < np.abs(straight))
        q = np.where(y > level, down, arc)
        alpha = np.clip((1 - np.abs(q)) * radius, 0, 1) * np.where(y > level, cut, True)
    else:
        q = straight
        alpha = np.clip((1 - np.abs(q)) * radius, 0, 1) * (y < mouth[1])
    nozzle = (mouth[1] - y < rng.uniform(0, 1.5) * radius) & (y < mouth[1])
    nozzle &= np.abs(straight) < rng.uniform(1, 1.7)
    alpha = np.maximum(alpha, nozzle)
    # chrome mirrors the room: a random brightness over the angle around the pipe
    mirror = np.interp(np.clip(q, -1, 1), np.linspace(-1, 1, 14), rng.random(14))
    mirror = mirror ** rng.uniform(1, 3)
    picture = flat((size, size), colour(rng, 0.25)) * 0.3 + 230 * mirror[..., None]
    picture = np.where(nozzle[..., None], picture * rng.uniform(0.3, 1), picture)
    layer = Layer(
        np.clip(picture, 0, 255).astype(np.float32),
        cv2.GaussianBlur(alpha.astype(np.float32), (3, 3), 0),
    )
    return Source(layer, radius * float(rng.uniform(0.4, 0.9)))


def cup(
    rng: np.random.Generator, centre: tuple[float, float], half_width: float, height: float
) -> Target:
    """Paint a cup, mug or glass whose rim ellipse has its centre at a pixel.

    The back layer is the inside wall with the far rim, the front layer the outside with the near
    rim: liquid between them falls into the cup.
    """
    rim_height = half_width * rng.uniform(0.08, 0.42)
    taper, pad = rng.uniform(0.6, 1.05), 4
    left, top = int(centre[0] - half_width * 1.1) - pad, int(centre[1] - rim_height) - pad
    w, h = int(2.2 * half_width) + 2 * pad, int(height + 2 * rim_height) + 2 * pad
    y, x = np.mgrid[top : top + h, left : left + w].astype(np.float32)
    dx, dy = x - centre[0], y - centre[1]

    down = np.clip(dy / height, 0, 1.2)
    q = dx / (half_width * (1 - (1 - taper) * down))
    rim = np.hypot(dx / half_width, dy / rim_height)
    # distance from the rim's ellipse in pixels, to first order: level over slope
    slope = np.hypot(dx / half_width**2, dy / rim_height**2) / np.maximum(rim, 1e-3)
    beyond = (rim - 1) / np.maximum(slope, 1e-6)
    opening = np.clip(0.5 - beyond, 0, 1)
    bottom = height + 0.7 * rim_height * np.sqrt(np.clip(1 - q * q, 0, 1))
    wall = np.clip((1 - np.abs(q)) * half_width, 0, 1) * np.clip(bottom - dy, 0, 1) * (dy > 0)
    wall *= 1 - opening

    tone, light = colour(rng), rng.uniform(-0.7, 0.7)
    outside = flat((h, w), tone)
    if chance(rng, 0.4):
        band = (down > rng.uniform(0, 0.5)) & (down < rng.uniform(0.5, 1))
        outside = blend(outside, colour(rng), band.astype(np.float32))
    if chance(rng, 0.4):
        ribs = np.sin(q * rng.uniform(8, 30) + down * rng.uniform(-6, 6))
        outside += (rng.uniform(4, 16) * ribs)[..., None]
    outside *= cylinder_shading(np.clip(q, -1, 1), light)[..., None]
    glass = chance(rng, 0.3)
    front = wall * (rng.uniform(0.06, 0.35) if glass else 1.0)
    if glass:
        edge = np.clip((np.abs(q) - 0.86) * 8, 0, 1) * wall * rng.uniform(0.3, 0.9)
        outside, front = outside + edge[..., None] * rng.uniform(-60, 150), np.maximum(front, edge)
        if chance(rng, 0.4):
            # liquid that stands in the glass is not in the air
            filling = wall * (down > rng.uniform(0.3, 0.9)) * rng.uniform(0.2, 0.9)
            outside, front = blend(outside, colour(rng), filling), np.maximum(front, filling)
    for _ in range(rng.integers(0, 3)):
        line = np.exp(-(((q - rng.uniform(-0.9, 0.9)) / rng.uniform(0.02, 0.1)) ** 2)) * wall
        line *= rng.uniform(0.2, 0.9)
        outside, front = blend(outside, 255.0, line), np.maximum(front, line)

    ring = np.exp(-((beyond / log_uniform(rng, 0.6, 2.2)) ** 2))
    ring *= rng.uniform(0.3, 0.95)
    lip = np.clip(tone * rng.uniform(0.8, 1.6) + rng.uniform(0, 60), 0, 255)
    near, far = ring * (dy >= 0), ring * (dy < 0)
    inner = np.clip(tone * rng.uniform(0.3, 1), 0, 255) if chance(rng, 0.7) else colour(rng)
    light_inside = 0.8 + 0.4 * np.clip(dx / half_width * rng.uniform(-1, 1), -1, 1)
    inside = flat((h, w), inner) * light_inside[..., None]
    if chance(rng, 0.3):
        # the liquid's surface in the cup
        level = np.clip((dy / rim_height - rng.uniform(-0.6, 0.8)) * 4, 0, 1)
        inside = blend(inside, colour(rng), level * rng.uniform(0.3, 1))
    back = np.maximum(opening * (rng.uniform(0.05, 0.4) if glass else 1.0), far)

    def layer(picture: Image, alpha: Image) -> Layer:
        paint = np.clip(picture, 0, 255).astype(np.float32)
        return Layer(paint, alpha.astype(np.float32), left, top)

    return Target(
        layer(blend(inside, lip, far), back),
        layer(blend(outside, lip, near), np.maximum(front, near)),
    )
