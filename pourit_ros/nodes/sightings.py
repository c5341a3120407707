# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Join what the nodes say of one image: is there liquid, where it lands, how much flows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry import Pose
from ..messages.decode import pose_from_pose_stamped, scalars_from_msg, stamp_to_ns
from ..messages.errors import MessageError

# How long an image that was seen waits for what pour_monitor measures in it, s.
WAIT = 0.15
# Images that wait at most; older ones are given up.
MOST = 10
# A stamp older by more than this than the newest one says that time was set back, ns.
BACK_NS = 500_000_000
ML = 1e-6


@dataclass
class Seen:
    """What is said of one image; None: not said (yet)."""

    stamp_ns: int
    present: bool | None = None
    offset: NDArray[np.float64] | None = None
    covariance: NDArray[np.float64] | None = None
    flow: float | None = None
    flow_sigma: float | None = None
    source: Pose | None = None
    arrived: float = field(default=0.0, repr=False)
    whole: bool = field(default=False, repr=False)


class Sightings:
    """Messages by their stamps; `take` gives each image once, in order."""

    def __init__(self) -> None:
        self._seen: dict[int, Seen] = {}
        self._newest_ns: int | None = None

    def clear(self) -> None:
        """Forget all."""
        self._seen.clear()
        self._newest_ns = None

    def probability(self, message: Any, now: float) -> None:
        """Take in `liquid/probability`; raises MessageError."""
        values = scalars_from_msg(message)
        if 'present' not in values:
            raise MessageError('liquid/probability has no value named present')
        self._at(message, now).present = values['present'] > 0.5

    def offset(self, message: Any, now: float) -> None:
        """Take in `liquid/offset_covariance`. What is not finite is passed on."""
        p = message.pose.pose.position
        seen = self._at(message, now)
        seen.offset = np.array([p.x, p.y, p.z], float)
        seen.covariance = np.array(message.pose.covariance, float).reshape(6, 6)[:3, :3]

    def flow(self, message: Any, now: float) -> None:
        """Take in `liquid/flow`; raises MessageError."""
        values = scalars_from_msg(message)
        seen = self._at(message, now)
        seen.flow, seen.flow_sigma = (
            ML * values[name] if name in values else None
            for name in ('flow_ml_s', 'flow_sigma_ml_s')
        )

    def source(self, message: Any, now: float) -> None:
        """Take in `source_pose_seen`; raises MessageError."""
        self._at(message, now).source = pose_from_pose_stamped(message.pose)

    def poured(self, message: Any, now: float) -> None:
        """Take in `liquid/poured`, the last message about every image."""
        self._at(message, now).whole = True

    def take(self, now: float) -> list[Seen]:
        """The images of which all is said, or that have waited long enough."""
        done = []
        for stamp_ns in sorted(self._seen):
            seen = self._seen[stamp_ns]
            waits = now - seen.arrived < WAIT and len(self._seen) <= MOST
            if waits and not (seen.whole and seen.present is not None):
                # A later one may be whole, but order is kept.
                break
            del self._seen[stamp_ns]
            self._newest_ns = stamp_ns
            done.append(seen)
        return done

    def _at(self, message: Any, now: float) -> Seen:
        stamp_ns = stamp_to_ns(message.header.stamp)
        if self._newest_ns is not None and stamp_ns <= self._newest_ns:
            if stamp_ns > self._newest_ns - BACK_NS:
                # Taken already: what comes now is nobody's.
                return Seen(stamp_ns)
            # Time was set back.
            self.clear()
        return self._seen.setdefault(stamp_ns, Seen(stamp_ns, arrived=now))
