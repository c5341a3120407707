# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
import json
from dataclasses import replace

import numpy as np
import pytest
from synth_backdrops import flat_still
from test_synth_description import MAPS, numbers

from pourit_ros.errors import InputError
from pourit_ros.formats.images import read_stored
from pourit_ros.synth.render.labels import label, label_still, truth
from pourit_ros.synth.scene.description import LIQUIDS, Assets, landing_point
from pourit_ros.synth.scene.parts import STREAM, still_parts, stream_part
from pourit_ros.synth.scene.random import random_scene, reflowed
from pourit_ros.synth.scene.strata import MIXTURE, STRATA, Mixture, check_source
from pourit_ros.synth.scene.twins import moved_twin
from pourit_ros.synth.sets.backdrops import save_backdrop
from pourit_ros.synth.sets.contact_sheet import write_sheet
from pourit_ros.synth.sets.dataset import make_dataset
from pourit_ros.synth.sets.engines import CompositeEngine, PathtraceEngine
from pourit_ros.synth.sets.records import read_meta, written

COUNT = 40


def scenes_of(name, split='train', count=COUNT):
    mixture = Mixture.parse(name)
    return [random_scene(4, k, split, MAPS, mixture=mixture) for k in range(count)]


@pytest.fixture(scope='module')
def scenes():
    return {name: scenes_of(name) for name in STRATA}


def test_each_scene_says_its_stratum_and_is_deterministic(scenes):
    for name, drawn in scenes.items():
        assert {truth(s)['stratum'] for s in drawn} == {name}
        again = scenes_of(name, count=3)
        assert [truth(s) for s in again] == [truth(s) for s in drawn[:3]]
        assert truth(reflowed(drawn[0], 2)) == truth(reflowed(again[0], 2))
        assert reflowed(drawn[0], 2).flow.rate != drawn[0].flow.rate


def test_a_mixture_holds_each_by_its_weight():
    drawn = [Mixture.parse(None).draw(1, k, 0) for k in range(4000)]
    total = sum(MIXTURE.values())
    # One stratum is kept for measuring.
    assert set(STRATA) - set(MIXTURE) == {'flow'}
    for name, weight in MIXTURE.items():
        assert drawn.count(name) / 4000 == pytest.approx(weight / total, abs=0.03)
    two = [Mixture.parse('thin=3, tap').draw(1, k, 0) for k in range(1000)]
    assert two.count('thin') / 1000 == pytest.approx(0.75, abs=0.05)
    # A scene of a mixture is the same that its stratum alone would have given.
    mixed = random_scene(4, 5, 'train', MAPS, mixture=Mixture.parse('tap=1,thin=1'))
    alone = random_scene(4, 5, 'train', MAPS, mixture=Mixture.parse(mixed.stratum))
    assert truth(mixed) == truth(alone)


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('thick', "unknown stratum 'thick'; strata: general, tan, "),
        ('', "unknown stratum ''"),
        ('thin=many', "stratum thin: 'many' is not a number"),
        ('thin=0', 'a weight must be greater than 0, not 0'),
        ('thin=-1', 'a weight must be greater than 0, not -1'),
        ('thin=nan', 'a weight must be greater than 0, not nan'),
        ('thin=inf', 'a weight must be greater than 0, not inf'),
        ('thin=', "stratum thin: '' is not a number"),
        ('thin,tap,thin', 'stratum thin is given twice'),
    ],
)
def test_bad_mixtures_are_named(text, words):
    with pytest.raises(InputError, match=words):
        Mixture.parse(text)


def test_a_source_that_the_stratum_has_not():
    with pytest.raises(InputError, match='stratum tap pours from a tap, not from a jug'):
        random_scene(0, 0, 'train', poured_from='jug', mixture=Mixture.parse('tap'))
    check_source('tap', ['tap'])
    with pytest.raises(InputError, match='stratum moved works with pathtrace only'):
        Mixture.parse('moved').still()
    assert dict(Mixture.parse('moved=2,thin').still().weights) == {'thin': 1.0}


def test_the_splits_share_nothing_in_any_stratum(scenes):
    for name, train in scenes.items():
        val = scenes_of(name, 'val', 12)
        for which in (0, 1):
            a, b = (set().union(*(numbers(s)[which] for s in part)) for part in (train, val))
            assert not a & b
        for scene in val:
            assert all(n % 10 == 0 for _, n in numbers(scene)[0])
            assert all(n % 10 == 0 for n in numbers(scene)[1])
            assert reflowed(scene, 4).flow.seed % 10 == 0


