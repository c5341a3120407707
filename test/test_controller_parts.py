# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Parts of the controller: limits, tracks, landing filter, belief, settings."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pourit_ros.control.belief import PourBelief
from pourit_ros.control.history import History
from pourit_ros.control.landing_filter import LandingFilter
from pourit_ros.control.limits import TwistLimiter, lip_to_tip
from pourit_ros.control.outflow import Outflow
from pourit_ros.control.settings import ControllerSettings
from pourit_ros.control.tracks import SourceTrack, TargetTrack
from pourit_ros.control.watch import Clock, Input
from pourit_ros.errors import InputError
from pourit_ros.geometry import Container, Pose

ML = 1e-6
LIMITS = (0.25, 0.8), (1.5, 5.0), (15.0, 60.0)


@given(
    st.lists(
        st.tuples(
            st.lists(st.floats(-2, 2), min_size=6, max_size=6),
            st.integers(1, 30),
        ),
        min_size=1,
        max_size=12,
    )
)
@settings(max_examples=60, deadline=None)
def test_no_limit_is_ever_passed(wishes):
    limiter, dt = TwistLimiter(*LIMITS), 0.01
    twist = rate = np.zeros(6)
    for wanted, steps in wishes:
        for _ in range(steps):
            new = limiter.step(np.array(wanted), dt)
            new_rate = (new - twist) / dt
            jerk = (new_rate - rate) / dt
            for values, limits in zip((new, new_rate, jerk), LIMITS, strict=True):
                sizes = np.linalg.norm(values.reshape(2, 3), axis=1)
                assert (sizes <= np.array(limits) * (1 + 1e-6)).all()
            twist, rate = new, new_rate


def test_the_whole_twist_is_scaled():
    wanted = np.array([0.5, 0.1, 0, 0.3, 0, 0.2])
    limiter = TwistLimiter(*LIMITS)
    for _ in range(300):
        twist = limiter.step(wanted, 0.01)
        assert np.linalg.norm(np.cross(twist[:3], wanted[:3])) < 1e-12
        assert twist @ wanted == pytest.approx(np.linalg.norm(twist) * np.linalg.norm(wanted))
    assert np.linalg.norm(twist[:3]) == pytest.approx(0.95 * 0.25)
    # From there it comes to rest, and stays there.
    for _ in range(300):
        twist = limiter.step(np.zeros(6), 0.01)
    assert np.abs(twist).max() < 1e-9


def test_the_tip_moves_so_that_the_lip_stays():
    rng = np.random.default_rng(0)
    lip, tip, twist = rng.normal(size=3), rng.normal(size=3), rng.normal(size=6)
    moved = lip_to_tip(twist, lip, tip)
    np.testing.assert_allclose(moved[:3] + np.cross(moved[3:], lip - tip), twist[:3])
    np.testing.assert_array_equal(moved[3:], twist[3:])


def test_history_interpolates():
    history = History(1.0)
    assert history.at(0.0) is None
    for k in range(400):
        history.add(0.01 * k, np.array([float(k)]))
    assert history.at(3.505) == pytest.approx(350.5)
    assert history.at(99.0) == 399
    assert history.at(0.0) > 100


def test_a_source_is_averaged_and_follows_its_twists():
    source, rng = Container.load('bottle'), np.random.default_rng(1)
    track = SourceTrack(source, arm_lag=0.0)
    twist = np.array([0.1, 0, 0, 0, 0, 0])
    errors = []
    for k in range(400):
        now = 0.01 * k
        true = Pose(np.eye(3), [0.1 * now, 0, 0])
        noise = rng.normal(0, 0.005, 3)
        track.measure(now - 0.05, Pose(np.eye(3), [0.1 * (now - 0.05), 0, 0] + noise))
        track.advance(now, track.mouth, twist)
        errors.append(track.mouth - source.mouth_in(true))
    assert np.linalg.norm(errors[200:], axis=1).max() < 0.003


