# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Contact sheet of pairs: with, without, depth, masks."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...files import replacing
from ...formats.images import read_stored, write_image
from .records import read_meta, written

CELL = 200
TITLE = 18
COLUMNS = ('with', 'without', 'sensor depth', 'true depth', 'masks')
NEAR, FAR = 0.3, 1.5
AIR, THROUGH = np.array([60, 230, 60.0]), np.array([70, 130, 255.0])

Picture = NDArray[np.uint8]


def write_sheet(folder: Path, path: Path, rows: int = 12) -> int:
    """Draw up to `rows` pairs of a folder, spread over it, as one PNG; return their number.

    Masks: green in the air, blue where the stream shows through clear walls or in the target.
    Raises InputError when there is no pair.
    """
    stems = written(folder)
    if not stems:
        raise InputError(f'{folder}: holds no pairs to show')
    chosen = [stems[i] for i in np.unique(np.linspace(0, len(stems) - 1, rows).astype(int))]
    header = np.full((TITLE, CELL * len(COLUMNS), 3), 255, np.uint8)
    for k, name in enumerate(COLUMNS):
        _write(header, name, (k * CELL + 4, TITLE - 5), (0, 0, 0))
    sheet = np.vstack([header, *(_row(folder, stem) for stem in chosen)])
    with replacing(path) as partial:
        write_image(partial, sheet)
    return len(chosen)


def _row(folder: Path, stem: str) -> Picture:
    def image(name: str) -> NDArray:
        return read_stored(folder / f'{stem}_{name}')

    positive, negative = image('pos_rgb.jpg'), image('neg_rgb.jpg')
    air, through = (image(f'mask_{n}.png')[..., None] / 255 for n in ('air', 'through_glass'))
    grey = np.repeat(positive.mean(axis=2, keepdims=True), 3, axis=2) * 0.6
    masks = grey * (1 - through) + THROUGH * through
    masks = masks * (1 - air) + AIR * air
    cells = [
        positive, negative, _depth(image('pos_depth.png')), _depth(image('pos_depth_true.png')),
        masks.astype(np.uint8),
    ]  # fmt: skip
    row = np.hstack([_cell(c) for c in cells])
    meta = read_meta(folder, stem)
    words = f'{stem} {meta["liquid"]["name"]} {meta["flow"]["rate_ml_s"]:.0f} ml/s'
    row[-TITLE:, :CELL] //= 3
    _write(row, words, (4, CELL - 5), (255, 255, 255))
    return row


def _cell(picture: Picture) -> Picture:
    height, width = picture.shape[:2]
    scale = CELL / max(height, width)
    size = (round(width * scale), round(height * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    cell = np.full((CELL, CELL, 3), 255, np.uint8)
    cell[: size[1], : size[0]] = cv2.resize(picture, size, interpolation=how)
    return cell


def _depth(millimetres: NDArray[np.uint16]) -> Picture:
    """Near red, far blue, unknown black."""
    metres = millimetres / 1000
    shade = 255 - 255 * np.clip((metres - NEAR) / (FAR - NEAR), 0, 1)
    colors = cv2.applyColorMap(shade.astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1]
    return (colors * (millimetres > 0)[..., None]).astype(np.uint8)


def _write(picture: Picture, words: str, at: tuple[int, int], color: tuple[int, int, int]) -> None:
    cv2.putText(picture, words, at, cv2.FONT_HERSHEY_SIMPLEX, 0.4, color, 1, cv2.LINE_AA)