def test_thin_streams_follow_from_rate_and_speed(scenes):
    rates = np.array([s.flow.rate_ml_s for s in scenes['thin']])
    assert 1 <= rates.min() < 1.6
    assert 5 < rates.max() <= 8
    for scene in scenes['thin']:
        flow = scene.flow
        # Continuity: what is broader than the round jet of this rate and speed is flatter.
        round_radius = np.sqrt(flow.rate / np.pi / flow.speed)
        assert round_radius <= flow.lip_half_width <= 3.001 * round_radius
        assert truth(scene)['flow']['rate_ml_s'] == flow.rate_ml_s
    assert any(reflowed(s, 1).flow.rate_ml_s <= 8 for s in scenes['thin'])
    assert all(reflowed(s, 1).flow.rate_ml_s <= 8 for s in scenes['thin'])


def test_tan_liquids_lie_between_milk_and_chocolate(scenes):
    drawn = [s.liquid for s in scenes['tan']]
    assert {d.name for d in drawn} >= {'milk_coffee', 'milk_tea', 'cocoa', 'caramel', 'dyed'}
    milk, chocolate = (np.mean(LIQUIDS[n].color) for n in ('milk', 'chocolate'))
    brown = [d for d in drawn if d.name in ('milk_coffee', 'milk_tea', 'caramel')]
    for liquid in brown:
        r, g, b = liquid.color
        assert r > g > b
        assert liquid.milkiness >= 0.9
        assert 0.6 * chocolate < np.mean(liquid.color) < milk
    # No two of the same shade, and a wide range of them.
    means = [np.mean(d.color) for d in brown]
    assert len(set(means)) == len(means)
    assert max(means) > 2 * min(means)


def test_foam_stands_on_beer():
    drawn = scenes_of('tan', count=160)
    foamy = [s for s in drawn if s.target.foam]
    assert {s.liquid.name for s in foamy} >= {'beer'}
    for scene in foamy:
        assert scene.target.shape.floor < scene.target.level - scene.target.foam
        (top,) = [
            p for p in still_parts(scene)
            if p.instance == 8 and p.mesh.vertices[:, 2].max() > scene.target.level - 0.01
        ]  # fmt: skip
        assert top.material.milkiness == 1
        assert np.mean(top.material.color) > 0.6


def test_taps_run_water_smooth_or_white(scenes):
    drawn = scenes['tap']
    assert {s.source.shape.kind for s in drawn} == {'tap'}
    assert {s.liquid.name for s in drawn} == {'water'}
    assert {s.flow.style for s in drawn} >= {'aerated', 'smooth'}
    assert {s.target.shape.kind for s in drawn} >= {'sink', 'tumbler'}
    assert {s.source.material.kind for s in drawn} >= {'metal'}
    for scene in drawn:
        white = scene.flow.style == 'aerated'
        assert (scene.flow.air > 0) == white
        assert scene.falling_liquid.milkiness == scene.flow.air
        assert scene.liquid.milkiness == 0
        part = stream_part(replace(scene, flow=replace(scene.flow, start=-10.0, stop=10.0)), 0.0)
        assert (part.froth is not None) == white
        if white:
            assert len(part.froth) == len(part.mesh.vertices)
            assert 0 <= part.froth.min() < part.froth.max() <= 1
        offset = landing_point(scene) - scene.target.model.mouth_in(scene.target.T_base_container)
        assert np.hypot(*offset[:2]) < scene.target.shape.rim_radius
        # What the tap stands on is not in the basin.
        if scene.target.shape.kind == 'sink' and scene.source.shape.reach:
            foot = scene.source.T_base_container.apply(
                np.array([[-scene.source.shape.reach, 0, 0]])
            )[0]
            assert np.hypot(*foot[:2]) > 0.9 * scene.target.shape.rim_radius


def test_dim_pictures_are_wide_and_their_streams_small(scenes):
    for scene in scenes['dim']:
        camera = scene.camera.model
        assert camera.width / camera.height == pytest.approx(16 / 9, rel=0.01)
        assert camera.width * camera.height == pytest.approx(320**2, rel=0.01)
    assert np.median([s.camera.exposure for s in scenes['dim']]) < 0.6
    near, far = (
        [np.linalg.norm(s.camera.T_base_cam.translation) for s in scenes[name]]
        for name in ('general', 'dim')
    )
    assert np.median(far) > 1.25 * np.median(near)
    labels = label(random_scene(4, 0, 'train', size=96, mixture=Mixture.parse('dim')))
    assert labels.visible.shape == (72, 128)


