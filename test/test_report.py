# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Overlay, video, lift picture, clouds and the replay page, on a synthetic pour of known shape."""

import json
import re
from dataclasses import replace
from itertools import combinations
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from plotly.offline import get_plotlyjs

from pourit_ros.errors import InputError
from pourit_ros.files import replacing
from pourit_ros.formats.estimates_csv import Row
from pourit_ros.geometry import Container, PinholeCamera, Pose, PourGeometry
from pourit_ros.perception.segmentation import Segmentation
from pourit_ros.pipeline import Frame, PourEstimate, PourPipeline
from pourit_ros.report import drawing, palette, replay_report
from pourit_ros.report.account import Account
from pourit_ros.report.clouds import cam_colours, scene_cloud, write_clouds
from pourit_ros.report.lift_picture import draw_lift
from pourit_ros.report.overlay import describe, overlay
from pourit_ros.report.pour3d import STREAMS, Shot, pour_view
from pourit_ros.report.replay_report import IMAGE_BYTES, write_report
from pourit_ros.report.series import Series
from pourit_ros.report.video import VideoWriter
from pourit_ros.report.view3d import OrthographicView

WIDTH, HEIGHT = 640, 480
CAMERA = PinholeCamera(WIDTH, HEIGHT, 600.0, 600.0, 319.5, 239.5)
# Level camera at the base's origin looking along +x; the stream falls half a metre ahead.
T_BASE_CAM = Pose(np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]), np.zeros(3))
AHEAD = 0.5
SOURCE = Container('bottle', np.array([0.0, 0.0, 1.0]), np.array([0.0, 0.0, 0.2]), 0.013)
CUP = Container('cup', np.array([0.0, 0.0, 1.0]), np.array([0.0, 0.0, 0.1]), 0.04)
# Mouth of the source; the stream leaves it towards -y, which is to the right in the image.
MOUTH = np.array([AHEAD, 0.05, 0.10])
SPEED = 0.4


def fall(z):
    """y of the true stream at height z."""
    return MOUTH[1] - SPEED * np.sqrt(2 * (MOUTH[2] - np.asarray(z)) / 9.81)


def segmentation_of(mask, probability=0.97):
    return Segmentation(probability, bool(mask.any()), mask.astype(np.float32), mask)


def stream_mask(lowest=-0.04):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    z = np.linspace(MOUTH[2], lowest, 200)
    centre = np.column_stack([np.full_like(z, AHEAD), fall(z), z])
    pixels = CAMERA.project(T_BASE_CAM.inverse().apply(centre))
    cv2.polylines(mask, [np.round(pixels).astype(np.int32)], False, 1, 7)
    return mask > 0


@pytest.fixture(scope='module')
def pour():
    """Frame, observation and estimate of a stream that lands 20 mm off the cup's middle."""
    mask = stream_mask()
    landing_y = float(fall(-0.08))
    # Tilted so that its axis points along -y and a little down.
    down = np.radians(100)
    axis = np.array([0.0, -np.sin(down), np.cos(down)])
    side = np.array([1.0, 0.0, 0.0])
    rotation = np.column_stack([side, np.cross(axis, side), axis])
    T_base_source = Pose(rotation, MOUTH - 0.2 * axis)
    T_base_target = Pose(np.eye(3), np.array([AHEAD, landing_y - 0.02, -0.18]))
    rng = np.random.default_rng(0)
    frame = Frame(
        stamp_ns=1_000,
        name='pour',
        color=rng.integers(60, 120, (HEIGHT, WIDTH, 3), dtype=np.uint8),
        camera=CAMERA,
        depth=np.full((HEIGHT, WIDTH), 0.9, np.float32),
        T_cam_source=T_BASE_CAM.inverse() @ T_base_source,
        T_base_cam=T_BASE_CAM,
        T_base_target=T_base_target,
    )
    segmenter = SimpleNamespace(segment=lambda rgb, region=None: segmentation_of(mask))
    observation, estimate = PourPipeline(segmenter, SOURCE, CUP)(frame)
    assert estimate.valid, estimate.reason
    np.testing.assert_allclose(estimate.geometry.offset, [0, 0.02, 0], atol=0.003)
    return frame, observation, estimate


# Overlay


