# SPDX-License-Identifier: Apache-2.0
"""What a command raises when its input cannot be used."""


class CommandError(ValueError):
    """One clear line for the person at the terminal."""
