# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Rigid transform between two frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from .errors import GeometryError

# Pose files and quaternions in float32 are off by 1e-6; beyond this it is not a rotation.
ORTHONORMAL_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Pose:
    """T_a_b: the pose of frame b in frame a, a rigid transform of points of b into a.

    `T_a_b @ T_b_c` is T_a_c. Raises GeometryError unless it is a rigid transform.

    >>> T_base_cam = Pose(np.diag([1.0, -1, -1]), np.array([0.0, 0, 1]))  # 1 m up, looking down
    >>> T_base_cam.apply([[0, 0, 0.75]])
    array([[0.  , 0.  , 0.25]])
    >>> (T_base_cam.inverse() @ T_base_cam).translation
    array([0., 0., 0.])
    """

    rotation: NDArray[np.float64]
    """(3, 3), its columns the axes of b in a."""
    translation: NDArray[np.float64]
    """(3,) m, the origin of b in a."""

    def __post_init__(self) -> None:
        """Raise GeometryError unless this is a rigid transform of finite numbers."""
        R, t = np.asarray(self.rotation, dtype=float), np.asarray(self.translation, dtype=float)
        if R.shape != (3, 3) or t.shape != (3,):
            raise GeometryError(
                'pose: needs a (3, 3) rotation and a (3,) translation, '
                f'got {R.shape} and {t.shape}'
            )
        if not (np.isfinite(R).all() and np.isfinite(t).all()):
            raise GeometryError('pose: rotation and translation must be finite')
        error = np.abs(R @ R.T - np.eye(3)).max()
        if error > ORTHONORMAL_TOLERANCE or np.linalg.det(R) < 0:
            raise GeometryError(f'pose: not a rotation (off by {error:.2g})')
        object.__setattr__(self, 'rotation', R)
        object.__setattr__(self, 'translation', t)

    @classmethod
    def identity(cls) -> Pose:
        """The pose of a frame in itself."""
        return cls(np.eye(3), np.zeros(3))

    @classmethod
    def from_matrix(cls, matrix: ArrayLike) -> Pose:
        """Build from a 4x4 homogeneous matrix; raises GeometryError when it is not rigid."""
        matrix = np.asarray(matrix, dtype=float)
        if matrix.shape != (4, 4) or not np.all(np.isfinite(matrix)):
            raise GeometryError(f'pose: needs a finite 4x4 matrix, got shape {matrix.shape}')
        if not np.allclose(matrix[3], [0, 0, 0, 1], atol=1e-6):
            raise GeometryError('pose: last row of the matrix must be 0 0 0 1')
        R = matrix[:3, :3]
        error = np.abs(R @ R.T - np.eye(3)).max()
        if error > ORTHONORMAL_TOLERANCE or np.linalg.det(R) < 0:
            raise GeometryError(f'pose: upper 3x3 block is not a rotation (off by {error:.2g})')
        u, _, vt = np.linalg.svd(R)
        return cls(u @ vt, matrix[:3, 3].copy())

    @classmethod
    def from_quaternion(cls, translation: ArrayLike, xyzw: ArrayLike) -> Pose:
        """Build from a translation (m) and a quaternion in ROS order (x, y, z, w)."""
        t = np.asarray(translation, dtype=float).reshape(-1)
        q = np.asarray(xyzw, dtype=float).reshape(-1)
        if t.shape != (3,) or q.shape != (4,) or not np.isfinite([*t, *q]).all():
            raise GeometryError('pose: needs 3 finite coordinates and a finite quaternion')
        norm = float(np.linalg.norm(q))
        if abs(norm - 1) > 0.01:
            raise GeometryError(f'pose: quaternion has norm {norm:.3g}, not 1')
        return cls(Rotation.from_quat(q).as_matrix(), t)

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The 4x4 homogeneous matrix."""
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = self.rotation, self.translation
        return matrix

    @property
    def quaternion(self) -> NDArray[np.float64]:
        """The rotation as a quaternion (x, y, z, w) with w >= 0."""
        xyzw = Rotation.from_matrix(self.rotation).as_quat()
        return xyzw if xyzw[3] >= 0 else -xyzw

    def inverse(self) -> Pose:
        """T_b_a."""
        return Pose(self.rotation.T, -self.rotation.T @ self.translation)

    def __matmul__(self, other: Pose) -> Pose:
        return Pose(
            self.rotation @ other.rotation, self.rotation @ other.translation + self.translation
        )

    def apply(self, points: ArrayLike) -> NDArray[np.float64]:
        """Map points (..., 3) of frame b into frame a."""
        return np.asarray(points, dtype=float) @ self.rotation.T + self.translation

    def rotate(self, vectors: ArrayLike) -> NDArray[np.float64]:
        """Map directions (..., 3) of frame b into frame a."""
        return np.asarray(vectors, dtype=float) @ self.rotation.T

    def perturbed(self, translation: ArrayLike, rotation_vector: ArrayLike) -> Pose:
        """Shift by `translation` (m) and turn about frame b's origin, both given in frame a."""
        turn = Rotation.from_rotvec(np.asarray(rotation_vector, dtype=float)).as_matrix()
        return Pose(turn @ self.rotation, self.translation + np.asarray(translation, dtype=float))

    def interpolate(self, other: Pose, fraction: float) -> Pose:
        """Pose at `fraction` of the way to `other`: linear translation, shortest-arc rotation."""
        arc = Rotation.from_matrix(self.rotation.T @ other.rotation).as_rotvec()
        R = self.rotation @ Rotation.from_rotvec(fraction * arc).as_matrix()
        return Pose(R, (1 - fraction) * self.translation + fraction * other.translation)
