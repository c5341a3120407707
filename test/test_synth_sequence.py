# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from test_synth_stream import cut, pieces

from pourit_ros.geometry import Container
from pourit_ros.perception.segmentation import Segmentation
from pourit_ros.pipeline import PourPipeline
from pourit_ros.synth.render.labels import label
from pourit_ros.synth.scene.meshes import box, sphere, tube
from pourit_ros.synth.scene.parts import stream_part
from pourit_ros.synth.scene.random import random_scene
from pourit_ros.synth.sets.preview import preview
from pourit_ros.synth.sets.sequence import PourPlan, pour_scene, pour_sequence


class TrueMask:
    """Stands in for the network where the geometry alone is under test."""

    def __init__(self):
        self.coverage = np.zeros((1, 1))

    def segment(self, rgb, region=None):
        mask = self.coverage > 0.5
        cam = self.coverage.astype(np.float32)
        return Segmentation(float(mask.any()), bool(mask.any()), cam, mask)


@pytest.fixture(scope='module')
def pour():
    return list(pour_sequence(rate=4.0, size=(320, 240)))


def signed_volume(mesh):
    a, b, c = mesh.vertices[mesh.triangles].transpose(1, 0, 2)
    return (a * np.cross(b, c)).sum() / 6


def test_meshes_enclose_the_volumes_they_should():
    ball = sphere(0.03, 200, 256)
    assert signed_volume(ball) == pytest.approx(4 / 3 * np.pi * 0.03**3, rel=1e-3)
    assert abs(signed_volume(box([1, 2, 3], [0.1, 0.2, 0.3]))) == pytest.approx(0.006)
    line = np.column_stack([np.zeros(50), np.zeros(50), np.linspace(0, 0.2, 50)])
    side = np.tile([1.0, 0, 0], (50, 1))
    ring = tube(line, side, np.full(50, 0.01), np.full(50, 0.004), segments=64)
    x, y, _ = ring.vertices.T
    np.testing.assert_allclose((x / 0.01) ** 2 + (y / 0.004) ** 2, 1, atol=1e-9)


def test_the_same_seed_gives_the_same_pictures():
    first = next(iter(pour_sequence(rate=1.0, size=(80, 60), seed=3)))
    again = next(iter(pour_sequence(rate=1.0, size=(80, 60), seed=3)))
    other = next(iter(pour_sequence(rate=1.0, size=(80, 60), seed=4)))
    np.testing.assert_array_equal(first.frame.color, again.frame.color)
    np.testing.assert_array_equal(first.frame.depth, again.frame.depth)
    assert np.abs(first.frame.color.astype(int) - other.frame.color).max() > 20


def test_liquid_is_there_exactly_while_it_flows(pour):
    plan = PourPlan()
    for index, frame in enumerate(pour):
        t = index / 4.0
        settled = plan.flow_from + 0.1 < t < plan.flow_until
        dry = t < plan.flow_from or t > plan.flow_until + 0.3
        wet = frame.coverage.max() > 0.5
        assert not (settled and not wet)
        assert not (dry and wet)
        assert (frame.landing_point is not None) == (plan.flow_from <= t <= plan.flow_until)


def test_depth_agrees_with_the_poses(pour):
    """The table is at z = 0 of the base frame, wherever the depth image shows it."""
    frame = pour[0].frame
    # Not at the left border, which the depth camera's twin does not see.
    v, u = np.mgrid[200:235:5, 60:140:5]
    rays = frame.camera.rays(np.column_stack([u.ravel(), v.ravel()]))
    depth = frame.depth[v.ravel(), u.ravel()]
    points = frame.T_base_cam.apply(rays[depth > 0] * depth[depth > 0, None])
    assert len(points) > 80
    assert np.abs(points[:, 2]).max() < 0.006


def test_geometry_recovers_the_true_landing_point(pour):
    """Ray-cast masks, exact poses: the whole chain below the network."""
    segmenter = TrueMask()
    source, target = Container.load('pourit_bottle'), Container.load('cup')
    pipeline = PourPipeline(segmenter, source, target)
    errors = []
    for frame in pour:
        segmenter.coverage = frame.coverage
        _, estimate = pipeline(frame.frame)
        if frame.landing_point is None or estimate.geometry.landing_point is None:
            continue
        errors.append(np.linalg.norm(estimate.geometry.landing_point - frame.landing_point))
    assert len(errors) >= 10
    # The stream sways about its free fall.
    assert np.median(errors) < 0.0015
    assert max(errors) < 0.004


@pytest.mark.parametrize('plan', [PourPlan(), PourPlan(correct_by=2.6, first_offset=0.1)])
def test_the_true_landing_point_is_the_streams(plan):
    """The centroid of the mesh's section in the rim's plane, also while the source moves."""
    rate, worst, moved = 10.0, [], []
    frames = pour_sequence(plan, rate, (64, 48))
    for index, item in enumerate(frames):
        t = index / rate
        stream = stream_part(pour_scene(plan, t, (64, 48), 'water', 0), t)
        if item.landing_point is None or t < plan.flow_from + plan.fall_time:
            continue
        body = max(pieces(stream.mesh), key=len)
        centre, _ = cut(stream.mesh, body, item.landing_point[2] - 1e-7)
        worst.append(np.linalg.norm(centre - item.landing_point))
        moved.append(abs(plan.offset(t) - plan.offset(t - plan.fall_time)))
    assert len(worst) > 30
    assert max(worst) < 2e-4
    # A parcel lands where it was sent, not where the source points by then.
    assert max(moved) > 0.004


def test_an_empty_source_pours_nothing():
    dry = list(pour_sequence(PourPlan(empty=True), 1.0, (64, 48)))
    assert all(item.landing_point is None and not item.coverage.any() for item in dry)


def test_previews_carry_the_labels_of_the_scene():
    scene = random_scene(1, 2, 'train', size=96)
    radiance, labels = preview(scene)
    assert radiance.shape == (96, 96, 3)
    assert np.isfinite(radiance).all()
    assert radiance.min() >= 0
    expected = label(scene)
    for name in ('instances', 'depth', 'opaque', 'visible', 'air', 'through'):
        np.testing.assert_array_equal(getattr(labels, name), getattr(expected, name))
    later, _ = preview(replace(scene, flow=replace(scene.flow, start=np.inf)))
    changed = np.abs(radiance - later).max(axis=-1) > 0.02
    assert (changed & (labels.visible > 0.9)).sum() > 0.5 * (labels.visible > 0.9).sum()


def test_a_pour_needs_no_renderer():
    code = (
        'import sys; from pourit_ros.synth.sets.sequence import pour_sequence as p\n'
        'list(p(rate=0.5, size=(32, 24)))\n'
        "print([m for m in ('mitsuba', 'drjit', 'pyoidn') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == '[]'


def test_milk_is_seen_by_the_depth_sensor_and_water_is_not():
    def median_behind(liquid):
        at = list(pour_sequence(rate=0.5, size=(320, 240), liquid=liquid))[1]
        stream = at.coverage > 0.9
        depth = at.frame.depth[stream]
        T_base_cam = at.frame.T_base_cam
        middle = T_base_cam.inverse().apply(at.landing_point)[2]
        return np.median(depth[depth > 0]) - middle

    assert abs(median_behind('milk')) < 0.02
    assert median_behind('water') > 0.05