def test_a_target_rests_and_moves():
    cup, rng = Container.load('cup'), np.random.default_rng(2)
    track, errors = TargetTrack(cup, 0.005), []
    for k in range(180):
        now = k / 30
        x = np.clip(now - 3, 0, 1)
        place = np.array([0.08 * x**3 * (10 - 15 * x + 6 * x * x), 0, 0])
        track.measure(now, Pose(np.eye(3), place + rng.normal(0, 0.005, 3) / np.sqrt(3)))
        errors.append(np.linalg.norm(track.at(now + 0.1)[:2] - (cup.mouth + place)[:2]))
        if 1 < now < 3:
            assert not track.moving
        if now > 2.9:
            assert np.linalg.norm(track.speed()) < 0.3
    assert max(errors[30:90]) < 0.004
    assert max(errors[90:]) < 0.03
    assert max(errors[-15:]) < 0.006


def test_the_landing_filter_weighs_by_covariance():
    sure, unsure = LandingFilter(1.2), LandingFilter(1.2)
    sure.see(0.0, np.array([0.02, 0.0]), 1e-6 * np.eye(2))
    unsure.see(0.0, np.array([0.02, 0.0]), 1e-2 * np.eye(2))
    assert sure.bias[0] > 0.015
    assert 0 < unsure.bias[0] < 0.003


def test_the_landing_filter_settles_and_refuses_outliers():
    filter_, rng = LandingFilter(1.2), np.random.default_rng(0)
    for k in range(60):
        filter_.see(k / 15, np.array([0.02, -0.01]) + rng.normal(0, 0.004, 2), 16e-6 * np.eye(2))
    np.testing.assert_allclose(filter_.bias, [0.02, -0.01], atol=0.003)
    before = filter_.bias.copy()
    assert not filter_.see(4.0, np.array([0.3, 0.3]), 16e-6 * np.eye(2))
    np.testing.assert_array_equal(filter_.bias, before)
    # In the long run one sighting moves it by no more than the gain allows.
    filter_.see(4.067, before + [0.01, 0], 1e-9 * np.eye(2))
    assert filter_.bias[0] - before[0] <= 0.01 * (1 - np.exp(-1.2 * 0.13)) + 1e-9
    # A lasting change is believed in the end.
    for k in range(30):
        filter_.see(5 + k / 15, np.array([0.2, 0.2]), 16e-6 * np.eye(2))
    np.testing.assert_allclose(filter_.bias, [0.2, 0.2], atol=0.01)


def test_the_first_liquid_seen_tells_the_fill():
    model = Outflow(Container.load('bottle').cavity)
    true, told = 280 * ML, 320 * ML
    belief = PourBelief(model, told, 40 * ML, 8 * ML, 0.3, 0.017)
    tilt, now, first = model.onset(true) - 0.15, 0.0, None
    from pourit_ros.control.outflow import Pouring

    pouring = Pouring(model, true)
    for k in range(400):
        now = 0.02 * k
        tilt += 0.06 * 0.02 if pouring.flow < 12 * ML else 0.0
        pouring.step(tilt, 0.02)
        belief.advance(now, tilt, 0.02)
        if k % 3 == 0:
            belief.see(now, pouring.flow > 6 * ML, None, None)
        if pouring.flow > 10 * ML and first is None:
            first = k
        if first is not None and k > first + 20:
            break
    assert belief.now.left_sigma < 30 * ML
    excess = belief.now.left - model.kept(tilt + belief.now.tilt_error)
    assert excess == pytest.approx(pouring.volume - model.kept(tilt), abs=15 * ML)
    assert belief.now.flow == pytest.approx(pouring.flow, rel=0.4)


