# SPDX-License-Identifier: Apache-2.0
"""Errors of the perception package."""


class WeightsError(ValueError):
    """Weights that are missing, damaged, or made for another network."""
