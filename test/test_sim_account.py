# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The liquid's account: credited where the cup is when it lands, and never lost."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pourit_ros.sim.liquid import Account

RIM = 0.1
STEP = 0.01
LEVEL = np.array([0.0, 0.0, 0.0])


def account(mouth_at=lambda time: np.zeros(2), opening=0.04, room=1.0):
    return Account(mouth_at, opening, RIM, room)


def balance(a):
    return a.poured - a.caught - a.spilled - a.in_air


def test_liquid_is_in_the_air_until_it_has_fallen():
    a = account()
    a.leave(1.0, np.array([0.0, 0.0, RIM + 0.1962]), LEVEL, 5e-6, STEP)
    # 0.1962 m take 0.2 s.
    a.settle(1.19)
    assert (a.in_air, a.caught, a.landing(1.19)) == (5e-6, 0.0, None)
    a.settle(1.21)
    assert (a.in_air, a.caught, a.spilled) == (0.0, 5e-6, 0.0)
    np.testing.assert_allclose(a.landing(1.21), [0, 0, RIM], atol=1e-12)
    assert a.landing(1.5) is None


def test_it_is_credited_with_the_place_where_the_cup_is_then():
    # The cup leaves as the liquid falls: what left over it is spilled, and the other way round.
    def jumps(time):
        return np.array([0.0 if time < 1.1 else 0.5, 0.0])

    for x, caught in ((0.0, False), (0.5, True)):
        a = account(jumps)
        a.leave(1.0, np.array([x, 0.0, RIM + 0.1962]), LEVEL, 5e-6, STEP)
        a.settle(3.0)
        assert (a.caught > 0) == caught
        assert balance(a) == 0


def test_it_lands_downstream_of_the_lip():
    a = account()
    # Level for 0.2 s at 0.3 m/s: 6 cm on.
    a.leave(0.0, np.array([-0.06, 0.0, RIM + 0.1962]), np.array([0.3, 0, 0]), 1e-6, STEP)
    a.leave(0.0, np.array([-0.03, 0.0, RIM + 0.1962]), np.array([0.3, 0, 0]), 2e-6, STEP)
    a.leave(0.0, np.array([0.0, 0.0, RIM + 0.1962]), np.array([0.3, 0, 0]), 4e-6, STEP)
    a.settle(1.0)
    assert a.caught == pytest.approx(3e-6)
    assert a.spilled == pytest.approx(4e-6)
    np.testing.assert_allclose(a.puddle[0], [0.06, 0], atol=1e-12)


def test_a_full_cup_runs_over():
    a = account(room=12e-6)
    for k in range(20):
        a.leave(k * STEP, np.array([0.0, 0.0, RIM + 0.05]), LEVEL, 1e-6, STEP)
        a.settle(k * STEP)
    a.settle(1.0)
    assert a.caught == pytest.approx(12e-6)
    assert a.spilled == pytest.approx(8e-6)


def test_a_lip_below_the_rim_pours_where_it_is():
    a = account()
    a.leave(0.0, np.array([0.01, 0.0, RIM - 0.02]), LEVEL, 1e-6, STEP)
    a.leave(0.0, np.array([0.2, 0.0, RIM - 0.02]), LEVEL, 3e-6, STEP)
    a.settle(0.0)
    assert (a.caught, a.spilled) == (pytest.approx(1e-6), pytest.approx(3e-6))


def test_streams_end_at_a_gap():
    a = account()
    for k in (0, 1, 2, 10, 11):
        a.leave(k * STEP, np.array([0.0, 0.0, RIM + 0.2]), LEVEL, 1e-6, STEP)
    assert [len(run) for run in a.streams()] == [3, 2]


coordinate = st.floats(-0.15, 0.15)
parcel = st.tuples(
    coordinate, coordinate, st.floats(-0.05, 0.3), st.floats(-0.5, 0.5), st.floats(-0.5, 0.3),
    st.floats(0, 1e-6),
)  # fmt: skip


@settings(max_examples=60)
@given(st.lists(parcel, max_size=60), st.floats(0, 3e-5), coordinate)
def test_nothing_is_lost_or_made(parcels, room, drift):
    a = account(lambda time: np.array([drift * time, 0.0]), room=room)
    for k, (x, y, above, u, w, volume) in enumerate(parcels):
        place = np.array([x, y, RIM + above])
        a.leave(k * STEP, place, np.array([u, 0.0, w]), volume, STEP)
        a.settle(k * STEP)
        assert abs(balance(a)) < 1e-12
        assert a.caught <= room + 1e-15
    a.settle(100.0)
    assert a.in_air == 0
    assert abs(balance(a)) < 1e-12
