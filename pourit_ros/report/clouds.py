# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The frame in 3D: RGB-D scene, lifted liquid and fitted stream, as arrays and as PLY files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..files import replacing
from ..geometry import Pose
from ..pipeline import Frame, Observation, PourEstimate
from . import drawing as dr
from .overlay import stream_curve

# Neighbouring pixels whose depth differs by more lie on two surfaces; what is between is air.
MAX_STEP = 0.02


def scene_cloud(frame: Frame) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Points (N, 3) m in the colour optical frame and colours (N, 3) of the frame's RGB-D image.

    Leaves out pixels without depth, and those at depth edges, which float between surfaces.
    """
    if frame.depth is None:
        return np.zeros((0, 3)), np.zeros((0, 3), np.uint8)
    depth = np.nan_to_num(frame.depth, nan=0.0, posinf=0.0).astype(np.float32)
    window = np.ones((3, 3), np.uint8)
    step = cv2.dilate(depth, window) - cv2.erode(depth, window)
    v, u = np.nonzero((depth > 0) & (step < MAX_STEP))
    points = frame.camera.rays(np.column_stack([u, v])) * depth[v, u, None]
    return points, frame.color[v, u]


def cam_colours(intensity: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Colours (N, 3) RGB of CAM values (N,) in 0..1: dark blue, violet, orange, yellow."""
    if len(intensity) == 0:
        return np.zeros((0, 3), np.uint8)
    grey = np.round(255 * np.clip(intensity, 0, 1)).astype(np.uint8)
    bgr = cv2.applyColorMap(grey.reshape(-1, 1), cv2.COLORMAP_PLASMA)
    return np.asarray(bgr[:, 0, ::-1], np.uint8)


def write_clouds(
    folder: str | Path,
    stem: str,
    frame: Frame,
    observation: Observation,
    estimate: PourEstimate,
) -> list[Path]:
    """Write `<stem>_scene.ply`, `_liquid.ply` and `_stream.ply`; returns those written.

    In the base frame, metres; without the camera's pose in the colour optical frame. Scene: RGB-D
    points; liquid: the lifted mask coloured by CAM; stream: the fitted centre line, one point per
    millimetre, from its top to the landing point. A cloud without points is not written. Raises
    InputError.
    """
    T = frame.T_base_cam or Pose.identity()
    scene, scene_colours = scene_cloud(frame)
    cloud = observation.cloud
    stream = centre_line(estimate)
    clouds = {
        'scene': (T.apply(scene), scene_colours),
        'liquid': (T.apply(cloud.points), cam_colours(cloud.intensity)),
        'stream': (stream, np.tile(np.array(dr.STREAM, np.uint8), (len(stream), 1))),
    }
    written = []
    for name, (points, colours) in clouds.items():
        if len(points):
            path = Path(folder) / f'{stem}_{name}.ply'
            _write_ply(path, points, colours)
            written.append(path)
    return written


def centre_line(estimate: PourEstimate) -> NDArray[np.float64]:
    """The fitted centre line (N, 3) in the base frame, about one point per millimetre."""
    coarse = np.vstack(stream_curve(estimate.geometry))
    if len(coarse) == 0:
        return coarse
    length = float(np.linalg.norm(np.diff(coarse, axis=0), axis=1).sum())
    return estimate.geometry.curve(float(coarse[:, 2].min()), max(2, round(1000 * length)))


def _write_ply(path: Path, points: NDArray[np.float64], colours: NDArray[np.uint8]) -> None:
    import open3d as o3d

    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points))
    cloud.colors = o3d.utility.Vector3dVector(colours / 255.0)
    with replacing(path) as partial:
        # Its stubs ask for a PathLike, which versions before 0.19 refuse; all of them take text.
        if not o3d.io.write_point_cloud(str(partial), cloud):  # type: ignore[arg-type]
            raise InputError(f'{path}: open3d could not write the point cloud')
