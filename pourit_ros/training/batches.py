# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Batches of crops: the same cut, scale and look for both images of a pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .config import TrainConfig
from .data_sets import DataSet, Sample
from .looks import Look
from .twins import STRIDE, changed_cells, twin_difference

# A crop is taken only if this share of what shows the liquid, and so many pixels, are inside.
MIN_SHARE = 0.5
MIN_PIXELS = 12.0
TRIES = 8

Map = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Batch:
    """N images, each pair's image with liquid right before its dry twin.

    `images` (N, 3, n, n) uint8 RGB; `plain`: the same before their change of look, which may hide
    the difference between twins; `labels` (N,) float32, 1 where liquid is visible; `sure` (N,)
    bool: whether the crop's label is certain; `valid` (N, 1, n, n) bool, False on borders;
    `coverage` (N, 1, n, n) float32 0..1 and `known` (N,) bool: whether the coverage is known;
    `through_glass` (N, 1, n, n) float32 0..1: liquid that shows only through glass; `paired` (P,)
    int64: indices of the images whose twin comes next.
    """

    images: Tensor
    plain: Tensor
    labels: Tensor
    sure: Tensor
    valid: Tensor
    coverage: Tensor
    known: Tensor
    through_glass: Tensor
    paired: Tensor


@dataclass(frozen=True, eq=False)
class _Cut:
    picture: NDArray[np.uint8]
    plain: NDArray[np.uint8]
    label: float
    sure: bool
    valid: NDArray[np.bool_]
    coverage: Map | None
    through_glass: Map | None


