# SPDX-License-Identifier: Apache-2.0
"""Painting primitives of the compositor: layers, smooth noise, colours, curves."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.floating]
"""(H, W, 3) RGB, 0..255, or (H, W); float32 wherever it is large."""


@dataclass(frozen=True)
class Layer:
    """Paint with opacity, placed at (x, y): `colour` (h, w, 3) 0..255, `alpha` (h, w) 0..1."""

    colour: Image
    alpha: Image
    x: int = 0
    y: int = 0

    def _windows(self, height: int, width: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        h, w = self.alpha.shape
        top, left = max(self.y, 0), max(self.x, 0)
        bottom, right = max(min(self.y + h, height), top), max(min(self.x + w, width), left)
        return (
            (slice(top, bottom), slice(left, right)),
            (slice(top - self.y, bottom - self.y), slice(left - self.x, right - self.x)),
        )

    def over(self, canvas: Image) -> None:
        """Paint onto the canvas (H, W, 3) in place; what lies outside is cut off."""
        there, here = self._windows(*canvas.shape[:2])
        alpha = self.alpha[here][..., None]
        canvas[there] += alpha * (self.colour[here] - canvas[there])

    def hide(self, coverage: Image) -> None:
        """Take from a coverage map (H, W), in place, what this layer covers."""
        there, here = self._windows(*coverage.shape[:2])
        coverage[there] *= 1 - self.alpha[here]


def chance(rng: np.random.Generator, probability: float) -> bool:
    """Toss a coin that says True with the given probability."""
    return bool(rng.random() < probability)


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw from the log-uniform distribution on low..high."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def smooth_noise(
    rng: np.random.Generator, height: int, width: int, rows: float, columns: float
) -> Image:
    """Return (height, width) noise of unit variance at its rows × columns nodes, cubic between."""
    nodes = rng.standard_normal((max(2, int(rows)), max(2, int(columns))), dtype=np.float32)
    return cv2.resize(nodes, (width, height), interpolation=cv2.INTER_CUBIC)


def colour(rng: np.random.Generator, saturation: float = 1.0) -> Image:
    """Draw a colour (3,): greys in half of the cases, else any hue up to the given saturation."""
    if chance(rng, 0.5):
        return np.clip(rng.uniform(8, 250) + rng.normal(0, 8, 3), 0, 255).astype(np.float32)
    hsv = np.array(
        [[[rng.integers(180), rng.uniform(20, 230) * saturation, rng.uniform(30, 255)]]], np.uint8
    )
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0].astype(np.float32)


def flat(shape: tuple[int, int], tone: Image) -> Image:
    """Return an (h, w, 3) picture of one colour (3,)."""
    return np.broadcast_to(tone.astype(np.float32), (*shape, 3)).copy()


def blend(base: Image, paint: Image | float, alpha: Image) -> Image:
    """Mix paint into a picture (h, w, 3) with opacity (h, w)."""
    return base + alpha[..., None] * (paint - base)


def cylinder_shading(across: Image, light: float) -> Image:
    """Return the brightness of an upright cylinder; `across` and `light` in −1..1."""
    return 0.4 + 0.7 * np.sqrt(np.clip(1 - (across - 0.6 * light) ** 2, 0, 1))


def curve(points: npt.NDArray[np.floating], samples: int = 40) -> npt.NDArray[np.float64]:
    """Return (samples, 2) points of the cubic Bézier curve with the four control points (4, 2)."""
    t = np.linspace(0, 1, samples)[:, None]
    a, b, c, d = points
    return (1 - t) ** 3 * a + 3 * t * (1 - t) ** 2 * b + 3 * t**2 * (1 - t) * c + t**3 * d


def stroke(
    size: int, points: npt.NDArray[np.floating], width: float, paint: Image, opacity: float = 1.0
) -> Layer:
    """Draw a flat band along a polyline (N, 2), in pixels, on a size × size canvas."""
    margin = width / 2 + 2
    x, y = np.maximum(np.floor(points.min(0) - margin).astype(int), 0)
    right, bottom = np.minimum(np.ceil(points.max(0) + margin).astype(int), size)
    box = max(bottom - y, 1), max(right - x, 1)
    ink = np.zeros(box, np.uint8)
    # three fractional bits keep thin, slanted strokes smooth
    local = np.round((points - (x, y)) * 8).astype(np.int32)
    cv2.polylines(ink, [local], False, 255, max(1, round(width)), cv2.LINE_AA, 3)
    return Layer(flat(box, paint), ink.astype(np.float32) * (opacity / 255), int(x), int(y))