def test_overlay_paints_inside_the_mask_and_leaves_the_rest_alone(pour):
    frame, observation, _ = pour
    mask = observation.segmentation.mask
    before = frame.color.copy()
    drawn = overlay(frame.color, observation.segmentation)
    np.testing.assert_array_equal(frame.color, before)
    inner = cv2.erode(mask.astype(np.uint8), np.ones((5, 5))) > 0
    assert inner.any()
    expected = 0.6 * before[inner] + 0.4 * np.array(drawing.LIQUID)
    np.testing.assert_allclose(drawn[inner], expected, atol=1)
    # The contour reaches a pixel or two out of the mask; the presence box is in the top left.
    away = cv2.dilate(mask.astype(np.uint8), np.ones((7, 7))) == 0
    away[:60, :260] = False
    np.testing.assert_array_equal(drawn[away], before[away])
    assert (drawn[:60, :260] != before[:60, :260]).any()


def test_overlay_marks_the_landing_point_where_it_projects(pour):
    frame, observation, estimate = pour
    grey = replace(frame, color=np.full((HEIGHT, WIDTH, 3), 90, np.uint8))
    drawn = overlay(grey.color, observation.segmentation, estimate, grey)
    # By hand: u = cx - fx y / x, v = cy - fy z / x.
    x, y, z = estimate.geometry.landing_point
    u, v = 319.5 - 600 * y / x, 239.5 - 600 * z / x
    np.testing.assert_array_equal(drawn[round(v), round(u)], drawing.INSIDE)
    x, y, z = estimate.geometry.lowest_point
    u, v = 319.5 - 600 * y / x, 239.5 - 600 * z / x
    np.testing.assert_array_equal(drawn[round(v), round(u)], drawing.LOWEST)


def test_overlay_draws_the_rim_of_the_target(pour):
    frame, _, estimate = pour
    rim = estimate.geometry.rim.circle()
    mouth = CUP.mouth_in(frame.T_base_target)
    np.testing.assert_allclose(np.linalg.norm(rim - mouth, axis=1), CUP.rim_radius, atol=1e-9)
    np.testing.assert_allclose(rim[:, 2], mouth[2], atol=1e-9)
    empty = segmentation_of(np.zeros((HEIGHT, WIDTH), bool))
    for margin, colour in ((estimate.geometry.margin, drawing.INSIDE), (-0.01, drawing.OUTSIDE)):
        geometry = replace(estimate.geometry, margin=margin)
        drawn = overlay(frame.color, empty, replace(estimate, geometry=geometry), frame)
        assert (drawn == colour).all(axis=2).sum() > 50


