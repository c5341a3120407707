# SPDX-License-Identifier: Apache-2.0
"""From an image to presence, CAM and mask."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch

from ..errors import InputError
from .backends import Backend, TorchBackend
from .classifier import LiquidClassifier
from .masks import keep_stream
from .multiscale import merge_mirror, min_max, with_mirror
from .onnx_weights import OnnxBackend, load_onnx
from .published_network import PublishedNetwork
from .segmentation import ImageRegion, Segmentation
from .views import View, closer_view, region_view, whole_view
from .weights import WeightsMetadata, find_weights, load_weights

Image = npt.NDArray[np.uint8]


class Thresholds(NamedTuple):
    """Probability above which there is liquid, and activation above which a pixel is."""

    presence: float
    mask: float


class _Reader(Protocol):
    """How the output of one kind of network is read."""

    def __call__(
        self, rgb: Image, region: ImageRegion | None, thresholds: Thresholds
    ) -> Segmentation: ...


class Segmenter:
    """Segment the stream of liquid in single images.

    Takes the model over: sets it to evaluation, moves it to the device. May be called from any
    thread, by one at a time. `thresholds` start as the weights' own and may be set at any time.
    """

    def __init__(
        self,
        model: LiquidClassifier | PublishedNetwork | OnnxBackend,
        metadata: WeightsMetadata,
        device: torch.device | str = 'cpu',
    ) -> None:
        self.metadata = metadata
        self.thresholds = Thresholds(metadata.presence_threshold, metadata.mask_threshold)
        self.device = torch.device(device)
        self.backend_name = 'onnxruntime' if isinstance(model, OnnxBackend) else 'torch'
        self._read: _Reader
        if isinstance(model, PublishedNetwork):
            self._read = _PublishedReader(
                model.eval().to(self.device), metadata.input_size, self.device
            )
        elif isinstance(model, LiquidClassifier):
            self._read = _LiquidReader(TorchBackend(model, self.device), metadata.input_size)
        else:
            self._read = _LiquidReader(model, metadata.input_size)

    @classmethod
    def load(
        cls,
        weights: str | Path = 'default',
        device: Literal['auto', 'cpu', 'cuda'] = 'auto',
        threads: int | None = None,
    ) -> Segmenter:
        """Load weights by file or name; a .onnx file of `pourit export` runs in onnxruntime.

        threads: of torch, for the whole process, or of onnxruntime, for this model; None leaves
        them as they are. Raises WeightsError, and InputError for a device that is not there.
        """
        if device not in ('auto', 'cpu', 'cuda'):
            raise InputError(f'unknown device {device!r}, choose auto, cpu or cuda')
        cuda = torch.cuda.is_available()
        if device == 'cuda' and not cuda:
            raise InputError('device cuda: torch sees no CUDA device here, choose cpu or auto')
        if threads is not None and threads < 1:
            raise InputError(f'threads is {threads}, it must be at least 1')
        path = find_weights(weights)
        if path.suffix == '.onnx':
            if device == 'cuda':
                raise InputError('device cuda: exported models run on the CPU, choose cpu or auto')
            return cls(*load_onnx(path, threads))
        if threads is not None:
            torch.set_num_threads(threads)
        model, metadata = load_weights(path)
        return cls(model, metadata, 'cuda' if cuda and device != 'cpu' else 'cpu')

    def segment(self, rgb: Image, region: ImageRegion | None = None) -> Segmentation:
        """Segment one (H, W, 3) uint8 RGB image of any size.

        region: where liquid can be (`geometry.region.pour_region`). The network then sees that
        part alone, at the scale it was trained for; outside of it CAM and mask are empty, and
        presence is that of an image without liquid there. The published network reads the whole
        image all the same, as its demo does.
        Raises ValueError for another array, or a region that does not lie in the image.
        """
        if not isinstance(rgb, np.ndarray) or rgb.dtype != np.uint8:
            kind = getattr(rgb, 'dtype', type(rgb).__name__)
            raise ValueError(f'an RGB image is a uint8 array, not {kind}')
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.size == 0:
            raise ValueError(f'an RGB image has shape (H, W, 3), not {rgb.shape}')
        if region is not None:
            columns = 0 <= region.x0 < region.x1 <= rgb.shape[1]
            rows = 0 <= region.y0 < region.y1 <= rgb.shape[0]
            if not (columns and rows):
                raise ValueError(f'{region} does not lie in an image of shape {rgb.shape}')
        return self._read(np.ascontiguousarray(rgb), region, self.thresholds)


class _LiquidReader:
    """The CAM is the sigmoid of the map, its threshold absolute.

    A region is seen at its scale. A whole image is looked at twice: as it is, and where that
    shows liquid, closer; there the CAM's logits are the mean of both looks.
    """

    def __init__(self, backend: Backend, input_size: int) -> None:
        self._backend = backend
        self._input_size = input_size

    def __call__(
        self, rgb: Image, region: ImageRegion | None, thresholds: Thresholds
    ) -> Segmentation:
        if region is None:
            view = whole_view(rgb.shape[:2], self._input_size)
        else:
            view = region_view(region)
        logits, pooled = self._look(rgb, view)
        # The pooling takes the mean of exp(r c) over the cells. The cells outside of the region
        # were not looked at and count as zeros, so that the same stream has the same presence
        # whatever the region's size.
        share = logits.size / (rgb.shape[0] * rgb.shape[1])
        logit = pooled + self._backend.presence_slope * math.log(share)
        probability = 1 / (1 + math.exp(-logit)) if logit > -700 else 0.0
        present = probability > thresholds.presence
        cam = np.zeros(rgb.shape[:2], np.float32)
        cam[view.window] = _sigmoid(logits)
        mask = np.zeros(cam.shape, np.bool_)
        if present:
            mask = keep_stream(cam > thresholds.mask, cam)
            closer = closer_view(mask, view.scale) if region is None else None
            if closer is not None:
                again, _ = self._look(rgb, closer)
                cam[closer.window] = _sigmoid((logits[closer.window] + again) / 2)
                mask = keep_stream(cam > thresholds.mask, cam)
        return Segmentation(probability, present, cam, mask)

    def _look(self, rgb: Image, view: View) -> tuple[npt.NDArray[np.float32], float]:
        """Logits at the pixels of the view's window, and the pooled one."""
        output = self._backend.run(view.letterbox.apply(rgb[view.window]), view.letterbox.valid())
        # Logits are interpolated, not probabilities: those have no slope where they saturate.
        return view.letterbox.restore(output.cam), output.presence


