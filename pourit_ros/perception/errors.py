# SPDX-License-Identifier: Apache-2.0
"""Errors of the perception package."""

from ..errors import InputError


class WeightsError(InputError):
    """Weights that are missing, damaged, or made for another network."""