@pytest.mark.parametrize('size', [(320, 240), (1280, 720), (64, 48), (33, 1)])
@pytest.mark.parametrize('present', [True, False])
def test_overlay_takes_any_size_and_any_lack_of_knowledge(size, present):
    width, height = size
    mask = np.zeros((height, width), bool)
    mask[height // 3 : height // 2, width // 3 : width // 2] = present
    rgb = np.zeros((height, width, 3), np.uint8)
    seen = Segmentation(0.5, present, mask.astype(np.float32), mask)
    camera = PinholeCamera(width, height, 300.0, 300.0, width / 2, height / 2)
    frame = Frame(rgb, camera, name='f')
    estimates = [
        None,
        PourEstimate(0, 'f', present, 0.5),
        PourEstimate(0, 'f', present, 0.5, PourGeometry(distance=0.1), 'no source pose'),
        PourEstimate(0, 'f', present, 0.5, reason='x' * 300 + ' ' + 'word ' * 80),
    ]
    for estimate in estimates:
        for known in (None, frame, replace(frame, T_base_cam=T_BASE_CAM)):
            drawn = overlay(rgb, seen, estimate, known)
            assert drawn.shape == rgb.shape
            assert drawn.dtype == np.uint8
            assert drawn is not rgb


def test_overlay_survives_what_is_behind_the_camera(pour):
    frame, observation, estimate = pour
    turned = Pose(T_BASE_CAM.rotation @ np.diag([-1.0, 1.0, -1.0]), np.zeros(3))
    drawn = overlay(
        frame.color, observation.segmentation, estimate, replace(frame, T_base_cam=turned)
    )
    plain = overlay(frame.color, observation.segmentation, estimate)
    np.testing.assert_array_equal(drawn, plain)


def test_overlay_refuses_a_mask_of_another_size():
    seen = segmentation_of(np.ones((10, 12), bool))
    with pytest.raises(InputError, match=r'\(20, 12, 3\) and mask \(10, 12\)'):
        overlay(np.zeros((20, 12, 3), np.uint8), seen)


def test_description_names_every_quantity_and_every_reason():
    geometry = PourGeometry(
        offset=np.array([0.0124, -0.0004, 0.0]), distance=0.0838, margin=-0.0051
    )
    estimate = PourEstimate(0, 'f', True, 0.9, geometry, 'one thing; another thing')
    assert [text for text, _ in describe(estimate)] == [
        'distance 84 mm', 'offset x +12 y 0 mm', 'margin -5 mm: outside', 'one thing',
        'another thing',
    ]  # fmt: skip
    assert [text for text, _ in describe(PourEstimate(0, 'f', False, 0.1))] == ['no liquid']


def test_wrapped_text_fits_and_loses_nothing():
    phrases = [('a reason of several words', (0, 0, 0)), ('w' * 90, (0, 0, 0)), ('end', (1, 1, 1))]
    lines = drawing.wrap(phrases, 150, 8)
    for line in lines:
        assert sum(drawing.text_size(text, 8)[0] for text, _ in line) <= 150
    joined = ''.join(text.replace(' ', '') for line in lines for text, _ in line)
    assert joined == ''.join(text.replace(' ', '') for text, _ in phrases)


# Video


@pytest.mark.parametrize('size', [(320, 240), (101, 75)])
def test_video_reads_back_with_its_frames(tmp_path, size):
    width, height = size
    path = tmp_path / 'out' / 'overlay.mp4'
    colours = [(220, 30, 30), (30, 200, 40), (30, 60, 220)]
    with VideoWriter(path, 12.5, size) as video:
        for colour in colours * 3:
            video.write(np.full((height, width, 3), colour, np.uint8))
        assert not path.exists()
    assert [p.name for p in path.parent.iterdir()] == ['overlay.mp4']
    data = path.read_bytes()
    # H.264 in an MP4 whose index precedes the data: what browsers stream.
    assert b'avc1' in data
    assert data.index(b'moov') < data.index(b'mdat')
    capture = cv2.VideoCapture(str(path))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(12.5)
    assert capture.get(cv2.CAP_PROP_FRAME_WIDTH) == width + width % 2
    assert capture.get(cv2.CAP_PROP_FRAME_HEIGHT) == height + height % 2
    frames = []
    while True:
        ok, bgr = capture.read()
        if not ok:
            break
        frames.append(bgr[..., ::-1])
    assert len(frames) == 9
    for rgb, colour in zip(frames, colours * 3, strict=True):
        np.testing.assert_allclose(rgb[10:-10, 10:-10].mean(axis=(0, 1)), colour, atol=6)


def test_video_leaves_nothing_half_written(tmp_path):
    path = tmp_path / 'overlay.mp4'
    path.write_bytes(b'old')

    def write_two(second):
        with VideoWriter(path, 10, (64, 48)) as video:
            for shape in ((48, 64, 3), second):
                video.write(np.zeros(shape, np.uint8))

    with pytest.raises(InputError, match='expected 64x48 RGB uint8, got uint8'):
        write_two((48, 65, 3))
    with pytest.raises(InputError, match='no frame'), VideoWriter(path, 10, (64, 48)):
        pass
    with pytest.raises(InputError, match='at 0 frames/s'):
        VideoWriter(path, 0, (64, 48))
    assert [p.name for p in tmp_path.iterdir()] == ['overlay.mp4']
    assert path.read_bytes() == b'old'


def test_replacing_keeps_the_old_file_when_the_block_raises(tmp_path):
    path = tmp_path / 'page.html'
    path.write_text('old')

    def write_half():
        with replacing(path) as partial:
            partial.write_text('half')
            raise OSError('disk')

    with pytest.raises(OSError, match='disk'):
        write_half()
    assert [p.name for p in tmp_path.iterdir()] == ['page.html']
    assert path.read_text() == 'old'


# 3D


def test_view_puts_points_at_scale_and_near_before_far():
    view = OrthographicView(200, 100, [1.0, 0.0, 0.0], [0.0, 0.0, 0.0], 1000, (0, 0, 0))
    # Looking along +x with z up, -y is to the right.
    view.points(
        [[0.5, -0.05, 0.02], [0.1, -0.05, 0.02], [0.9, -0.05, 0.02]],
        [[255, 0, 0], [0, 255, 0], [0, 0, 255]],
        0.004,
    )
    image = view.finish()
    np.testing.assert_array_equal(image[30, 150], [0, 255, 0])
    assert image[:, :140].max() == 0


def test_view_dims_what_lies_behind_the_cloud():
    view = OrthographicView(200, 100, [1.0, 0.0, 0.0], [0.0, 0.0, 0.0], 1000, (0, 0, 0))
    wall = [[0.0, y, z] for y in np.arange(0, 0.1, 0.002) for z in np.arange(-0.05, 0.05, 0.002)]
    view.points(wall, np.full((len(wall), 3), 60), 0.004)
    view.line([[0.1, -0.09, 0.0], [0.1, 0.09, 0.0]], (255, 0, 0), 3)
    image = view.finish()
    np.testing.assert_array_equal(image[50, 150], [255, 0, 0])
    assert image[50, 50, 0] < 130


def test_lift_picture_is_drawn_whatever_is_known(pour):
    frame, observation, estimate = pour
    nothing = replace(
        observation,
        cloud=type(observation.cloud).empty(),
        segmentation=segmentation_of(np.zeros((HEIGHT, WIDTH), bool), 0.1),
    )
    dry = PourEstimate(frame.stamp_ns, frame.name, False, 0.1)
    blind = PourEstimate(frame.stamp_ns, frame.name, True, 0.9, reason='no source pose')
    cases = {
        'full': (frame, observation, estimate),
        'no_depth': (replace(frame, depth=None), observation, estimate),
        'no_target': (replace(frame, T_base_target=None), observation, estimate),
        'dry': (frame, nothing, dry),
        'no_pose': (
            replace(frame, T_base_cam=None, T_cam_source=None, depth=None), nothing, blind
        ),
    }  # fmt: skip
    drawn = {}
    for name, (f, o, e) in cases.items():
        drawn[name] = draw_lift(f, o, e, SOURCE, CUP)
        assert drawn[name].dtype == np.uint8
    assert len({image.shape for image in drawn.values()}) == 1
    picture = drawn['full']
    for colour in (drawing.STREAM, drawing.SOURCE, drawing.INSIDE):
        for half in np.array_split(picture[92:950], 2, axis=1):
            assert (half == colour).all(axis=2).sum() > 20


def test_clouds_read_back_through_open3d(pour, tmp_path):
    o3d = pytest.importorskip('open3d')
    frame, observation, estimate = pour
    written = write_clouds(tmp_path, 'a', frame, observation, estimate)
    assert sorted(p.name for p in written) == ['a_liquid.ply', 'a_scene.ply', 'a_stream.ply']
    assert sorted(tmp_path.iterdir()) == sorted(written)
    clouds = {p.name: o3d.io.read_point_cloud(str(p)) for p in written}
    liquid = clouds['a_liquid.ply']
    expected = T_BASE_CAM.apply(observation.cloud.points)
    np.testing.assert_allclose(np.asarray(liquid.points), expected, atol=1e-9)
    np.testing.assert_allclose(
        np.asarray(liquid.colors) * 255, cam_colours(observation.cloud.intensity), atol=0.6
    )
    # Depth is 0.9 m everywhere, so the scene is the plane x = 0.9 of the base frame.
    scene = np.asarray(clouds['a_scene.ply'].points)
    assert len(scene) == WIDTH * HEIGHT
    np.testing.assert_allclose(scene[:, 0], 0.9, atol=1e-6)
    stream = np.asarray(clouds['a_stream.ply'].points)
    np.testing.assert_allclose(stream[-1], estimate.geometry.landing_point, atol=1e-6)
    steps = np.linalg.norm(np.diff(stream, axis=0), axis=1)
    assert np.mean(steps) == pytest.approx(0.001, rel=0.05)


def test_clouds_without_points_are_not_written(pour, tmp_path):
    frame, observation, _ = pour
    nothing = replace(observation, cloud=type(observation.cloud).empty())
    dry = PourEstimate(0, 'a', False, 0.1)
    assert write_clouds(tmp_path, 'a', replace(frame, depth=None), nothing, dry) == []
    assert list(tmp_path.iterdir()) == []


def test_scene_cloud_leaves_out_depth_edges_and_holes(pour):
    depth = np.full((HEIGHT, WIDTH), 0.5, np.float32)
    depth[:, 320:] = 1.0
    depth[100:110, 100:110] = np.nan
    points, colours = scene_cloud(replace(pour[0], depth=depth))
    # Two columns at the edge; the hole with its border of a pixel.
    assert len(points) == len(colours) == WIDTH * HEIGHT - 2 * HEIGHT - 12 * 12
    assert set(np.unique(points[:, 2])) == {0.5, 1.0}


# Replay report

START = 1_700_000_000_000_000_000


def row(k, **fields):
    values = {'present': False, 'probability': 0.02, 'valid': False, 'latency_ms': 20.0 + k}
    return Row(stamp_ns=START + k * 100_000_000, frame=f'f{k}', **{**values, **fields})


def liquid(k, margin, **fields):
    offset = (0.04 - margin, 0.0, 0.0)
    measured = {
        'present': True, 'probability': 0.95, 'valid': True, 'offset': offset,
        'landing': offset, 'lowest': offset, 'distance': 0.05, 'margin': margin,
        'flow': 30e-6, 'flow_sigma': 12e-6, 'poured': 1e-6 * k, 'poured_sigma': 4e-6,
    }  # fmt: skip
    return row(k, **{**measured, **fields})


@pytest.fixture
def rows():
    """Ten frames: three dry, four measured of which three land inside, two blind, one dry."""
    blind = {'present': True, 'probability': 0.9}
    return [
        row(0), row(1), row(2),
        liquid(3, -0.01), liquid(4, 0.005), liquid(5, 0.02), liquid(6, 0.03, distance=0.03),
        row(7, **blind, reason='only 5 mm of the stream is visible, at least 8 needed; no target'),
        row(8, **blind, reason='only 7 mm of the stream is visible, at least 8 needed'),
        row(9),
    ]  # fmt: skip


def test_series_sums_up_the_rows(rows):
    series = Series.from_rows(rows[::-1])
    np.testing.assert_allclose(series.time, np.arange(10) * 0.1)
    assert series.rate == pytest.approx(10)
    assert series.inside == pytest.approx(0.75)
    np.testing.assert_allclose(series.flows(), [(0.3, 0.9)])
    np.testing.assert_allclose(series.flow[3:7], 30)
    np.testing.assert_allclose(series.poured_sigma[3:7], 4)
    assert np.isnan(series.flow[:3]).all()


def test_time_counts_from_the_start_of_the_recording(rows):
    series = Series.from_rows(rows, START - 500_000_000)
    np.testing.assert_allclose(series.time, 0.5 + np.arange(10) * 0.1)
    assert series.rate == pytest.approx(10)
    np.testing.assert_allclose(series.flows(), [(0.8, 1.4)])


def test_a_flow_that_reaches_the_last_frame_ends_after_it():
    series = Series.from_rows([liquid(0, 0.01), row(1), liquid(2, 0.01), liquid(3, 0.01)])
    np.testing.assert_allclose(series.flows(), [(0.0, 0.1), (0.2, 0.4)])


def account_of(rows, lost=0, **facts):
    account = Account('replay', len(rows) + lost, facts=facts)
    account.add_rows(rows)
    account.settle('no camera info')
    return account


def page_without_plotly(path):
    page = path.read_text(encoding='utf-8')
    assert page.count(get_plotlyjs()) == 1
    return page.replace(get_plotlyjs(), '')


def figure_of(page):
    found = re.search(r'<script type="application/json" id="figures">(.*?)</script>', page, re.S)
    return json.loads(found.group(1))


def test_report_shows_every_row_and_the_figures(rows, tmp_path):
    path = tmp_path / 'report.html'
    states = [(START, 'searching'), (START + 350_000_000, 'flowing')]
    image = np.full((480, 640, 3), 128, np.uint8)
    account = account_of(rows, lost=2, mode='offline')
    write_report(path, rows, [('first liquid', image)], account, 'Replay', 0.4, states)
    assert path.stat().st_size < 8e6
    page = page_without_plotly(path)
    cards = dict(re.findall(r'<div class="card"><span>([^<]*)</span><b>([^<]*)</b>', page))
    assert cards == {
        'Frames': '10 of 12', 'Liquid': '60 %', 'Measured': '67 %', 'Median distance': '50 mm',
        'Lands inside': '75 %', 'Median latency': '24.5 ms',
    }  # fmt: skip
    assert '<dt>mode</dt><dd>offline</dd>' in page
    assert '4 of 6 liquid frames' in page
    assert '6 of 10 frames' in page
    told = re.search(r'<section class="account"><ul>(.*?)</ul>', page).group(1)
    assert re.findall('<li>([^<]*)</li>', told) == account.lines()
    assert 'class="banner"' not in page
    assert 'at least 8 needed</th><td class="count">2</td>' in page
    figure = figure_of(page)
    lines = {line['name']: line for line in figure['plots']['data']}
    assert set(lines) == {
        'state', 'distance', 'offset x', 'offset y', 'offset z', 'margin', 'probability',
        'latency', 'flow', 'flow, least', 'flow, most', 'poured', 'poured, least', 'poured, most',
    }  # fmt: skip
    for line in lines.values():
        assert len(line['x']) == len(rows)
    assert lines['margin']['y'] == [None] * 3 + [-10, 5, 20, 30] + [None] * 3
    assert lines['distance']['y'][3:7] == [50, 50, 50, 30]
    assert lines['flow']['y'] == [None] * 3 + [30] * 4 + [None] * 3
    assert lines['flow, least']['y'][3:7] == [18] * 4
    assert lines['flow, most']['y'][3:7] == [42] * 4
    assert lines['poured']['y'][3:7] == [3, 4, 5, 6]
    # A volume is not negative.
    assert lines['poured, least']['y'][3:7] == [0, 0, 1, 2]
    assert lines['state']['text'] == ['searching'] * 4 + ['flowing'] * 6
    image_data = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    assert len(image_data) == 1


def test_report_is_self_contained_and_keeps_data_at_home(rows, tmp_path):
    path = tmp_path / 'report.html'
    write_report(path, rows, [], account_of(rows), 'Replay')
    page = page_without_plotly(path)
    assert 'http' not in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert 'showSendToCloud: false' in page


def test_report_escapes_everything_that_it_is_given(rows, tmp_path):
    evil = '</script><script>alert("x & y")</script>'
    path = tmp_path / 'report.html'
    rows[7:9] = [replace(blind, reason=evil) for blind in rows[7:9]]
    image = np.zeros((8, 8, 3), np.uint8)
    account = account_of(rows, **{evil: evil})
    account.notes.append(evil)
    write_report(path, rows, [(evil, image)], account, evil, states=[(START, evil)])
    page = page_without_plotly(path)
    assert 'alert(' in page
    assert '<script>alert' not in page
    assert page.count('</script>') == 4
    assert figure_of(page)['plots']['data'][0]['text'][0] == evil


def test_report_of_nothing_and_of_no_liquid(rows, tmp_path):
    write_report(tmp_path / 'none.html', [], [], account_of([]), 'None')
    write_report(tmp_path / 'one.html', rows[:1], [], account_of(rows[:1]), 'One')
    for name in ('none', 'one'):
        assert 'No liquid seen.' in page_without_plotly(tmp_path / f'{name}.html')


def test_what_was_not_measured_comes_first_and_in_red(rows, tmp_path):
    blind = [row(0), row(1, present=True, reason='no <source> pose')]
    write_report(tmp_path / 'r.html', blind, [], account_of(blind), 'Blind')
    page = page_without_plotly(tmp_path / 'r.html')
    body = page[page.index('<main>') :]
    first = re.search('<section class="([^"]*)".*?</section>|<header>', body)
    assert first.group(1) == 'banner'
    assert 'no &lt;source&gt; pose (1)' in first.group(0)
    assert re.search(r'\.banner \{ background: #b3261e', page)


def test_report_shrinks_many_large_key_frames(rows, tmp_path):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (720, 1280, 3), dtype=np.uint8)
    path = tmp_path / 'report.html'
    pictures = [(str(k), image) for k in range(6)]
    write_report(path, rows, pictures, account_of(rows), 'Many')
    data = re.findall(r'base64,([^"]+)"', page_without_plotly(path))
    assert len(data) == 6
    assert sum(map(len, data)) <= IMAGE_BYTES * 4 / 3 + 100
    assert path.stat().st_size < 8e6