class _PublishedReader:
    """The live demo of PourIt!: image and mirror image at one scale, min-max CAM.

    Present when the two logits sum to more than 0; the CAM of an image without liquid is 0.
    Unlike the demo, letterbox borders take no part in the min-max normalisation.
    """

    def __init__(self, model: PublishedNetwork, input_size: int, device: torch.device) -> None:
        self._model = model
        self._input_size = input_size
        self._device = device

    @torch.inference_mode()
    def __call__(
        self, rgb: Image, region: ImageRegion | None, thresholds: Thresholds
    ) -> Segmentation:
        letterbox = whole_view(rgb.shape[:2], self._input_size).letterbox
        images = self._model.normalise(_to_batch(letterbox.apply(rgb), self._device))
        logits, maps = self._model.logits_and_cam(with_mirror(images))
        probability = logits.mean().sigmoid().item()
        present = probability > thresholds.presence
        cam = np.zeros(rgb.shape[:2], np.float32)
        if present:
            merged = merge_mirror(maps, letterbox.size)
            picture = (..., *letterbox.content)
            merged[picture] = min_max(merged[picture])
            cam = letterbox.restore(merged[0, 0].cpu().numpy())
        return Segmentation(probability, present, cam, cam > thresholds.mask)


def _sigmoid(logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    return torch.from_numpy(logits).sigmoid().numpy()


def _to_batch(rgb: Image, device: torch.device) -> torch.Tensor:
    """(H, W, 3) -> (1, 3, H, W)."""
    return torch.from_numpy(rgb).permute(2, 0, 1)[None].to(device)
