# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Progress of a run: losses for TensorBoard, and CAMs on fixed images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from ..formats.images import write_image
from ..perception.letterbox import Letterbox
from .networks import Network, Runner

SIDE = 256
COLUMNS = 4


class Monitor:
    """Writes events into a run's folder and images into its `cams/`.

    `pictures` (H, W, 3) uint8 RGB: the fixed ones. `step`: where the run (re)starts, so that
    events after it, written before a run was cut off, are dropped.
    """

    def __init__(self, folder: Path, pictures: Sequence[NDArray[np.uint8]], step: int) -> None:
        self._folder = folder / 'cams'
        self._writer = SummaryWriter(str(folder / 'events'), purge_step=step)
        size = (SIDE, SIDE)
        self._pictures = [Letterbox.fit(p.shape[:2], size).apply(p) for p in pictures]

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Record numbers of a step."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def cams(self, step: int, network: Network) -> None:
        """Draw σ(CAM) over the fixed images."""
        if not self._pictures:
            return
        device = next(network.parameters()).device
        images = torch.from_numpy(np.stack(self._pictures)).permute(0, 3, 1, 2).to(device)
        valid = torch.ones_like(images[:, :1], dtype=torch.bool)
        network.eval()
        with torch.inference_mode():
            cams = Runner(network)(images, valid).cam.float().sigmoid().cpu().numpy()[:, 0]
        tiles = [_overlay(p, c) for p, c in zip(self._pictures, cams, strict=True)]
        sheet = _sheet(tiles)
        self._folder.mkdir(exist_ok=True)
        write_image(self._folder / f'{step:06d}.jpg', sheet)
        self._writer.add_image('cams', sheet, step, dataformats='HWC')

    def close(self) -> None:
        """Write pending events."""
        self._writer.close()


def _overlay(picture: NDArray[np.uint8], cam: NDArray[np.float32]) -> NDArray[np.uint8]:
    heat = cv2.resize(cam, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    coloured = cv2.applyColorMap(np.round(heat * 255).astype(np.uint8), cv2.COLORMAP_TURBO)
    weight = 0.6 * heat[..., None]
    mixed = picture * (1 - weight) + coloured[..., ::-1] * weight
    return np.hstack([picture, np.round(mixed).astype(np.uint8)])


def _sheet(tiles: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    columns = min(COLUMNS, len(tiles))
    blank = np.zeros_like(tiles[0])
    padded = [*tiles, *[blank] * (-len(tiles) % columns)]
    rows = [np.hstack(padded[k : k + columns]) for k in range(0, len(padded), columns)]
    return np.vstack(rows)