def test_a_tilt_that_is_seen_is_followed():
    model = Outflow(Container.load('bottle').cavity)
    belief = PourBelief(model, 300 * ML, 30 * ML, 8 * ML, 0.3, 0.017)
    rng = np.random.default_rng(0)

    def error(time):
        """It slips by 0.1 rad within two seconds."""
        return 0.05 * np.clip(time - 2, 0, 2)

    late, wild = 0.15, 0
    for k in range(300):
        now = 0.02 * k
        belief.advance(now, 0.5, 0.02)
        if k % 3 == 0 and k * 0.02 > late:
            seen = error(now - late) + 0.004 * rng.standard_normal()
            if k % 45 == 0:
                # Now and then it sees something else.
                wild += 1
                seen += 0.5
            belief.see_tilt(now - late, seen)
        if now > 0.5:
            assert belief.now.tilt_seen == pytest.approx(error(now), abs=0.025), now
        if 1 < now < 1.9 or now > 5:
            assert belief.now.tilt_error == pytest.approx(error(now), abs=0.02), now
    assert wild > 4
    # What is seen again and again is so.
    for k in range(12):
        belief.see_tilt(now + 0.06 * k, 0.4)
        belief.advance(now + 0.06 * k, 0.5, 0.06)
    assert belief.now.tilt_seen == pytest.approx(0.4, abs=0.05)


def test_what_was_seen_of_a_source_is_forgotten_with_its_grip():
    track = SourceTrack(Container.load('bottle'), 0.05)
    told = Pose(np.eye(3), np.array([0.5, 0.0, 0.3]))
    seen = told.perturbed([0.02, -0.01, 0.0], [0.0, 0.0, 0.0])
    track.measure(0.0, told)
    assert track.see(0.0, seen) is None
    for k in range(20):
        track.advance(0.1 * k, track.mouth, np.zeros(6))
        axis = track.see(0.1 * k, seen)
        assert axis is not None
        assert np.allclose(axis, [0, 0, 1])
        assert np.allclose(track.seen_shift, [0.02, -0.01, 0])
    track.forget_sight()
    assert not track.seen_shift.any()
    # The clock was set back: the next sight counts in full.
    track.see(1.9, told.perturbed([0.03, 0, 0], [0, 0, 0]))
    track.restart(0.5)
    track.see(0.5, seen)
    assert np.allclose(track.seen_shift, [0.02, -0.01, 0])


def test_settings_state_the_margin_and_refuse_what_does_not_fit():
    s = ControllerSettings()
    margin = s.delay_margin()
    assert margin.phase_margin > 60
    assert margin.k_max > s.gain
    at_most = s.delay_margin(margin.latency_max)
    assert at_most.phase_margin == pytest.approx(60)
    assert at_most.k_max == pytest.approx(s.gain)
    for changes, message in (
        ({'latency': 0.3}, 'phase margin of'),
        ({'pour_flow': 5 * ML}, 'below the 8 ml/s that are seen'),
        ({'blind_time': 0.1}, 'blind_time'),
        ({'lip_speed': float('nan')}, 'lip_speed'),
        ({'target_volume': -1.0}, 'target_volume'),
        ({'workspace': ((0, 0, 0), (1, 1, 0))}, 'workspace'),
    ):
        with pytest.raises(InputError, match=message):
            ControllerSettings(**changes)


def test_inputs_know_stamps_and_ages():
    given = Input('poses', 0.4)
    assert given.problem(0.0) == 'poses: none has come'
    assert given.accept(1.0, 1.1)
    assert not given.accept(1.0, 1.2)
    assert not given.accept(9.0, 1.3)
    assert given.problem(1.4) == ''
    assert 'ahead of the clock' in given.problem(1.6)
    assert given.accept(1.5, 1.6)
    assert not given.accept(0.2, 1.7)
    assert 'went back by 1.30 s' in given.problem(2.2)
    assert not given.accept(float('nan'), 2.3)
    assert 'not a number' in given.problem(2.3)


def test_the_clock_sees_jumps():
    clock = Clock()
    assert clock.advance(5.0) == (0.0, '')
    assert clock.advance(5.01) == (pytest.approx(0.01), '')
    assert 'went back' in clock.advance(4.0)[1]
    assert 'stood still' in clock.advance(5.0)[1]
