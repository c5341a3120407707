# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
import pytest

from pourit_ros.control.pour_state import PourStateMachine

STEP = 33_000_000  # 30 Hz
PROBABILITY = {'.': 0.05, 'u': 0.4, 'p': 0.9, 'v': 0.9}


def run(machine, frames, start=0, step=STEP):
    """States over frames: '.' dry, 'u' undecided, 'p' present only, 'v' valid."""
    return [
        machine.update(start + k * step, frame in 'pv', frame == 'v', PROBABILITY[frame])
        for k, frame in enumerate(frames)
    ]


def test_begins_idle_and_searches_while_dry():
    machine = PourStateMachine()
    assert machine.state == 'idle'
    assert run(machine, '...') == ['searching'] * 3


def test_flows_after_two_successive_frames_only():
    assert run(PourStateMachine(), '.v.v.vv') == ['searching'] * 6 + ['flowing']
    assert run(PourStateMachine(start_after=1), 'v') == ['flowing']


def test_short_gap_does_not_stop_a_flow():
    # 9 dry frames span 9 * 33 = 297 ms since the last wet one, the tenth reaches 330 ms.
    states = run(PourStateMachine(), 'vv' + '.' * 10)
    assert states[2:11] == ['flowing'] * 9
    assert states[11] == 'stopped'


@pytest.mark.parametrize('step', [STEP, 10 * STEP, 60 * STEP])
def test_one_wrong_frame_moves_nothing_at_any_rate(step):
    assert run(PourStateMachine(), '...v...', step=step) == ['searching'] * 7
    assert run(PourStateMachine(), 'vvv.vvv', step=step)[1:] == ['flowing'] * 6


@pytest.mark.parametrize('step', [STEP, 10 * STEP])
def test_the_start_is_told_within_two_frames(step):
    assert run(PourStateMachine(), '...vv', step=step)[-1] == 'flowing'


def test_the_end_is_told_by_time_and_two_frames():
    # At 3 Hz the first dry frame is old enough, the second is enough of them.
    assert run(PourStateMachine(), 'vv..', step=10 * STEP)[2:] == ['flowing', 'stopped']
    machine = PourStateMachine()
    run(machine, 'vv')
    assert run(machine, '..', start=2_000_000_000) == ['flowing', 'stopped']


def test_undecided_frames_prolong_a_flow_and_begin_none():
    assert set(run(PourStateMachine(), 'vv' + 'u' * 30)[1:]) == {'flowing'}
    assert run(PourStateMachine(), 'vv' + 'u' * 30 + '.' * 10)[-1] == 'stopped'
    assert set(run(PourStateMachine(), 'u' * 30)) == {'searching'}
    assert set(run(PourStateMachine(), 'uvuuuuuu')) == {'searching'}


def test_undecided_frames_do_not_interrupt_a_beginning_for_long():
    assert run(PourStateMachine(), 'vuv')[-1] == 'flowing'
    assert run(PourStateMachine(), 'v' + 'u' * 12 + 'v')[-1] == 'searching'


def test_without_probabilities_a_frame_is_wet_or_dry():
    machine = PourStateMachine()
    run(machine, 'vv')
    states = [machine.update((2 + k) * STEP, False, False) for k in range(11)]
    assert states[-1] == 'stopped'


def test_flows_again_after_stopped():
    machine = PourStateMachine()
    states = run(machine, 'vv' + '.' * 12 + 'vv')
    assert states[-3:] == ['stopped', 'stopped', 'flowing']


def test_presence_alone_never_faults():
    assert set(run(PourStateMachine(), 'p' * 100)[1:]) == {'flowing'}


def test_losing_the_measurement_mid_pour_is_a_fault_until_it_is_back():
    machine = PourStateMachine()
    states = run(machine, 'vv' + 'p' * 40 + 'v')
    # The last valid frame is number 1; 1 s later is frame 1 + 31.
    assert states[31] == 'flowing'
    assert states[32:42] == ['fault'] * 10
    assert states[42] == 'flowing'
    assert machine.reason == ''


def test_fault_ends_dry_when_the_flow_has_ended():
    machine = PourStateMachine()
    run(machine, 'vv' + 'p' * 40)
    assert 'lost' in machine.reason
    states = run(machine, '.' * 12, start=42 * STEP)
    assert states[0] == 'flowing'
    assert states[-1] == 'stopped'


@pytest.mark.parametrize(
    ('before', 'frame', 'after'),
    [
        ('.', '.', 'searching'),
        ('.', 'p', 'fault'),
        ('.', 'v', 'searching'),
        ('vv', 'v', 'flowing'),
    ],
)
def test_fault_from_outside_ends_with_evidence(before, frame, after):
    machine = PourStateMachine()
    run(machine, before)
    assert machine.fault('no images for 1 s') == 'fault'
    assert machine.reason == 'no images for 1 s'
    assert run(machine, frame, start=len(before) * STEP) == [after]


def test_time_set_back_starts_anew():
    machine = PourStateMachine()
    run(machine, 'vvv', start=10**12)
    assert run(machine, '..') == ['searching', 'searching']


def test_reset():
    machine = PourStateMachine()
    run(machine, 'vvv')
    machine.reset()
    assert machine.state == 'idle'
    assert run(machine, '.') == ['searching']


def test_same_frames_give_same_states():
    frames = '..vvpv..........vvpppp.v'
    said = ['searching'] * 3 + ['flowing'] * 12 + ['stopped'] * 2 + ['flowing'] * 7
    machine = PourStateMachine()
    assert run(machine, frames) == said
    # What it was used for before leaves no trace.
    machine.reset()
    assert run(machine, frames, start=10**12) == said


def test_a_second_pour_after_a_first():
    machine = PourStateMachine()
    pour = 'vv' + 'v' * 5 + '.' * 10
    assert run(machine, pour)[-1] == 'stopped'
    # One wet frame is no pour, the second time either; the same hold and the same loss follow.
    assert run(machine, 'v.', start=20 * STEP) == ['stopped', 'stopped']
    states = run(machine, 'vv' + 'p' * 40, start=30 * STEP)
    assert states[:2] == ['stopped', 'flowing']
    assert states[31:33] == ['flowing', 'fault']
    assert run(machine, 'v' + '.' * 10, start=80 * STEP)[-1] == 'stopped'
