# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import cv2
import numpy as np
import pytest
from synth_backdrops import flat_still, save_backdrops

from pourit_ros.bench.chain import load_pours, measure_chain
from pourit_ros.errors import InputError
from pourit_ros.formats.images import read_stored
from pourit_ros.formats.scenes import load_pourit_scene, load_pourit_segmentation
from pourit_ros.geometry import Container, Pose
from pourit_ros.geometry.fall import GRAVITY
from pourit_ros.perception.segmentation import Segmentation
from pourit_ros.synth.render.composite import composite
from pourit_ros.synth.render.labels import label
from pourit_ros.synth.scene.description import Assets
from pourit_ros.synth.scene.parts import INSTANCES
from pourit_ros.synth.sets.backdrops import load_backdrop, save_backdrop
from pourit_ros.synth.sets.contact_sheet import write_sheet
from pourit_ros.synth.sets.dataset import make_dataset
from pourit_ros.synth.sets.engines import (
    BackdropEngine,
    CompositeEngine,
    PathtraceEngine,
    find_backdrops,
)
from pourit_ros.synth.sets.records import (
    read_meta,
    stem_of,
    write_pair,
    written,
)
from pourit_ros.synth.sets.sequence import pour_sequence

SIZE = 128
SUFFIXES = {
    '_pos_rgb.jpg', '_neg_rgb.jpg', '_pos_depth.png', '_neg_depth.png', '_pos_depth_true.png',
    '_mask_visible.png', '_mask_air.png', '_mask_through_glass.png', '_instances.png',
    '_camK.txt', '_Tsource2cam.txt', '_Ttarget2cam.txt', '_Tcam2base.txt', '_meta.json',
}  # fmt: skip


@pytest.fixture(scope='module')
def engine(tmp_path_factory):
    paths = save_backdrops(tmp_path_factory.mktemp('backdrops'), 3, SIZE)
    return CompositeEngine(tuple(paths), seed=0, split='train', size=SIZE)


@pytest.fixture(scope='module')
def made(engine, tmp_path_factory):
    folder = tmp_path_factory.mktemp('set')
    problems = [d.problem for d in make_dataset(folder, engine, 8) if d.problem]
    assert not problems
    return folder


def contents(folder):
    return {f.name: f.read_bytes() for f in sorted(folder.iterdir())}


def matrix(folder, stem, name):
    return np.loadtxt(folder / f'{stem}_{name}.txt')


def test_every_pair_has_all_its_files(made):
    assert written(made) == [stem_of(i) for i in range(8)]
    for stem in written(made):
        names = {f.name.removeprefix(stem) for f in made.glob(f'{stem}_*')}
        assert names == SUFFIXES
    assert {f.name for f in made.iterdir() if not f.name[0].isdigit()} == {'dataset.json'}


def test_twins_are_equal_outside_the_stream_up_to_noise(made):
    inside, outside = [], []
    for stem in written(made):
        one, other = (
            read_stored(made / f'{stem}_{twin}_rgb.jpg').astype(float) for twin in ('pos', 'neg')
        )
        through = read_stored(made / f'{stem}_mask_through_glass.png') > 0
        near = cv2.dilate(through.astype(np.uint8), np.ones((25, 25))) > 0
        difference = one - other
        # A shadow or a mirror image may lie elsewhere; it is faint and small.
        assert abs(np.median(difference[~near])) <= 1
        assert np.quantile(np.abs(difference[~near]), 0.98) < 40
        noise = [np.abs(p - cv2.medianBlur(p.astype(np.uint8), 3))[~near].mean()
                 for p in (one, other)]  # fmt: skip
        # The same noise level: neither picture is told by its grain.
        assert noise[0] == pytest.approx(noise[1], rel=0.06)
        assert not np.array_equal(one, other)
        inside.append(np.abs(difference[through]).mean())
        outside.append(np.abs(difference[~near]).mean())
    assert np.mean(inside) > 2 * np.mean(outside)


