# SPDX-License-Identifier: Apache-2.0
"""Node parameters as a table: declared with description and range, refused outside of it."""

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
        """Say what is wrong with a value that the declared range lets pass; '' if nothing."""
        if self.choices and value not in self.choices:
            return f'{self.name} is {value!r}, choose one of: {", ".join(self.choices)}'
        if isinstance(value, float) and not math.isfinite(value):
            return f'{self.name} is {value}, it must be finite'
        return ''


BASE_FRAME = Parameter('base_frame', 'base', 'Frame of the results; its z axis points up.')
TARGET_FRAME = Parameter(
    'target_frame', '', "The target container's TF frame; empty: topic target_pose."
)
POSE_TOLERANCE = Parameter(
    'pose_tolerance',
    0.1,
    'How far a pose may be from its image in time where it cannot be interpolated, s.',
    high=2.0,
)


def declare(node: Node, table: Sequence[Parameter], locked: Callable[[], bool]) -> None:
    """Declare every row on the node; while `locked()` no row can be changed.

    Raises ValueError for an override that does not fit.
    """
    rows = {row.name: row for row in table}

    def check(changes: list[RosParameter]) -> SetParametersResult:
        for change in changes:
            row = rows.get(change.name)
            if row is None:
                continue
            if locked():
                reason = f'{row.name} is read when the node is configured: clean it up first'
                return SetParametersResult(successful=False, reason=reason)
            if reason := row.problem(change.value):
                return SetParametersResult(successful=False, reason=reason)
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(check)
    for row in table:
        try:
            node.declare_parameter(row.name, row.default, row.descriptor())
        except ParameterException as error:
            raise ValueError(f'parameter {row.name}: {error}') from None
