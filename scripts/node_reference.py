# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Write the generated tables of docs/nodes.md: topics of the contract, parameters of the nodes.

    .venv/bin/python scripts/node_reference.py          rewrites them
    .venv/bin/python scripts/node_reference.py --check  exits with 1 where they are out of date

Needs rclpy, which the parameter tables import.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from pourit_ros.bags.feed import NAMES
from pourit_ros.bags.topics import TYPES
from pourit_ros.messages.contract import (
    CONTROLLER,
    DIAGNOSTICS,
    MONITOR,
    PERCEPTION,
    SIMULATOR,
    Topic,
)
from pourit_ros.nodes import (
    controller_parameters,
    monitor_node,
    perception_node,
    player_node,
    recorder_node,
    simulator_node,
)
from pourit_ros.nodes.base import COMMON
from pourit_ros.nodes.parameters import Parameter

PAGE = Path(__file__).resolve().parents[1] / 'docs' / 'nodes.md'
# <!-- generated: NODE WHAT --> ... <!-- end -->
BLOCK = re.compile(r'(<!-- generated: (\w+) (\w+) -->\n)(.*?)(<!-- end -->)', re.S)

PLAYED = tuple(Topic(name, TYPES[place], 'as in the bag') for place, name in NAMES.items())
CLOCK = Topic('/clock', 'rosgraph_msgs/msg/Clock', 'time of the recording; with `clock: true`')
TOPICS = {
    ('liquid_perception', 'publishes'): (*PERCEPTION, DIAGNOSTICS),
    ('pour_monitor', 'publishes'): (*MONITOR, DIAGNOSTICS),
    ('pour_controller', 'publishes'): (*CONTROLLER, DIAGNOSTICS),
    ('pour_simulator', 'publishes'): (
        *SIMULATOR,
        simulator_node.TF,
        simulator_node.CLOCK,
        DIAGNOSTICS,
    ),
    ('bag_player', 'publishes'): (*PLAYED, CLOCK, DIAGNOSTICS),
    ('recorder', 'subscribes'): recorder_node.TOPICS,
    ('recorder', 'publishes'): (DIAGNOSTICS,),
}
PARAMETERS = {
    'liquid_perception': perception_node.PARAMETERS,
    'pour_monitor': monitor_node.PARAMETERS,
    'pour_controller': controller_parameters.PARAMETERS,
    'pour_simulator': simulator_node.PARAMETERS,
    'bag_player': player_node.PARAMETERS,
    'recorder': recorder_node.PARAMETERS,
}


def generated(node: str, what: str) -> str:
    """The lines of a block; raises KeyError for one that there is not."""
    if what == 'parameters':
        head = ('parameter', 'type', 'default', 'range or choices', 'at work', '')
        return table(head, map(parameter_row, (*PARAMETERS[node], *COMMON)))
    topics = TOPICS[node, what]
    if what == 'subscribes':
        return table(('topic', 'type', ''), map(subscription_row, topics))
    return table(('topic', 'type', 'QoS', ''), map(publisher_row, topics))


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    cells = [list(head), *map(list, rows)]
    cells.insert(1, ['---'] * len(cells[0]))
    escaped = [[cell.replace('|', r'\|') for cell in row] for row in cells]
    return ''.join(f'| {" | ".join(row)} |\n' for row in escaped)


def publisher_row(topic: Topic) -> list[str]:
    """Cells of a published topic."""
    quality = 'reliable' if topic.reliable else 'best effort'
    if topic.latched:
        quality += ', latched'
    return [f'`{topic.name}`', topic.type, quality, topic.description]


def subscription_row(topic: Topic) -> list[str]:
    """Cells of a topic that the recorder takes."""
    when = ''
    if topic.name == recorder_node.OVERLAY:
        when = ' (with `overlay: true`)'
    elif topic in recorder_node.SIMULATION:
        when = ' (with `simulation: true`)'
    return [f'`{topic.name}`', topic.type, f'{topic.description}{when}']


def parameter_row(row: Parameter) -> list[str]:
    """Cells of a parameter."""
    kind = {bool: 'bool', int: 'integer', float: 'double', str: 'string'}[type(row.default)]
    limits = ' '.join(f'`{choice}`' for choice in row.choices)
    if kind in ('integer', 'double') and math.isfinite(row.high):
        limits = f'{row.low:g} to {row.high:g}'
    changeable = 'yes' if row.dynamic else ''
    return [f'`{row.name}`', kind, f'`{shown(row.default)}`', limits, changeable, row.description]


def shown(value: bool | int | float | str) -> str:
    """A default as YAML has it."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if value != '' else "''"


def rewritten(page: str) -> str:
    """The page with its tables as the code has them."""
    return BLOCK.sub(lambda m: m[1] + generated(m[2], m[3]) + m[5], page)


def main() -> int:
    """Rewrite the page, or check it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--check', action='store_true', help='change nothing; 1: out of date')
    check = parser.parse_args().check
    old = PAGE.read_text()
    new = rewritten(old)
    if check and new != old:
        print(f'{PAGE}: out of date, run scripts/node_reference.py', file=sys.stderr)
        return 1
    if new != old:
        PAGE.write_text(new)
    return 0


if __name__ == '__main__':
    sys.exit(main())