def test_masks_lie_within_each_other(made):
    for stem in written(made):
        air, visible, through = (
            read_stored(made / f'{stem}_mask_{kind}.png').astype(int)
            for kind in ('air', 'visible', 'through_glass')
        )
        assert (air <= visible).all()
        assert visible.sum() > 0
        # Composites know the outline of what hides the stream to a pixel only.
        assert (visible > through + 8).mean() < 0.001


def test_depth_agrees_with_poses_and_masks(made):
    for stem in written(made):
        true = read_stored(made / f'{stem}_pos_depth_true.png') / 1000
        air = read_stored(made / f'{stem}_mask_air.png') > 250
        instances = read_stored(made / f'{stem}_instances.png')
        meta = read_meta(made, stem)
        assert (instances[air] == 9).all()
        K, T = matrix(made, stem, 'camK'), Pose.from_matrix(matrix(made, stem, 'Tcam2base'))
        v, u = np.nonzero(air)
        rays = np.column_stack([u, v, np.ones(len(u))]) @ np.linalg.inv(K).T
        points = T.apply(rays * true[v, u, None])
        # The sheet at the lip is up to 16 mm to either side of the stated parabola.
        exit_point, velocity = (np.array(meta['flow'][k]) for k in ('exit_point', 'exit_velocity'))
        t = np.linspace(0, 0.6, 3000)[:, None]
        line = exit_point + t * velocity - 0.5 * GRAVITY * t**2 * [0, 0, 1]
        gap = np.linalg.norm(points[:, None] - line[None], axis=2).min(axis=1)
        assert np.quantile(gap, 0.9) < 0.02
        assert np.median(gap) < 0.012
        assert points[:, 2].min() > meta['target']['mouth'][2] - 0.001


def test_landing_point_is_where_the_stream_meets_the_rim(made):
    for stem in written(made):
        meta = read_meta(made, stem)
        if meta['landing_point'] is None:
            continue
        target = Pose.from_matrix(matrix(made, stem, 'Tcam2base')) @ Pose.from_matrix(
            matrix(made, stem, 'Ttarget2cam')
        )
        height = (np.array(meta['landing_point']) - meta['target']['mouth']) @ target.rotation[
            :, 2
        ]
        assert abs(height) < 1e-3


