# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Find the package's data files (config/, models/) however it was installed."""

from __future__ import annotations

import importlib.metadata
import os
from pathlib import Path


def find_resource(relative: str) -> Path:
    """Return the path of a shipped file such as 'config/containers.yaml'.

    Looks in the source tree (development, `pip install -e`), beside the package
    (`pip install --target`), among the files that pip installed, then under share/pourit_ros of
    every prefix on AMENT_PREFIX_PATH (colcon). Raises FileNotFoundError.
    """
    root = Path(__file__).resolve().parents[1]
    for source in (root / relative, root / 'share' / 'pourit_ros' / relative):
        if source.is_file():
            return source
    try:
        installed = importlib.metadata.files('pourit_ros') or []
    except importlib.metadata.PackageNotFoundError:
        installed = []
    for file in installed:
        if file.as_posix().endswith(f'share/pourit_ros/{relative}'):
            path = Path(str(file.locate())).resolve()
            if path.is_file():
                return path
    for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep):
        path = Path(prefix) / 'share' / 'pourit_ros' / relative
        if prefix and path.is_file():
            return path
    raise FileNotFoundError(f'{relative} is not installed with pourit_ros')
