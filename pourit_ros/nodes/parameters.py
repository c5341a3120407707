# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Node parameters as a table: declared with description and range, rejected outside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from .failures import line


@dataclass(frozen=True)
class Parameter:
    """One row of a node's parameter table; the default's type is the parameter's type."""

    name: str
    default: bool | int | float | str
    description: str
    low: float = 0.0
    """Smallest value of a number."""
    high: float = math.inf
    """Largest value of a number; inf: no range is declared."""
    choices: tuple[str, ...] = ()
    """Values of a string; empty: any."""
    dynamic: bool = False
    """Whether it may be changed while the node is configured, active or not."""

    def descriptor(self) -> ParameterDescriptor:
        """What `ros2 param describe` shows."""
        descriptor = ParameterDescriptor(description=self.description)
        if self.choices:
            descriptor.additional_constraints = f'one of: {", ".join(self.choices)}'
        if type(self.default) is float and math.isfinite(self.high):
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=float(self.low), to_value=float(self.high))
            ]
        if type(self.default) is int and math.isfinite(self.high):
            descriptor.integer_range = [
                IntegerRange(from_value=int(self.low), to_value=int(self.high), step=1)
            ]
        return descriptor

    def problem(self, value: Any) -> str:
        """Return the fault of a value within the declared range; '' if there is none."""
        if self.choices and value not in self.choices:
            return f'{self.name} is {value!r}, choose one of: {", ".join(self.choices)}'
        if isinstance(value, float) and not math.isfinite(value):
            return f'{self.name} is {value}, but must be finite'
        return ''


BASE_FRAME = Parameter('base_frame', 'base', 'Frame of the results; its z axis points up.')
TARGET_FRAME = Parameter(
    'target_frame',
    '',
    'TF frame of the target container; empty: use topic target_pose.',
    dynamic=True,
)
POSE_TOLERANCE = Parameter(
    'pose_tolerance',
    0.1,
    'Greatest time between an image and a pose that cannot be interpolated, s.',
    high=2.0,
)

Change = Callable[[dict[str, Any]], None]


def declare(
    node: Node, table: Sequence[Parameter], configured: Callable[[], bool], change: Change
) -> None:
    """Declare every row on the node.

    While `configured()`, only dynamic rows can be changed; `change` receives their new values, all
    at once, before they are set, and rejects them with a ValueError. Raises ValueError for an
    override that does not fit.
    """
    rows = {row.name: row for row in table}

    def check(changes: list[RosParameter]) -> SetParametersResult:
        # Others, such as use_sim_time, are rclpy's.
        values = {c.name: c.value for c in changes if c.name in rows}
        try:
            for name, value in values.items():
                if configured() and not rows[name].dynamic:
                    raise ValueError(
                        f'{name} is read when the node is configured: run the cleanup transition '
                        'first'
                    )
                if reason := rows[name].problem(value):
                    raise ValueError(reason)
            if configured() and values:
                change(values)
        except ValueError as error:
            return SetParametersResult(successful=False, reason=line(error))
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(check)
    for row in table:
        try:
            node.declare_parameter(row.name, row.default, row.descriptor())
        except ParameterException as error:
            raise ValueError(f'parameter {row.name}: {error}') from None
