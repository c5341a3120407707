# SPDX-License-Identifier: Apache-2.0
"""What reading and writing of bags raise."""

from ..errors import InputError


class BagError(InputError):
    """A bag that cannot be read or written; one line that says why."""
