# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The command as a person runs it: its own process, its exit status, what it leaves behind."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from pourit_ros.bags.make import write_pour_bag
from pourit_ros.bags.writer import BagWriter
from pourit_ros.messages import encode
from pourit_ros.pipeline import Frame
from pourit_ros.synth.sets.sequence import pour_sequence


def pourit(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, '-m', 'pourit_ros', *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
    )


def refused(result, *words):
    """Exit status 2, exactly one line on stderr besides the progress bar, and it says why."""
    lines = [line for line in result.stderr.splitlines() if line.startswith('pourit: ')]
    assert result.returncode == 2, result.stderr
    assert 'Traceback' not in result.stderr
    assert len(lines) == 1, result.stderr
    for word in words:
        assert word in lines[0]


@pytest.fixture(scope='module')
def pour() -> list[Frame]:
    """Four frames of a rendered pour: dry, flowing, flowing, dry."""
    return [item.frame for item in pour_sequence(rate=0.7, size=(320, 240))]


@pytest.fixture(scope='module')
def bag(pour, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp('bag') / 'pour'
    write_pour_bag(path, pour)
    return path


@pytest.fixture(scope='module')
def pictures(pour, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('pictures')
    for index, frame in enumerate(pour):
        cv2.imwrite(str(folder / f'frame_{index}.png'), frame.color[..., ::-1])
    return folder


def write_scene(folder: Path, frame: Frame, mask: np.ndarray | None = None) -> Path:
    """One frame in PourIt!'s layout."""
    folder.mkdir()
    cv2.imwrite(str(folder / 'a_rgb.png'), frame.color[..., ::-1])
    cv2.imwrite(str(folder / 'a_depth.png'), (1000 * frame.depth).astype(np.uint16))
    np.savetxt(folder / 'a_camK.txt', frame.camera.matrix)
    np.savetxt(folder / 'a_Tobj2cam.txt', frame.T_cam_source.matrix)
    np.savetxt(folder / 'a_Tcam2base.txt', frame.T_base_cam.matrix)
    T_cam_target = frame.T_base_cam.inverse() @ frame.T_base_target
    np.savetxt(folder / 'a_Ttarget2cam.txt', T_cam_target.matrix)
    if mask is not None:
        cv2.imwrite(str(folder / 'a_mask.png'), mask)
    return folder


def read_csv(path):
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    'command',
    [
        [],
        ['segment'],
        ['lift'],
        ['replay'],
        ['collect'],
        ['train'],
        ['eval'],
        ['export'],
        ['demo'],
        ['bench'],
    ],
)
def test_help_has_an_example(command):
    result = pourit(*command, '--help')
    assert result.returncode == 0
    if command and command != ['bench']:
        assert 'Example: pourit' in result.stdout


def test_segment_folder_and_video(pictures, pour, tmp_path):
    video = tmp_path / 'clip.avi'
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*'MJPG'), 5, (320, 240))
    for frame in pour[:2]:
        writer.write(frame.color[..., ::-1])
    writer.release()
    out = tmp_path / 'masks'
    result = pourit('segment', pictures, video, '--out', out, '--device', 'cpu')
    assert result.returncode == 0, result.stderr
    rows = read_csv(out / 'presence.csv')
    assert [row['stem'] for row in rows] == [
        *(f'frame_{k}' for k in range(len(pour))), 'clip_000000', 'clip_000001',
    ]  # fmt: skip
    for row in rows:
        mask = cv2.imread(str(out / f'{row["stem"]}_mask.png'), cv2.IMREAD_UNCHANGED)
        assert mask.shape == (240, 320)
        assert set(np.unique(mask)) <= {0, 255}
        assert mask.any() == (row['present'] == '1')
        assert 0 <= float(row['probability']) <= 1
        assert (out / f'{row["stem"]}_cam.png').is_file()
    assert rows[0]['present'] == '0'
    assert rows[2]['present'] == '1'


def test_segment_bad_input(tmp_path, pictures):
    out = tmp_path / 'out'
    refused(pourit('segment', tmp_path / 'nowhere.png', '--out', out), 'nowhere.png', 'no such')
    broken = tmp_path / 'broken.png'
    broken.write_bytes(b'not a picture')
    text = tmp_path / 'notes.txt'
    text.write_text('hello')
    refused(pourit('segment', text, '--out', out), 'notes.txt')
    empty = tmp_path / 'empty'
    empty.mkdir()
    refused(pourit('segment', empty, '--out', out), 'holds no image')
    refused(pourit('segment', pictures, '--out', out, '--weights', 'nobody'), 'nobody')
    refused(pourit('segment', pictures, '--out', out, '--weights', broken), 'broken.png')
    refused(pourit('segment', pictures, '--out', text), 'notes.txt', 'folder')
    twin = tmp_path / 'twin'
    twin.mkdir()
    (twin / 'frame_0.png').write_bytes((pictures / 'frame_0.png').read_bytes())
    refused(pourit('segment', pictures, twin, '--out', out), 'frame_0_mask.png')
    assert not out.exists()
    assert not [p for p in tmp_path.iterdir() if p.name.startswith('.')]


