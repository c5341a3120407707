# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import pytest

from pourit_ros.errors import InputError
from pourit_ros.synth.render.labels import truth
from pourit_ros.synth.scene.containers import SOURCES
from pourit_ros.synth.scene.description import PROPS, STYLES, Assets, landing_point
from pourit_ros.synth.scene.random import random_scene, reflowed

MAPS = Assets(tuple(Path(f'room_{k}.hdr') for k in range(24)))
COUNT = 150


@pytest.fixture(scope='module')
def scenes() -> dict:
    return {
        split: [random_scene(3, i, split, MAPS) for i in range(COUNT)]
        for split in ('train', 'val')
    }


def numbers(scene):
    """Every number that a scene draws its shapes, textures, rooms and streams from."""
    containers = [scene.source, scene.target, *scene.others]
    shapes = {(c.shape.kind, c.shape_id) for c in containers}
    seeds = {c.material.seed for c in containers if c.material.seed}
    seeds |= {p.seed for p in scene.props} | {p.material.seed for p in scene.props}
    seeds |= {scene.table.seed, scene.environment.seed, scene.environment.wall.seed}
    return shapes, seeds - {0}


def test_a_scene_is_the_same_whenever_it_is_drawn():
    for index in (0, 7, 2**40):
        a, b = (random_scene(5, index, 'train', MAPS) for _ in range(2))
        assert truth(a) == truth(b)
        assert a.props[:0] == b.props[:0]
        assert a.environment == b.environment
        np.testing.assert_array_equal(a.source.shape.outer, b.source.shape.outer)
        assert truth(reflowed(a, 3)) == truth(reflowed(b, 3))


def test_a_scene_can_be_poured_from_something_else():
    drawn = random_scene(5, 7, 'train', MAPS)
    same = random_scene(5, 7, 'train', MAPS, poured_from=drawn.source.shape.kind)
    assert truth(same) == truth(drawn)
    for kind in SOURCES:
        scenes = [random_scene(5, k, 'train', MAPS, poured_from=kind) for k in range(3)]
        assert {s.source.shape.kind for s in scenes} == {kind}
        assert len({tuple(landing_point(s)) for s in scenes}) == 3
    with pytest.raises(InputError, match="nothing pours from a 'bucket'; sources: pet_bottle, "):
        random_scene(5, 7, 'train', poured_from='bucket')


def test_scenes_differ_by_seed_index_and_split():
    landings = {
        tuple(landing_point(random_scene(seed, index, split)))
        for seed in (0, 1)
        for index in (0, 1)
        for split in ('train', 'val')
    }
    assert len(landings) == 8


def test_the_splits_share_nothing(scenes):
    train, val = scenes['train'], scenes['val']
    for which in (0, 1):
        a, b = (set().union(*(numbers(s)[which] for s in part)) for part in (train, val))
        assert a
        assert b
        assert not a & b
    assert not {s.flow.seed for s in train} & {s.flow.seed for s in val}
    assert not {s.liquid.absorption for s in train} & {s.liquid.absorption for s in val}
    rooms = [{s.environment.hdr for s in part} - {None} for part in (train, val)]
    assert all(rooms)
    assert not rooms[0] & rooms[1]


def test_the_splits_never_meet_whatever_the_seed(scenes):
    for scene in scenes['val']:
        assert all(n % 10 == 0 for _, n in numbers(scene)[0])
        assert all(n % 10 == 0 for n in numbers(scene)[1])
        assert reflowed(scene, 4).flow.seed % 10 == 0
    for scene in scenes['train']:
        assert all(n % 10 != 0 for _, n in numbers(scene)[0])
        assert all(n % 10 != 0 for n in numbers(scene)[1])


def test_the_range_of_pours(scenes):
    everything = scenes['train'] + scenes['val']
    rates = np.array([s.flow.rate_ml_s for s in everything])
    assert rates.min() < 20
    assert rates.max() > 180
    assert rates.max() <= 250
    assert {s.flow.style for s in everything} == set(STYLES) - {'aerated'}
    assert {p.kind for s in everything for p in s.props} == set(PROPS)
    assert {s.holder for s in everything} == {'arm', 'gripper', 'hand', ''}
    kinds = {s.source.shape.kind for s in everything}
    assert {'pet_bottle', 'glass_bottle', 'can', 'jug', 'kettle', 'cup', 'tap'} <= kinds
    assert any(s.flow.stop < 1 for s in everything)
    assert any(s.flow.start > -1 for s in everything)
    assert {s.camera.sensor for s in everything} == {'realsense', 'kinect'}


def test_poses_place_the_containers(scenes):
    for scene in scenes['train'][:60]:
        source, target = scene.source, scene.target
        mouth = source.model.mouth_in(source.T_base_container)
        assert target.T_base_container.translation[2] == 0
        if source.shape.kind == 'tap':
            np.testing.assert_allclose(scene.flow.exit_point, mouth, atol=1e-9)
            continue
        # The exit lies on the rim (or spout) and the body is clear of the table.
        away = np.linalg.norm(scene.flow.exit_point - mouth)
        reach = source.shape.rim_radius + source.shape.spout
        assert abs(away - reach) < 0.02
        rim = np.array([np.cos(np.arange(12)), np.sin(np.arange(12)), np.zeros(12)]).T
        base = source.T_base_container.apply(source.shape.radius * rim)
        assert base[:, 2].min() > 0.0


def test_landing_point_lies_in_the_rim_plane_near_the_mouth(scenes):
    for scene in scenes['train'][:60]:
        mouth = scene.target.model.mouth_in(scene.target.T_base_container)
        offset = landing_point(scene) - mouth
        assert abs(offset[2]) < 1e-9
        assert np.hypot(*offset[:2]) < scene.target.shape.rim_radius


def test_another_stream_leaves_the_rest_alone():
    scene = random_scene(1, 2, 'train')
    other = reflowed(scene, 1)
    assert other.source is scene.source
    assert other.camera is scene.camera
    assert other.flow.seed != scene.flow.seed
    assert other.flow.rate != scene.flow.rate


def test_bad_input_is_named(tmp_path):
    with pytest.raises(InputError, match="unknown split 'test'"):
        random_scene(0, 0, 'test')
    with pytest.raises(InputError, match=r'holds no \*\.hdr'):
        Assets.find(tmp_path)
    assert Assets.find(None) == Assets()
