# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Class activation maps over images: side by side in one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from . import drawing as dr

# Width of a tile and height of the line above it, px; rows of the picture at most.
TILE, HEAD = 240, 30
MOST_ROWS = 8
_GAP = 6


def paint_heat(rgb: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Lay a map (H, W) in [0, 1] over an image (H, W, 3), which stays visible where it is 0."""
    grey = cv2.cvtColor(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    levels = np.round(255 * np.clip(heat, 0, 1)).astype(np.uint8)
    hot = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[..., ::-1]
    weight = np.clip(heat, 0, 1)[..., None] ** 0.5
    return np.round(0.75 * grey * (1 - weight) + hot * weight).astype(np.uint8)


def outline(
    canvas: NDArray[np.uint8], mask: NDArray[np.bool_], colour: dr.Colour = dr.LIQUID
) -> None:
    """Draw the outline of a mask (H, W) onto a canvas of any size, in place."""
    scaled = cv2.resize(
        mask.astype(np.uint8), canvas.shape[1::-1], interpolation=cv2.INTER_NEAREST
    )
    contours, _ = cv2.findContours(scaled, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    for contour in contours:
        dr.polyline(canvas, contour[:, 0], colour, 1, closed=True, halo=False)


def map_row(
    rgb: NDArray[np.uint8],
    maps: Mapping[str, NDArray[np.float32]],
    mask: NDArray[np.bool_] | None,
    captions: Sequence[str],
) -> NDArray[np.uint8]:
    """The image and its maps in a row of tiles, each under its caption; the mask outlined in each.

    captions: of the image, then of the maps, ASCII.
    """
    height = max(1, round(TILE * rgb.shape[0] / rgb.shape[1]))
    tiles = []
    for picture, caption in zip(
        [rgb, *(paint_heat(rgb, heat) for heat in maps.values())], captions, strict=True
    ):
        tile = np.full((HEAD + height + _GAP, TILE + _GAP, 3), dr.PAPER, np.uint8)
        scaled = np.asarray(
            cv2.resize(picture, (TILE, height), interpolation=cv2.INTER_AREA), np.uint8
        )
        if mask is not None:
            outline(scaled, mask)
        tile[HEAD : HEAD + height, :TILE] = scaled
        size = 9.0
        while dr.text_size(caption, size)[0] > TILE and size > 5:
            size -= 0.5
        dr.put_text(tile, caption, 1, HEAD - 9, size, dr.INK)
        tiles.append(tile)
    return np.concatenate(tiles, axis=1)
