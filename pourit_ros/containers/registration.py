# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Where a container is, by its depth image: its surface of revolution fitted to the points.

Iterated closest points, point to plane (Chen and Medioni, IVC 10, 1992), with Tukey's weights
whose width shrinks: hand, fingers and what stands behind are left out step by step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ..geometry.camera import PinholeCamera
from ..geometry.container import Container
from ..geometry.errors import NotEstimable
from ..geometry.pose import Pose

# The outer face lies this far outside of the hollow, m.
WALL = 0.0015
# How far off the pose that is told may be, one sigma: m, and rad.
SHIFT, TURN = 0.02, 0.15
# Width of the weights at the first and at the last step, m, and the number of steps.
WIDEST, NARROWEST, STEPS = 0.04, 0.006, 5
# Of a depth image about that many points are taken: neighbours err together anyway.
POINTS = 1000
# Noise of a point, m, and how many of them err alike.
POINT_SIGMA, ALIKE = 0.0012, 8.0
# What the fit does not know: edges that depth cameras spread, a wall's shape. m, rad.
FLOOR = 0.002, float(np.radians(0.25))
# Faces turned farther from the camera than this (cosine) give no depth.
FACING = 0.2
# Of the face that should be seen, depth has to show this share, in so many points.
LEAST_COVERED, LEAST_POINTS = 0.3, 60
# Points farther than this from the told surface are no part of it, m.
REACH = 0.045
_AROUND = 48


@dataclass(frozen=True, eq=False)
class SeenContainer:
    """A container as its depth image shows it; the turn about its own axis is as told."""

    pose: Pose
    """T_cam_container, or in another frame, see `seen_from`."""
    covariance: NDArray[np.float64]
    """Of its origin (m) and its turn about that (rad), (6, 6) in the axes of the same frame."""
    covered: float
    """Share of the face towards the camera that depth confirms."""

    def seen_from(self, T_frame_cam: Pose) -> SeenContainer:
        """The same in another frame."""
        R = np.kron(np.eye(2), T_frame_cam.rotation)
        return SeenContainer(T_frame_cam @ self.pose, R @ self.covariance @ R.T, self.covered)


def find_container(
    depth: NDArray[np.float32], camera: PinholeCamera, container: Container, T_cam_container: Pose
) -> SeenContainer:
    """Find a container near the pose that is told, in a depth image (H, W), m, 0 where unknown.

    It takes a container whose `cavity` is known. Raises NotEstimable where depth shows too little
    of it: it is transparent, hidden, out of the image, or elsewhere.
    """
    if container.cavity is None:
        raise NotEstimable(f'the shape of {container.name} is not known: add its cavity')
    face = _Face(container)
    told = face.placed(T_cam_container)
    points, stride = _points_near(depth, camera, face, told)
    fit = _fit(points, face, told)
    expected = _visible_pixels(camera, face, fit.place)
    covered = min(stride * fit.count / expected, 1.0) if expected > 0 else 0.0
    if fit.count < LEAST_POINTS or covered < LEAST_COVERED:
        raise NotEstimable(
            f'depth shows {100 * covered:.0f} % of {container.name} where it is told to be'
        )
    # Back to the container's own frame: what turns about its axis stays as it was.
    R = fit.place.rotation @ told.rotation.T @ T_cam_container.rotation
    pose = Pose(R, fit.place.translation - R @ container.mouth)
    return SeenContainer(pose, _covariance(fit, pose.translation), covered)