class Cropper:
    """Draw batches from data sets.

    `sets`: each with its share of the samples. A batch has one scale and one crop size; small
    crops come in larger batches, so that all batches cost the same. A crop of an image with liquid
    should show it: its coverage says where, or without masks the difference from its twin; if that
    is too small to be certain, the crop has no label. An image with neither is not cropped but
    scaled to fit as a whole.
    """

    def __init__(self, sets: Sequence[tuple[DataSet, float]], config: TrainConfig) -> None:
        self._sets = [s for s, _ in sets]
        shares = np.array([share for _, share in sets], float)
        self._shares = shares / shares.sum()
        self._config = config

    def batch(self, step: int, rank: int = 0, processes: int = 1) -> Batch:
        """Return the batch of a training step; it depends only on seed and step.

        With several processes, each cuts its share: the shares in order of `rank` form the batch.
        """
        config, seed = self._config.batch, self._config.seed
        rng = np.random.default_rng([seed, step])
        length = rng.uniform(*config.scales) * self._config.input_size
        crop = max(32, min(config.crop, int(length) // 32 * 32))
        count = min(2 * config.pairs, round(config.pairs * (config.crop / crop) ** 2))
        cuts: list[_Cut] = []
        paired: list[int] = []
        for number in range(count * rank // processes, count * (rank + 1) // processes):
            # From 1 on: numpy takes [seed, step] and [seed, step, 0] for the same.
            rng = np.random.default_rng([seed, step, 1 + number])
            data = self._sets[rng.choice(len(self._sets), p=self._shares)]
            sample = data[int(rng.integers(len(data)))]
            if sample.twin is not None:
                paired.append(len(cuts))
            cuts += self._cut(rng, sample, length, crop)
        return Batch(
            images=_stacked([c.picture for c in cuts]),
            plain=_stacked([c.plain for c in cuts]),
            labels=torch.tensor([c.label for c in cuts]),
            sure=torch.tensor([c.sure for c in cuts]),
            valid=torch.from_numpy(np.stack([c.valid for c in cuts]))[:, None],
            coverage=_shares([c.coverage for c in cuts], crop),
            known=torch.tensor([c.coverage is not None for c in cuts]),
            through_glass=_shares([c.through_glass for c in cuts], crop),
            paired=torch.tensor(paired, dtype=torch.int64),
        )

    def _cut(
        self, rng: np.random.Generator, sample: Sample, length: float, crop: int
    ) -> list[_Cut]:
        height, width = sample.picture.shape[:2]
        unplaced = sample.liquid and sample.twin is None
        # Whole pictures must fit, crops must not be wider than their picture.
        scale = crop / max(height, width) if unplaced else length / max(height, width)
        rows, columns = (max(1, round(n * scale)) for n in (height, width))
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR

        def resized(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
            return cv2.resize(image, (columns, rows), interpolation=how)

        pictures = [resized(p) for p in (sample.picture, sample.twin) if p is not None]
        coverage = behind = None
        if sample.coverage is not None and self._config.uses_masks:
            coverage = resized(sample.coverage)
        if sample.through_glass is not None and self._config.uses_masks:
            behind = resized(sample.through_glass)
        evidence = coverage
        if evidence is None and len(pictures) == 2:
            evidence = _changed(pictures[0], pictures[1])
        y, x, inside = _place(rng, evidence, rows, columns, crop)
        shown = sample.liquid and (unplaced or inside >= 255 * MIN_PIXELS)
        # No coverage is no liquid, unless some shows through glass; no difference may be liquid
        # that hardly differs.
        hidden = 0 if behind is None else int(behind[y : y + crop, x : x + crop].sum())
        empty = coverage is not None and inside == 0 and hidden < 255 * MIN_PIXELS
        sure = shown or not sample.liquid or empty
        mirror = rng.random() < 0.5
        look = Look.draw(rng, self._config.batch.look)

        def cut(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
            image = image[y : y + crop, x : x + crop]
            return image[:, ::-1] if mirror else image

        def padded(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
            missing = [(0, crop - n) for n in image.shape[:2]]
            return np.pad(image, missing + [(0, 0)] * (image.ndim - 2))

        valid = padded(cut(np.ones((rows, columns), np.uint8))).astype(bool)
        cuts = []
        for number, picture in enumerate(pictures):
            plain = cut(picture)
            seen = padded(look.of(plain))
            known: Map | None = None
            glass: Map | None = None
            if number == 1 or not sample.liquid:
                known = np.zeros((crop, crop), np.uint8)
            elif coverage is not None:
                known = padded(cut(coverage))
                glass = None if behind is None else padded(cut(behind))
            label, certain = float(shown and number == 0), sure or number == 1
            cuts.append(_Cut(seen, padded(plain), label, certain, valid, known, glass))
        return cuts


def _shares(maps: list[Map | None], side: int) -> Tensor:
    """Maps 0..255, None for nothing -> (N, 1, side, side) float32 0..1."""
    filled = [np.zeros((side, side), np.uint8) if m is None else m for m in maps]
    return torch.from_numpy(np.stack(filled))[:, None].float() / 255


def _stacked(pictures: list[NDArray[np.uint8]]) -> Tensor:
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)


def _changed(wet: NDArray[np.uint8], dry: NDArray[np.uint8]) -> Map:
    """Mask (H, W), 0 or 255, of where twins differ beyond noise."""
    one, other = (torch.from_numpy(p).permute(2, 0, 1)[None] for p in (wet, dry))
    cells = changed_cells(twin_difference(one, other))[0, 0].numpy()
    pixels = cells.repeat(STRIDE, 0).repeat(STRIDE, 1)[: wet.shape[0], : wet.shape[1]]
    return pixels.astype(np.uint8) * np.uint8(255)


def _place(
    rng: np.random.Generator, evidence: Map | None, rows: int, columns: int, crop: int
) -> tuple[int, int, int]:
    """Row and column of a crop that shows the evidence, if a few tries find one.

    Also returns the evidence inside.
    """
    y = x = inside = 0
    whole = 0 if evidence is None else int(evidence.sum())
    for _ in range(TRIES):
        y = int(rng.integers(max(rows - crop, 0) + 1))
        x = int(rng.integers(max(columns - crop, 0) + 1))
        if evidence is None:
            break
        inside = int(evidence[y : y + crop, x : x + crop].sum())
        if inside >= max(MIN_SHARE * whole, 255 * MIN_PIXELS):
            break
    return y, x, inside
