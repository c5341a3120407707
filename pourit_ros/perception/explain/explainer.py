# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Maps of this package's networks on camera images, on one scale."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import InputError
from ..classifier import LiquidClassifier
from ..find_weights import find_weights
from ..weights import load_weights
from . import METHODS, explain

# Both sides of what the network sees are multiples of this, so that no cell hangs over the edge.
SIDE_STEP = 16
LEAST_SIDE = 32


class Explainer:
    """Weights whose evidence can be mapped: .safetensors, or the PourIt! authors' .pth.

    An image is scaled until its longer side is the network's input size; there are no borders that
    a method could take for something. Raises InputError, also for .onnx, which has no gradients.
    """

    def __init__(
        self,
        weights: str | Path = 'default',
        device: Literal['auto', 'cpu', 'cuda'] = 'auto',
        threads: int | None = None,
    ) -> None:
        path = find_weights(weights)
        if path.suffix == '.onnx':
            raise InputError(
                f'{path}: explaining needs gradients, which exported models do not have; give the '
                '.safetensors that it was exported from'
            )
        if device == 'cuda' and not torch.cuda.is_available():
            raise InputError('device cuda: torch finds no CUDA device; choose cpu or auto')
        if threads is not None:
            torch.set_num_threads(threads)
        cuda = torch.cuda.is_available() and device != 'cpu'
        self.device = torch.device('cuda' if cuda else 'cpu')
        model, self.metadata = load_weights(path)
        self.network = model.to(self.device)

    def view(self, rgb: npt.NDArray[np.uint8]) -> Tensor:
        """(H, W, 3) uint8 RGB -> the normalised (1, 3, h, w) that the network sees."""
        height, width = view_size(rgb.shape[:2], self.metadata.input_size)
        shrinks = height < rgb.shape[0]
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        scaled = np.ascontiguousarray(cv2.resize(rgb, (width, height), interpolation=how))
        return self.network.normalise(
            torch.from_numpy(scaled).permute(2, 0, 1)[None].to(self.device)
        )

    def probability(self, images: Tensor) -> Tensor:
        """Probability of liquid (N,) in normalised images (N, 3, h, w)."""
        with torch.inference_mode():
            output = self.network(images)
            logits = output.presence if isinstance(self.network, LiquidClassifier) else output
            return logits.float().flatten().sigmoid()

    def map(self, method: str, image: Tensor) -> tuple[Tensor, float]:
        """Map of one normalised image (1, 3, h, w), and the time that it took, s.

        The map (h, w) is in [0, 1]: its positive part over its maximum, so that methods can be
        compared whose units differ; 0 throughout where nothing speaks for liquid.
        """
        begun = time.perf_counter()
        raw = explain(method, self.network, image)
        seconds = time.perf_counter() - begun
        return unit_map(raw, (image.shape[2], image.shape[3]))[0], seconds


def unit_map(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Raw maps (N, h, w) -> (N, *size) in [0, 1]: positive part, interpolated, over maximum."""
    maps = maps.relu()[:, None]
    maps = F.interpolate(maps, size, mode='bilinear', align_corners=False)[:, 0]
    largest = maps.amax((1, 2), keepdim=True)
    return torch.where(largest > 0, maps / largest.clamp_min(torch.finfo(maps.dtype).tiny), 0.0)


def view_size(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Rows and columns that an image of `size` is scaled to, see `Explainer`."""
    scale = longest / max(size)
    rows, columns = (max(LEAST_SIDE, SIDE_STEP * round(side * scale / SIDE_STEP)) for side in size)
    return rows, columns


def choose_methods(names: str) -> list[str]:
    """Methods from 'all' or names joined by commas; raises InputError."""
    if names == 'all':
        return list(METHODS)
    chosen = [name.strip() for name in names.split(',')]
    for name in chosen:
        if name not in METHODS:
            raise InputError(f'no method named {name!r}; choose all or {", ".join(METHODS)}')
    return list(dict.fromkeys(chosen))
