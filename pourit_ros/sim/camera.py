# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Colour and exact depth of the cell without its stream, by MuJoCo's renderer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..geometry import PinholeCamera
from .franka import load_mujoco
from .scene import COARSE_GROUP, FINE_GROUP, FOVY

MOST_GEOMS = 200


class Renderer:
    """Draws a model's cameras in `size` (width, height); raises InputError without OpenGL.

    `fine`: the model has the arm's visual meshes; they are drawn, with shadows. Shadows take
    longer than everything else at the loop's size.
    """

    def __init__(self, model: Any, size: tuple[int, int], fine: bool = False) -> None:
        mujoco = self._mujoco = load_mujoco()
        self._model, self.size = model, size
        try:
            from mujoco.gl_context import GLContext

            self._context = GLContext(*size)
            self._context.make_current()
            self._buffers = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        except (ImportError, AttributeError, RuntimeError, mujoco.FatalError) as error:
            raise InputError(
                f'no OpenGL for MuJoCo ({error}): apt install libegl1 libgl1-mesa-dri, '
                'and set MUJOCO_GL=egl'
            ) from None
        self._buffers.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._buffers)
        self._rect = mujoco.MjrRect(0, 0, *size)
        self._scene = mujoco.MjvScene(model, maxgeom=MOST_GEOMS)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = fine
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False
        self._option = mujoco.MjvOption()
        self._option.geomgroup[FINE_GROUP] = fine
        self._option.geomgroup[COARSE_GROUP] = not fine
        self._view = mujoco.MjvCamera()
        self._view.type = mujoco.mjtCamera.mjCAMERA_FIXED

    def draw(self, data: Any, camera: str) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Colour (H, W, 3) RGB and depth (H, W) m along the optical axis, of one drawing."""
        mujoco, (width, height) = self._mujoco, self.size
        self._context.make_current()
        self._view.fixedcamid = self._model.camera(camera).id
        everything = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(
            self._model, data, self._option, None, self._view, everything, self._scene
        )
        mujoco.mjr_render(self._rect, self._scene, self._buffers)
        color = np.empty((height, width, 3), np.uint8)
        z = np.empty((height, width), np.float32)
        mujoco.mjr_readPixels(color, z, self._rect, self._buffers)
        return color[::-1].copy(), self._metric(z[::-1])

    def _metric(self, z: NDArray[np.float32]) -> NDArray[np.float32]:
        """Depth in m of a reversed depth buffer (1: the near plane, 0: the far one)."""
        extent, plane = self._model.stat.extent, self._model.vis.map
        near, far = plane.znear * extent, plane.zfar * extent
        depth: NDArray[np.float32] = np.float32(near * far) / (
            np.float32(near) + z * np.float32(far - near)
        )
        return depth

    def close(self) -> None:
        """Free the graphics context."""
        self._buffers.free()
        self._context.free()


def pinhole(size: tuple[int, int]) -> PinholeCamera:
    """Intrinsics of all cameras of the cell in an image of `size` (width, height)."""
    focal = 0.5 * size[1] / np.tan(0.5 * np.radians(FOVY))
    return PinholeCamera(*size, focal, focal, 0.5 * (size[0] - 1), 0.5 * (size[1] - 1))
