# SPDX-License-Identifier: Apache-2.0
"""Image -> presence, CAM and mask. Importing this package does not import torch."""

from typing import TYPE_CHECKING, Any

from .errors import WeightsError
from .segmentation import Segmentation

if TYPE_CHECKING:
    from .segmenter import Segmenter

__all__ = ['Segmentation', 'Segmenter', 'WeightsError']


def __getattr__(name: str) -> Any:
    if name == 'Segmenter':
        from .segmenter import Segmenter

        return Segmenter
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
