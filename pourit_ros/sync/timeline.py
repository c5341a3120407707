# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Values by stamp, in order of time."""

from __future__ import annotations

from bisect import bisect_left
from typing import Generic, TypeVar

T = TypeVar('T')

# A publisher's messages overtake each other by milliseconds: a larger step back is a new time.
SET_BACK_NS = 500_000_000


class Timeline(Generic[T]):
    """Values by stamp; they may come out of order.

    Keeps `history_ns` behind the newest stamp, and at most `capacity` values.
    """

    def __init__(self, history_ns: int, capacity: int | None = None) -> None:
        self._history_ns = history_ns
        self._capacity = capacity
        self._stamps: list[int] = []
        self._values: list[T] = []
        self._latest_ns: int | None = None

    def __len__(self) -> int:
        return len(self._stamps)

    @property
    def newest_ns(self) -> int | None:
        """The highest stamp, None without any value."""
        return self._stamps[-1] if self._stamps else None

    def add(self, stamp_ns: int, value: T) -> None:
        """Insert a value, replacing one with the same stamp.

        A step back in time by more than SET_BACK_NS clears the timeline.
        """
        self.set_back(stamp_ns)
        self._latest_ns = stamp_ns
        k = bisect_left(self._stamps, stamp_ns)
        if k < len(self._stamps) and self._stamps[k] == stamp_ns:
            self._values[k] = value
            return
        self._stamps.insert(k, stamp_ns)
        self._values.insert(k, value)
        old = bisect_left(self._stamps, self._stamps[-1] - self._history_ns)
        if self._capacity is not None:
            old = max(old, len(self._stamps) - self._capacity)
        del self._stamps[:old], self._values[:old]

    def around(self, stamp_ns: int) -> list[tuple[int, T]]:
        """The (stamp, value) at the stamp, otherwise its 0 to 2 neighbours in order of time."""
        k = bisect_left(self._stamps, stamp_ns)
        if k < len(self._stamps) and self._stamps[k] == stamp_ns:
            return [(stamp_ns, self._values[k])]
        return [
            (self._stamps[i], self._values[i]) for i in (k - 1, k) if 0 <= i < len(self._stamps)
        ]

    def before(self, stamp_ns: int) -> tuple[int, T] | None:
        """The last (stamp, value) before the stamp, None without any."""
        k = bisect_left(self._stamps, stamp_ns)
        return (self._stamps[k - 1], self._values[k - 1]) if k else None

    def nearest(self, stamp_ns: int) -> tuple[int, T] | None:
        """The (stamp, value) nearest to the stamp, None without any value."""
        return min(self.around(stamp_ns), key=lambda entry: abs(entry[0] - stamp_ns), default=None)

    def set_back(self, now_ns: int) -> None:
        """Forget everything if the last value is from before time was set back to `now_ns`."""
        if self._latest_ns is not None and self._latest_ns - now_ns > SET_BACK_NS:
            self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._latest_ns = None
        self._stamps.clear()
        self._values.clear()
