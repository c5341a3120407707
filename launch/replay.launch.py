# SPDX-License-Identifier: Apache-2.0
"""A bag through perception and monitor, at its own pace or in lock-step.

ros2 launch pourit_ros replay.launch.py bag:=/path/to/rosbag2 rate:=0.0

Ends with the bag. `record:=FOLDER` writes what the nodes publish. For table, video and report
use `pourit replay BAG --live`. `rviz:=true` shows what the nodes see.
"""

import os

from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    IncludeLaunchDescription,
    RegisterEventHandler,
    SetEnvironmentVariable,
)
from launch.conditions import IfCondition
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution, PythonExpression
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile, ParameterValue
from launch_ros.substitutions import FindPackageShare

from pourit_ros.ros_processes import profile_for_large_images

ARGUMENTS = {
    'bag': (None, 'rosbag2 folder, .mcap or .db3 file.'),
    'rate': ('1.0', 'Speed relative to the recording; 0.0: lock-step, every frame is answered.'),
    'record': ('', 'Folder of the rosbag2 to write; empty: none.'),
    'namespace': ('pourit', 'Namespace of the nodes.'),
    'params_file': (
        PathJoinSubstitution([FindPackageShare('pourit_ros'), 'config', 'pourit.yaml']),
        'Parameters of perception and monitor.',
    ),
    'weights': ('default', 'Weights file or name.'),
    'base_frame': ('base', "The robot's base in the bag, z up."),
    'source_frame': ('', "The source's TF frame in the bag; empty: its pose topic."),
    'target_frame': ('', "The target's TF frame in the bag; empty: its pose topic."),
    'rviz': ('false', 'Start rviz.launch.py too; it needs rviz2.'),
}

# How many topics of each node rviz.launch.py shows.
SHOWN = {'liquid_perception': 2, 'pour_monitor': 1}


def generate_launch_description() -> LaunchDescription:
    argument = {name: LaunchConfiguration(name) for name in ARGUMENTS}

    def node(executable: str, values: dict, **options: object) -> Node:
        return Node(
            package='pourit_ros',
            executable=executable,
            name=executable,
            namespace=argument['namespace'],
            parameters=[ParameterFile(argument['params_file'], allow_substs=True), values],
            output='screen',
            **options,
        )

    def text(name: str) -> ParameterValue:
        return ParameterValue(argument[name], value_type=str)

    def awaited(node: str, alone: int, recorded: int) -> ParameterValue:
        recording = ["('", argument['record'], f"' and {recorded} or {alone})"]
        showing = [f"{SHOWN[node]} * ('", argument['rviz'], "'.lower() in ('true', '1'))"]
        return ParameterValue(PythonExpression([*recording, ' + ', *showing]), value_type=int)

    # The player turns the bag's TF into pose topics, so the nodes need no frames.
    topics_only = {'source_frame': '', 'target_frame': '', 'base_frame': text('base_frame')}
    player = node(
        'bag_player',
        {
            'bag': text('bag'),
            'rate': ParameterValue(argument['rate'], value_type=float),
            **{name: text(name) for name in ('base_frame', 'source_frame', 'target_frame')},
        },
    )
    actions = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    # Other middlewares do not read them.
    actions += [
        SetEnvironmentVariable(name, value)
        for name, value in profile_for_large_images(os.environ).items()
    ]
    return LaunchDescription(
        [
            *actions,
            # Nobody takes input before all that hear of it are there: monitor and player (and
            # recorder and RViz) are the subscriptions that these two wait for.
            node(
                'liquid_perception',
                {
                    'weights': text('weights'),
                    'await_subscriptions': awaited('liquid_perception', 2, 6),
                    **topics_only,
                },
            ),
            node(
                'pour_monitor',
                {
                    'target_frame': '',
                    'base_frame': text('base_frame'),
                    'await_subscriptions': awaited('pour_monitor', 1, 7),
                    'stale_after': 0.0,
                },
            ),
            node(
                'recorder',
                {'bag': text('record')},
                condition=IfCondition(PythonExpression(["'", argument['record'], "' != ''"])),
            ),
            IncludeLaunchDescription(
                [FindPackageShare('pourit_ros'), '/launch/rviz.launch.py'],
                condition=IfCondition(argument['rviz']),
            ),
            player,
            RegisterEventHandler(
                OnProcessExit(target_action=player, on_exit=[EmitEvent(event=Shutdown())])
            ),
        ]
    )
