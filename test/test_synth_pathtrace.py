# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pourit_ros.errors import InputError
from pourit_ros.geometry import PinholeCamera, Pose
from pourit_ros.synth.render import mitsuba_scene
from pourit_ros.synth.render.environment import panorama, radiance
from pourit_ros.synth.render.labels import label
from pourit_ros.synth.render.mitsuba_scene import find_llvm, load_mitsuba, mesh_of
from pourit_ros.synth.scene.description import LIQUIDS, Assets, Material
from pourit_ros.synth.scene.meshes import quad, sphere
from pourit_ros.synth.scene.parts import STREAM, Part
from pourit_ros.synth.scene.random import random_scene
from pourit_ros.synth.scene.scenario import look_at
from pourit_ros.synth.scene.strata import Mixture

SIZE = 64


@pytest.fixture(scope='module')
def mi():
    try:
        return load_mitsuba()
    except InputError as error:
        pytest.skip(str(error))


@pytest.fixture(scope='module')
def pair(mi):
    from pourit_ros.synth.render.pathtrace import PathTracer

    scene = random_scene(1, 8, 'train', size=SIZE)
    # A short exposure: the picture is of the instant that the labels are about.
    scene = replace(scene, camera=replace(scene.camera, exposure_time=1e-4))
    tracer = PathTracer(scene)
    return scene, tracer, tracer.render(True, 8), tracer.render(False, 8)


def integrate(mi, contents, spp, kind='path', **fields):
    contents = {'type': 'scene', 'integrator': {'type': kind, **fields}, **contents}
    return np.array(mi.render(mi.load_dict(contents), spp=spp, seed=1))


def test_pictures_are_finite_and_the_same_again(pair):
    _, tracer, positive, negative = pair
    for picture in (positive, negative):
        assert picture.shape == (SIZE, SIZE, 3)
        assert picture.dtype == np.float32
        assert np.isfinite(picture).all()
        assert picture.min() >= 0
        assert picture.mean() > 0.01
    np.testing.assert_array_equal(tracer.render(False, 8), negative)


def test_the_twins_differ_where_the_stream_is(pair):
    scene, _, positive, negative = pair
    labels = label(scene)
    change = np.abs(positive - negative).mean(axis=2) / (negative.mean(axis=2) + 0.05)
    wet = labels.visible > 0.5
    assert wet.sum() > 20
    elsewhere = labels.through == 0
    assert np.median(change[wet]) > 4 * np.median(change[elsewhere])


def test_froth_is_milky_where_the_vertices_say_so(mi):
    T = look_at(np.array([0.0, 0.0, 1.0]), np.array([0.0, 1e-3, 0.0]))
    camera = PinholeCamera(8, 8, 40.0, 40.0, 3.5, 3.5)
    red = replace(LIQUIDS['water'], milkiness=0.5, color=(0.8, 0.02, 0.02), absorption=(0, 0, 0))
    left, right = quad([-1, -1, 0], [1, 0, 0], [0, 2, 0]), quad([0, -1, 0], [1, 0, 0], [0, 2, 0])
    contents = {
        f'sheet{k}': mesh_of(Part(m, red, STREAM, False, froth=np.full(4, share)), f'sheet{k}')
        for k, (m, share) in enumerate(((left, 0.0), (right, 1.0)))
    }
    contents |= {
        's': mitsuba_scene.sensor_of(camera, T),
        'light': {'type': 'constant', 'radiance': 1.0},
    }
    green = integrate(mi, contents, 256)[..., 1].mean(axis=0)
    halves = sorted((green[:3].mean(), green[-3:].mean()))
    # Clear water lets all light through (in water radiance is less by the ior squared); the froth
    # keeps the green.
    assert halves[0] < 0.2
    assert halves[1] > 0.5


def test_pairs_of_moved_twins(mi):
    from pourit_ros.synth.sets.engines import PathtraceEngine

    engine = PathtraceEngine(4, 'train', 64, Assets(), spp=2, mixture=Mixture.parse('moved'))
    record = engine.pair(1)
    assert record.meta['stratum'] == 'moved'
    assert record.meta['moved']
    usual = replace(engine, mixture=Mixture.parse('general')).pair(1)
    assert usual.meta['moved'] == []


def test_backdrop_comes_with_its_labels(mi):
    from pourit_ros.synth.render.pathtrace import render_backdrop

    scene = random_scene(1, 3, 'train', size=48)
    backdrop = render_backdrop(scene, 4)
    assert backdrop.radiance.shape == (48, 48, 3)
    assert (backdrop.labels.instances != STREAM).all()
    assert (backdrop.labels.opaque >= backdrop.labels.depth - 1e-6).all()


def test_its_camera_is_the_labels_camera(mi):
    # Depth by Mitsuba's own rays against the labels' caster, off-centre principal point and all.
    scene = random_scene(1, 8, 'train', size=SIZE)
    camera = replace(scene.camera.model, cx=37.3, cy=24.8)
    scene = replace(scene, camera=replace(scene.camera, model=camera))
    from pourit_ros.synth.scene.parts import still_parts

    contents = {f'p{k}': mesh_of(p, f'p{k}') for k, p in enumerate(still_parts(scene))}
    sensor = mitsuba_scene.sensor_of(camera, scene.camera.T_base_cam)
    loaded = mi.load_dict({'type': 'scene', 's': sensor, **contents})
    v, u = np.mgrid[:SIZE, :SIZE].reshape(2, -1)
    place = mi.Point2f((u + 0.5) / SIZE, (v + 0.5) / SIZE)
    ray, _ = loaded.sensors()[0].sample_ray(0.0, 0.5, place, mi.Point2f(0.5, 0.5))
    hit = loaded.ray_intersect(ray)
    points = np.array(hit.p).reshape(3, -1).T
    z = scene.camera.T_base_cam.inverse().apply(points)[:, 2].reshape(SIZE, SIZE)
    found = np.array(hit.is_valid()).reshape(SIZE, SIZE)
    still = label(scene).still
    assert (found == np.isfinite(still.depth)).mean() > 0.998
    error = np.abs(z - still.depth)[found & np.isfinite(still.depth)]
    assert np.quantile(error, 0.97) < 1e-4


