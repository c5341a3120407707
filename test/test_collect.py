# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`pourit collect`: labels against the truth of a rendered pour, proposals, bad input."""

import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from pourit_ros.bags.collect import (
    CollectOptions,
    Label,
    collect,
    color_images,
    default_every,
    label_frames,
)
from pourit_ros.bags.marks import (
    Change,
    changes_of,
    parse_interval,
    read_marks,
    write_marks,
)
from pourit_ros.bags.propose import find_changes
from pourit_ros.bags.reader import BagReader
from pourit_ros.bags.twin_choice import likest, thumbnail
from pourit_ros.bags.writer import BagWriter
from pourit_ros.errors import InputError
from pourit_ros.files import MANIFEST
from pourit_ros.formats.labels_csv import (
    LABELS,
    LabelledFrame,
    read_labels,
    write_labels,
)
from pourit_ros.report.account import SUMMARY

DATA = Path(__file__).parent / 'data' / 'pour_small'
BAG = DATA / 'pour'
SECOND = 1_000_000_000
# 5 Hz; the first and the last frame with liquid.
TRUE_START, TRUE_STOP = 1.4, 4.6


def truth():
    """Whether liquid flows, frame by frame."""
    with (DATA / 'truth.csv').open(newline='') as file:
        return [row['landing_x'] != '' for row in csv.DictReader(file)]


def images(bag):
    with BagReader(bag) as reader:
        return [rgb for _, rgb in color_images(reader)]


def index_of(path):
    return int(path.stem.rpartition('_')[2])


