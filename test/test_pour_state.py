# SPDX-License-Identifier: Apache-2.0
import pytest

from pourit_ros.control.pour_state import PourStateMachine

STEP = 33_000_000  # 30 Hz


def run(machine, frames, start=0):
    """States over frames written as a string: '.' dry, 'p' present only, 'v' valid."""
    return [
        machine.update(start + k * STEP, frame != '.', frame == 'v')
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


def test_a_dry_frame_after_a_hole_in_the_stream_of_frames_stops_at_once():
    machine = PourStateMachine()
    run(machine, 'vv')
    assert machine.update(2_000_000_000, False, False) == 'stopped'


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
    assert run(PourStateMachine(), frames) == run(PourStateMachine(), frames)
