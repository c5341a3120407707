# SPDX-License-Identifier: Apache-2.0
"""What a command raises when its input cannot be used."""

from ..errors import InputError


class CommandError(InputError):
    """One clear line for the person at the terminal."""