def test_clear_targets_show_the_stream_inside():
    more = []
    for k in range(8):
        scene = random_scene(4, k, 'train', size=96, mixture=Mixture.parse('in_glass'))
        assert scene.target.material.kind == 'clear'
        labels = label(scene)
        more.append((labels.through - labels.visible).sum())
    assert np.median(more) > 5


def test_glasses_stand_behind_the_stream(scenes):
    behind = 0
    for scene in scenes['before_glass']:
        assert all(o.material.kind == 'clear' for o in scene.others)
        eye = scene.camera.T_base_cam.translation[:2]
        stream = np.linalg.norm(scene.flow.exit_point[:2] - eye)
        far = [np.linalg.norm(o.T_base_container.translation[:2] - eye) for o in scene.others]
        behind += any(f > stream for f in far)
        for other in scene.others:
            gap = np.linalg.norm(other.T_base_container.translation[:2])
            assert gap > other.shape.radius + scene.target.shape.radius
    assert behind > 0.8 * COUNT


def test_in_moved_twins_something_moves_and_the_camera_does_not(scenes):
    things = set()
    for scene in scenes['moved']:
        twin, moved = moved_twin(scene)
        assert moved
        assert moved == moved_twin(scene)[1]
        things |= set(moved)
        assert twin.camera is scene.camera
        assert twin.target is scene.target
        assert twin.flow is scene.flow
        if 'source' in moved:
            lip = scene.flow.exit_point
            for s in (scene, twin):
                mouth = s.source.model.mouth_in(s.source.T_base_container)
                reach = s.source.shape.rim_radius + s.source.shape.spout
                assert abs(np.linalg.norm(lip - mouth) - reach) < 0.04
            # Less tilted than while it pours.
            tilts = [s.source.model.axis_in(s.source.T_base_container)[2] for s in (scene, twin)]
            assert tilts[1] > tilts[0]
    assert {'source', 'room', 'box'} <= things


def test_labels_of_a_moved_twin_are_its_own():
    scene = random_scene(4, 1, 'train', size=96, mixture=Mixture.parse('moved'))
    twin, _ = moved_twin(scene)
    one, other = (label_still(s, still_parts(s)) for s in (scene, twin))
    assert not (other.instances == STREAM).any()
    assert (one.instances != other.instances).any() or twin.environment != scene.environment


@pytest.mark.parametrize('name', ['tan', 'tap', 'thin', 'dim', 'in_glass', 'before_glass'])
def test_composites_keep_their_backdrops_stratum(name, tmp_path):
    backdrops = []
    for k in range(2):
        backdrops.append(tmp_path / f'{k:06d}.npz')
        save_backdrop(backdrops[-1], flat_still(k, 120, stratum=name))
    engine = CompositeEngine(tuple(backdrops), 0, 'train', 120)
    assert [d.problem for d in make_dataset(tmp_path / 'set', engine, 4)] == [''] * 4
    assert write_sheet(tmp_path / 'set', tmp_path / 'sheet.png') == 4
    for stem in written(tmp_path / 'set'):
        meta = read_meta(tmp_path / 'set', stem)
        assert (meta['stratum'], meta['moved']) == (name, [])
        picture = read_stored(tmp_path / 'set' / f'{stem}_pos_rgb.jpg')
        assert picture.shape[:2] == ((90, 160) if name == 'dim' else (120, 120))
        assert read_stored(tmp_path / 'set' / f'{stem}_mask_visible.png').sum() > 0
        if name == 'thin':
            assert meta['flow']['rate_ml_s'] <= 8
        if name == 'tap':
            assert (meta['flow']['air'] > 0) == (meta['flow']['style'] == 'aerated')


def test_a_set_remembers_its_strata(tmp_path):
    usual = PathtraceEngine(0, 'train', 64, Assets())
    thin = replace(usual, mixture=Mixture.parse('thin'))
    assert 'strata' not in usual.recipe()
    assert thin.recipe()['strata'] == {'thin': 1.0}
    (tmp_path / 'dataset.json').write_text(json.dumps(thin.recipe()))
    with pytest.raises(InputError, match='was made with strata'):
        list(make_dataset(tmp_path, usual, 0))
