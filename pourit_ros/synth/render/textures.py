# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Textures of surfaces, drawn from a seed: marble, wood, cloth, tiles, printed labels."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ..scene.description import Material

SIZE = 768
_WORDS = [
    'FRESH', 'PURE', 'AQUA', 'JUICE', 'MILK', 'TEA', 'COLA', 'NATURAL', 'LEMON', 'SPRING',
    '500ml', 'WATER', 'COCO', 'GREEN', 'ORIGINAL', '1L',
]  # fmt: skip

Image = NDArray[np.floating]


def texture(material: Material) -> NDArray[np.float32]:
    """The material's texture (N, N, 3), linear RGB 0..1; one colour without a texture."""
    rng = np.random.default_rng(material.seed)
    base = np.asarray(material.color, dtype=np.float32)
    draw = {
        'marble': _marble, 'wood': _wood, 'cloth': _cloth, 'tile': _tile, 'label': _label,
        'steel': _steel, 'plain': _plain,
    }.get(material.texture)  # fmt: skip
    if draw is None:
        return np.ones((4, 4, 3), np.float32) * base
    return np.clip(draw(rng, base), 0.004, 0.97).astype(np.float32)


def fractal(
    rng: np.random.Generator, size: int, base: int, octaves: int, stretch: float = 1.0
) -> Image:
    """Smooth noise (size, size) 0..1; `base` features across, `stretch` times as many down."""
    total = np.zeros((size, size), np.float32)
    for k in range(octaves):
        cells = base * 2**k
        if cells > size:
            break
        grid = rng.normal(0, 1, (max(2, int(cells * stretch)) + 1, cells + 1)).astype(np.float32)
        total += 0.5**k * cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)
    return (total - total.min()) / (np.ptp(total) + 1e-9)


