# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Augmentation of light and camera for existing images."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Look:
    """One change of light and camera, the same for both images of a pair.

    In this order: `gamma` (exponent on 0..1), `gain` (factors of R, G, B), `offset` (grey levels),
    `saturation` (factor on the distance from grey), `blur` (px, sigma), `sharpening` (amount of
    unsharp mask), `noise` (grey levels, sigma), `quality` (JPEG 1..100; 0: not compressed). The
    noise follows from `seed`: twins get the same, so that they differ only in the scene.
    """

    gamma: float
    gain: tuple[float, float, float]
    offset: float
    saturation: float
    blur: float
    sharpening: float
    noise: float
    quality: int
    seed: int

    @classmethod
    def draw(cls, rng: np.random.Generator, strength: float) -> Look:
        """A random look; `strength` 0 leaves images unchanged, 1 is a wide range."""
        s = strength
        gain = rng.uniform(1 - 0.2 * s, 1 + 0.2 * s) * rng.uniform(1 - 0.07 * s, 1 + 0.07 * s, 3)
        return cls(
            gamma=float(np.exp(rng.uniform(-0.35 * s, 0.35 * s))),
            gain=(float(gain[0]), float(gain[1]), float(gain[2])),
            offset=float(rng.uniform(-15 * s, 15 * s)),
            saturation=float(rng.uniform(1 - 0.5 * s, 1 + 0.3 * s)),
            blur=float(rng.uniform(0, 1.2 * s)) if rng.random() < 0.4 else 0.0,
            sharpening=float(rng.uniform(0, 1.0 * s)) if rng.random() < 0.3 else 0.0,
            noise=float(rng.uniform(0, 6 * s)) if rng.random() < 0.4 else 0.0,
            quality=round(100 - rng.uniform(10, 75) * s) if s > 0 and rng.random() < 0.4 else 0,
            seed=int(rng.integers(2**31)),
        )

    def of(self, picture: Picture) -> Picture:
        """Change an image (H, W, 3) uint8 RGB."""
        levels = 255 * (np.arange(256, dtype=np.float32) / 255) ** self.gamma
        table = np.clip(levels[:, None] * np.array(self.gain, np.float32) + self.offset, 0, 255)
        image = np.stack([table[picture[..., k], k] for k in range(3)], axis=-1)
        grey = image.mean(axis=-1, keepdims=True)
        image = grey + np.float32(self.saturation) * (image - grey)
        if self.blur > 0:
            image = cv2.GaussianBlur(image, (0, 0), self.blur)
        if self.sharpening > 0:
            image += self.sharpening * (image - cv2.GaussianBlur(image, (0, 0), 1.0))
        if self.noise > 0:
            rng = np.random.default_rng(self.seed)
            image += self.noise * rng.standard_normal(image.shape, np.float32)
        changed = np.clip(np.rint(image), 0, 255).astype(np.uint8)
        if self.quality > 0:
            # Channels in OpenCV's order, for JPEG keeps brightness better than colour.
            kind = [cv2.IMWRITE_JPEG_QUALITY, self.quality]
            _, data = cv2.imencode('.jpg', np.ascontiguousarray(changed[..., ::-1]), kind)
            decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
            changed = np.ascontiguousarray(decoded[..., ::-1])
        return changed
