# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Plays a recorded twist to an arm with libfranka; test_franka_sim.py runs it in its own venv.

Usage: python franka_client.py ADDRESS RECORD.npz   (prints one JSON object)
"""

import json
import sys

import numpy as np
import pylibfranka as franka

# The way to the start, s.
APPROACH = 4.0
CYCLE = 0.001
# Of the measured orientations, one in so many is told.
EVERY = 20


def approach(robot, q):
    """Bring the joints to `q` (7,) rad, smoothly."""
    control = robot.start_joint_position_control(franka.ControllerMode.JointImpedance)
    state, _ = control.readOnce()
    start, time = np.array(state.q_d), 0.0
    while time < APPROACH:
        time += CYCLE
        x = min(time / APPROACH, 1.0)
        command = franka.JointPositions(start + x**3 * (10 - 15 * x + 6 * x * x) * (q - start))
        command.motion_finished = time >= APPROACH
        control.writeOnce(command)
        if not command.motion_finished:
            control.readOnce()


def play(robot, times, twists):
    """Follow the twists (T, 6); the last state, and (time, orientation (3, 3)) as measured."""
    control = robot.start_cartesian_velocity_control(franka.ControllerMode.JointImpedance)
    turned, time, state = [], 0.0, None
    while time < times[-1]:
        state, period = control.readOnce()
        time += period.to_sec()
        twist = [float(np.interp(time, times, column)) for column in twists.T]
        command = franka.CartesianVelocities(twist)
        command.motion_finished = time >= times[-1]
        turned.append((time, np.reshape(state.O_T_EE, (4, 4)).T[:3, :3].tolist()))
        control.writeOnce(command)
    return state, turned[::EVERY]


def main():
    """Approach, play, tell."""
    address, record = sys.argv[1:]
    with np.load(record) as file:
        q, times, twists = file['q'], file['times'], file['twists']
    robot = franka.Robot(address, franka.RealtimeConfig.kIgnore)
    robot.set_EE(np.eye(4).flatten().tolist())
    told = {'error': ''}
    try:
        approach(robot, q)
        state, turned = play(robot, times, twists)
        told |= {'turned': turned, 'success': state.control_command_success_rate}
    except (franka.FrankaException, franka.ControlException) as error:
        told['error'] = str(error)
    state = robot.read_once()
    told |= {'mode': str(state.robot_mode), 'errors': str(state.last_motion_errors)}
    print(json.dumps(told))


if __name__ == '__main__':
    main()
