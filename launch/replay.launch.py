# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A bag through perception and monitor, at its own pace or in lock-step.

ros2 launch pourit_ros replay.launch.py bag:=/path/to/rosbag2 rate:=0.0

Ends with the bag; with status 1 where a node fails. `record:=FOLDER` writes what the nodes
publish. For table, video and report use `pourit replay BAG --live`. `rviz:=true` shows what the
nodes see, `use_sim_time:=true` gives everybody the time of the recording on /clock.
"""

from collections.abc import Callable

from launch import Action, LaunchContext, LaunchDescription
from launch.actions import (
    EmitEvent,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.conditions import IfCondition
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.events.process import ProcessExited
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile, ParameterValue

from pourit_ros.live.launching import number, params_file, preamble, require_rviz, switch
from pourit_ros.resources import find_resource

ARGUMENTS = {
    'bag': (None, 'rosbag2 folder, .mcap or .db3 file.'),
    'rate': ('1.0', 'Speed relative to the recording; 0.0: lock-step, every frame is answered.'),
    'record': ('', 'Folder of the rosbag2 to write; empty: none.'),
    'namespace': ('pourit', 'Namespace of the nodes.'),
    'params_file': (
        str(find_resource('config/pourit.yaml')),
        'Parameters of perception and monitor.',
    ),
    'use_sim_time': ('false', 'Publish the time of the recording on /clock, and take it there.'),
    'log_level': ('info', 'debug, info, warn, error.'),
    'weights': ('default', 'Weights file or name.'),
    'base_frame': ('base', "The robot's base in the bag, z up."),
    'source_frame': ('', "The source's TF frame in the bag; empty: its pose topic."),
    'target_frame': ('', "The target's TF frame in the bag; empty: its pose topic."),
    'rviz': ('false', 'Start rviz.launch.py too; it needs rviz2.'),
}

# Subscriptions to each node's outputs: by monitor and player, by the recorder, by RViz.
LISTENERS = {'liquid_perception': (2, 4, 2), 'pour_monitor': (1, 9, 1)}


def start(context: LaunchContext) -> list[Action]:
    """Look at all that may fail, then start the nodes."""
    given = {name: context.launch_configurations[name] for name in ARGUMENTS}
    sim_time, rviz, rate = (
        switch(given, 'use_sim_time'), switch(given, 'rviz'), number(given, 'rate'),
    )  # fmt: skip
    params = params_file(given)
    if rviz:
        require_rviz()

    def node(executable: str, values: dict) -> Node:
        return Node(
            package='pourit_ros',
            executable=executable,
            name=executable,
            namespace=given['namespace'],
            parameters=[ParameterFile(params, allow_substs=True), values],
            arguments=['--ros-args', '--log-level', given['log_level']],
            output='screen',
        )

    def text(value: str) -> ParameterValue:
        # Names stay text, even one that YAML would read as a number.
        return ParameterValue(value, value_type=str)

    def awaited(name: str) -> int:
        always, recorder, shown = LISTENERS[name]
        return always + (recorder if given['record'] else 0) + (shown if rviz else 0)

    base = {'base_frame': text(given['base_frame'])}
    # The player's own time is the one that it publishes.
    player = node(
        'bag_player',
        {
            **{name: text(given[name]) for name in ('bag', 'source_frame', 'target_frame')},
            **base,
            'rate': rate,
            'clock': sim_time,
            'use_sim_time': False,
        },
    )
    # Nobody takes input before all that hear of it are there. The player turns the bag's TF into
    # pose topics, so the nodes need no frames.
    others = {
        'liquid_perception': {
            **base,
            'weights': text(given['weights']),
            'source_frame': text(''),
            'target_frame': text(''),
            'await_subscriptions': awaited('liquid_perception'),
            'use_sim_time': sim_time,
        },
        'pour_monitor': {
            **base,
            'target_frame': text(''),
            'await_subscriptions': awaited('pour_monitor'),
            'stale_after': 0.0,
            'use_sim_time': sim_time,
        },
    }
    if given['record']:
        others['recorder'] = {'bag': text(given['record']), 'use_sim_time': sim_time}
    nodes = {name: node(name, values) for name, values in others.items()}
    return [
        *(
            RegisterEventHandler(OnProcessExit(target_action=n, on_exit=ended(name)))
            for name, n in {**nodes, 'bag_player': player}.items()
        ),
        *nodes.values(),
        player,
        IncludeLaunchDescription(
            str(find_resource('launch/rviz.launch.py')), condition=IfCondition(given['rviz'])
        ),
    ]


def ended(name: str) -> Callable[[ProcessExited, LaunchContext], Action]:
    """What to do when a node ends: end the others, with status 1 where it failed."""

    def on_exit(event: ProcessExited, context: LaunchContext) -> Action:
        if event.returncode:
            # An exception is the one way to the status of a launch.
            raise RuntimeError(f'{name} ended with status {event.returncode}')
        return EmitEvent(event=Shutdown(reason=f'{name} has ended'))

    return on_exit


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription([*preamble(ARGUMENTS), OpaqueFunction(function=start)])
