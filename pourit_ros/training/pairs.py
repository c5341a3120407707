# SPDX-License-Identifier: Apache-2.0
"""Pairs of pictures in memory: composed ones, and path-traced ones read from a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .backgrounds import Backgrounds
from .composites import Compositor

_CHUNK = 100


class PairsError(InputError):
    """A folder holds no pairs, or a pair is incomplete."""


@dataclass(frozen=True)
class Pairs:
    """N pairs: `images` (N, 2, S, S, 3) uint8 RGB, wet then dry; `coverage` (N, S, S) 0..255."""

    images: npt.NDArray[np.uint8]
    coverage: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.images)

    def select(self, chosen: Sequence[int]) -> Pairs:
        """Return the pairs with the given indices."""
        return Pairs(self.images[list(chosen)], self.coverage[list(chosen)])


_backgrounds = cache(Backgrounds)


def _compose_chunk(
    environment_maps: Path | None,
    photographs: Path | None,
    fold: Literal['train', 'held_out'],
    size: int,
    job: tuple[int, int, int],
) -> Pairs:
    seed, chunk, count = job
    cv2.setNumThreads(1)
    backgrounds = _backgrounds(environment_maps, photographs, fold)
    # every chunk has a seed of its own, so that the number of processes changes nothing
    seeds = np.random.SeedSequence([seed, chunk, fold == 'held_out']).generate_state(1)
    compositor = Compositor(backgrounds, int(seeds[0]), size)
    drawn = [compositor.sample() for _ in range(count)]
    return Pairs(
        np.stack([[p.with_stream, p.without_stream] for p in drawn]),
        np.stack([np.round(p.coverage * 255).astype(np.uint8) for p in drawn]),
    )


def compose_pairs(
    count: int,
    seed: int,
    *,
    environment_maps: Path | None = None,
    photographs: Path | None = None,
    fold: Literal['train', 'held_out'] = 'train',
    size: int = 256,
    processes: int = 1,
    progress: Callable[[int], None] = lambda done: None,
) -> Pairs:
    """Compose `count` pairs, the same for the same seed and backgrounds.

    `progress` is called with the number of pairs done since its last call. Raises BackgroundError.
    """
    jobs = [(seed, i, min(_CHUNK, count - i * _CHUNK)) for i in range(-(-count // _CHUNK))]
    images = np.empty((count, 2, size, size, 3), np.uint8)
    coverage = np.empty((count, size, size), np.uint8)
    work = partial(_compose_chunk, environment_maps, photographs, fold, size)
    with ProcessPoolExecutor(processes, mp_context=get_context('spawn')) as pool:
        for (_, i, length), part in zip(jobs, pool.map(work, jobs), strict=True):
            images[i * _CHUNK : i * _CHUNK + length] = part.images
            coverage[i * _CHUNK : i * _CHUNK + length] = part.coverage
            progress(length)
    return Pairs(images, coverage)


def read_pairs(folder: Path, size: int | None = None) -> Pairs:
    """Read `<stem>_pos_rgb.jpg`, `<stem>_neg_rgb.jpg`, `<stem>_mask_air.png`, square pictures.

    They are resized to `size` pixels where it is given. Raises PairsError.
    """
    images, coverage = [], []
    for path in sorted(Path(folder).glob('*_pos_rgb.jpg')):
        stem = path.name.removesuffix('_pos_rgb.jpg')
        wet, dry = (cv2.imread(str(folder / f'{stem}_{kind}_rgb.jpg')) for kind in ('pos', 'neg'))
        mask = cv2.imread(str(folder / f'{stem}_mask_air.png'), cv2.IMREAD_GRAYSCALE)
        if wet is None or dry is None or mask is None:
            raise PairsError(f'{folder}: {stem} lacks a readable _neg_rgb.jpg or _mask_air.png')
        if size is not None and size != wet.shape[0]:
            how = cv2.INTER_AREA if size < wet.shape[0] else cv2.INTER_LINEAR
            wet, dry, mask = (
                cv2.resize(p, (size, size), interpolation=how) for p in (wet, dry, mask)
            )
        images.append([wet[..., ::-1], dry[..., ::-1]])
        coverage.append(mask)
    if not images:
        raise PairsError(f'no *_pos_rgb.jpg in {folder}; name a folder of rendered pairs')
    return Pairs(np.array(images), np.array(coverage))


def save_pairs(path: Path, pairs: Pairs) -> None:
    """Write pairs to an npz file, uncompressed; it appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'.{path.stem}.partial.npz')
    np.savez(partial, images=pairs.images, coverage=pairs.coverage)
    partial.replace(path)


def load_pairs(path: Path) -> Pairs:
    """Read what `save_pairs` wrote."""
    with np.load(path) as archive:
        return Pairs(archive['images'], archive['coverage'])
