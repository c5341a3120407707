# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What a weights file says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class WeightsMetadata:
    """Metadata of a weights file. Raises ValueError where it is invalid."""

    input_size: int
    """Side of the square in whose area whole images are seen, pixels."""
    presence_threshold: float
    """Probability above which liquid is present."""
    mask_threshold: float
    """CAM value above which a pixel belongs to the mask."""
    recipe: str
    """How the weights were trained."""
    licence: str
    """SPDX identifier or one line."""
    origin: str
    """Data and initial weights that they come from."""

    @classmethod
    def from_header(cls, header: Mapping[str, str]) -> WeightsMetadata:
        """Read the header of a file; raises KeyError or ValueError."""
        return cls(
            input_size=int(header['input_size']),
            presence_threshold=float(header['presence_threshold']),
            mask_threshold=float(header['mask_threshold']),
            recipe=header['recipe'],
            licence=header['licence'],
            origin=header['origin'],
        )

    def to_header(self) -> dict[str, str]:
        """The header that `from_header` reads."""
        return {name: str(value) for name, value in asdict(self).items()}

    def __post_init__(self) -> None:
        if self.input_size < 32:
            raise ValueError(f'input_size is {self.input_size}, but must be at least 32')
        for name in ('presence_threshold', 'mask_threshold'):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f'{name} is {getattr(self, name)}, but must lie in [0, 1]')


#: The live demo of PourIt!; its thresholds are in the code, not in the checkpoint.
PUBLISHED = WeightsMetadata(
    input_size=480,
    presence_threshold=0.5,
    mask_threshold=0.7,
    recipe='PourIt!, arXiv 2307.11299',
    licence='unclear: Apache-2.0 repository, but trained from non-commercial MiT weights',
    origin='https://github.com/hetolin/PourIt',
)
