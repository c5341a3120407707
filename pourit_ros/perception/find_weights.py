# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Find weights by path or name; without torch, so that a wrong name fails at once."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ..resources import find_resource
from .errors import WeightsError

SHIPPED = ('default', 'default-small', 'weak')


def find_weights(path_or_name: str | Path) -> Path:
    """Locate a file by path, or a name such as 'default'.

    A name is looked up as <name>.safetensors in $POURIT_MODEL_DIR, then among the models that
    come with the package. Raises WeightsError.
    """
    path = Path(path_or_name)
    if path.is_file():
        return path
    name = str(path_or_name)
    if re.fullmatch(r'\w[\w-]*', name):
        for folder in _own_folder():
            if (folder / f'{name}.safetensors').is_file():
                return folder / f'{name}.safetensors'
        try:
            return find_resource(f'models/{name}.safetensors')
        except FileNotFoundError:
            pass
    elif path.suffix or path.is_dir():
        raise WeightsError(f'{path}: no such weights file')
    raise WeightsError(
        f'no weights named {name!r}; choose one of {", ".join(known_weights())}, give '
        f'a file, or put {path.name}.safetensors into $POURIT_MODEL_DIR'
    )


def comes_with_package(path_or_name: str | Path) -> bool:
    """Whether these are weights that every installation has."""
    found = find_weights(path_or_name)
    return str(path_or_name) in SHIPPED and found.parent not in _own_folder()


def known_weights() -> list[str]:
    """Names that `find_weights` finds, those of $POURIT_MODEL_DIR included."""
    own = {path.stem for folder in _own_folder() for path in folder.glob('*.safetensors')}
    return [*SHIPPED, *sorted(own - {*SHIPPED})]


def _own_folder() -> list[Path]:
    folder = os.environ.get('POURIT_MODEL_DIR')
    return [Path(folder)] if folder else []
