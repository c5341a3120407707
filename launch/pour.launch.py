# SPDX-License-Identifier: Apache-2.0
"""Perception and monitor beside a camera driver.

ros2 launch pourit_ros pour.launch.py base_frame:=fr3_link0 source_frame:=bottle target_frame:=cup

`camera` chooses the topics of a driver: realsense (realsense2_camera, which needs
align_depth.enable:=true and enable_sync:=true) or azure_kinect (azure_kinect_ros_driver, which
aligns depth by itself); single topics are changed by their own arguments. Give the driver the
same FASTRTPS_DEFAULT_PROFILES_FILE (see config/fastdds_large_images.xml), or large images are lost
between the two processes. `rviz:=true` shows what the nodes see.
"""

import os

from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    SetEnvironmentVariable,
)
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution, PythonExpression
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile, ParameterValue
from launch_ros.substitutions import FindPackageShare

from pourit_ros.ros_processes import profile_for_large_images

# Topics by driver; its node in the namespace that the driver gives itself.
CAMERAS = {
    'realsense': {
        'color': '/camera/camera/color/image_raw',
        'camera_info': '/camera/camera/color/camera_info',
        'depth': '/camera/camera/aligned_depth_to_color/image_raw',
    },
    'azure_kinect': {
        'color': '/rgb/image_raw',
        'camera_info': '/rgb/camera_info',
        'depth': '/depth_to_rgb/image_raw',
    },
}


def topic_of(what: str) -> PythonExpression:
    """The topic of the driver that `camera` names."""
    topics = {name: topics[what] for name, topics in CAMERAS.items()}
    return PythonExpression([f"{topics}['", LaunchConfiguration('camera'), "']"])


ARGUMENTS = {
    'namespace': ('pourit', 'Namespace of the nodes.'),
    'params_file': (
        PathJoinSubstitution([FindPackageShare('pourit_ros'), 'config', 'pourit.yaml']),
        'Parameters that the arguments below do not name.',
    ),
    'use_sim_time': ('false', 'Take time from /clock.'),
    'autostart': ('true', 'Configure and activate the nodes at start.'),
    'log_level': ('info', 'debug, info, warn, error.'),
    'weights': ('default', 'Weights file or name.'),
    'device': ('auto', 'auto, cpu, cuda.'),
    'source': ('pourit_bottle', 'Source container, see config/containers.yaml.'),
    'target': ('cup', 'Target container, see config/containers.yaml.'),
    'base_frame': ('base', "The robot's base, z up."),
    'source_frame': ('', 'TF frame of the source container; empty: source_pose_topic.'),
    'target_frame': ('', 'TF frame of the target container; empty: target_pose_topic.'),
    'camera': ('realsense', 'Whose topics: realsense, azure_kinect.'),
    'color_topic': (topic_of('color'), 'Colour image, without its transport.'),
    'camera_info_topic': (topic_of('camera_info'), 'Its intrinsics.'),
    'depth_topic': (topic_of('depth'), 'Depth aligned to colour.'),
    'source_pose_topic': ('source_pose', 'PoseStamped of the source container.'),
    'target_pose_topic': ('target_pose', 'PoseStamped of the target container.'),
    'camera_pose_topic': ('camera_pose', 'PoseStamped of the optical frame; else TF.'),
    'rviz': ('false', 'Start rviz.launch.py too; it needs rviz2.'),
}


def generate_launch_description() -> LaunchDescription:
    argument = {name: LaunchConfiguration(name) for name in ARGUMENTS}
    poses = [
        (f'{role}_pose', argument[f'{role}_pose_topic']) for role in ('source', 'target', 'camera')
    ]

    def node(executable: str, parameters: list[str], remappings: list[tuple]) -> Node:
        return Node(
            package='pourit_ros',
            executable=executable,
            name=executable,
            namespace=argument['namespace'],
            parameters=[
                ParameterFile(argument['params_file'], allow_substs=True),
                # Names stay text, even one that YAML would read as a number.
                {name: ParameterValue(argument[name], value_type=str) for name in parameters},
                {
                    name: ParameterValue(argument[name], value_type=bool)
                    for name in ('use_sim_time', 'autostart')
                },
            ],
            remappings=remappings,
            arguments=['--ros-args', '--log-level', argument['log_level']],
            output='screen',
        )

    actions = [
        DeclareLaunchArgument(
            name,
            default_value=default,
            description=description,
            choices=list(CAMERAS) if name == 'camera' else None,
        )
        for name, (default, description) in ARGUMENTS.items()
    ]
    # Other middlewares do not read them.
    actions += [
        SetEnvironmentVariable(name, value)
        for name, value in profile_for_large_images(os.environ).items()
    ]
    frames = ['base_frame', 'target_frame']
    return LaunchDescription(
        [
            *actions,
            node(
                'liquid_perception',
                ['weights', 'device', 'source', 'target', 'source_frame', *frames],
                [
                    ('color/image', argument['color_topic']),
                    ('color/image/compressed', [argument['color_topic'], '/compressed']),
                    ('color/camera_info', argument['camera_info_topic']),
                    ('depth/image', argument['depth_topic']),
                    *(
                        (f'depth/image/{transport}', [argument['depth_topic'], f'/{transport}'])
                        for transport in ('compressed', 'compressedDepth')
                    ),
                    *poses,
                ],
            ),
            node('pour_monitor', ['target', *frames], poses),
            IncludeLaunchDescription(
                [FindPackageShare('pourit_ros'), '/launch/rviz.launch.py'],
                condition=IfCondition(argument['rviz']),
            ),
        ]
    )
