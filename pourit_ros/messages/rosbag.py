# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Field dicts to rosbags' message dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_typestore

from .errors import MessageError


@cache
def typestore(distro: str = 'jazzy') -> Any:
    """The message definitions of a ROS distribution; the latest if it is unknown.

    Definitions only grow (Range gained `variance` after Humble), and CDR readers ignore what
    follows the fields they know: bags are written with Jazzy's, Humble reads them.
    """
    return get_typestore(Stores.__members__.get(f'ROS2_{distro.upper()}', Stores.LATEST))


def build(typestore: Any, type_name: str, fields: Mapping[str, Any]) -> Any:
    """Build the message of type 'sensor_msgs/msg/Image'; fields left out are zero.

    Raises MessageError on a field that the type does not have.
    """
    definition = typestore.fielddefs[type_name][1]
    unknown = set(fields) - {name for name, _ in definition}
    if unknown:
        raise MessageError(f'{type_name} has no field {", ".join(sorted(unknown))}')
    values = {name: _value(typestore, node, fields.get(name)) for name, node in definition}
    return typestore.types[type_name](**values)


def _value(typestore: Any, node: Any, value: Any) -> Any:
    kind, detail = node
    if kind == Nodetype.NAME:
        return build(typestore, detail, value or {})
    if kind == Nodetype.BASE:
        zero: Any = {'string': '', 'bool': False}.get(detail[0], 0)
        return zero if value is None else value
    (element_kind, element), count = detail
    if element_kind == Nodetype.NAME:
        return [build(typestore, element, entry) for entry in value or [{}] * count]
    if element[0] == 'string':
        return list(value or [''] * count)
    return np.zeros(count, element[0]) if value is None else np.asarray(value, element[0])
