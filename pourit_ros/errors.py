# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The common base of all errors in what a user provides."""


class InputError(ValueError):
    """Bad input, named in one clear line; the command line prints it and exits with status 2."""