def _vivid(rng: np.random.Generator) -> Image:
    hue, saturation, value = rng.random(), 0.8 * rng.random() ** 1.5, rng.uniform(0.05, 0.95)
    ramp = np.clip(np.abs((6 * hue + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
    return ((value * (1 - saturation + saturation * ramp)) ** 1.6).astype(np.float32)


def _plain(rng: np.random.Generator, base: Image) -> Image:
    return base * (0.92 + 0.16 * (fractal(rng, SIZE, 2, 6) - 0.5))[..., None]


def _marble(rng: np.random.Generator, base: Image) -> Image:
    cloud, patches = fractal(rng, SIZE, 3, 6), fractal(rng, SIZE, 2, 5)
    ridge = np.abs(fractal(rng, SIZE, 3, 6) - 0.5 + 0.15 * (cloud - 0.5))
    vein = rng.uniform(0.2, 1.0) * np.exp(-ridge / rng.uniform(0.004, 0.02)) * (patches > 0.5)
    vein = vein + 0.4 * np.exp(-np.abs(cloud - 0.5) / 0.006) * (patches < 0.55)
    vein = np.clip(cv2.GaussianBlur(vein.astype(np.float32), (0, 0), 1.0), 0, 1)[..., None]
    if rng.random() < 0.55:
        ground = rng.uniform(0.01, 0.06) + rng.uniform(0, 0.03, 3)
        line = np.array([0.55, 0.53, 0.5])
    else:
        ground = rng.uniform(0.6, 0.85) + rng.uniform(-0.05, 0.05, 3)
        line = np.full(3, rng.uniform(0.3, 0.5))
    shade = 1 + 0.35 * (patches[..., None] - 0.5)
    return (ground * (1 - vein) + line * vein) * shade


def _wood(rng: np.random.Generator, base: Image) -> Image:
    fine, rings = fractal(rng, SIZE, 3, 6, 12.0), fractal(rng, SIZE, 2, 3, 3.0)
    y = np.linspace(0, 1, SIZE)[:, None]
    bands = 0.5 + 0.5 * np.sin(2 * np.pi * (y * rng.uniform(6, 16) + 2.5 * rings))
    mix = (0.35 * bands + 0.65 * fine)[..., None]
    dark = np.array([0.16, 0.08, 0.035]) * rng.uniform(0.4, 2.2)
    light = np.array([0.55, 0.36, 0.2]) * rng.uniform(0.5, 1.3)
    picture = dark + (light - dark) * mix
    planks = int(rng.integers(2, 7))
    tone = np.repeat(rng.uniform(0.75, 1.15, planks), -(-SIZE // planks))[:SIZE]
    picture = picture * tone[:, None, None]
    return picture.transpose(1, 0, 2) if rng.random() < 0.5 else picture


def _cloth(rng: np.random.Generator, base: Image) -> Image:
    y, x = np.mgrid[:SIZE, :SIZE]
    period = int(rng.integers(3, 7))
    weave = 0.5 + 0.25 * np.sin(2 * np.pi * x / period) + 0.25 * np.sin(2 * np.pi * y / period)
    picture = base * (0.75 + 0.25 * weave[..., None])
    picture = picture * (0.8 + 0.4 * (fractal(rng, SIZE, 4, 5) - 0.5)[..., None])
    if rng.random() < 0.3:
        step = SIZE // int(rng.integers(6, 20))
        stripe = ((x // step) % 2 == 0) | ((y // step) % 2 == 0)
        picture = np.where(stripe[..., None], picture, 0.4 * picture + 0.6 * _vivid(rng))
    return picture


def _tile(rng: np.random.Generator, base: Image) -> Image:
    y, x = np.mgrid[:SIZE, :SIZE]
    step = SIZE // int(rng.integers(3, 9))
    tone = rng.uniform(0.85, 1.1, (SIZE // step + 1, SIZE // step + 1))[y // step, x // step]
    picture = base * tone[..., None] * (0.9 + 0.2 * fractal(rng, SIZE, 4, 6)[..., None])
    joint = (x % step < 5) | (y % step < 5)
    return np.where(joint[..., None], rng.uniform(0.2, 0.7), picture)


def _steel(rng: np.random.Generator, base: Image) -> Image:
    brushed = fractal(rng, SIZE, 2, 8, 64.0)
    tone = rng.uniform(0.45, 0.75)
    return (tone * (0.9 + 0.2 * brushed))[..., None] * np.ones(3)


def _label(rng: np.random.Generator, base: Image) -> Image:
    picture = np.ones((SIZE, SIZE, 3), np.float32) * base
    kind = rng.random()
    if kind < 0.55:
        low, high = rng.uniform(0.1, 0.4), rng.uniform(0.5, 0.85)
        picture[int(SIZE * low) : int(SIZE * high)] = _vivid(rng)
    if 0.4 < kind < 0.7:
        for _ in range(4):
            top, height = rng.integers(0, SIZE), rng.integers(4, 50)
            picture[top : top + height] = _vivid(rng)
    if kind > 0.8:
        swirl = np.sin(fractal(rng, SIZE, 3, 6) * rng.uniform(15, 40))[..., None] * 0.5 + 0.5
        picture = picture * swirl + _vivid(rng) * (1 - swirl)
    # OpenCV writes on 8-bit pictures only.
    printed = np.ascontiguousarray(np.clip(255 * picture, 0, 255), dtype=np.uint8)
    for _ in range(int(rng.integers(1, 6))):
        word = str(rng.choice(_WORDS))
        at = (int(rng.integers(0, SIZE - 120)), int(rng.integers(SIZE // 6, SIZE * 3 // 4)))
        color = tuple(float(255 * c) for c in _vivid(rng))
        font, scale = int(rng.choice([0, 2, 3, 4])), rng.uniform(0.8, 3.2)
        cv2.putText(printed, word, at, font, scale, color, int(rng.integers(1, 7)), cv2.LINE_AA)
    return printed.astype(np.float32) / 255
