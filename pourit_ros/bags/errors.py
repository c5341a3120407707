# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The error that reading and writing bags raises."""

from ..errors import InputError


class BagError(InputError):
    """A bag that cannot be read or written; one line that says why."""
