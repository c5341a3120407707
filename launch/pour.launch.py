# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Perception and monitor beside a camera driver.

ros2 launch pourit_ros pour.launch.py base_frame:=fr3_link0 source_frame:=bottle target_frame:=cup

`camera` chooses the topics of a driver: realsense (realsense2_camera, which needs
align_depth.enable:=true and enable_sync:=true) or azure_kinect (azure_kinect_ros_driver, which
aligns depth by itself); single topics are changed by their own arguments. Give the driver the
same profile (see config/fastdds_large_images.xml), or large images are lost between the two
processes. `rviz:=true` shows what the nodes see.
"""

from launch import Action, LaunchContext, LaunchDescription
from launch.actions import IncludeLaunchDescription, OpaqueFunction
from launch.conditions import IfCondition
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile, ParameterValue

from pourit_ros.live.launching import (
    number,
    params_file,
    preamble,
    require_rviz,
    switch,
    tf_remappings,
)
from pourit_ros.resources import find_resource

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


ARGUMENTS = {
    'namespace': ('pourit', 'Namespace of the nodes.'),
    'tf_namespace': ('', 'Namespace of TF: robot1 for /robot1/tf and /robot1/tf_static.'),
    'params_file': (
        str(find_resource('config/pourit.yaml')),
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
    'color_topic': ('', "Colour image, without its transport; empty: the camera's."),
    'camera_info_topic': ('', "Its intrinsics; empty: the camera's."),
    'depth_topic': ('', "Depth aligned to colour; empty: the camera's."),
    'source_pose_topic': ('source_pose', 'PoseStamped of the source container.'),
    'target_pose_topic': ('target_pose', 'PoseStamped of the target container.'),
    'camera_pose_topic': ('camera_pose', 'PoseStamped of the optical frame; else TF.'),
    'controller': ('false', 'Start pour_controller; nothing moves before its ~/start.'),
    'dry_run': ('true', 'Twists go to cmd_twist_dry, poses to cmd_pose_dry.'),
    'tip_frame': ('fr3_link8', "TF frame of the arm's tip; empty: tip_pose_topic."),
    'tip_pose_topic': ('tip_pose', "PoseStamped of the arm's tip."),
    'fill': ('0.0', 'Volume in the source, ml.'),
    'target_volume': ('100.0', 'Volume to pour, ml.'),
    'output': ('twist', 'twist: MoveIt Servo; pose: crisp_controllers.'),
    'twist_topic': ('/servo_node/delta_twist_cmds', 'Where twists go.'),
    'pose_topic': ('/target_pose', 'Where poses go.'),
    'rviz': ('false', 'Start rviz.launch.py too; it needs rviz2.'),
}


def start(context: LaunchContext) -> list[Action]:
    """Look at all that may fail, then start the nodes."""
    given = {name: context.launch_configurations[name] for name in ARGUMENTS}
    common = {name: switch(given, name) for name in ('use_sim_time', 'autostart')}
    controller = switch(given, 'controller')
    pour = {'dry_run': switch(given, 'dry_run')}
    pour |= {name: number(given, name) for name in ('fill', 'target_volume')}
    params = params_file(given)
    if switch(given, 'rviz'):
        require_rviz()
    topic = {
        what: given[f'{what}_topic'] or default
        for what, default in CAMERAS[given['camera']].items()
    }
    poses = [
        (f'{role}_pose', given[f'{role}_pose_topic']) for role in ('source', 'target', 'camera')
    ]

    def node(
        executable: str,
        parameters: list[str],
        remappings: list[tuple[str, str]],
        values: dict | None = None,
    ) -> Node:
        return Node(
            package='pourit_ros',
            executable=executable,
            name=executable,
            namespace=given['namespace'],
            parameters=[
                ParameterFile(params, allow_substs=True),
                # Names stay text, even one that YAML would read as a number.
                {name: ParameterValue(given[name], value_type=str) for name in parameters},
                {**common, **(values or {})},
            ],
            remappings=[*remappings, *poses, *tf_remappings(given)],
            arguments=['--ros-args', '--log-level', given['log_level']],
            output='screen',
        )

    frames = ['base_frame', 'target_frame']
    arm = node(
        'pour_controller',
        ['source', 'target', 'source_frame', 'tip_frame', 'output', *frames],
        [
            ('tip_pose', given['tip_pose_topic']),
            ('cmd_twist', given['twist_topic']),
            ('cmd_pose', given['pose_topic']),
        ],
        pour,
    )
    return [
        node(
            'liquid_perception',
            ['weights', 'device', 'source', 'target', 'source_frame', *frames],
            [
                ('color/image', topic['color']),
                ('color/image/compressed', f'{topic["color"]}/compressed'),
                ('color/camera_info', topic['camera_info']),
                ('depth/image', topic['depth']),
                *(
                    (f'depth/image/{transport}', f'{topic["depth"]}/{transport}')
                    for transport in ('compressed', 'compressedDepth')
                ),
            ],
        ),
        node('pour_monitor', ['target', *frames], []),
        *([arm] if controller else []),
        IncludeLaunchDescription(
            str(find_resource('launch/rviz.launch.py')),
            condition=IfCondition(given['rviz']),
        ),
    ]


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(
        [*preamble(ARGUMENTS, {'camera': list(CAMERAS)}), OpaqueFunction(function=start)]
    )