def test_report_leaves_nothing_half_written(rows, tmp_path):
    pictures = [('x', np.zeros((4, 4), np.uint8))]
    with pytest.raises(InputError, match='images must be RGB uint8'):
        write_report(tmp_path / 'r.html', rows, pictures, account_of(rows), 'R')
    assert list(tmp_path.iterdir()) == []


# Real frames


@pytest.mark.shared
def test_real_frame_is_drawn_and_lifted(shared_dir):
    stem = shared_dir / 'data' / 'pourit_rgbd' / 'scene1' / '000248'
    rgb = cv2.imread(f'{stem}_rgb.png')[..., ::-1].copy()
    mask = cv2.imread(f'{stem}_mask.png', cv2.IMREAD_GRAYSCALE) > 0
    frame = Frame(
        stamp_ns=0,
        name='scene1',
        color=rgb,
        camera=PinholeCamera.from_matrix(np.loadtxt(f'{stem}_camK.txt'), 480, 480),
        depth=cv2.imread(f'{stem}_depth.png', cv2.IMREAD_UNCHANGED).astype(np.float32) / 1000,
        T_cam_source=Pose.from_matrix(np.loadtxt(f'{stem}_Tobj2cam.txt')),
        T_base_cam=Pose.from_matrix(np.loadtxt(f'{stem}_Tcam2base.txt')),
        # The cup's mouth, read off the depth image.
        T_base_target=Pose(np.eye(3), np.array([0.415, 0.128, 0.726])),
    )
    segmenter = SimpleNamespace(segment=lambda rgb, region=None: segmentation_of(mask))
    cup = Container.load('cup')
    pipeline = PourPipeline(segmenter, Container.load('pourit_bottle'), cup)
    observation, estimate = pipeline(frame)
    assert estimate.valid
    assert estimate.geometry.margin > 0.02
    drawn = overlay(rgb, observation.segmentation, estimate, frame)
    # The rim of the cup in the picture spans columns 329 to 430 in row 229.
    row_229 = np.nonzero((drawn[229] == drawing.INSIDE).all(axis=1))[0]
    assert row_229.min() == pytest.approx(329, abs=5)
    assert row_229.max() == pytest.approx(430, abs=5)
    picture = draw_lift(frame, observation, estimate, pipeline.observer.source, cup)
    # The cup stands in the right panel, light grey.
    assert (picture[92:950, 900:] > 150).all(axis=2).sum() > 20_000