def test_lift_with_network_and_with_own_masks(pour, tmp_path):
    frame = pour[2]
    wet = np.zeros((240, 320), np.uint8)
    cv2.line(wet, (180, 95), (190, 122), 255, 6)
    scene = write_scene(tmp_path / 'scene', frame, wet)
    for extra in ([], ['--masks'], ['--masks', '--plane', 'z_axis']):
        out = tmp_path / f'out{len(extra)}'
        result = pourit('lift', scene, '--out', out, *extra)
        assert result.returncode == 0, result.stderr
        (row,) = read_csv(out / 'estimates.csv')
        assert row['frame'] == 'a'
        assert row['present'] == '1'
        # The rim is at 0.105 m; over its near side one sees a little into the cup.
        assert 0.09 < float(row['lowest_z']) < 0.2
        for name in ('a_lift.png', 'a_liquid.ply', 'a_scene.ply'):
            assert (out / name).stat().st_size > 1000
    # The network's own answer is near the truth: the bottle pours into the cup.
    (row,) = read_csv(tmp_path / 'out0' / 'estimates.csv')
    assert row['valid'] == '1', row['reason']
    assert float(row['margin']) > 0


def test_lift_without_target_says_what_is_missing(pour, tmp_path):
    scene = write_scene(tmp_path / 'scene', pour[2])
    (scene / 'a_Ttarget2cam.txt').unlink()
    result = pourit('lift', scene, '--out', tmp_path / 'out')
    assert result.returncode == 0
    (row,) = read_csv(tmp_path / 'out' / 'estimates.csv')
    assert row['valid'] == '0'
    assert 'target pose' in row['reason']
    assert row['distance'] == row['margin'] == ''
    assert row['lowest_x']


def test_lift_bad_input(pour, tmp_path):
    out = tmp_path / 'out'
    scene = write_scene(tmp_path / 'scene', pour[2])
    refused(pourit('lift', tmp_path / 'nowhere', '--out', out), 'nowhere')
    refused(pourit('lift', scene, '--out', out, '--masks'), 'a_mask.png')
    refused(pourit('lift', scene, '--out', out, '--container', 'teapot'), 'teapot', 'presets')
    refused(pourit('lift', scene, scene, '--out', out), 'a: two scenes')
    np.savetxt(scene / 'a_Tobj2cam.txt', 2 * np.eye(4))
    refused(pourit('lift', scene, '--out', out), 'a_Tobj2cam.txt')
    (scene / 'a_camK.txt').write_text('0 0 0\n0 0 0\n0 0 1')
    refused(pourit('lift', scene, '--out', out), 'a_camK.txt', 'focal')
    (scene / 'a_rgb.png').write_bytes(b'')
    refused(pourit('lift', scene, '--out', out), 'a_rgb.png')
    assert not out.exists()


def test_replay_writes_everything(bag, pour, tmp_path):
    out = tmp_path / 'replayed'
    result = pourit('replay', bag, '--out', out)
    assert result.returncode == 0, result.stderr
    rows = read_csv(out / 'estimates.csv')
    assert [int(r['stamp'].replace('.', '')) for r in rows] == [f.stamp_ns for f in pour]
    assert rows[0]['present'] == '0'
    assert rows[0]['distance'] == ''
    assert rows[2]['valid'] == '1', rows[2]['reason']
    html = (out / 'report.html').read_text()
    assert 'plotly' in html.lower()
    capture = cv2.VideoCapture(str(out / 'overlay.mp4'))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == len(pour)
    assert (out / 'bag' / 'metadata.yaml').is_file()


def test_replay_bad_input(bag, tmp_path):
    out = tmp_path / 'out'
    refused(pourit('replay', tmp_path / 'nowhere', '--out', out), 'nowhere')
    broken = tmp_path / 'broken.mcap'
    broken.write_bytes(b'\x89MCAP0\r\n rubbish')
    refused(pourit('replay', broken, '--out', out), 'broken.mcap')
    refused(pourit('replay', bag, '--out', out, '--topic', 'color=/nobody'), '/nobody')
    refused(pourit('replay', bag, '--out', out, '--topic', 'color'), 'ROLE=TOPIC')
    refused(pourit('replay', bag, '--out', out, '--target', 'bucket'), 'bucket')
    foreign = tmp_path / 'foreign'
    foreign.mkdir()
    (foreign / 'thesis.tex').write_text('mine')
    refused(pourit('replay', bag, '--out', foreign), 'thesis.tex')
    assert (foreign / 'thesis.tex').read_text() == 'mine'
    assert not out.exists()


def test_replay_of_an_encoding_that_is_no_picture(pour, tmp_path):
    strange = tmp_path / 'strange'
    frame = pour[0]
    image = encode.image(frame.stamp_ns, 'camera', frame.color) | {'encoding': '64FC7'}
    info = encode.camera_info(frame.stamp_ns, 'camera', frame.camera)
    with BagWriter(strange) as writer:
        writer.write('/cam/image_raw', 'sensor_msgs/msg/Image', image, frame.stamp_ns)
        writer.write('/cam/camera_info', 'sensor_msgs/msg/CameraInfo', info, frame.stamp_ns)
    out = tmp_path / 'out'
    refused(pourit('replay', strange, '--out', out), '64FC7')
    assert not out.exists()


def test_bench_geometry():
    result = pourit('bench', 'geometry', '--trials', '20', '--json')
    assert result.returncode == 0, result.stderr
    assert 'landing_error_mm_p50' in json.loads(result.stdout)['noisy']
