# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The closed loop without a robot: simulator, perception, monitor, controller.

ros2 launch pourit_ros sim.launch.py

Once all four report active:

ros2 service call /pourit/pour_controller/start std_srvs/srv/Trigger

Everything runs at simulated time, slower than real time on a slow machine. `disturbances:=all
seed:=3` draws a trial; `rviz:=true` shows what the nodes see, where tf2_msgs is installed.
"""

from launch import Action, LaunchContext, LaunchDescription
from launch.actions import IncludeLaunchDescription, OpaqueFunction
from launch.conditions import IfCondition
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile, ParameterValue

from pourit_ros.live.launching import integer, number, params_file, preamble, require_rviz, switch
from pourit_ros.resources import find_resource
from pourit_ros.sim.trial import MOST_POSE_AGE, VISIBLE

ARGUMENTS = {
    'namespace': ('pourit', 'Namespace of the nodes.'),
    'params_file': (
        str(find_resource('config/pourit.yaml')),
        'Parameters that the arguments below do not name.',
    ),
    'log_level': ('info', 'debug, info, warn, error.'),
    'weights': ('default', 'Weights file or name.'),
    'device': ('auto', 'auto, cpu, cuda.'),
    'seed': ('0', 'Of the trial.'),
    'disturbances': ('', 'Names with commas between them; all; empty: none.'),
    'rate': ('15.0', 'Images per second.'),
    'fill': ('330.0', 'Volume in the bottle, as the controller is told, ml.'),
    'target_volume': ('100.0', 'Volume to pour, ml.'),
    'correct': ('true', 'false: aim once, then neither correct by sight nor follow the cup.'),
    'dry_run': ('false', 'true: the simulated arm stands still.'),
    'rviz': ('false', 'Start rviz.launch.py too; it needs rviz2.'),
}


def start(context: LaunchContext) -> list[Action]:
    """Look at all that may fail, then start the nodes."""
    given = {name: context.launch_configurations[name] for name in ARGUMENTS}
    params = params_file(given)
    if switch(given, 'rviz'):
        require_rviz()
    # The one base frame of simulator and nodes; poses come on topics.
    poses = {'base_frame': 'base', 'source_frame': '', 'target_frame': ''}
    text = {name: ParameterValue(given[name], value_type=str) for name in ('weights', 'device')}
    nodes: dict[str, dict] = {
        'pour_simulator': {
            'seed': integer(given, 'seed'),
            'disturbances': ParameterValue(given['disturbances'], value_type=str),
            'rate': number(given, 'rate'),
            'clock': True,
            'use_sim_time': False,
            'base_frame': 'base',
        },
        'liquid_perception': {**text, **poses, 'source': 'pourit_bottle', 'target': 'cup'},
        'pour_monitor': {'base_frame': 'base', 'target_frame': '', 'target': 'cup'},
        'pour_controller': {
            **poses,
            'tip_frame': '',
            'source': 'pourit_bottle',
            'target': 'cup',
            'output': 'twist',
            # What the simulated camera sees, and how many images it loses.
            'visible_flow': 1e6 * VISIBLE,
            'max_pose_age': MOST_POSE_AGE,
            'dry_run': switch(given, 'dry_run'),
            'correct': switch(given, 'correct'),
            'fill': number(given, 'fill'),
            'target_volume': number(given, 'target_volume'),
        },
    }
    return [
        *(
            Node(
                package='pourit_ros',
                executable=name,
                name=name,
                namespace=given['namespace'],
                parameters=[
                    ParameterFile(params, allow_substs=True),
                    {'use_sim_time': True, **values},
                ],
                arguments=['--ros-args', '--log-level', given['log_level']],
                output='screen',
            )
            for name, values in nodes.items()
        ),
        IncludeLaunchDescription(
            str(find_resource('launch/rviz.launch.py')), condition=IfCondition(given['rviz'])
        ),
    ]


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription([*preamble(ARGUMENTS), OpaqueFunction(function=start)])
