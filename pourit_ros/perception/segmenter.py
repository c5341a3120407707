# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""From an image to presence, CAM and mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

import numpy as np

from ..errors import InputError
from .devices import Device, check_device, onnx_device, torch_has_cuda
from .errors import require_torch
from .find_weights import find_weights
from .liquid_reader import Image, LiquidReader, Reader, Thresholds
from .masks import keep_stream
from .metadata import WeightsMetadata
from .onnx_backend import OnnxNetwork, find_graph, load_into_graph, load_onnx
from .refine import REFINEMENTS, refine
from .segmentation import ImageRegion, Segmentation

if TYPE_CHECKING:
    import torch

    from .torch_networks import Model


class Segmenter:
    """Find the stream of liquid in single images.

    `weights`: a shipped name (`find_weights.SHIPPED`) or a file of `pourit train` or `pourit
    export`. They run in onnxruntime; PyTorch runs the published network, encoders without a graph
    in models/graphs, and CUDA where onnxruntime has none. `device`: 'auto' is CUDA if there is
    one, otherwise the CPU; 'tensorrt' and 'openvino' need an onnxruntime with that provider.
    `threads`: of onnxruntime for this model, or of PyTorch for the whole process; None leaves the
    number unchanged. `refinement`: 'par' or 'guided' moves the CAM to edges of the image around
    the mask, see `refine`. Raises WeightsError, and InputError for a missing device or package.

    `thresholds` start as the weights' own and may be set at any time. Any thread may call it, one
    at a time.

    The mask is a class activation map (CAM) above a threshold, after PourIt! (Lin et al., ICCV
    2023): a classifier trained only on whether liquid flows shows in its CAM where.

    >>> import numpy as np
    >>> segmenter = Segmenter('default', device='cpu')
    >>> segmenter
    <Segmenter 'default' on cpu, onnxruntime: presence > 0.82, mask > 0.50>
    >>> image = np.zeros((480, 640, 3), np.uint8)
    >>> seen = segmenter(image)
    >>> seen.present, seen.mask.shape
    (False, (480, 640))
    >>> [one.present for one in segmenter([image, image])]
    [False, False]
    """

    thresholds: Thresholds
    """Probability above which there is liquid, activation above which a pixel is liquid."""
    refinement: Literal['par', 'guided'] | None
    """How masks are moved to edges of the image; None: not."""
    device: str
    """Where the network runs: cpu, cuda, tensorrt or openvino."""
    backend_name: str
    """What runs it: onnxruntime or torch."""

    def __init__(
        self,
        weights: str | Path = 'default',
        device: Device = 'auto',
        threads: int | None = None,
        refinement: Literal['par', 'guided'] | None = None,
    ) -> None:
        if refinement is not None and refinement not in REFINEMENTS:
            raise InputError(
                f'unknown refinement {refinement!r}, choose one of {", ".join(REFINEMENTS)}'
            )
        if refinement == 'par':
            require_torch("refinement 'par'")
        check_device(device)
        if threads is not None and threads < 1:
            raise InputError(f'threads is {threads}, but must be at least 1')
        path = find_weights(weights)
        graph = find_graph(path) if path.suffix == '.safetensors' else None
        where = onnx_device(device) if graph or path.suffix == '.onnx' else None
        if graph is not None and where is not None:
            self._use_onnx(load_into_graph(path, graph, where, threads), where)
        elif path.suffix == '.onnx':
            if where is None and device == 'cuda':
                raise InputError(
                    f'{path}: exported models run in onnxruntime, which has no CUDA here; choose '
                    'cpu or auto, or pip install onnxruntime-gpu in place of onnxruntime'
                )
            self._use_onnx(load_onnx(path, where or 'cpu', threads), where or 'cpu')
        else:
            self._load_torch(path, device, threads)
        self.name = str(weights)
        self.refinement = refinement

    def _load_torch(self, path: Path, device: str, threads: int | None) -> None:
        if device in ('tensorrt', 'openvino'):
            raise InputError(
                f'device {device}: {path} runs in PyTorch only; choose auto, cpu or cuda'
            )
        require_torch(f'{path}: this network')
        import torch

        from .weights import load_weights

        cuda = device != 'cpu' and torch_has_cuda()
        if device == 'cuda' and not cuda:
            raise InputError('device cuda: PyTorch finds no CUDA device; choose cpu or auto')
        if threads is not None:
            torch.set_num_threads(threads)
        self._use_torch(*load_weights(path), 'cuda' if cuda else 'cpu')

    @classmethod
    def from_model(
        cls, model: Model, metadata: WeightsMetadata, device: torch.device | str = 'cpu'
    ) -> Segmenter:
        """Build a segmenter from a PyTorch model in memory.

        Takes ownership of the model: sets it to evaluation mode and moves it to the device.
        """
        segmenter = cls.__new__(cls)
        segmenter._use_torch(model, metadata, device)
        segmenter.name = type(model).__name__
        return segmenter

    def _use_onnx(self, network: OnnxNetwork, device: str) -> None:
        reader = LiquidReader(network.backend, network.metadata.input_size)
        self._use(reader, network.metadata, device, 'onnxruntime')

    def _use_torch(
        self, model: Model, metadata: WeightsMetadata, device: torch.device | str
    ) -> None:
        from .torch_networks import torch_reader

        self._use(torch_reader(model, metadata, device), metadata, str(device), 'torch')

    def _use(self, read: Reader, metadata: WeightsMetadata, device: str, backend: str) -> None:
        self._read = read
        self.metadata = metadata
        self.refinement = None
        self.thresholds = Thresholds(metadata.presence_threshold, metadata.mask_threshold)
        self.device = device
        self.backend_name = backend

    def __repr__(self) -> str:
        presence, mask = self.thresholds
        return (
            f'<Segmenter {self.name!r} on {self.device}, {self.backend_name}: '
            f'presence > {presence:.2f}, mask > {mask:.2f}>'
        )

    @overload
    def __call__(self, images: Image) -> Segmentation: ...

    @overload
    def __call__(self, images: Sequence[Image]) -> list[Segmentation]: ...

    def __call__(self, images: Image | Sequence[Image]) -> Segmentation | list[Segmentation]:
        """Segment one image, or each of several.

        images: (H, W, 3) uint8 RGB of any size, or a sequence of such, or an array
        (N, H, W, 3); several give a list. A type checker takes any array for one image: give it
        `list(array)`. Images are processed one after another, with the same results as alone.
        Raises ValueError for anything else, and for a bad image among several before the first is
        processed.
        """
        if isinstance(images, np.ndarray) and images.ndim != 4:
            return self.segment(images)
        if not isinstance(images, np.ndarray | Sequence) or isinstance(images, str | bytes):
            raise ValueError(f'expected an RGB image or several, not {type(images).__name__}')
        for k, image in enumerate(images):
            _check_image(image, f'image {k}: ')
        return [self.segment(image) for image in images]

    def segment(self, rgb: Image, region: ImageRegion | None = None) -> Segmentation:
        """Segment one (H, W, 3) uint8 RGB image of any size.

        region: where liquid can be (`geometry.region.pour_region`). The network then sees only
        that part, at the scale it was trained for; outside it CAM and mask are empty, and presence
        is that of an image without liquid there. The published network always reads the whole
        image, as in its demo. Raises ValueError for another array, or a region that does not lie
        in the image.
        """
        _check_image(rgb)
        if region is not None:
            columns = 0 <= region.x0 < region.x1 <= rgb.shape[1]
            rows = 0 <= region.y0 < region.y1 <= rgb.shape[0]
            if not (columns and rows):
                raise ValueError(f'{region} does not lie in an image of shape {rgb.shape}')
        seen = self._read(np.ascontiguousarray(rgb), region, self.thresholds)
        if self.refinement is None or not seen.mask.any():
            return seen
        cam = refine(self.refinement, rgb, seen.cam, seen.mask)
        return replace(seen, cam=cam, mask=keep_stream(cam > self.thresholds.mask, cam))


def _check_image(rgb: object, which: str = '') -> None:
    if not isinstance(rgb, np.ndarray) or rgb.dtype != np.uint8:
        kind = getattr(rgb, 'dtype', type(rgb).__name__)
        raise ValueError(f'{which}an RGB image must be a uint8 array, not {kind}')
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.size == 0:
        raise ValueError(f'{which}an RGB image must have shape (H, W, 3), not {rgb.shape}')
