# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Watch a robot pour: liquid mask, 3D stream and liquid-to-container distance from RGB-D.

Most programs need only the names below. Each is loaded on first use, so that `import pourit_ros`
is fast and torch is imported with the first `Segmenter`.

>>> import numpy as np
>>> from pourit_ros import Segmenter
>>> segmenter = Segmenter('default')
>>> segmenter(np.zeros((480, 640, 3), np.uint8)).present
False
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .formats.images import read_image
    from .geometry.camera import PinholeCamera
    from .geometry.container import Container
    from .geometry.pose import Pose
    from .perception.segmentation import Segmentation
    from .perception.segmenter import Segmenter
    from .pipeline import Frame, PourPipeline
    from .report.lift_picture import draw_lift
    from .report.overlay import overlay

__version__ = '0.1.0'

__all__ = [
    'Container',
    'Frame',
    'PinholeCamera',
    'Pose',
    'PourPipeline',
    'Segmentation',
    'Segmenter',
    'draw_lift',
    'overlay',
    'read_image',
]

# Where each name lives; the same as above, for Python.
_HOME = {
    'Container': 'geometry.container',
    'Frame': 'pipeline',
    'PinholeCamera': 'geometry.camera',
    'Pose': 'geometry.pose',
    'PourPipeline': 'pipeline',
    'Segmentation': 'perception.segmentation',
    'Segmenter': 'perception.segmenter',
    'draw_lift': 'report.lift_picture',
    'overlay': 'report.overlay',
    'read_image': 'formats.images',
}


def __getattr__(name: str) -> Any:
    """Load a name on its first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    from importlib import import_module

    value = getattr(import_module(f'{__name__}.{_HOME[name]}'), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
