# SPDX-License-Identifier: Apache-2.0
"""What a camera does to a scene: exposure, colour, blur, noise, JPEG."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from .layers import Image, chance


@dataclass(frozen=True)
class Sensor:
    """One camera setting; two frames taken with it differ in their noise alone."""

    gamma: float
    gain: tuple[float, float, float]
    saturation: float
    blur: float
    sampling: float
    grey_noise: float
    colour_noise: float
    jpeg_quality: int | None

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Sensor:
        """Draw a camera setting; noise in grey levels (0..255), blur in pixels."""
        gain = rng.uniform(0.75, 1.3) * rng.normal(1, 0.06, 3)
        noise = 8 * rng.random() ** 2
        return cls(
            gamma=float(rng.uniform(0.65, 1.25)),
            gain=(float(gain[0]), float(gain[1]), float(gain[2])),
            saturation=float(rng.uniform(0.5, 1.3)),
            blur=float(rng.uniform(0.3, 1.2)) if chance(rng, 0.5) else 0.0,
            sampling=float(rng.uniform(0.5, 0.9)) if chance(rng, 0.3) else 1.0,
            grey_noise=float(noise),
            colour_noise=float(noise * rng.uniform(0, 0.6)),
            jpeg_quality=int(rng.integers(35, 96)) if chance(rng, 0.75) else None,
        )

    def expose(self, scene: Image, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        """Take a picture (H, W, 3) uint8 of a scene (H, W, 3), 0..255."""
        size = scene.shape[1], scene.shape[0]
        picture = np.clip(scene, 0, 255) / np.float32(255)
        picture = cv2.pow(picture, self.gamma) * np.array(self.gain, np.float32)
        grey = picture.mean(-1, keepdims=True)
        picture = grey + self.saturation * (picture - grey)
        if self.blur > 0:
            picture = cv2.GaussianBlur(picture, (0, 0), self.blur)
        if self.sampling < 1:
            small = tuple(max(1, round(n * self.sampling)) for n in size)
            picture = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)
        picture = picture * np.float32(255)
        if self.grey_noise > 0:
            picture += self.grey_noise * rng.standard_normal((*grey.shape[:2], 1), np.float32)
            picture += self.colour_noise * rng.standard_normal(picture.shape, np.float32)
        taken = np.clip(np.round(picture), 0, 255).astype(np.uint8)
        if self.jpeg_quality is None:
            return taken
        # the codec's channel order matters: it keeps luma sharper than chroma
        options = [cv2.IMWRITE_JPEG_QUALITY, self.jpeg_quality]
        _, code = cv2.imencode('.jpg', taken[..., ::-1], options)
        return np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), np.uint8)[..., ::-1].copy()
