# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What the launch files share: their arguments, and checks before they start anything.

A launch that fails between two of its actions leaves the processes that it has started as orphans,
so everything that may fail is checked first.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from .processes import profile_for_large_images

# As launch's own conditions read them.
SWITCHES = {'true': True, '1': True, 'false': False, '0': False}


def preamble(
    arguments: Mapping[str, tuple[str, str]], choices: Mapping[str, Sequence[str]] | None = None
) -> list[Any]:
    """The first actions of a launch: declare its arguments, and let Fast DDS take large images.

    `arguments`: default and description by name; `choices`: the values of those that have a list.
    """
    from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable

    choices = choices or {}
    return [
        *(
            DeclareLaunchArgument(
                name, default_value=default, description=description, choices=choices.get(name)
            )
            for name, (default, description) in arguments.items()
        ),
        # Other middlewares do not read them.
        *(
            SetEnvironmentVariable(name, value)
            for name, value in profile_for_large_images(os.environ).items()
        ),
    ]


def switch(given: Mapping[str, str], name: str) -> bool:
    """The argument `name` as a truth value; raises InputError."""
    value = given[name].strip().lower()
    if value not in SWITCHES:
        raise InputError(f'{name}:={given[name]}: expected true or false')
    return SWITCHES[value]


def number(given: Mapping[str, str], name: str) -> float:
    """The argument `name` as a number; raises InputError."""
    try:
        return float(given[name])
    except ValueError:
        raise InputError(f'{name}:={given[name]}: expected a number') from None


def integer(given: Mapping[str, str], name: str) -> int:
    """The argument `name` as a whole number; raises InputError."""
    try:
        return int(given[name])
    except ValueError:
        raise InputError(f'{name}:={given[name]}: expected a whole number') from None


def params_file(given: Mapping[str, str]) -> str:
    """The argument `params_file`, an existing file; raises InputError."""
    if not Path(given['params_file']).is_file():
        raise InputError(f'params_file:={given["params_file"]}: no such file')
    return given['params_file']


def share_of(package: str, debian: str | None = None) -> Path:
    """The share folder of an installed ROS package; raises InputError where it is missing.

    `debian`: the package that brings it, as in ros-$ROS_DISTRO-<name>, where that is another one.
    """
    for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep):
        share = Path(prefix) / 'share' / package
        if prefix and (share / 'package.xml').is_file():
            return share
    name = (debian or package).replace('_', '-')
    raise InputError(f'{package} is not installed: sudo apt install ros-{_distribution()}-{name}')


def require_rviz() -> None:
    """Raise InputError where rviz2 is not installed."""
    for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep):
        if prefix and (Path(prefix) / 'lib' / 'rviz2' / 'rviz2').is_file():
            return
    raise InputError(f'rviz:=true needs rviz2: sudo apt install ros-{_distribution()}-rviz2')


def _distribution() -> str:
    return os.environ.get('ROS_DISTRO', '$ROS_DISTRO')


def tf_remappings(given: Mapping[str, str]) -> list[tuple[str, str]]:
    """Remappings of TF into the namespace of the argument `tf_namespace`; empty: none."""
    namespace = given['tf_namespace'].strip('/')
    if not namespace:
        return []
    return [(f'/{name}', f'/{namespace}/{name}') for name in ('tf', 'tf_static')]
