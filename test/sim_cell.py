# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What the tests of the simulated cell have in common."""

import pytest

from pourit_ros.errors import InputError
from pourit_ros.sim.franka import fr3_model, load_mujoco


def _missing():
    try:
        load_mujoco(), fr3_model()
    except InputError as error:
        return str(error)
    return ''


MISSING = _missing()
needs_sim = pytest.mark.skipif(bool(MISSING), reason=MISSING)


def _no_drawing():
    from pourit_ros.sim.camera import Renderer
    from pourit_ros.sim.scene import build
    from pourit_ros.sim.setup import Setup

    try:
        Renderer(build(Setup(), (32, 24)), (32, 24)).close()
    except InputError as error:
        return str(error)
    return ''


CANNOT_DRAW = MISSING or _no_drawing()
needs_drawing = pytest.mark.skipif(bool(CANNOT_DRAW), reason=CANNOT_DRAW)