def plots_of(rows, tmp_path, **given):
    path = tmp_path / 'report.html'
    write_report(path, rows, [], account_of(rows), 'Replay', 0.4, **given)
    return page_without_plotly(path)


def test_margin_says_which_side_is_inside(rows, tmp_path):
    layout = figure_of(plots_of(rows, tmp_path, states=[(START, 'flowing')]))['plots']['layout']
    words = [item for item in layout['annotations'] if item.get('yref') == 'y4']
    assert [re.sub('<[^>]*>', '', item['text']) for item in words] == ['inside ↑', 'outside ↓']
    assert words[0]['y'] > 30
    assert words[1]['y'] < -10
    # Thresholds, bands, the state: nothing is lost, and all hang on the one time axis.
    assert {shape['xref'] for shape in layout['shapes']} == {'x', 'x domain'}
    assert [shape['label']['text'] for shape in layout['shapes'] if 'label' in shape] == [
        'flowing'
    ]
    levels = [shape['y0'] for shape in layout['shapes'] if shape['type'] == 'line']
    assert {0, 0.4} <= set(levels)
    assert 'xaxis2' not in layout
    assert {item.get('anchor') for key, item in layout.items() if key.startswith('yaxis')} == {'x'}


def test_every_row_finds_its_frame_of_the_video_and_its_stream(rows, tmp_path):
    video = tmp_path / 'over lay.mp4'
    video.write_bytes(b'small')
    stream = np.column_stack([np.zeros(16), np.zeros(16), np.linspace(0.2, 0.1, 16)])
    # The second image was not answered in time: it is not in the video.
    shots = {row.stamp_ns: Shot(k if k < 1 else k - 1) for k, row in enumerate(rows)}
    shots[rows[1].stamp_ns] = Shot(None)
    shots[rows[4].stamp_ns] = Shot(3, stream, np.ones((40, 3)))
    page = plots_of(rows[::-1], tmp_path, shots=shots, video=video, fps=12.5)
    figures = figure_of(page)
    assert figures['frame'] == [0, None, *range(1, 9)]
    assert figures['fps'] == 12.5
    assert figures['time'] == pytest.approx(np.arange(10) * 0.1)
    assert list(figures['pour']['streams']) == ['4']
    assert figures['pour']['streams']['4'][2][0] == 0.2
    names = [trace['name'] for trace in figures['pour']['figure']['data']]
    assert names == ['stream of this frame', 'its landing point', 'lands inside', 'lands outside',
                     'rim of the target']  # fmt: skip
    assert 'src="data:video/mp4;base64,c21hbGw="' in page


