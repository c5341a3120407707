# SPDX-License-Identifier: Apache-2.0
"""What is raised on messages."""

from ..errors import InputError


class MessageError(InputError):
    """A message that cannot be used; one line that says why."""
