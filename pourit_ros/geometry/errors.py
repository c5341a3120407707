# SPDX-License-Identifier: Apache-2.0
"""The two ways in which geometry says no."""

from ..errors import InputError


class GeometryError(InputError):
    """The input itself is wrong: a non-rotation, intrinsics without focal length, ..."""


class NotEstimable(Exception):  # noqa: N818 - a state of the measurement, not a fault
    """The input is fine and the quantity still cannot be estimated; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
