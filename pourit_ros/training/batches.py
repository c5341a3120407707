# SPDX-License-Identifier: Apache-2.0
"""Batches of crops: the same cut, scale and light for both frames of a pair."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .pairs import Pairs

# a crop keeps its label only if this share of the stream, and this many pixels, are inside
_MIN_SHARE = 0.5
_MIN_PIXELS = 12.0
_TRIES = 8


@dataclass(frozen=True)
class Batch:
    """Pairs of crops, wet and dry in turn.

    `images`: (2B, 3, n, n) uint8 RGB; `labels`: (2B,) float32, 1 where liquid is to be seen;
    `coverage`: (2B, 1, n, n) float32 in 0..1.
    """

    images: Tensor
    labels: Tensor
    coverage: Tensor


class Cropper:
    """Draw batches from sets of pairs.

    `sets`: each with the share of the crops that it gives. One batch has one scale out of
    `scales` and one crop size, at most `crop` pixels; small crops come in larger batches, so that
    a batch of `pairs` full crops and any other cost alike.
    """

    def __init__(
        self,
        sets: list[tuple[Pairs, float]],
        seed: int,
        *,
        pairs: int = 7,
        crop: int = 224,
        scales: tuple[float, float] = (0.5, 1.5),
    ) -> None:
        self._sets = [s for s, _ in sets]
        shares = np.array([share for _, share in sets])
        self._shares = shares / shares.sum()
        self._pairs, self._crop, self._scales = pairs, crop, scales
        self._seed = seed

    def batch(self, step: int) -> Batch:
        """Return the batch of a training step; it depends on seed and step alone."""
        rng = np.random.default_rng([self._seed, step])
        scale = rng.uniform(*self._scales)
        side = self._sets[0].coverage.shape[1]
        crop = max(32, min(self._crop, int(scale * side) // 32 * 32))
        count = min(2 * self._pairs, round(self._pairs * (self._crop / crop) ** 2))
        images, labels, coverage = [], [], []
        for _ in range(count):
            wet, dry, cover, label = self._pair(rng, scale * side, crop)
            images += [wet, dry]
            labels += [label, 0.0]
            coverage += [cover, np.zeros_like(cover)]
        return Batch(
            torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2),
            torch.tensor(labels),
            torch.from_numpy(np.stack(coverage))[:, None].float() / 255,
        )

    def _pair(
        self, rng: np.random.Generator, length: float, crop: int
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.uint8], float]:
        pairs = self._sets[rng.choice(len(self._sets), p=self._shares)]
        index = int(rng.integers(len(pairs)))
        cover = pairs.coverage[index]
        scale = max(length, crop) / cover.shape[0]
        side = round(cover.shape[0] * scale)
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        cover = cv2.resize(cover, (side, side), interpolation=how)
        whole = int(cover.sum())
        for _ in range(_TRIES):
            y, x = rng.integers(0, side - crop + 1, 2)
            inside = int(cover[y : y + crop, x : x + crop].sum())
            if inside >= max(_MIN_SHARE * whole, 255 * _MIN_PIXELS):
                break
        label = float(inside >= 255 * _MIN_PIXELS)
        mirror = rng.random() < 0.5
        gain = rng.uniform(0.8, 1.2) * rng.uniform(0.93, 1.07, 3)
        offset = rng.uniform(-15, 15)

        def cut(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
            picture = picture[y : y + crop, x : x + crop]
            return np.ascontiguousarray(picture[:, ::-1] if mirror else picture)

        def light(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
            picture = cut(cv2.resize(picture, (side, side), interpolation=how))
            return np.clip(picture * gain + offset, 0, 255).astype(np.uint8)

        wet, dry = (light(picture) for picture in pairs.images[index])
        return wet, dry, cut(cover), label
