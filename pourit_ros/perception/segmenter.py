# SPDX-License-Identifier: Apache-2.0
"""From an image to presence, CAM and mask."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch

from ..errors import InputError
from .classifier import LiquidClassifier
from .letterbox import Letterbox
from .masks import keep_stream
from .multiscale import merge_mirror, min_max, with_mirror
from .published_network import PublishedNetwork
from .segmentation import Segmentation
from .weights import WeightsMetadata, load_weights

Image = npt.NDArray[np.uint8]


class _Reader(Protocol):
    """How the output of one kind of network is read."""

    def __call__(self, rgb: Image) -> Segmentation: ...


class Segmenter:
    """Segment the stream of liquid in single images.

    Takes the model over: sets it to evaluation, moves it to the device. May be called from any
    thread, by one at a time.
    """

    def __init__(
        self,
        model: LiquidClassifier | PublishedNetwork,
        metadata: WeightsMetadata,
        device: torch.device | str = 'cpu',
    ) -> None:
        self.metadata = metadata
        self.device = torch.device(device)
        model = model.eval().to(self.device)
        self._read: _Reader
        if isinstance(model, LiquidClassifier):
            self._read = _LiquidReader(model, metadata, self.device)
        else:
            self._read = _PublishedReader(model, metadata, self.device)

    @classmethod
    def load(
        cls,
        weights: str | Path = 'default',
        device: Literal['auto', 'cpu', 'cuda'] = 'auto',
        threads: int | None = None,
    ) -> Segmenter:
        """Load weights by file or name.

        threads: of torch, for the whole process; None leaves them as they are.
        Raises WeightsError, and InputError for a device that is not there.
        """
        if device not in ('auto', 'cpu', 'cuda'):
            raise InputError(f'unknown device {device!r}, choose auto, cpu or cuda')
        cuda = torch.cuda.is_available()
        if device == 'cuda' and not cuda:
            raise InputError('device cuda: torch sees no CUDA device here, choose cpu or auto')
        if threads is not None:
            if threads < 1:
                raise InputError(f'threads is {threads}, it must be at least 1')
            torch.set_num_threads(threads)
        model, metadata = load_weights(weights)
        return cls(model, metadata, 'cuda' if cuda and device != 'cpu' else 'cpu')

    def segment(self, rgb: Image) -> Segmentation:
        """Segment one (H, W, 3) uint8 RGB image of any size. Raises ValueError for another."""
        if not isinstance(rgb, np.ndarray) or rgb.dtype != np.uint8:
            kind = getattr(rgb, 'dtype', type(rgb).__name__)
            raise ValueError(f'an RGB image is a uint8 array, not {kind}')
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.size == 0:
            raise ValueError(f'an RGB image has shape (H, W, 3), not {rgb.shape}')
        with torch.inference_mode():
            return self._read(np.ascontiguousarray(rgb))


class _LiquidReader:
    """One pass; the CAM is the sigmoid of the map, its threshold absolute."""

    def __init__(
        self, model: LiquidClassifier, metadata: WeightsMetadata, device: torch.device
    ) -> None:
        # The order in which images arrive, and on CPUs the faster one for depthwise convolutions.
        self._model = model.to(memory_format=torch.channels_last)
        self._metadata = metadata
        self._device = device

    def __call__(self, rgb: Image) -> Segmentation:
        letterbox = _fit(rgb, self._metadata)
        images = self._model.normalise(_to_batch(letterbox.apply(rgb), self._device))
        valid = torch.from_numpy(letterbox.valid())[None, None].to(self._device)
        output = self._model(images, valid)
        probability = output.presence.sigmoid().item()
        # Logits are interpolated, not probabilities: those have no slope where they saturate.
        logits = letterbox.restore(output.cam[0, 0].float().cpu().numpy())
        cam = torch.from_numpy(logits).sigmoid_().numpy()
        present = probability > self._metadata.presence_threshold
        if present:
            mask = keep_stream(cam > self._metadata.mask_threshold, cam)
        else:
            mask = np.zeros(cam.shape, np.bool_)
        return Segmentation(probability, present, cam, mask)


class _PublishedReader:
    """The live demo of PourIt!: image and mirror image at one scale, min-max CAM.

    Present when the two logits sum to more than 0; the CAM of an image without liquid is 0.
    Unlike the demo, letterbox borders take no part in the min-max normalisation.
    """

    def __init__(
        self, model: PublishedNetwork, metadata: WeightsMetadata, device: torch.device
    ) -> None:
        self._model = model
        self._metadata = metadata
        self._device = device

    def __call__(self, rgb: Image) -> Segmentation:
        letterbox = _fit(rgb, self._metadata)
        images = self._model.normalise(_to_batch(letterbox.apply(rgb), self._device))
        logits, maps = self._model.logits_and_cam(with_mirror(images))
        probability = logits.mean().sigmoid().item()
        present = probability > self._metadata.presence_threshold
        cam = np.zeros(rgb.shape[:2], np.float32)
        if present:
            merged = merge_mirror(maps, letterbox.size)
            picture = (..., *letterbox.content)
            merged[picture] = min_max(merged[picture])
            cam = letterbox.restore(merged[0, 0].cpu().numpy())
        return Segmentation(probability, present, cam, cam > self._metadata.mask_threshold)


def _fit(rgb: Image, metadata: WeightsMetadata) -> Letterbox:
    return Letterbox.fit(rgb.shape[:2], (metadata.input_size, metadata.input_size))


def _to_batch(rgb: Image, device: torch.device) -> torch.Tensor:
    """(H, W, 3) -> (1, 3, H, W)."""
    return torch.from_numpy(rgb).permute(2, 0, 1)[None].to(device)
