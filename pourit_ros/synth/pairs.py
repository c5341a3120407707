# SPDX-License-Identifier: Apache-2.0
"""From rendered light and exact labels to what a camera and a depth sensor would have saved."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .camera_model import CameraModel
from .depth_sensor import DepthSensor, ExactDepth, sense
from .description import SceneDescription
from .labels import SceneLabels, truth
from .parts import INSTANCES, STREAM
from .records import PairRecord

TABLE = INSTANCES.index('table')
# Thinner than this between first and opaque surface is an edge's rounding, not a glass wall, m.
GLASS = 0.004
# Rougher tables are no mirrors.
GLOSSY = 0.25


def glossy(scene: SceneDescription, instances: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where a picture (H, W) shows a table like a mirror."""
    return (instances == TABLE) & (scene.table.roughness < GLOSSY)


def take_pair(
    scene: SceneDescription,
    positive: NDArray[np.float32],
    negative: NDArray[np.float32],
    labels: SceneLabels,
    meta: dict[str, Any],
) -> PairRecord:
    """Photograph linear radiance (H, W, 3) with the scene's camera and depth sensor.

    Exposure, colour, noise level and the places of the depth sensor's holes are the same in both
    pictures; the noise is not. `meta` is added to the JSON.
    """
    model = CameraModel.of(scene.camera)
    exposure = model.expose(negative)
    sensor = DepthSensor.draw(scene.camera.sensor, np.random.default_rng(scene.camera.seed))
    stream = labels.instances == STREAM
    still = labels.still
    looks = (
        _look(scene, labels.depth, labels.opaque, stream, labels.instances),
        _look(scene, still.depth, still.opaque, np.zeros_like(stream), still.instances),
    )
    pictures, depths = [], []
    for twin, (light, look) in enumerate(zip((positive, negative), looks, strict=True)):
        rng = np.random.default_rng((scene.camera.seed, scene.flow.seed, twin))
        picture = model.develop(light, exposure, rng)
        focal = scene.camera.model.fx
        depths.append(sense(look, picture, focal, sensor, scene.camera.seed, rng))
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


def _look(
    scene: SceneDescription,
    depth: NDArray[np.float32],
    opaque: NDArray[np.float32],
    stream: NDArray[np.bool_],
    instances: NDArray[np.uint8],
) -> ExactDepth:
    # Without the subtraction of infinities, where there is nothing.
    clear = np.isfinite(depth) & (opaque > depth + np.float32(GLASS))
    return ExactDepth(depth, opaque, clear, stream, glossy(scene, instances))
