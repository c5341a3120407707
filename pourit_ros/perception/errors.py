# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Errors of the perception package."""

from ..errors import InputError


class WeightsError(InputError):
    """Weights that are missing, damaged, or made for another network."""


def require_torch(what: str) -> None:
    """Raise InputError where PyTorch, which `what` needs, is not installed."""
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError:
        raise InputError(
            f"{what} needs PyTorch, which is not installed: pip install 'pourit_ros[train]'"
        ) from None
