# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Turn rendered light and exact labels into images of a camera and a depth sensor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..render.camera_model import CameraModel, Exposure
from ..render.depth_sensor import DepthSensor, ExactDepth, sense
from ..render.labels import SceneLabels, StillLabels, truth
from ..scene.description import SceneDescription
from ..scene.parts import INSTANCES, STREAM
from .records import PairRecord

TABLE = INSTANCES.index('table')
# Thinner than this between first and opaque surface is an edge's rounding, not a glass wall, m.
GLASS = 0.004
# Rougher tables are no mirrors.
GLOSSY = 0.25


def glossy(scene: SceneDescription, instances: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where an image (H, W) shows a mirror-like table."""
    return (instances == TABLE) & (scene.table.roughness < GLOSSY)


def photograph(
    scene: SceneDescription,
    radiance: NDArray[np.float32],
    labels: StillLabels | SceneLabels,
    exposure: Exposure,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """Take one image (H, W, 3) RGB of linear radiance, and its depth (H, W) mm, 0 unknown.

    The places of the depth sensor's holes come from the scene's camera, the noise from `rng`.
    """
    picture = CameraModel.of(scene.camera).develop(radiance, exposure, rng)
    sensor = DepthSensor.draw(scene.camera.sensor, np.random.default_rng(scene.camera.seed))
    # Without the subtraction of infinities, where there is nothing.
    clear = np.isfinite(labels.depth) & (labels.opaque > labels.depth + np.float32(GLASS))
    wet = labels.instances == STREAM
    exact = ExactDepth(labels.depth, labels.opaque, clear, wet, glossy(scene, labels.instances))
    focal = scene.camera.model.fx
    return picture, sense(exact, picture, focal, sensor, scene.camera.seed, rng)


def take_pair(
    scene: SceneDescription,
    positive: NDArray[np.float32],
    negative: NDArray[np.float32],
    labels: SceneLabels,
    meta: dict[str, Any],
) -> PairRecord:
    """Photograph linear radiance (H, W, 3) with the scene's camera and depth sensor.

    Exposure, colour, noise level and the places of the depth sensor's holes are the same in both
    images; the noise is not. `meta` is added to the JSON.
    """
    model = CameraModel.of(scene.camera)
    exposure = model.expose(negative)
    pictures, depths = [], []
    twins: tuple[tuple[NDArray[np.float32], StillLabels | SceneLabels], ...] = (
        (positive, labels),
        (negative, labels.still),
    )
    for twin, (light, seen) in enumerate(twins):
        rng = np.random.default_rng((scene.camera.seed, scene.flow.seed, twin))
        picture, depth = photograph(scene, light, seen, exposure, rng)
        depths.append(depth)
        pictures.append(model.encode(picture))
    T_cam_base = scene.camera.T_base_cam.inverse()
    return PairRecord(
        positive=pictures[0],
        negative=pictures[1],
        positive_depth=depths[0],
        negative_depth=depths[1],
        true_depth=labels.depth,
        mask_visible=labels.visible,
        mask_air=labels.air,
        mask_through=labels.through,
        instances=labels.instances,
        camera=scene.camera.model,
        T_cam_source=T_cam_base @ scene.source.T_base_container,
        T_cam_target=T_cam_base @ scene.target.T_base_container,
        T_base_cam=scene.camera.T_base_cam,
        meta={**truth(scene), 'air_px': round(float(labels.air.sum()), 2), **meta},
    )