def dry_and_wet(changes, **options):
    """Labels of 100 frames at 10 Hz."""
    times_ns = [k * SECOND // 10 for k in range(100)]
    return label_frames(times_ns, changes, 1, CollectOptions(**options))


@pytest.fixture
def refused(pourit, tmp_path):
    def run(*arguments, words, out=tmp_path / 'refused'):
        before = sorted(out.rglob('*')) if out.exists() else None
        status, _, err = pourit('collect', *arguments, '--out', out)
        lines = [line for line in err.splitlines() if line.startswith('pourit: ')]
        assert status == 2, err
        assert len(lines) == 1, err
        for word in words:
            assert word in lines[0]
        assert (sorted(out.rglob('*')) if out.exists() else None) == before
        assert not list(out.parent.glob(f'.{out.name}.*'))

    return run


def test_intervals_label_every_frame_as_the_truth_does(pourit, tmp_path):
    out = tmp_path / 'frames'
    # Changes lie between frames; with 0.05 s nothing is near enough to be left out.
    status, said, err = pourit(
        'collect', BAG, '--out', out, '--liquid', '1.3:4.7', '--unsure', 0.05
    )
    assert status == 0, err
    frames = read_labels(out)
    assert [frame.liquid for frame in frames] == truth()
    assert [index_of(frame.file) for frame in frames] == list(range(30))
    told = json.loads((out / SUMMARY).read_text())
    assert (told['input'], told['answered'], told['with_liquid']) == (30, 30, 17)
    assert told['lost'] == told['dropped'] == {}
    assert said.splitlines()[:2] == [
        '30 frames in the input: 30 kept, 17 with liquid', '17 pairs of a wet and a dry frame'
    ]  # fmt: skip
    for frame, rgb in zip(frames, images(BAG), strict=True):
        seen = cv2.imread(str(out / frame.file))[..., ::-1]
        assert cv2.PSNR(np.ascontiguousarray(seen), np.ascontiguousarray(rgb)) > 30
    # Of the dry frames, the bottle is tilted for pouring in the last two before the flow alone.
    assert {index_of(frame.twin) for frame in frames if frame.liquid} == {5, 6}
    assert {frame.twin for frame in frames if not frame.liquid} == {None}
    assert sorted(p.name for p in out.iterdir()) == ['images', LABELS, MANIFEST, SUMMARY]
    assert len(list((out / 'images').iterdir())) == 30


def test_frames_near_a_change_are_left_out():
    labels = dry_and_wet(changes_of([(2.0, 5.0)]), unsure=0.2)
    # Nearer than 0.2 s: 1.9, 2.0, 2.1 and 4.9, 5.0, 5.1.
    assert set(range(100)) - {label.index for label in labels} == {19, 20, 21, 49, 50, 51}
    assert {label.index for label in labels if label.liquid} == set(range(22, 49))
    # At time 0 nothing changes.
    wet_first = dry_and_wet(changes_of([(0.0, 5.0)]), unsure=0.2)
    assert wet_first[0] == Label(0, True)
    exact = dry_and_wet(changes_of([(2.0, 5.0)]), unsure=0.0)
    assert [label.liquid for label in exact] == [20 <= k < 50 for k in range(100)]


def test_the_twin_is_the_dry_picture_with_the_arm_where_it_is():
    pose = np.random.default_rng(0).integers(20, 200, (5, 48, 64, 3)).astype(np.uint8)
    scene = np.full((48, 64, 3), 90, np.uint8)

    def picture(x, stream):
        image = scene.copy()
        image[10:25, x : x + 20] = pose[0, :15, :20]
        if stream:
            image[25:40, x + 18 : x + 20] = 250
        return image

    dry = [picture(x, False) for x in (0, 7, 14, 21, 28, 35)]
    for x, number in {0: 0, 15: 2, 27: 4}.items():
        assert likest(picture(x, True), dry) == number
    # Another camera, by its size or by what it sees, has no twin to offer.
    assert likest(dry[0][:, :40], dry) is None
    assert likest(pose[1], [pose[2], pose[3]]) is None
    assert likest(dry[0], []) is None
    assert likest(dry[0], [dry[0][:40], dry[1], dry[0]]) == 2
    assert thumbnail(np.zeros((480, 640, 3), np.uint8)).shape == (48, 64, 3)
    assert thumbnail(np.zeros((9, 3, 3), np.uint8)).shape == (9, 3, 3)


def test_every_nth_frame():
    thirty = [round(k * SECOND / 30.02) for k in range(91)]
    assert default_every(thirty) == 3
    assert default_every([round(k * SECOND / 29.97) for k in range(91)]) == 3
    assert default_every([k * SECOND // 5 for k in range(30)]) == 1
    assert default_every([k * SECOND // 60 for k in range(30)]) == 6
    assert default_every([0]) == 1
    labels = label_frames(thirty, changes_of([(1.0, 2.0)]), 3, CollectOptions())
    assert all(label.index % 3 == 0 for label in labels)
    # 30 is at 0.9993 s; the last kept dry frame that is 0.2 s before the start is 24.
    assert [label.index for label in labels if not label.liquid and label.index < 30][-1] == 24


def test_marks_mean_what_intervals_mean(pourit, tmp_path):
    changes = changes_of(map(parse_interval, ['3.1:3.9', '0:0.9', '4.3:']))
    assert [c.time for c in changes] == [0, 0.9, 3.1, 3.9, 4.3]
    marks = tmp_path / 'marks.csv'
    write_marks(marks, {'pour': changes, 'dry': ()})
    assert read_marks(marks, ['pour', 'dry']) == {'pour': changes, 'dry': (Change(0.0, False),)}
    short = tmp_path / 'short.csv'
    short.write_text('time,liquid\n0,1\n0.9,0\n3.1,1\n3.9,0\n4.3,1\n')
    assert read_marks(short, ['pour']) == {'pour': changes}

    intervals = ['--liquid', '3.1:3.9', '--liquid', '0:0.9', '--liquid', '4.3:']
    for name, how in {'a': intervals, 'b': ['--marks', short]}.items():
        status, _, err = pourit('collect', BAG, '--out', tmp_path / name, *how)
        assert status == 0, err
    assert (tmp_path / 'a' / LABELS).read_text() == (tmp_path / 'b' / LABELS).read_text()
    assert {f.liquid for f in read_labels(tmp_path / 'a')} == {True, False}


def test_several_bags_keep_apart(pourit, tmp_path):
    other = tmp_path / 'other'
    shutil.copytree(BAG, other)
    marks = tmp_path / 'mine.csv'
    marks.write_text('bag,time,liquid\nother,0,0\npour,1.3,1\npour,4.7,0\n')
    out = tmp_path / 'frames'
    status, _, err = pourit('collect', BAG, other, '--out', out, '--marks', marks)
    assert status == 0, err
    frames = read_labels(out)
    assert not any(f.liquid for f in frames if f.file.name.startswith('other_'))
    wet = [f for f in frames if f.liquid]
    assert wet
    # The same recording twice: the picture itself, called dry there, is the likest one.
    assert all(f.twin.name == f.file.name.replace('pour_', 'other_') for f in wet)


def test_proposal_is_near_the_truth_and_labels_nothing(pourit, tmp_path):
    out = tmp_path / 'frames'
    status, said, err = pourit('collect', BAG, '--out', out, '--propose', '--threads', 1)
    assert status == 0, err
    assert sorted(p.name for p in out.iterdir()) == [
        'marks.csv', MANIFEST, 'proposal.jpg', SUMMARY,
    ]  # fmt: skip
    start, stop = read_marks(out / 'marks.csv', ['pour'])['pour']
    assert (start.liquid, stop.liquid) == (True, False)
    assert start.time == pytest.approx(TRUE_START, abs=0.7)
    assert stop.time == pytest.approx(TRUE_STOP, abs=0.7)
    assert f'starts {start.time:.3f} s, stops {stop.time:.3f} s' in said
    assert 'run again with --marks' in said
    # The whole bag, the start and the stop: three rows of eight cells.
    assert cv2.imread(str(out / 'proposal.jpg')).shape == (3 * (26 + 180 + 20), 8 * 240, 3)

    # Corrected marks are the user's: no command writes over them.
    (out / 'marks.csv').write_text('bag,time,liquid\npour,1.3,1\npour,4.7,0\n')
    for how in (['--propose'], ['--propose', '--overwrite'], ['--marks', out / 'marks.csv']):
        assert pourit('collect', BAG, '--out', out, *how)[0] == 2
    labels = tmp_path / 'labels'
    status, _, err = pourit(
        'collect', BAG, '--out', labels, '--marks', out / 'marks.csv', '--unsure', 0
    )
    assert status == 0, err
    assert [frame.liquid for frame in read_labels(labels)] == truth()


def test_changes_of_a_noisy_presence():
    times = np.arange(20) / 10
    presence = np.zeros(20)
    presence[2] = 1.0  # one stray frame
    presence[5:15] = [0.3, 0.3, 0.9, 0.9, 0.1, 0.9, 0.9, 0.4, 0.3, 0.3]
    presence[17:] = 0.3  # never sure
    changes = find_changes(times, presence, 0.8)
    # Above a quarter of the threshold from 0.5 s to 1.4 s.
    assert [c.liquid for c in changes] == [True, False]
    assert [c.time for c in changes] == pytest.approx([0.45, 1.45])
    assert find_changes(times, np.ones(20), 0.8) == (Change(0.0, True),)
    assert find_changes(times, np.zeros(20), 0.8) == ()
    assert find_changes([0.0], [1.0], 0.8) == (Change(0.0, True),)


def test_labels_round_trip_and_bad_labels(tmp_path):
    frames = [
        LabelledFrame(Path('images/a, b.jpg'), True, Path('c.jpg')),
        LabelledFrame(Path('c.jpg'), False),
    ]
    write_labels(tmp_path, frames)
    assert read_labels(tmp_path) == frames
    for text, words in {
        'file,liquid\n': ':1: the first line',
        'file,liquid,twin\na.jpg,2,\n': ":2: liquid must be 0 or 1, not '2'",
        'file,liquid,twin\na.jpg,1\n': ':2: 2 columns',
        'file,liquid,twin\nb.jpg,0,\na.jpg,1,c.jpg\n': ':3: twin c.jpg is not listed',
        'file,liquid,twin\na.jpg,1,b.jpg\nb.jpg,1,\n': ':2: twin b.jpg is not listed',
        'file,liquid,twin\na.jpg,0,\na.jpg,0,\n': ':3: a.jpg is listed twice',
        'file,liquid,twin\n../a.jpg,0,\n': ':2: ',
        'file,liquid,twin\na.jpg,0,b.jpg\nb.jpg,0,\n': ':2: only an image with liquid',
    }.items():
        (tmp_path / LABELS).write_text(text)
        with pytest.raises(InputError) as caught:
            read_labels(tmp_path)
        assert f'{LABELS}{words}' in str(caught.value)
    (tmp_path / LABELS).write_bytes(b'\xff\xfe\x00')
    with pytest.raises(InputError, match='cannot be read as CSV'):
        read_labels(tmp_path)
    with pytest.raises(InputError, match='no such file'):
        read_labels(tmp_path / 'nowhere')


def test_bad_intervals_are_refused(refused, tmp_path):
    def liquid(*intervals):
        return [word for text in intervals for word in ('--liquid', text)]

    refused(BAG, *liquid('1:3', '2.5:4'), words=['overlap', '2.5', '3'])
    refused(BAG, *liquid('1:', '2.5:4'), words=['overlap', 'the end'])
    refused(BAG, *liquid('1:12.5'), words=['12.5', 'outside', '5.800'])
    refused(BAG, *liquid('3:1'), words=['3:1'])
    refused(BAG, *liquid('-1:2'), words=['-1:2'])
    refused(BAG, *liquid('soon'), words=['soon', 'START:STOP'])
    refused(BAG, words=['--liquid', '--marks', '--propose'])
    refused(BAG, '--propose', *liquid('1:2'), words=['one of'])
    other = tmp_path / 'other'
    shutil.copytree(BAG, other)
    refused(BAG, other, *liquid('1:2'), words=['single bag'])
    refused(BAG, BAG, '--propose', words=['two bags are called pour'])


def test_bad_marks_are_refused(refused, tmp_path):
    marks = tmp_path / 'm.csv'
    for text, words in {
        'bag,time,liquid\npour,4,1\npour,1,0\n': ['m.csv:3', 'not after'],
        'time,liquid\n1,1\n2,1\n': ['m.csv:3', 'already flowing'],
        'time,liquid\n1,0\n': ['m.csv:2', 'already dry'],
        'time,liquid\n1,yes\n': ['m.csv:2', 'liquid 0 or 1'],
        'time,liquid\nnan,1\n': ['m.csv:2', 'nan'],
        'time,liquid\n9,1\n': ['9 s is outside'],
        'time;liquid\n1;1\n': ['m.csv:1'],
        'bag,time,liquid\nmug,1,1\n': ['m.csv:2', 'mug', 'pour'],
        'bag,time,liquid\n': ['pour,0,0'],
    }.items():
        marks.write_text(text)
        refused(BAG, '--marks', marks, words=words)
    refused(BAG, '--marks', tmp_path / 'none.csv', words=['none.csv', 'no such file'])


def test_bad_bags_and_folders_are_refused(refused, tmp_path):
    interval = ['--liquid', '1:2']
    refused(tmp_path / 'nowhere', *interval, words=['nowhere'])
    refused(BAG, *interval, '--color', '/nobody', words=['/nobody'])
    poses = tmp_path / 'poses'
    with BagReader(BAG) as reader, BagWriter(poses) as writer:
        for message in reader.messages(['/tf']):
            writer.write_raw(message.topic, message.type, message.data, message.stamp_ns)
    refused(poses, *interval, words=['no color topic'])
    full = tmp_path / 'full'
    full.mkdir()
    (full / LABELS).write_text('mine')
    refused(BAG, *interval, words=['full', LABELS], out=full)
    assert (full / LABELS).read_text() == 'mine'


def test_nothing_is_left_of_a_collection_that_fails(tmp_path):
    out = tmp_path / 'frames'

    def stop(done, total):
        if done == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect([BAG], out, {'pour': changes_of([(1.3, 4.7)])}, progress=stop)
    with pytest.raises(InputError, match='outside'):
        collect([BAG], out, {'pour': (Change(7.0, True),)})
    assert list(tmp_path.iterdir()) == []


def test_frames_that_cannot_be_used_are_counted(tmp_path):
    bag = tmp_path / 'odd'
    with BagReader(BAG) as reader, BagWriter(bag) as writer:
        topics = [reader.camera.color, reader.camera.info]
        for message in reader.messages(topics):
            writer.write_raw(message.topic, message.type, message.data, message.stamp_ns)
            if message.topic == topics[0] and message.stamp_ns % SECOND == 0:
                # Published twice with one stamp.
                writer.write_raw(message.topic, message.type, message.data, message.stamp_ns)
    done = collect([bag], tmp_path / 'out', {'odd': changes_of([(1.3, 4.7)])})
    assert done.account.lost.total() == 6
    assert (done.account.status, done.account.faults()) == (1, [])
    assert set(json.loads((tmp_path / 'out' / SUMMARY).read_text())['lost']) == set(
        done.account.lost
    )
    assert [index_of(f.file) for f in read_labels(tmp_path / 'out')][:5] == [0, 1, 2, 3, 4]
