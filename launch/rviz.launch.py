# SPDX-License-Identifier: Apache-2.0
"""RViz on what the nodes see: overlay, liquid points, markers.

ros2 launch pourit_ros rviz.launch.py base_frame:=fr3_link0

The other launch files start it with `rviz:=true`. It needs rviz2, which this package does not
install, and for the points a way from the base to the camera in TF.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

ARGUMENTS = {
    'namespace': ('pourit', 'Namespace of the nodes.'),
    'base_frame': ('base', 'What everything is drawn in.'),
    'use_sim_time': ('false', 'Take time from /clock.'),
}

# What config/pour.rviz shows, under /pourit.
SHOWN = ('liquid/overlay', 'liquid/points', 'markers')


def generate_launch_description() -> LaunchDescription:
    argument = {name: LaunchConfiguration(name) for name in ARGUMENTS}
    config = PathJoinSubstitution([FindPackageShare('pourit_ros'), 'config', 'pour.rviz'])
    sim_time = ParameterValue(argument['use_sim_time'], value_type=bool)
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, description=description)
                for name, (default, description) in ARGUMENTS.items()
            ),
            Node(
                package='rviz2',
                executable='rviz2',
                name='rviz',
                namespace=argument['namespace'],
                arguments=['-d', config, '-f', argument['base_frame']],
                parameters=[{'use_sim_time': sim_time}],
                remappings=[(f'/pourit/{topic}', topic) for topic in SHOWN],
            ),
        ]
    )
