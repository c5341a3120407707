# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Report missing inputs before any heavy import."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..errors import InputError
from ..perception.find_weights import find_weights


def check_inputs(
    paths: Iterable[Path] = (), folders: Iterable[Path] = (), weights: str | None = None
) -> None:
    """Raise InputError for a missing path or weights, and where a folder is expected."""
    for path in paths:
        if not path.exists():
            raise InputError(f'{path}: no such file or folder')
    for folder in folders:
        if not folder.is_dir():
            kind = 'is a file, expected a folder' if folder.exists() else 'no such folder'
            raise InputError(f'{folder}: {kind}')
    if weights is not None:
        find_weights(weights)
