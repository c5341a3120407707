# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Film trials: the arm as a bystander sees it, and what the camera's network sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..report import drawing as dr
from ..report.video import VideoWriter
from .cell import Cell
from .trial import Moment

PORTRAIT = 640, 480
INSET = 256, 192
BORDER = 2
FPS = 12
# The last image stands still for so long, s, so that a viewer can read it.
HOLD = 1.5
WHITE: dr.Colour = (255, 255, 255)
GOOD: dr.Colour = (120, 220, 160)
BAD: dr.Colour = (255, 140, 110)
GROUND: dr.Colour = (18, 20, 24)
HEIGHT = 17.0

View = Callable[[float], NDArray[np.uint8] | None]


class Film:
    """Collects a trial's images, FPS of them a second: the `watch` of `run_trial` and `rerun`.

    `title`: drawn on all of them. `view`: what the network has drawn on the image of the robot's
    camera by a time (s), which becomes an inset. Unless `filmed`, only moments are kept.
    `on_image` is called after every image.
    """

    def __init__(
        self,
        title: str,
        view: View | None = None,
        filmed: bool = True,
        on_image: Callable[[], object] = lambda: None,
    ) -> None:
        self.title = title
        self.images: list[NDArray[np.uint8]] = []
        self.moments: list[Moment] = []
        self._view, self._on_image = view, on_image
        self._filmed, self._next = filmed, 0.0

    def __call__(self, cell: Cell, moment: Moment, imaged: bool) -> None:
        """Keep the moment; film it if it is time for the next image."""
        self.moments.append(moment)
        if self._filmed and moment.time >= self._next - 1e-9:
            self._next += 1 / FPS
            self.images.append(self._draw(cell, moment))
            self._on_image()

    def _draw(self, cell: Cell, moment: Moment) -> NDArray[np.uint8]:
        canvas = cell.portrait('cell', PORTRAIT).copy()
        seen = None if self._view is None else self._view(moment.time)
        if seen is not None:
            inset = cv2.resize(seen, INSET, interpolation=cv2.INTER_AREA)
            width, height = INSET
            right = PORTRAIT[0] - 10
            canvas[8 : 12 + height, right - width - 2 : right + 2] = 255
            canvas[10 : 10 + height, right - width : right] = inset
        dr.shade(canvas, (0, PORTRAIT[1] - 62, PORTRAIT[0], 62), GROUND, 0.6)
        dr.put_text(canvas, self.title, 12, PORTRAIT[1] - 38, HEIGHT, WHITE, bold=True)
        clean = moment.spilled < 2e-6
        told = (
            f'{moment.state}   in the cup {1e6 * moment.caught:.0f} ml   '
            f'beside it {1e6 * moment.spilled:.0f} ml   {1e6 * moment.flow:.0f} ml/s'
        )
        dr.put_text(canvas, told, 12, PORTRAIT[1] - 13, HEIGHT, GOOD if clean else BAD)
        return canvas


def write_side_by_side(path: Path, films: Sequence[Film]) -> None:
    """Write films beside each other as one MP4; one that ends earlier stands still."""
    longest = max(len(film.images) for film in films)
    width = len(films) * PORTRAIT[0] + (len(films) - 1) * BORDER
    with VideoWriter(path, FPS, (width, PORTRAIT[1])) as video:
        for k in range(longest + round(HOLD * FPS)):
            parts: list[NDArray[np.uint8]] = []
            for film in films:
                if parts:
                    parts.append(np.full((PORTRAIT[1], BORDER, 3), 255, np.uint8))
                parts.append(film.images[min(k, len(film.images) - 1)])
            video.write(np.hstack(parts))
