# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The two errors of the geometry."""

from ..errors import InputError


class GeometryError(InputError):
    """The input itself is wrong: a non-rotation, intrinsics without focal length, ..."""


class NotEstimable(Exception):  # noqa: N818 - a state of the measurement, not a fault
    """The input is valid, but the quantity cannot be estimated; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
