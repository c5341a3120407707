# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Labels against a ray caster of the tests' own, in double precision, without any tree."""

import json
from dataclasses import replace

import numpy as np
import pytest

from pourit_ros.geometry import PinholeCamera
from pourit_ros.synth.render.labels import (
    SAMPLES,
    Caster,
    in_air,
    label,
    mid_exposure,
    stream_box,
    truth,
)
from pourit_ros.synth.scene.parts import INSTANCES, STREAM, still_parts, stream_part
from pourit_ros.synth.scene.random import random_scene
from pourit_ros.synth.scene.stream import Stream

SIZE = 64


class BruteForce:
    """Every triangle against every ray (Moeller and Trumbore, 1997)."""

    def __init__(self, meshes, camera, T_base_cam):
        self.camera = camera
        inverse = T_base_cam.inverse()
        corners = [inverse.apply(m.vertices)[m.triangles] for m in meshes]
        self.corner = np.concatenate(corners)
        self.mesh = np.repeat(np.arange(len(meshes)), [len(c) for c in corners])
        # Only triangles whose outline's box comes near the ray: the others cannot be hit.
        z = self.corner[..., 2]
        with np.errstate(divide='ignore', invalid='ignore'):
            pixel = camera.project(self.corner.reshape(-1, 3)).reshape(-1, 3, 2)
        behind = (z < 1e-3).any(axis=1)
        self.low = np.where(behind[:, None], -np.inf, pixel.min(axis=1) - 0.01)
        self.about = {}
        self.high = np.where(behind[:, None], np.inf, pixel.max(axis=1) + 0.01)

    def nearest(self, u, v, among=None):
        """Index of the nearest mesh (-1: none) and the depth along z."""
        pixel = round(u), round(v)
        if pixel not in self.about:
            near = (self.low <= np.add(pixel, 0.5)) & (self.high >= np.subtract(pixel, 0.5))
            self.about = {pixel: np.nonzero(near.all(axis=1))[0]}
        near = self.about[pixel]
        if among is not None:
            near = near[np.isin(self.mesh[near], among)]
        corner, mesh = self.corner[near], self.mesh[near]
        direction = self.camera.rays([[u, v]])[0]
        a, b = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
        p = np.cross(direction, b)
        with np.errstate(divide='ignore', invalid='ignore'):
            inverse = 1 / (a * p).sum(axis=1)
            start = -corner[:, 0]
            s = (start * p).sum(axis=1) * inverse
            q = np.cross(start, a)
            t = (q @ direction) * inverse
            z = (b * q).sum(axis=1) * inverse
        hit = (s >= 0) & (t >= 0) & (s + t <= 1) & (z > 1e-6) & np.isfinite(z)
        if not hit.any():
            return -1, np.inf
        k = np.argmin(np.where(hit, z, np.inf))
        return int(mesh[k]), float(z[k])


@pytest.fixture(scope='module', params=[2, 8, 17])
def labelled(request):
    scene = random_scene(1, request.param, 'train', size=SIZE)
    return scene, label(scene), still_parts(scene), stream_part(scene, mid_exposure(scene))


def test_coverage_and_depth_agree_with_the_independent_caster(labelled):
    scene, labels, still, stream = labelled
    parts = [*still, stream]
    camera, T = scene.camera.model, scene.camera.T_base_cam
    x0, y0, x1, y1 = stream_box(scene, stream)
    rng = np.random.default_rng(0)
    # Where the stream begins or ends, and everywhere else in its box.
    partial = np.argwhere((labels.visible > 0) & (labels.visible < 1))
    anywhere = np.column_stack([rng.integers(y0, y1, 20), rng.integers(x0, x1, 20)])
    chosen = np.concatenate([rng.permutation(partial)[:30], anywhere])
    solid = [k for k, p in enumerate(parts) if not p.clear or p is stream]
    caster = BruteForce([p.mesh for p in parts], camera, T)
    offset = (np.arange(SAMPLES) + 0.5) / SAMPLES - 0.5
    wrong = count = 0
    for row, column in chosen:
        seen = air = through = 0
        for dy in offset:
            for dx in offset:
                u, v = column + dx, row + dy
                k, depth = caster.nearest(u, v)
                if k == len(still):
                    seen += 1
                    point = T.apply(camera.rays([[u, v]]) * depth)
                    air += bool(in_air(scene, point)[0])
                through += caster.nearest(u, v, solid)[0] == len(still)
        squares = SAMPLES**2
        wrong += abs(round(labels.visible[row, column] * squares) - seen)
        wrong += abs(round(labels.air[row, column] * squares) - air)
        wrong += abs(round(labels.through[row, column] * squares) - through)
        count += squares
    assert count >= 500
    assert wrong == 0


