# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Groups of disturbances by name, for command lines and tables."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import InputError
from .setup import SWITCHES


def disturbances_of(text: str) -> tuple[str, ...]:
    """The disturbances that `text` names: all, none, or names joined by commas.

    Raises InputError, which lists the names.
    """
    if text == 'all':
        return SWITCHES
    if text == 'none':
        return ()
    names = {name.strip() for name in text.split(',')}
    if unknown := sorted(names - set(SWITCHES)):
        raise InputError(
            f'no disturbance {unknown[0]!r}; all, none, or some of {", ".join(SWITCHES)}'
        )
    return tuple(name for name in SWITCHES if name in names)


def name_of(group: Sequence[str]) -> str:
    """The name of a group in tables."""
    return 'all' if tuple(group) == SWITCHES else ','.join(group) or 'none'
