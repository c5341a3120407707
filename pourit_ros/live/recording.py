# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Read the live nodes' output from their recording, and copy it to its source's times."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import merge
from pathlib import Path

from ..bags.inputs import InputCopy
from ..bags.reader import BagReader, RecordedMessage
from ..bags.writer import BagWriter
from ..control.pour_state import PourStateMachine
from ..formats.estimates_csv import Row
from ..messages.cdr import HEADER, MARKERS, stamp_of
from ..messages.contract import DIAGNOSTICS, NAMESPACE
from ..messages.decode import scalars_from_msg, stamp_to_ns

STATE, PROBABILITY, MARKER_ARRAY = (
    f'/{NAMESPACE}/{name}' for name in ('pour_state', 'liquid/probability', 'markers')
)


@dataclass
class Said:
    """The nodes' output, by stamp of the frame; times of arrival at the recorder, in ns.

    `depth`: whether liquid_perception used depth, for each frame that it answered; `answered`:
    when the monitor's last message about a frame arrived; `states`: (arrival, pour state).
    """

    depth: dict[int, bool] = field(default_factory=dict)
    answered: dict[int, int] = field(default_factory=dict)
    states: list[tuple[int, str]] = field(default_factory=list)


def read_said(recorded: Path) -> Said:
    """Read the nodes' output. Raises BagError."""
    said = Said()
    with BagReader(recorded) as bag:
        for message in bag.messages({STATE, PROBABILITY, MARKER_ARRAY} & set(bag.topics)):
            if message.topic == MARKER_ARRAY:
                said.answered[stamp_of(message.data, MARKERS)] = message.stamp_ns
                continue
            content = bag.decode(message)
            if message.topic == STATE:
                said.states.append((message.stamp_ns, content.data))
            else:
                stamp_ns = stamp_to_ns(content.header.stamp)
                said.depth[stamp_ns] = bool(scalars_from_msg(content).get('depth'))
    return said


def states_of(said: Said, rows: Sequence[Row], start_ns: int) -> list[tuple[int, str]]:
    """The published pour states, each at the stamp of the frame that caused it.

    A state has no stamp, and its message may arrive before or after that of its frame. So the
    states are matched to the answered `rows` by running the monitor's state machine on these. A
    state that the rows do not explain (a fault because the input was silent) gets the stamp of the
    last frame answered before it arrived, or `start_ns` before any.
    """
    machine = PourStateMachine()
    due: list[tuple[int, str]] = []
    for row in sorted(rows, key=lambda row: said.answered.get(row.stamp_ns, 0)):
        state = machine.update(row.stamp_ns, row.present, row.valid, row.probability)
        if not due or due[-1][1] != state:
            due.append((row.stamp_ns, state))
    arrivals = sorted((arrival, stamp) for stamp, arrival in said.answered.items())
    states: list[tuple[int, str]] = []
    for arrival, name in said.states:
        if due and due[0][1] == name:
            states.append(due.pop(0))
            continue
        before = bisect_right(arrivals, (arrival, 2**63))
        states.append((arrivals[before - 1][1] if before else start_ns, name))
    return states


def copy_at_source_times(
    recorded: Path,
    out: Path,
    recorded_ns: Mapping[int, int],
    states: Sequence[tuple[int, str]],
    inputs: BagReader | None = None,
) -> None:
    """Copy a recording of the nodes so that each message has the time of its image.

    `recorded_ns`: when the image of a stamp was recorded in the bag that was played; `states`:
    from `states_of`. `inputs`: that bag, to copy its camera and poses too. Raises BagError.
    """
    with BagReader(recorded) as bag, BagWriter(out) as writer:
        played = _at_source_times(bag, _Clock(recorded_ns), states)
        if inputs is None:
            for message in played:
                writer.write_raw(message.topic, message.type, message.data, message.stamp_ns)
            return
        copy = InputCopy(inputs, writer)
        own = set(inputs.camera.names())
        others = (message for message in played if message.topic not in own)
        for message in merge(inputs.messages(own), others, key=lambda message: message.stamp_ns):
            copy(message)


class _Clock:
    """Maps stamps to the times at which their images were recorded."""

    def __init__(self, recorded_ns: Mapping[int, int]) -> None:
        self._known = recorded_ns
        self._stamps = sorted(recorded_ns)

    def at(self, stamp_ns: int) -> int:
        """The image's time; between images, offset from the previous image, or from the first."""
        if stamp_ns in self._known:
            return self._known[stamp_ns]
        nearest = self._stamps[max(bisect_right(self._stamps, stamp_ns) - 1, 0)]
        return max(stamp_ns + self._known[nearest] - nearest, 0)

    @property
    def start(self) -> int:
        return min(self._known.values())


def _at_source_times(
    bag: BagReader, clock: _Clock, states: Sequence[tuple[int, str]]
) -> Iterator[RecordedMessage]:
    said = iter(states)
    now = clock.start
    for message in bag.messages():
        if message.topic == STATE:
            time = clock.at(next(said)[0])
        elif message.type == DIAGNOSTICS.type:
            # Stamped by the clock on the wall, it belongs to what went on then.
            time = now
        else:
            offset = MARKERS if message.topic == MARKER_ARRAY else HEADER
            time = now = clock.at(stamp_of(message.data, offset))
        yield RecordedMessage(message.topic, message.type, time, message.data)
