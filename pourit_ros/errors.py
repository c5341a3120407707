# SPDX-License-Identifier: Apache-2.0
"""The common kind of everything that is wrong with what a user gave us."""


class InputError(ValueError):
    """Bad input, named in one clear line; the command line prints it and exits with status 2."""
