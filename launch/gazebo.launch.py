# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A drawn pour in gz-sim, bridged to perception and monitor.

ros2 launch pourit_ros gazebo.launch.py

Needs ros_gz. Tilt the bottle and show the stream:

ros2 topic pub --once /bottle/tilt std_msgs/msg/Float64 'data: 1.7'
ros2 topic pub --once /stream/show std_msgs/msg/Float64 'data: 1.0'
"""

import math
import shlex

from launch import Action, LaunchContext, LaunchDescription
from launch.actions import IncludeLaunchDescription, OpaqueFunction
from launch_ros.actions import Node

from pourit_ros.live.launching import params_file, preamble, require_rviz, share_of, switch
from pourit_ros.resources import find_resource

# Frames of worlds/pour.sdf.
FRAMES = {'base_frame': 'pour', 'source_frame': 'bottle/glass', 'target_frame': 'cup'}
CAMERA_LINK = 'camera/link'
# The images' frame: as the world names it, or after the sensor where gz-sim ignores that.
OPTICAL_FRAMES = ('camera_optical_frame', 'camera/link/rgbd')
# z forward, x right, in the link's axes (x forward, z up).
OPTICAL = {'roll': -math.pi / 2, 'pitch': 0.0, 'yaw': -math.pi / 2}

# Handed on to pour.launch.py.
ARGUMENTS = {
    'namespace': ('pourit', 'Namespace of the nodes.'),
    'params_file': (
        str(find_resource('config/pourit.yaml')),
        'Parameters of perception and monitor.',
    ),
    'log_level': ('info', 'debug, info, warn, error.'),
    'weights': ('default', 'Weights file or name.'),
    'device': ('auto', 'auto, cpu, cuda.'),
    'rviz': ('false', 'Start rviz.launch.py too; it needs rviz2.'),
    'gui': ('true', "Show gz-sim's window; false: render without a display (EGL)."),
}


def start(context: LaunchContext) -> list[Action]:
    """Look at all that may fail, then start the nodes, gz-sim and the bridge."""
    given = {name: context.launch_configurations[name] for name in ARGUMENTS}
    gazebo = share_of('ros_gz_sim', 'ros_gz') / 'launch' / 'gz_sim.launch.py'
    share_of('ros_gz_bridge', 'ros_gz')
    params_file(given)
    if switch(given, 'rviz'):
        require_rviz()
    world = shlex.quote(str(find_resource('worlds/pour.sdf')))
    # -r: a simulation that stands still renders nothing.
    options = '-r' if switch(given, 'gui') else '-r -s --headless-rendering'
    handed_on = {name: given[name] for name in ARGUMENTS if name != 'gui'}
    nodes = {
        **handed_on,
        **FRAMES,
        'use_sim_time': 'true',
        'source': 'bottle',
        'target': 'cup',
        'color_topic': '/camera/image',
        'camera_info_topic': '/camera/camera_info',
        'depth_topic': '/camera/depth_image',
    }
    return [
        IncludeLaunchDescription(
            str(find_resource('launch/pour.launch.py')), launch_arguments=nodes.items()
        ),
        IncludeLaunchDescription(
            str(gazebo),
            launch_arguments={
                'gz_args': f'{options} {world}',
                'on_exit_shutdown': 'true',
            }.items(),
        ),
        Node(
            package='ros_gz_bridge',
            executable='parameter_bridge',
            name='gazebo_bridge',
            parameters=[{'config_file': str(find_resource('config/gazebo_bridge.yaml'))}],
            output='screen',
        ),
        *(
            Node(
                package='tf2_ros',
                executable='static_transform_publisher',
                name=f'optical_frame_{k}',
                arguments=[
                    *('--frame-id', CAMERA_LINK, '--child-frame-id', frame),
                    *(word for key, value in OPTICAL.items() for word in (f'--{key}', str(value))),
                ],
            )
            for k, frame in enumerate(OPTICAL_FRAMES)
        ),
    ]


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription([*preamble(ARGUMENTS), OpaqueFunction(function=start)])
