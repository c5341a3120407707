# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks in PyTorch as the segmenter runs them."""

from __future__ import annotations

from typing import TypeAlias

import torch

from .classifier import LiquidClassifier
from .liquid_reader import LiquidReader, Reader
from .metadata import WeightsMetadata
from .published_network import PublishedNetwork
from .published_reader import PublishedReader
from .torch_backend import TorchBackend

Model: TypeAlias = LiquidClassifier | PublishedNetwork


def torch_reader(model: Model, metadata: WeightsMetadata, device: torch.device | str) -> Reader:
    """Read a model on a device; takes ownership of it."""
    device = torch.device(device)
    if isinstance(model, PublishedNetwork):
        return PublishedReader(model.eval().to(device), metadata.input_size, device)
    return LiquidReader(TorchBackend(model, device), metadata.input_size)
