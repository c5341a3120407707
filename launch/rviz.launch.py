# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""RViz on what the nodes see: overlay, liquid points, markers.

ros2 launch pourit_ros rviz.launch.py base_frame:=fr3_link0

The other launch files start it with `rviz:=true`. It needs rviz2, which this package does not
install, and for the points a way from the base to the camera in TF.
"""

from launch import Action, LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch_ros.actions import Node

from pourit_ros.live.launching import require_rviz, switch, tf_remappings
from pourit_ros.resources import find_resource

ARGUMENTS = {
    'namespace': ('pourit', 'Namespace of the nodes.'),
    'tf_namespace': ('', 'Namespace of TF: robot1 for /robot1/tf and /robot1/tf_static.'),
    'base_frame': ('base', 'What everything is drawn in.'),
    'use_sim_time': ('false', 'Take time from /clock.'),
}

# What config/pour.rviz shows, under /pourit.
SHOWN = ('liquid/overlay', 'liquid/points', 'markers')


def start(context: LaunchContext) -> list[Action]:
    """Look at what may fail, then start RViz."""
    given = {name: context.launch_configurations[name] for name in ARGUMENTS}
    require_rviz()
    return [
        Node(
            package='rviz2',
            executable='rviz2',
            name='rviz',
            namespace=given['namespace'],
            arguments=['-d', str(find_resource('config/pour.rviz')), '-f', given['base_frame']],
            parameters=[{'use_sim_time': switch(given, 'use_sim_time')}],
            remappings=[
                *((f'/pourit/{topic}', topic) for topic in SHOWN),
                *tf_remappings(given),
            ],
        )
    ]


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, description=description)
                for name, (default, description) in ARGUMENTS.items()
            ),
            OpaqueFunction(function=start),
        ]
    )