def test_a_long_video_stays_beside_the_page(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(replay_report, 'VIDEO_BYTES', 3)
    video = tmp_path / 'over lay.mp4'
    video.write_bytes(b'large')
    assert 'src="over%20lay.mp4"' in plots_of(rows, tmp_path, video=video)


def test_nothing_located_leaves_no_empty_view(tmp_path):
    page = plots_of([row(0), row(1)], tmp_path)
    assert figure_of(page)['pour'] is None
    assert 'id="view"' not in page
    assert 'id="video"' not in page


def test_streams_of_a_long_pour_are_thinned():
    geometry_rows = [liquid(k, 0.01) for k in range(900)]
    shots = {r.stamp_ns: Shot(k, np.zeros((16, 3))) for k, r in enumerate(geometry_rows)}
    streams = pour_view(geometry_rows, shots)['streams']
    assert len(streams) == STREAMS
    assert {'0', '899'} <= set(streams)


def test_every_colour_of_a_figure_has_its_dark_twin(rows, tmp_path):
    shots = {rows[4].stamp_ns: Shot(3, np.zeros((16, 3)), np.ones((40, 3)))}
    states = [(START + k, name) for k, name in enumerate(palette.STATE_COLOURS)]
    page = plots_of(rows, tmp_path, shots=shots, states=states)
    used = set(re.findall('#[0-9a-fA-F]{3,8}', json.dumps(figure_of(page))))
    assert used
    assert used <= set(palette.DARK)
    assert 'prefers-color-scheme: dark' in page


def seen_by_a_deuteranope(colour):
    """CIE Lab of sRGB as seen without M cones (Machado et al. 2009, severity 1)."""
    if isinstance(colour, str):
        colour = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
    c = np.array(colour) / 255
    c = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    seen = np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
         [-0.011820, 0.042940, 0.968881]]
    ) @ c  # fmt: skip
    xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    ) @ np.clip(seen, 0, 1)  # fmt: skip
    f = np.cbrt(xyz / [0.9505, 1.0, 1.089])
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize(
    'colours',
    [
        (palette.BLUE, palette.ORANGE, palette.GREEN),
        [palette.DARK[c] for c in (palette.BLUE, palette.ORANGE, palette.GREEN)],
        (drawing.INSIDE, drawing.OUTSIDE, drawing.LIQUID),
        # Under the tint of the mask.
        [tuple(0.6 * np.array(c) + 0.4 * np.array(drawing.LIQUID))
         for c in (drawing.INSIDE, drawing.OUTSIDE)],
    ],
)  # fmt: skip
def test_colours_stay_apart_without_red_and_green(colours):
    for a, b in combinations(colours, 2):
        assert np.linalg.norm(seen_by_a_deuteranope(a) - seen_by_a_deuteranope(b)) > 30


def test_tables_speak_to_screen_readers(rows, tmp_path):
    page = plots_of(rows, tmp_path)
    for table in re.findall('<table>.*?</table>', page, re.S):
        assert table.startswith('<table><caption>')
        heads = re.findall(r'<th\b[^>]*>', table)
        assert all('scope="' in head for head in heads)
        assert 'scope="row"' in table
    assert page.count('<table>') == 1
    assert re.search(r'id="plot" role="img" aria-label="[^"]+"', page)


def test_pictures_enlarge(rows, tmp_path):
    path = tmp_path / 'report.html'
    image = np.full((48, 64, 3), 128, np.uint8)
    write_report(path, rows, [('first liquid', image)], account_of(rows), 'Replay')
    assert re.search('<figure><button[^>]*><img [^>]*alt="first liquid"></button>',
                     page_without_plotly(path))  # fmt: skip