def test_its_room_is_the_panorama(mi):
    room = random_scene(2, 5, 'train').environment
    room = replace(room, lights=())
    picture = panorama(room)
    camera = PinholeCamera(24, 24, 60.0, 60.0, 11.5, 11.5)
    for at in ([1.0, 0.2, 0.1], [-0.3, 1.0, 0.4], [-1.0, -0.5, -0.1], [0.2, -1.0, 0.3]):
        T = look_at(np.zeros(3), np.array(at))
        contents = {**mitsuba_scene.emitters_of(room), 's': mitsuba_scene.sensor_of(camera, T)}
        seen = integrate(mi, contents, 16)
        v, u = np.mgrid[:24, :24].reshape(2, -1)
        rays = T.rotate(camera.rays(np.column_stack([u, v])))
        expected = radiance(picture, rays / np.linalg.norm(rays, axis=1, keepdims=True))
        expected = expected.reshape(24, 24, 3)
        # Texels are looked up here and interpolated there.
        assert np.median(np.abs(seen - expected) / (expected + 0.02)) < 0.12
        assert np.corrcoef(seen.ravel(), expected.ravel())[0, 1] > 0.9


def test_a_clear_ball_obeys_beer_lambert(mi):
    # Through its middle, straight: two surfaces of Fresnel loss and the absorption on the way.
    liquid = LIQUIDS['cola']
    radius = 0.02
    ball = sphere(radius, 64, 96)
    part = Part(ball, liquid, STREAM, way=np.full(len(ball.vertices), 2 * radius))
    T = look_at(np.array([0.0, -1.0, 0.0]), np.zeros(3))
    camera = PinholeCamera(9, 9, 9000.0, 9000.0, 4.0, 4.0)
    contents = {
        'ball': mesh_of(part, 'ball'), 's': mitsuba_scene.sensor_of(camera, T),
        'light': {'type': 'constant', 'radiance': 1.0},
    }  # fmt: skip
    seen = integrate(mi, contents, 1024, max_depth=3)[4, 4]
    fresnel = ((liquid.ior - 1) / (liquid.ior + 1)) ** 2
    through = (1 - fresnel) ** 2 * np.exp(-np.asarray(liquid.absorption) * 2 * radius)
    np.testing.assert_allclose(seen, fresnel + through, atol=0.02)


def test_milk_and_paint_scatter(mi):
    T = look_at(np.array([0.0, 0.0, 1.0]), np.array([0.0, 1e-3, 0.0]))
    camera = PinholeCamera(8, 8, 40.0, 40.0, 3.5, 3.5)
    sheet = quad([-1, -1, 0], [2, 0, 0], [0, 2, 0])
    paint = Material('opaque', (0.5, 0.25, 0.1), 0.9)
    tan = LIQUIDS['milk_coffee']
    for material, color in (
        (paint, paint.color),
        (LIQUIDS['milk'], LIQUIDS['milk'].color),
        (tan, tan.color),
    ):
        contents = {
            'sheet': mesh_of(Part(sheet, material, 1, False), 'sheet'),
            's': mitsuba_scene.sensor_of(camera, T),
            'light': {'type': 'constant', 'radiance': 1.0},
        }  # fmt: skip
        seen = integrate(mi, contents, 128).mean(axis=(0, 1))
        # A gloss of a few per cent lies over the colour.
        assert (seen > 0.75 * np.asarray(color)).all()
        assert (seen < np.asarray(color) + 0.12).all()


def test_a_missing_library_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv('DRJIT_LIBLLVM_PATH', str(tmp_path / 'libLLVM.so'))
    with pytest.raises(InputError, match='no such file'):
        find_llvm()
    monkeypatch.delenv('DRJIT_LIBLLVM_PATH')
    monkeypatch.setattr(mitsuba_scene, 'FOLDERS', (str(tmp_path),))
    (tmp_path / 'libLLVM-15.so.1').touch()
    if not any(Path(f'/usr/lib/llvm-{v}').exists() for v in range(16, 31)):
        # Version 15 is there and is not taken.
        with pytest.raises(InputError, match='libllvm19'):
            find_llvm()
        (tmp_path / 'libLLVM.so.19.1').touch()
        assert find_llvm() == tmp_path / 'libLLVM.so.19.1'
    assert os.environ.get('DRJIT_LIBLLVM_PATH') is None


def test_a_pose_for_both(mi):
    # Mitsuba's own transform of the camera is the pose.
    T = Pose.from_quaternion([0.1, -0.4, 0.3], [0.6, 0.1, -0.2, 0.7681146])
    camera = PinholeCamera(10, 10, 12.0, 12.0, 4.5, 4.5)
    sensor = mi.load_dict(mitsuba_scene.sensor_of(camera, T))
    matrix = np.array(sensor.world_transform().matrix).reshape(4, 4)
    np.testing.assert_allclose(matrix[:3, 3], T.translation, atol=1e-5)
    np.testing.assert_allclose(matrix[:3, 2], T.rotation[:, 2], atol=1e-4)
