# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The lever between the lip, about which a pour turns, and the arm's tip, which twists move."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ..geometry.container import Container
from ..geometry.pose import Pose
from .limits import lip_to_tip
from .outflow import lip_of

# Of a new measurement of how the source is held; noise of its poses is averaged.
WEIGHT = 0.1
# Stamps of both that are no further apart than this say how it is held, s.
TOGETHER = 0.05
# How far a set-point pose may run ahead of the arm, m and rad.
LEASH = 0.02, 0.15


class Lever:
    """Where lip and tip are, base frame: from both poses, from one of them, or from the twists.

    The source is held rigidly: each pose says where the other is. Without either for `max_age` s,
    the commanded twists say how the tip has moved since, so that a bottle can be tilted back
    although nobody reports where it is.
    """

    def __init__(self, source: Container, max_age: float) -> None:
        self._source, self._max_age = source, max_age
        self._T_tip_source: Pose | None = None
        self._T_base_tip: Pose | None = None
        self._tip_stamp = self._source_stamp = -np.inf

    @property
    def known(self) -> bool:
        """Whether both poses have been heard."""
        return self._T_tip_source is not None and self._T_base_tip is not None

    @property
    def T_base_tip(self) -> Pose:
        """The tip; only if `known`."""
        assert self._T_base_tip is not None
        return self._T_base_tip

    def set_tip(self, stamp: float, T_base_tip: Pose) -> None:
        """Take in the tip's pose."""
        self._T_base_tip, self._tip_stamp = T_base_tip, stamp

    def set_source(self, stamp: float, T_base_source: Pose) -> None:
        """Take in the source's pose."""
        together = abs(stamp - self._tip_stamp) <= TOGETHER
        if self._T_base_tip is not None and together:
            held = self._T_base_tip.inverse() @ T_base_source
            before = self._T_tip_source
            self._T_tip_source = held if before is None else before.interpolate(held, WEIGHT)
        elif self._T_tip_source is not None:
            self._T_base_tip = T_base_source @ self._T_tip_source.inverse()
        self._source_stamp = stamp

    def tip_twist(self, lip_twist: NDArray[np.float64], now: float, dt: float) -> NDArray:
        """The twist (6,) of the tip that gives the lip `lip_twist` (6,); only if `known`.

        It is believed to be followed for `dt` s where nothing else says where the tip is.
        """
        assert self._T_tip_source is not None
        lip = lip_of(self._source, self.T_base_tip @ self._T_tip_source)
        twist = lip_to_tip(lip_twist, lip, self.T_base_tip.translation)
        if now - max(self._tip_stamp, self._source_stamp) > self._max_age:
            self._T_base_tip = moved(self.T_base_tip, twist, dt)
        return twist


def moved(T_base_tip: Pose, twist: NDArray[np.float64], dt: float) -> Pose:
    """A pose after `twist` (6,) about its own origin, in base axes, for `dt` s."""
    turn = Rotation.from_rotvec(twist[3:] * dt).as_matrix()
    return Pose(turn @ T_base_tip.rotation, T_base_tip.translation + twist[:3] * dt)


def leashed(wanted: Pose, measured: Pose, leash: tuple[float, float] = LEASH) -> Pose:
    """The pose nearest to `wanted` that is no further than the leash (m, rad) from `measured`.

    A controller that follows poses without a time-out would go on to one that ran ahead.
    """
    apart = wanted.translation - measured.translation
    turn = Rotation.from_matrix(wanted.rotation @ measured.rotation.T).as_rotvec()
    shares = [
        min(1.0, most / max(float(np.linalg.norm(vector)), 1e-12))
        for vector, most in zip((apart, turn), leash, strict=True)
    ]
    rotation = Rotation.from_rotvec(shares[1] * turn).as_matrix() @ measured.rotation
    return Pose(rotation, measured.translation + shares[0] * apart)