def test_composite_labels_agree_with_exact_ones(engine):
    """Occluders of a backdrop are known to a pixel: labels differ on their outlines alone."""
    still = load_backdrop(engine.backdrops[0])
    from pourit_ros.synth.sets.engines import _labels, _streams

    streams = _streams(still.scene)
    fast = _labels(still.scene, still, streams[len(streams) // 2])
    exact = label(still.scene)
    for name in ('visible', 'air', 'through'):
        one, other = getattr(fast, name), getattr(exact, name)
        assert np.abs(one - other).sum() < 0.06 * other.sum() + 6
    both = (fast.visible == 1) & (exact.visible == 1)
    assert np.abs(fast.depth[both] - exact.depth[both]).max() < 1e-4


def test_the_neck_does_not_tell_twins_apart():
    """Behind a clear neck stands the same liquid in both: the stream there is not drawn."""
    from pourit_ros.synth.sets.engines import _labels, _streams

    still = flat_still(14, 192)
    scene = still.scene
    assert scene.source.material.kind == 'clear'
    exact = label(scene)
    source = still.labels.instances == INSTANCES.index('source')
    # Backdrops know outlines to a pixel.
    source = cv2.erode(source.astype(np.uint8), np.ones((3, 3))) > 0
    neck = source & (exact.through > 0.9) & (exact.visible == 0)
    assert neck.sum() > 5
    streams = _streams(scene)
    assert not _labels(scene, still, streams[0]).through[neck].any()
    drawn = composite(still.backdrop, streams, scene.liquid, softness=0.0)
    plain = still.backdrop.radiance
    # What is left is the backdrop in the stream's shadow.
    assert (drawn[neck] <= plain[neck] + 1e-6).all()
    np.testing.assert_allclose(
        drawn[neck] * plain[neck][:, :1], plain[neck] * drawn[neck][:, :1], rtol=1e-4
    )


def test_the_number_of_processes_does_not_matter(engine, made, tmp_path):
    results = list(make_dataset(tmp_path / 'two', engine, 8, jobs=2))
    assert sorted(d.index for d in results) == list(range(8))
    assert contents(tmp_path / 'two') == contents(made)


def test_a_stopped_run_goes_on(engine, made, tmp_path):
    folder = tmp_path / 'set'
    running = make_dataset(folder, engine, 8)
    for _ in range(3):
        next(running)
    running.close()
    assert len(written(folder)) == 3
    # What a kill between two renames leaves: files without their JSON, a folder of parts.
    (folder / '000001_meta.json').unlink()
    (folder / '.partial-000004-77').mkdir()
    (folder / '.partial-000004-77' / '000004_camK.txt').write_text('1 0')
    again = [d.index for d in make_dataset(folder, engine, 8)]
    assert again == [1, 3, 4, 5, 6, 7]
    assert contents(folder) == contents(made)
    assert list(make_dataset(folder, engine, 8)) == []


def test_a_killed_run_leaves_no_half_pair(engine, made, tmp_path):
    folder = tmp_path / 'set'
    script = (
        'import sys, pathlib\n'
        'from pourit_ros.synth.sets.dataset import make_dataset\n'
        'from pourit_ros.synth.sets.engines import CompositeEngine\n'
        "if __name__ == '__main__':\n"
        '    backdrops = tuple(pathlib.Path(p) for p in sys.argv[2:])\n'
        f"    engine = CompositeEngine(backdrops, 0, 'train', {SIZE})\n"
        '    for _ in make_dataset(pathlib.Path(sys.argv[1]), engine, 400, jobs=2): pass\n'
    )
    path = tmp_path / 'run.py'
    path.write_text(script)
    command = [sys.executable, str(path), str(folder), *map(str, engine.backdrops)]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    process = subprocess.Popen(command, env=environment)
    end = time.monotonic() + 60
    while len(list(folder.glob('*_meta.json'))) < 3 and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    # The workers notice within a moment.
    time.sleep(1.0)
    before = written(folder)
    assert 3 <= len(before) < 400
    time.sleep(0.7)
    assert written(folder) == before
    for stem in before:
        assert {f.name.removeprefix(stem) for f in folder.glob(f'{stem}_*')} == SUFFIXES
        json.loads((folder / f'{stem}_meta.json').read_text())
    list(make_dataset(folder, engine, 4))
    kept = {f.name.split('_')[0] for f in folder.glob('[0-9]*_*')}
    assert kept == set(written(folder))
    assert not list(folder.glob('.partial*'))
    for stem in written(made)[:4]:
        for suffix in SUFFIXES:
            name = f'{stem}{suffix}'
            assert (folder / name).read_bytes() == (made / name).read_bytes()


def test_other_seeds_make_other_pours(engine, made, tmp_path):
    other = replace(engine, seed=1)
    list(make_dataset(tmp_path / 'other', other, 2))
    for stem in ('000000', '000001'):
        name = f'{stem}_pos_rgb.jpg'
        assert (tmp_path / 'other' / name).read_bytes() != (made / name).read_bytes()
    with pytest.raises(InputError, match=r'was made with seed 0, not 1'):
        list(make_dataset(made, other, 8))


def test_an_odd_scene_is_left_out_and_reported(engine, tmp_path):
    class Odd(CompositeEngine):
        def pair(self, index):
            if index == 1:
                raise ValueError('a stream inside out')
            return super().pair(index)

    odd = Odd(engine.backdrops, 0, 'train', SIZE)
    results = list(make_dataset(tmp_path / 'set', odd, 3))
    assert [d.problem for d in results] == ['', 'ValueError: a stream inside out', '']
    assert written(tmp_path / 'set') == ['000000', '000002']


def test_backdrops_survive_the_disk_and_refuse_what_is_none(tmp_path, engine):
    still = flat_still(5, 64)
    save_backdrop(tmp_path / '000005.npz', still)
    loaded = load_backdrop(tmp_path / '000005.npz')
    np.testing.assert_allclose(loaded.backdrop.radiance, still.backdrop.radiance, rtol=1e-3)
    np.testing.assert_array_equal(loaded.labels.depth, still.labels.depth)
    np.testing.assert_array_equal(loaded.backdrop.glossy, still.backdrop.glossy)
    assert loaded.scene.flow.seed == still.scene.flow.seed
    tap = flat_still(5, 64, poured_from='tap')
    assert still.scene.source.shape.kind != 'tap'
    save_backdrop(tmp_path / '4.npz', tap)
    assert load_backdrop(tmp_path / '4.npz').scene.source.shape.kind == 'tap'
    tea = replace(still.scene.liquid, absorption=(1.0, 2.0, 3.0))
    save_backdrop(tmp_path / '3.npz', replace(still, scene=replace(still.scene, liquid=tea)))
    with pytest.raises(InputError, match='another version'):
        load_backdrop(tmp_path / '3.npz')
    (tmp_path / '1.npz').write_bytes(b'PK no')
    with pytest.raises(InputError, match=r'1\.npz: is not a backdrop'):
        load_backdrop(tmp_path / '1.npz')
    with pytest.raises(InputError, match='no such file'):
        load_backdrop(tmp_path / '2.npz')
    wrong = replace(engine, split='val')
    with pytest.raises(InputError, match='split train, not val'):
        wrong.pair(0)
    with pytest.raises(InputError, match='--size is 256'):
        replace(engine, size=256).pair(0)


def test_photographed_scenes_take_streams(tmp_path):
    """A ray-cast pour stands in for the camera; its dry frames become backdrops."""
    photos = tmp_path / 'photos'
    photos.mkdir()
    pour = list(pour_sequence(rate=2.0, size=(200, 150)))
    # Tilted, and the flow not yet begun; upright at the very start.
    for number, item in ((0, pour[0]), (1, pour[2])):
        frame, stem = item.frame, photos / f'cell{number}'
        assert item.landing_point is None or number
        cv2.imwrite(f'{stem}_rgb.png', frame.color[..., ::-1])
        cv2.imwrite(f'{stem}_depth.png', (1000 * frame.depth).astype(np.uint16))
        np.savetxt(f'{stem}_camK.txt', frame.camera.matrix)
        np.savetxt(f'{stem}_Tsource2cam.txt', frame.T_cam_source.matrix)
        np.savetxt(f'{stem}_Tcam2base.txt', frame.T_base_cam.matrix)
        T_cam_target = frame.T_base_cam.inverse() @ frame.T_base_target
        np.savetxt(f'{stem}_Ttarget2cam.txt', T_cam_target.matrix)
    engine = CompositeEngine(tuple(find_backdrops(photos)), 0, 'train', 120)
    with pytest.raises(InputError, match='not tilted enough'):
        engine.pair(0)
    record = engine.pair(1)
    assert record.mask_air.sum() > 20
    mouth = Container.load('cup').mouth_in(pour[2].frame.T_base_target)
    assert abs(record.meta['landing_point'][2] - mouth[2]) < 1e-3
    # From the bottle's lip: the top of the mask is there.
    v, u = np.nonzero(record.mask_air > 0.5)
    exit_point = np.array(record.meta['flow']['exit_point'])
    seen = record.camera.project(record.T_base_cam.inverse().apply(exit_point))[0]
    assert np.hypot(u - seen[0], v - seen[1]).min() < 8
    (photos / 'cell1_Ttarget2cam.txt').unlink()
    with pytest.raises(InputError, match='poses of both containers'):
        engine.pair(1)


def test_path_traced_sets_and_backdrops(tmp_path):
    pytest.importorskip('mitsuba', reason='needs the extra synth')
    rooms, pairs = tmp_path / 'rooms', tmp_path / 'pairs'
    backdrop = BackdropEngine(0, 'train', 64, Assets(), spp=2)
    tracer = PathtraceEngine(0, 'train', 64, Assets(), spp=2)
    assert [d.problem for d in make_dataset(rooms, backdrop, 1)] == ['']
    assert backdrop.made(rooms) == {0}
    assert [d.problem for d in make_dataset(pairs, tracer, 1)] == ['']
    for engine, folder, name in ((backdrop, rooms, '000000.npz'), (tracer, pairs, '000000_')):
        again = tmp_path / f'again{folder.name}'
        list(make_dataset(again, engine, 1))
        for file in folder.glob(f'{name}*'):
            assert (again / file.name).read_bytes() == file.read_bytes()
    backdrop = load_backdrop(rooms / '000000.npz').backdrop
    assert 0.01 < backdrop.radiance.mean() < 10
    meta = read_meta(pairs, '000000')
    assert meta['engine'] == 'pathtrace'
    one, other = (read_stored(pairs / f'000000_{t}_rgb.jpg').astype(int) for t in ('pos', 'neg'))
    wet = read_stored(pairs / '000000_mask_through_glass.png') > 200
    assert np.abs(one - other)[wet].mean() > 1.5 * np.abs(one - other)[~wet].mean()
    composite = CompositeEngine((rooms / '000000.npz',), 0, 'train', 64)
    assert composite.pair(0).mask_air.sum() > 0


def test_contact_sheet(made, tmp_path):
    assert write_sheet(made, tmp_path / 'sheet.png', rows=3) == 3
    sheet = cv2.imread(str(tmp_path / 'sheet.png'))
    assert sheet.shape == (18 + 3 * 200, 1000, 3)
    # Green and blue of the masks, and they are where the stream is.
    masks = sheet[18:, 800:].astype(int)
    assert ((masks[..., 1] - masks[..., 2]) > 60).sum() > 100
    with pytest.raises(InputError, match='no pairs'):
        write_sheet(tmp_path, tmp_path / 'none.png')


def test_pourit_lift_reads_the_set(made):
    frames = load_pourit_scene(made)
    assert len(frames) == 16
    for frame in frames:
        assert not frame.problem
        assert frame.T_base_target is not None
        seen = load_pourit_segmentation(made, frame)
        coverage = read_stored(made / f'{frame.name[:-4]}_mask_air.png')
        assert seen.present == (frame.name.endswith('_pos') and (coverage > 127).any())


def test_broken_pairs_are_named(made, tmp_path):
    with pytest.raises(InputError, match='no such folder'):
        load_pours(tmp_path / 'none')
    (tmp_path / '000000_meta.json').write_text('{')
    with pytest.raises(InputError, match=r'000000_meta\.json: is not valid JSON'):
        load_pours(tmp_path)


def test_writing_again_replaces(engine, tmp_path):
    record = engine.pair(0)
    for _ in range(2):
        write_pair(tmp_path, '000000', record)
        assert {f.name.removeprefix('000000') for f in tmp_path.iterdir()} == SUFFIXES


def test_the_chain_finds_the_landing_point(made):
    pours = load_pours(made)
    assert len(pours) >= 5
    results = {}
    for noise in ('exact', '5 mm, 2 deg'):
        *steps, result = measure_chain(pours, 'axis', noise)
        assert len(steps) == len(pours)
        results[noise] = result.summary()
    exact, noisy = results.values()
    assert exact['pours'] == len(pours)
    assert exact['refused'] <= 2
    assert exact['landing_error_mm_p50'] < 4
    assert exact['landing_error_mm_p50'] < noisy['landing_error_mm_p50'] < 25


def test_the_chain_asks_the_network_where_the_poses_tell(made):
    pours = load_pours(made)

    class Eyes:
        def __init__(self, pours):
            self.asked = iter(pours)
            self.regions = []

        def segment(self, rgb, region=None):
            pour = next(self.asked)
            np.testing.assert_array_equal(rgb, pour.frame.color)
            assert rgb.any()
            self.regions.append(region)
            blind = pour is pours[0]
            mask = pour.mask & (not blind)
            return Segmentation(float(not blind), not blind, mask.astype(np.float32), mask)

    eyes = Eyes(pours)
    *_, seen = measure_chain(pours, 'axis', 'exact', segmenter=eyes)
    *_, true = measure_chain(pours[1:], 'axis', 'exact')
    assert len(eyes.regions) == len(pours)
    assert all(r is not None for r in eyes.regions)
    assert min((r.x1 - r.x0) * (r.y1 - r.y0) for r in eyes.regions) < 0.7 * SIZE**2
    assert seen.refused['no liquid was seen'] == 1
    # Each pour has poses of its own seed, none here.
    np.testing.assert_allclose(seen.landing, true.landing)