class _Face:
    """The outer face: a profile (N, 2) of radius and height above the mouth, from the bottom."""

    def __init__(self, container: Container) -> None:
        assert container.cavity is not None
        radius, height = container.cavity.profile.T
        r, z = radius + WALL, height - height[-1]
        bottom = z[0] - WALL
        self.profile = np.column_stack([[0.0, r[0], *r], [bottom, bottom, *z]])
        self.ends = self.profile[:-1], self.profile[1:]
        self.along = np.diff(self.profile, axis=0)
        self.length = np.linalg.norm(self.along, axis=1)
        self.normal = np.column_stack([self.along[:, 1], -self.along[:, 0]]) / self.length[:, None]
        self.container = container

    def placed(self, T_cam_container: Pose) -> Pose:
        """The pose of the face's own frame, its origin in the mouth and z along the axis."""
        z = self.container.axis
        x = np.cross(np.eye(3)[np.argmin(np.abs(z))], z)
        x /= np.linalg.norm(x)
        return T_cam_container @ Pose(
            np.column_stack([x, np.cross(z, x), z]), self.container.mouth
        )

    def nearest(
        self, points: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Signed distances (N,) of points (N, 3) of the face's frame, and its normals (N, 3)."""
        radius = np.hypot(points[:, 0], points[:, 1])
        flat = np.column_stack([radius, points[:, 2]])
        off = flat[:, None] - self.ends[0]
        share = np.clip(np.sum(off * self.along, axis=2) / self.length**2, 0, 1)
        off = off - share[..., None] * self.along
        nearest = np.argmin(np.sum(off * off, axis=2), axis=1)
        normal = self.normal[nearest]
        off = off[np.arange(len(off)), nearest]
        distance = np.linalg.norm(off, axis=1) * np.where(np.sum(off * normal, axis=1) < 0, -1, 1)
        outward = points[:, :2] / np.maximum(radius, 1e-9)[:, None]
        return distance, np.column_stack([outward * normal[:, :1], normal[:, 1:]])


@dataclass(frozen=True, eq=False)
class _Fit:
    place: Pose
    """Of the face's frame in the camera's."""
    information: NDArray[np.float64]
    """(5, 5): turn about x and y, shift, in the face's axes."""
    count: int


def _points_near(
    depth: NDArray[np.float32], camera: PinholeCamera, face: _Face, told: Pose
) -> tuple[NDArray[np.float64], int]:
    """Points (N, 3) near the face, camera's frame, and of how many pixels each is one."""
    outline = np.vstack([_ring(r + REACH, z) for r, z in face.profile])
    outline = told.apply(outline)
    none = np.zeros((0, 3)), 1
    if outline[:, 2].min() <= 0:
        return none
    corners = camera.project(outline)
    low = np.maximum(np.floor(corners.min(0)).astype(int), 0)
    high = np.minimum(np.ceil(corners.max(0)).astype(int) + 1, [camera.width, camera.height])
    if (high <= low).any():
        return none
    part = depth[low[1] : high[1], low[0] : high[0]]
    near, far = outline[:, 2].min(), outline[:, 2].max()
    v, u = np.nonzero((part > near) & (part < far))
    if len(u) == 0:
        return none
    stride = max(len(u) // POINTS, 1)
    u, v = u[::stride], v[::stride]
    rays = camera.rays(np.column_stack([u + low[0], v + low[1]]))
    points = rays * part[v, u].astype(float)[:, None]
    inside = np.abs(face.nearest(told.inverse().apply(points))[0]) < REACH
    return points[inside], stride


def _fit(points: NDArray[np.float64], face: _Face, told: Pose) -> _Fit:
    place, moved = told, np.zeros(5)
    prior = np.array([TURN, TURN, SHIFT, SHIFT, SHIFT]) ** -2
    information, count = np.diag(prior), 0
    for width in np.geomspace(WIDEST, NARROWEST, STEPS):
        local = place.inverse().apply(points)
        distance, normal = face.nearest(local)
        eye = place.inverse().translation - local
        facing = np.sum(normal * eye, axis=1) > FACING * np.linalg.norm(eye, axis=1)
        share = distance / width
        weight = np.where((np.abs(share) < 1) & facing, (1 - share * share) ** 2, 0.0)
        count = int(np.count_nonzero(weight > 0.05))
        J = np.column_stack([np.cross(local, normal)[:, :2], normal])
        weighted = J * (weight / (POINT_SIGMA**2 * ALIKE))[:, None]
        information = weighted.T @ J + np.diag(prior)
        step = np.linalg.solve(information, weighted.T @ distance - prior * moved)
        moved = moved + step
        turn = Rotation.from_rotvec([step[0], step[1], 0.0]).as_matrix()
        place = place @ Pose(turn, step[2:])
    return _Fit(place, information, count)


def _visible_pixels(camera: PinholeCamera, face: _Face, place: Pose) -> float:
    """How many pixels show the face's side towards the camera, if nothing hides it."""
    total = 0.0
    for (r0, z0), (r1, z1), length, normal in zip(
        *face.ends, face.length, face.normal, strict=True
    ):
        r, z = 0.5 * (r0 + r1), 0.5 * (z0 + z1)
        points = _ring(r, z)
        normals = np.column_stack([points[:, :2] / max(r, 1e-9) * normal[0], np.zeros(_AROUND)])
        normals[:, 2] = normal[1]
        points, normals = place.apply(points), place.rotate(normals)
        away = np.linalg.norm(points, axis=1)
        facing = -np.sum(points * normals, axis=1) / away
        u, v = camera.project(points).T
        shown = (facing > FACING) & (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height)
        area = length * 2 * np.pi * r / _AROUND
        total += float(np.sum((area * facing / away**2)[shown])) * camera.fx * camera.fy
    return total


def _covariance(fit: _Fit, origin: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of `origin` (3,) and turn (6, 6), camera's axes; about its own axis it may turn anyhow."""
    covariance = np.zeros((6, 6))
    order = [3, 4, 0, 1, 2]
    covariance[np.ix_(order, order)] = np.linalg.inv(fit.information)
    covariance += np.diag([FLOOR[0] ** 2] * 3 + [FLOOR[1] ** 2] * 2 + [np.pi**2 / 3])
    R = np.kron(np.eye(2), fit.place.rotation)
    # What turns about the mouth carries the origin along.
    x, y, z = origin - fit.place.translation
    R[:3, 3:] = -np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ R[3:, 3:]
    return np.asarray(R @ covariance @ R.T)


def _ring(radius: float, height: float) -> NDArray[np.float64]:
    """Points (N, 3) about the axis."""
    angle = np.arange(_AROUND) * (2 * np.pi / _AROUND)
    flat = np.full(_AROUND, height)
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle), flat])
