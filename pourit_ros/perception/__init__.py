# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Image -> presence, CAM and mask. Importing this package does not import torch."""

import os
from typing import TYPE_CHECKING, Any

from .errors import WeightsError
from .segmentation import Segmentation

if TYPE_CHECKING:
    from .segmenter import Segmenter

# Threads of PyTorch's OpenMP that wait for each other by spinning stand still, 50 times as slow,
# wherever another process takes a core. Read when torch is loaded, so it is set before.
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')

__all__ = ['Segmentation', 'Segmenter', 'WeightsError']


def __getattr__(name: str) -> Any:
    if name == 'Segmenter':
        from .segmenter import Segmenter

        return Segmenter
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
