# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Model of a small colour camera: exposure, optics, noise, processing, JPEG."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..scene.description import CameraDescription

# Small cameras expose for the scene's geometric mean; blacker than this counts as this.
DARKEST = 1e-4
GAMMA = 2.4
# Slope of the transfer curve at white: what a step of light is there in steps of the picture.
WHITE_SLOPE = 1.055 / GAMMA
# How far automatic white balance goes.
BALANCE = (0.5, 2.0)
# Automatic contrast looks at these percentiles, and stretches no range smaller than this.
DARK_SHARE, BRIGHT_SHARE = 1.0, 99.3
LEAST_RANGE = 0.35
# What a file whose camera sends raw pictures is saved with.
NO_LOSS = 98


@dataclass(frozen=True)
class Exposure:
    """The settings that a camera has chosen for a scene.

    `gain` on the light of R, G, B; `low`, `high`: values 0..1 of the image, after its transfer
    curve, that become black and white.
    """

    gain: tuple[float, float, float]
    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True)
class CameraModel:
    """One camera with its settings; two images taken with it differ only in their noise.

    `key`: grey value (0..1, after gamma) that auto exposure aims at; `headroom`: linear value of
    the image's 96 % quantile that it allows; `compensation`: factor on its gain;
    `white_balance`: gains of R, G, B, on top of the automatic ones, which move the mean by the
    share `grey_world` 0..1 towards grey; `bloom`, `bloom_radius` (px at 480 rows): glow of clipped
    lights; `blur`: lens, px (sigma); `shot_noise`: at white, `read_noise`: steps of 8 bits;
    `grain`: px (sigma) over which demosaicing spreads noise; `sharpening`: amount of unsharp mask;
    `levels` 0..1: how far automatic contrast stretches a flat image; `curve` 0..1: how S-shaped
    the tone curve is; `contrast`, `black`: factor and lift after it; `jpeg_quality`: 1..100.
    """

    key: float = 0.4
    headroom: float = 1.0
    compensation: float = 1.0
    white_balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    grey_world: float = 0.0
    bloom: float = 0.0
    bloom_radius: float = 5.0
    blur: float = 0.4
    shot_noise: float = 2.0
    read_noise: float = 1.0
    grain: float = 0.0
    sharpening: float = 0.0
    levels: float = 0.0
    curve: float = 0.0
    contrast: float = 1.0
    black: float = 0.0
    jpeg_quality: int = 90

    @classmethod
    def of(cls, camera: CameraDescription) -> CameraModel:
        """The camera of a scene; settings that the scene leaves open are drawn from its seed."""
        rng = np.random.default_rng((camera.seed, 1))
        return cls(
            key=float(rng.uniform(0.32, 0.46)),
            headroom=float(rng.uniform(0.75, 1.25)),
            compensation=camera.exposure,
            white_balance=camera.white_balance,
            grey_world=float(rng.uniform(0.4, 0.95)),
            bloom=float(rng.uniform(0, 0.06)),
            bloom_radius=float(rng.uniform(3, 7.5)),
            blur=camera.blur,
            shot_noise=camera.shot_noise,
            read_noise=camera.read_noise,
            grain=float(rng.choice([0.0, 0.7], p=[0.4, 0.6])),
            sharpening=camera.sharpen,
            levels=camera.levels * float(rng.uniform(0.4, 1.0)) if rng.random() < 0.8 else 0.0,
            curve=float(rng.uniform(0.0, 0.8)),
            contrast=float(rng.uniform(0.95, 1.03)),
            black=float(rng.uniform(-0.03, 0.03)),
            jpeg_quality=camera.jpeg_quality or NO_LOSS,
        )

    def expose(self, radiance: NDArray[np.float32]) -> Exposure:
        """Choose the exposure for linear radiance (H, W, 3).

        Call it once per pair: the stream is too small to change the exposure.
        """
        luminance = np.maximum(radiance.mean(axis=-1), DARKEST)
        gain = self.key**2.2 / max(float(np.exp(np.log(luminance).mean())), 1e-3)
        bright = gain * float(np.percentile(luminance, 96))
        gain = self.compensation * gain / max(bright / self.headroom, 1.0)
        # Clipped light says nothing about its colour.
        mean = np.clip(gain * radiance, 0, 1).mean(axis=(0, 1))
        auto = (mean.mean() / np.maximum(mean, DARKEST)) ** self.grey_world
        red, green, blue = gain * np.clip(auto, *BALANCE) * self.white_balance
        balanced = (float(red), float(green), float(blue))
        grey = _srgb(np.clip(self._light(radiance, balanced), 0, 1)).mean(axis=-1)
        low, high = (float(q) for q in np.percentile(grey, [DARK_SHARE, BRIGHT_SHARE]))
        low, high = self.levels * low, 1 - self.levels * (1 - high)
        # A range too narrow grows to both sides, by what is left there.
        more = max(LEAST_RANGE - (high - low), 0.0) / max(low + 1 - high, 1e-6)
        return Exposure(balanced, low - more * low, high + more * (1 - high))

    def develop(
        self, radiance: NDArray[np.float32], exposure: Exposure, rng: np.random.Generator
    ) -> NDArray[np.uint8]:
        """Take one image (H, W, 3) uint8 RGB of linear radiance (H, W, 3)."""
        light = self._light(radiance, exposure.gain)
        light = np.clip(cv2.GaussianBlur(light, (0, 0), self.blur), 0, 1)
        # Noise is stated for the finished picture, whose range the levels stretch.
        step = (exposure.high - exposure.low) / 255
        # Shot noise: its variance grows with the light.
        shot = np.float32(self.shot_noise * step / WHITE_SLOPE) * np.sqrt(light)
        light = light + shot * self._grain(light.shape, rng)
        picture = _srgb(np.clip(light, 0, 1))
        picture = picture + np.float32(self.read_noise * step) * self._grain(light.shape, rng)
        if self.sharpening > 0:
            soft = cv2.GaussianBlur(picture, (0, 0), 1.2)
            picture = picture + np.float32(self.sharpening) * (picture - soft)
        picture = (picture - np.float32(exposure.low)) / np.float32(exposure.high - exposure.low)
        smooth = np.clip(picture, 0, 1)
        smooth = smooth * smooth * (3 - 2 * smooth)
        picture = picture + np.float32(self.curve) * (smooth - np.clip(picture, 0, 1))
        picture = np.float32(self.contrast) * picture + np.float32(self.black)
        return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)

    def _light(
        self, radiance: NDArray[np.float32], gain: tuple[float, float, float]
    ) -> NDArray[np.float32]:
        """Light on the sensor after gain, bloom and shoulder."""
        light = np.asarray(gain, np.float32) * np.maximum(radiance, 0, dtype=np.float32)
        if self.bloom > 0:
            clipped = np.clip(light - 0.9, 0, 20)
            radius = self.bloom_radius * light.shape[0] / 480
            light = light + np.float32(self.bloom) * cv2.GaussianBlur(clipped, (0, 0), radius)
        # A soft shoulder towards white, as of a camera's tone curve.
        return light * (1 + light / 9) / (1 + 0.2 * light)

    def _grain(self, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
        """Unit noise, spread over neighbouring pixels."""
        grain = rng.standard_normal(shape, np.float32)
        if self.grain == 0:
            return grain
        # The blur takes away noise power; the factor gives it back.
        return cv2.GaussianBlur(grain, (0, 0), self.grain) * np.float32(
            2 * np.sqrt(np.pi) * self.grain
        )

    def encode(self, picture: NDArray[np.uint8]) -> bytes:
        """Encode an image (H, W, 3) uint8 RGB as the camera's JPEG."""
        options = [cv2.IMWRITE_JPEG_QUALITY, self.jpeg_quality]
        _, code = cv2.imencode('.jpg', picture[..., ::-1], options)
        return code.tobytes()


def _srgb(linear: NDArray[np.float32]) -> NDArray[np.float32]:
    """IEC 61966-2-1 transfer curve of linear values 0..1."""
    curve = 1.055 * cv2.pow(np.maximum(linear, 1e-6), 1 / GAMMA) - 0.055
    return np.where(linear < 0.0031308, 12.92 * linear, curve)
