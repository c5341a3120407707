# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Random pouring set-ups with exact truth: camera, containers and a free-falling stream."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ...geometry import Container, PinholeCamera, Pose
from ...geometry.fall import GRAVITY, UP, crossing_time, fall_time, falling


@dataclass(frozen=True, eq=False)
class Scenario:
    """One pour, frozen in time. Base frame z up, metres, m/s.

    The liquid leaves the source's mouth with `horizontal_speed` along the axis' horizontal part
    and `downward_speed`; `width`: of the stream at the mouth; `fall_time`: s until it crosses the
    target's rim plane; `visible`: share of that fall that the camera sees.
    """

    camera: PinholeCamera
    T_base_cam: Pose
    T_base_source: Pose
    T_base_target: Pose
    source: Container
    target: Container
    horizontal_speed: float
    downward_speed: float
    width: float
    visible: float

    @property
    def mouth(self) -> NDArray[np.float64]:
        """The source's mouth (3,), where the stream starts."""
        return self.source.mouth_in(self.T_base_source)

    @property
    def direction(self) -> NDArray[np.float64]:
        """Horizontal unit vector (3,) in which the container pours."""
        axis = self.source.axis_in(self.T_base_source).copy()
        axis[2] = 0
        return axis / np.linalg.norm(axis)

    @property
    def velocity(self) -> NDArray[np.float64]:
        """Velocity (3,) of the liquid at the source's mouth, m/s."""
        return self.horizontal_speed * self.direction - self.downward_speed * UP

    def centre_line(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points (N, 3) of the stream's centre after `times` (N,) s of fall."""
        return falling(self.mouth, self.velocity, times)

    @property
    def fall_time(self) -> float:
        """Time (s) until the stream crosses the target's rim plane."""
        rim = self.target.rim_in(self.T_base_target)
        return crossing_time(self.mouth, self.velocity, rim.mouth, rim.axis)

    @property
    def landing_point(self) -> NDArray[np.float64]:
        """True landing point (3,)."""
        return self.centre_line(np.array([self.fall_time]))[0]

    def visible_centre(self, count: int) -> NDArray[np.float64]:
        """Points (count, 3) of the visible centre line, evenly spaced in time."""
        return self.centre_line(np.linspace(0, self.visible * self.fall_time, count))

    def half_width(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Half width (N,) m of the stream: a round jet thins as it speeds up, w² v = const."""
        start = np.hypot(self.horizontal_speed, self.downward_speed)
        speed = np.hypot(self.horizontal_speed, self.downward_speed + GRAVITY * times)
        return 0.5 * self.width * np.sqrt(start / speed)


def look_at(position: NDArray[np.float64], point: NDArray[np.float64], roll: float = 0.0) -> Pose:
    """Pose of an optical frame (z forward, y down) at `position` that looks at `point`."""
    z = (point - position) / np.linalg.norm(point - position)
    x = np.cross(z, UP)
    x /= np.linalg.norm(x)
    R = np.column_stack([x, np.cross(z, x), z])
    return Pose(R @ Rotation.from_euler('z', roll).as_matrix(), position)


def random_scenario(rng: np.random.Generator) -> Scenario:
    """Sample a plausible table-top pour seen by an RGB-D camera."""
    source, target = Container.load('pourit_bottle'), Container.load('cup')
    tilt = np.radians(rng.uniform(60, 130))
    azimuth, roll = rng.uniform(0, 2 * np.pi, 2)
    # The container's axis (its +y), tilted from upright, then turned about the vertical.
    upright = Rotation.from_euler('x', np.pi / 2)
    R = Rotation.from_euler('z', azimuth) * Rotation.from_euler('y', tilt) * upright
    R = R * Rotation.from_euler('y', roll)
    mouth = rng.uniform([-0.3, -0.3, 0.2], [0.3, 0.3, 0.6])
    rotation = R.as_matrix()
    T_base_source = Pose(rotation, mouth - rotation @ source.mouth)
    pour = source.axis_in(T_base_source) * [1, 1, 0]
    pour /= np.linalg.norm(pour)

    v, u = rng.uniform(0.05, 0.8), rng.uniform(0.05, 0.6)
    drop = rng.uniform(0.04, 0.2)
    time = fall_time(drop, u)
    lean = Rotation.from_rotvec(
        np.radians(rng.uniform(0, 10)) * np.array([*_unit2(rng), 0.0])
    ).as_matrix()
    target_mouth = mouth + v * time * pour - drop * UP
    target_mouth[:2] += rng.uniform(0, 0.05) * _unit2(rng)
    T_base_target = Pose(lean, target_mouth - lean @ target.mouth)

    focal = rng.uniform(380, 900)
    camera = PinholeCamera(640, 480, focal, focal, 319.5, 239.5)
    # From the side, between 20 and 90 degrees to the pouring plane.
    side = np.cross(UP, pour) * rng.choice([-1, 1])
    turn = np.radians(rng.uniform(-70, 70))
    horizontal = np.cos(turn) * side + np.sin(turn) * pour
    elevation = np.radians(rng.uniform(-5, 45))
    towards = np.cos(elevation) * horizontal + np.sin(elevation) * UP
    middle = 0.5 * (mouth + target_mouth)
    # Far enough for the whole fall to be in the picture, near enough to see it.
    distance = max(rng.uniform(0.35, 1.0), 1.3 * drop * focal / 400)
    T_base_cam = look_at(middle + distance * towards, middle, np.radians(rng.uniform(-10, 10)))
    return Scenario(
        camera, T_base_cam, T_base_source, T_base_target, source, target,
        v, u, rng.uniform(0.004, 0.012), rng.uniform(0.7, 1.0),
    )  # fmt: skip


def _unit2(rng: np.random.Generator) -> NDArray[np.float64]:
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle)])
