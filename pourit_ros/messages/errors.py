# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The error that unusable messages raise."""

from ..errors import InputError


class MessageError(InputError):
    """A message that cannot be used; one line that says why."""