def test_depth_and_instances_at_pixel_centres(labelled):
    scene, labels, still, stream = labelled
    parts = [*still, stream]
    camera, T = scene.camera.model, scene.camera.T_base_cam
    caster = BruteForce([p.mesh for p in parts], camera, T)
    solid = [k for k, p in enumerate(parts) if not p.clear]
    dry = list(range(len(still)))
    rng = np.random.default_rng(1)
    wet = rng.permutation(np.argwhere(labels.instances == STREAM))[:15]
    anywhere = rng.integers(0, SIZE, (60, 2))
    for row, column in np.concatenate([wet, anywhere]):
        k, depth = caster.nearest(column, row)
        assert labels.instances[row, column] == (parts[k].instance if k >= 0 else 0)
        if k >= 0:
            assert abs(labels.depth[row, column] - depth) < 1e-4
        else:
            assert np.isinf(labels.depth[row, column])
        opaque = caster.nearest(column, row, solid)[1]
        if np.isfinite(opaque):
            assert abs(labels.opaque[row, column] - opaque) < 1e-4
        k, depth = caster.nearest(column, row, dry)
        assert labels.still.instances[row, column] == (still[k].instance if k >= 0 else 0)


def test_masks_contain_each_other(labelled):
    _, labels, _, _ = labelled
    assert labels.air.sum() > 3
    assert (labels.air <= labels.visible).all()
    assert (labels.visible <= labels.through).all()
    assert (labels.opaque >= labels.depth - 1e-6).all()
    assert (labels.still.instances != STREAM).all()
    dry = labels.visible == 0
    np.testing.assert_array_equal(labels.depth[dry], labels.still.depth[dry])


def test_the_landing_point_lies_under_the_projected_stream():
    # Its pixel is where the mask in the air ends at the rim, and inside the whole stream.
    checked = 0
    for k in range(14):
        scene = random_scene(6, k, 'train', size=160)
        if scene.flow.style == 'breakup':
            continue
        landing = truth(scene)['landing_point']
        if landing is None:
            continue
        camera, T = scene.camera.model, scene.camera.T_base_cam
        u, v = camera.project(T.inverse().apply([landing]))[0]
        surface = stream_part(scene, mid_exposure(scene))
        # Cast at the stream alone: the target's wall is often before it.
        hit, depth = BruteForce([surface.mesh], camera, T).nearest(u, v)
        assert hit == 0
        radius = np.sqrt(scene.flow.rate / np.pi / scene.flow.speed)
        line = Stream(scene.flow).surface(mid_exposure(scene)).centre
        assert np.linalg.norm(line - landing, axis=1).min() < 1e-3
        z = T.inverse().apply([landing])[0, 2]
        assert -4 * radius < z - depth < 30 * radius
        checked += 1
    assert checked >= 8


def test_the_mouth_is_where_the_rim_is_seen():
    checked = 0
    for k in range(40):
        scene = random_scene(4, k, 'train', size=200)
        vessel, camera = scene.target, scene.camera.model
        T, T_cam_base = vessel.T_base_container, scene.camera.T_base_cam.inverse()
        parts = [p for p in still_parts(scene) if INSTANCES[p.instance] == 'target']
        caster = Caster(parts, scene.camera.T_base_cam, camera)
        # The lip's crest: halfway through the wall, in the plane of the stated mouth.
        turn = np.linspace(0, 2 * np.pi, 60)
        radius = vessel.model.rim_radius + 0.5 * vessel.shape.wall
        ring = radius * np.column_stack([np.cos(turn), np.sin(turn), 0 * turn])
        crest = T_cam_base.apply(T.apply(vessel.model.mouth + ring))
        # Only from above is all of it seen.
        axis = T_cam_base.rotate(vessel.model.axis_in(T))
        if -axis @ crest.mean(axis=0) < 0.35 * np.linalg.norm(crest.mean(axis=0)):
            continue
        hit, depth = caster.cast(camera.project(crest))
        assert (hit >= 0).mean() > 0.95
        # Ninety-six sides: the crest is up to radius (1 - cos(pi / 96)) away.
        assert np.median(np.abs(depth - crest[:, 2])[hit >= 0]) < 2e-4
        beyond = T_cam_base.apply(T.apply(vessel.model.mouth + 1.15 * ring))
        far = (beyond - crest)[:, 2] > 0.02 * radius
        assert (caster.cast(camera.project(beyond[far]))[0] < 0).mean() > 0.8
        checked += 1
    assert checked >= 5


def test_truth_is_json_and_complete(labelled):
    scene, _, _, _ = labelled
    fields = json.loads(json.dumps(truth(scene)))
    assert fields['seed'] == 1
    assert fields['split'] == 'train'
    assert np.linalg.norm(fields['source']['axis']) == pytest.approx(1)
    np.testing.assert_allclose(fields['target']['axis'], [0, 0, 1], atol=1e-12)
    assert fields['target']['mouth'][2] == pytest.approx(scene.target.shape.height)
    assert fields['flow']['rate_ml_s'] == pytest.approx(1e6 * scene.flow.rate)
    camera = PinholeCamera.from_matrix(fields['intrinsics'], *fields['size'])
    assert camera == scene.camera.model


def test_a_dry_scene_has_no_stream():
    scene = random_scene(1, 2, 'train', size=SIZE)
    dry = replace(scene, flow=replace(scene.flow, start=5.0))
    labels = label(dry)
    assert labels.visible.max() == labels.through.max() == 0
    assert truth(dry)['landing_point'] is None
    np.testing.assert_array_equal(labels.instances, labels.still.instances)
