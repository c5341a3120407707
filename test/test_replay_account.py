# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The account of a replay: terminal, summary.json and page say the same, and it adds up."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from test_bags import (
    BOTTLE,
    CUP,
    T0,
    BlueSegmenter,
    pour_frame,
)

from pourit_ros.bags.make import TOPICS, write_pour_bag
from pourit_ros.bags.reader import BagReader, ReaderOptions
from pourit_ros.bags.replay import replay
from pourit_ros.bags.topics import IMAGE
from pourit_ros.bags.writer import BagWriter
from pourit_ros.formats.estimates_csv import Row
from pourit_ros.live.recording import Said, states_of
from pourit_ros.messages import encode
from pourit_ros.pipeline import PourPipeline
from pourit_ros.report.account import SUMMARY
from pourit_ros.sync.assembler import AssemblerOptions

STEP = 100_000_000
FRAMES = 8
# The recorder's clock is not the camera's.
BEHIND = 3_600_000_000_000


def wet(k):
    return 2 <= k < 6


@pytest.fixture
def frames():
    return [pour_frame(T0 + k * STEP, wet(k)) for k in range(FRAMES)]


@pytest.fixture
def pipeline():
    return PourPipeline(BlueSegmenter(), BOTTLE, CUP)


def recorded_later(path, frames):
    """A bag whose messages were recorded an hour, by the recorder's clock, after their stamps."""
    write_pour_bag(path.with_name('stamped'), frames)
    with BagReader(path.with_name('stamped')) as source, BagWriter(path) as out:
        for m in source.messages():
            out.write_raw(m.topic, m.type, m.data, m.stamp_ns + BEHIND)
    return path


def run(bag, out, pipeline, **frames):
    options = ReaderOptions(frames=AssemblerOptions(**frames))
    result = replay(bag, out, pipeline, options)
    assert result.account.faults() == []
    return result


def summary(out):
    return json.loads((out / SUMMARY).read_text(encoding='utf-8'))


def page_lines(out):
    page = (out / 'report.html').read_text(encoding='utf-8')
    told = re.search(r'<section class="account"><ul>(.*?)</ul>', page).group(1)
    return re.findall('<li>([^<]*)</li>', told)


def test_terminal_summary_and_page_agree(tmp_path, frames, pipeline):
    write_pour_bag(tmp_path / 'bag', frames)
    out = tmp_path / 'out'
    account = run(tmp_path / 'bag', out, pipeline).account
    assert account.lines()[:2] == [
        '8 frames in the input: 8 answered, 4 with liquid, 4 measured',
        'depth used in 8 of 8 frames',
    ]
    assert page_lines(out) == account.lines()
    told = summary(out)
    assert told == json.loads(json.dumps(account.as_dict()))
    assert (told['input'], told['answered'], told['with_liquid'], told['measured']) == (8, 8, 4, 4)
    assert told['depth'] == {'used': 8, 'of': 8, 'unused': {}}
    assert account.status == 0
    page = (out / 'report.html').read_text(encoding='utf-8')
    cards = dict(re.findall(r'<div class="card"><span>([^<]*)</span><b>([^<]*)</b>', page))
    assert cards['Frames'] == '8 of 8'
    assert 'class="banner"' not in page


def test_depth_that_is_not_used_is_told(tmp_path, frames, pipeline):
    some = [replace(f, depth=f.depth if k % 2 else None) for k, f in enumerate(frames)]
    write_pour_bag(tmp_path / 'whole', some)
    with BagReader(tmp_path / 'whole') as source, BagWriter(tmp_path / 'bag') as out:
        for m in source.messages():
            if m.topic == TOPICS['depth']:
                small = np.full((120, 160), 1500, np.uint16)
                out.write(m.topic, IMAGE, encode.image(m.stamp_ns, 'x', small), m.stamp_ns)
            else:
                out.write_raw(m.topic, m.type, m.data, m.stamp_ns)
    account = run(tmp_path / 'bag', tmp_path / 'out', pipeline).account
    (line,) = [line for line in account.lines() if line.startswith('depth unused in 8 of 8')]
    assert '160x120 is not the size of the colour image' in line
    assert account.status == 0
    write_pour_bag(tmp_path / 'none', [replace(f, depth=None) for f in frames])
    account = run(tmp_path / 'none', tmp_path / 'without', pipeline).account
    assert 'depth unused in 8 of 8 frames: the bag has no depth topic (8)' in account.lines()


def test_images_that_cannot_be_read_are_lost_by_cause(tmp_path, frames, pipeline):
    with BagWriter(tmp_path / 'bag') as out:
        write_pour_bag(tmp_path / 'whole', frames)
        with BagReader(tmp_path / 'whole') as source:
            for m in source.messages():
                data = m.data
                if m.topic == TOPICS['color'] and m.stamp_ns == T0 + STEP:
                    data = data[:100]
                if m.topic == TOPICS['depth'] and m.stamp_ns == T0 + 3 * STEP:
                    data = data[:100]
                if m.topic == TOPICS['color'] and m.stamp_ns == T0 + 2 * STEP:
                    fields = encode.image(m.stamp_ns, 'x', frames[2].color) | {'encoding': '64FC7'}
                    out.write(m.topic, IMAGE, fields, m.stamp_ns)
                    continue
                out.write_raw(m.topic, m.type, data, m.stamp_ns)
    result = run(tmp_path / 'bag', tmp_path / 'out', pipeline)
    account = result.account
    assert len(result.rows) == account.answered == 6
    assert account.lost.total() == 2
    assert account.lost['a damaged message'] == 1
    assert any('64FC7' in cause for cause in account.lost)
    assert account.skipped == {f'unusable on {TOPICS["depth"]}': 1}
    assert account.status == 1


@pytest.mark.parametrize(
    ('options', 'hint'),
    [
        ({'source_frame': 'soruce'}, '--source-frame soruce: the bag has no such frame; did you '
                                     'mean source?'),
        ({'base_frame': 'world'}, '--base-frame world: the bag has no such frame'),
    ],
)  # fmt: skip
def test_a_mistyped_frame_is_told_with_the_names_that_there_are(
    tmp_path, frames, pipeline, options, hint
):
    write_pour_bag(tmp_path / 'bag', [replace(f, T_base_cam=None) for f in frames]
                   if options.get('base_frame') else frames)  # fmt: skip
    out = tmp_path / 'out'
    account = run(tmp_path / 'bag', out, pipeline, **options).account
    assert account.hints == [
        hint, 'frames in the bag: base, camera_color_optical_frame, source, target'
    ]  # fmt: skip
    assert (account.liquid, account.measured, account.status) == (4, 0, 1)
    page = (out / 'report.html').read_text(encoding='utf-8')
    body = page[page.index('<main>') :]
    assert body.index('class="banner"') < body.index('<header>')
    assert 'frames in the bag: base' in body[: body.index('<header>')]


def test_a_missing_pose_topic_is_told_with_those_that_there_are(tmp_path, frames, pipeline):
    write_pour_bag(tmp_path / 'whole', frames)
    with BagReader(tmp_path / 'whole') as source, BagWriter(tmp_path / 'bag') as out:
        for m in source.messages():
            topic = '/tracker/bottle' if m.topic == TOPICS['source_pose'] else m.topic
            out.write_raw(topic, m.type, m.data, m.stamp_ns)
    account = run(tmp_path / 'bag', tmp_path / 'out', pipeline).account
    assert account.measured == 0
    assert account.hints[0] == (
        'source pose: the bag has no topic source_pose (geometry_msgs/msg/PoseStamped); of this '
        'type there are /camera_pose, /target_pose, /tracker/bottle. Give --topic '
        'source_pose=TOPIC or --source-frame FRAME'
    )


def test_a_dry_run_needs_no_hint_and_is_no_failure(tmp_path, pipeline):
    dry = [replace(pour_frame(T0 + k * STEP, False), T_base_target=None) for k in range(3)]
    write_pour_bag(tmp_path / 'bag', dry)
    account = run(tmp_path / 'bag', tmp_path / 'out', pipeline).account
    assert (account.hints, account.status, account.banner) == ([], 0, '')


def test_results_lie_at_the_times_of_their_source(tmp_path, frames, pipeline):
    bag = recorded_later(tmp_path / 'bag', frames)
    result = run(bag, tmp_path / 'out', pipeline)
    times = {T0 + k * STEP + BEHIND for k in range(FRAMES)}
    with BagReader(result.bag) as recorded:
        assert {m.stamp_ns for m in recorded.messages()} == times
        for m in recorded.messages(['/pourit/liquid/probability']):
            stamp = recorded.decode(m).header.stamp
            assert stamp.sec * 10**9 + stamp.nanosec + BEHIND == m.stamp_ns


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_inputs_are_copied_as_they_were_recorded(tmp_path, frames, pipeline, storage):
    write_pour_bag(tmp_path / 'bag', frames, storage)
    result = replay(tmp_path / 'bag', tmp_path / 'out', pipeline, include_inputs=True)
    with BagReader(tmp_path / 'bag') as source, BagReader(result.bag) as copy:
        assert set(copy.topics) > set(source.topics) == set(TOPICS.values())
        for topic in source.topics:
            there = [(m.type, m.stamp_ns, m.data) for m in source.messages([topic])]
            assert [(m.type, m.stamp_ns, m.data) for m in copy.messages([topic])] == there
            assert copy.connection(topic).digest == source.connection(topic).digest
            qos = copy.connection(topic).ext.offered_qos_profiles
            assert qos == source.connection(topic).ext.offered_qos_profiles
    # The copy can be replayed in its turn.
    again = replay(result.bag, tmp_path / 'again', pipeline)
    assert again.account.measured == result.account.measured == 4


def row(k, present, valid=False):
    return Row(T0 + k * STEP, str(k), present, 0.9 if present else 0.1, valid)


class TestStates:
    """Pour states of a live recording, at the frames that brought them."""

    ROWS = tuple(row(k, wet(k), wet(k)) for k in range(12))
    TRUE = ((T0, 'searching'), (T0 + 3 * STEP, 'flowing'), (T0 + 8 * STEP, 'stopped'))

    def said(self, shift, extra=()):
        """Each frame answered 50 ms after its stamp; states come `shift` ns beside that."""
        answered = {r.stamp_ns: r.stamp_ns + STEP // 2 for r in self.ROWS}
        states = [(answered[stamp] + shift, name) for stamp, name in self.TRUE]
        return Said({}, answered, [(T0 - 10**9, 'idle'), *states, *extra])

    @pytest.mark.parametrize('shift', [-3 * STEP, -STEP, -1, 0, 1, STEP, 3 * STEP])
    def test_no_race_of_the_messages_moves_or_loses_one(self, shift):
        states = states_of(self.said(shift), self.ROWS, T0)
        assert states == [(T0, 'idle'), *self.TRUE]

    def test_a_fault_that_the_frames_do_not_explain_lies_where_it_came(self):
        late = self.ROWS[-1].stamp_ns
        states = states_of(self.said(0, [(late + 10**10, 'fault')]), self.ROWS, T0)
        assert states == [(T0, 'idle'), *self.TRUE, (late, 'fault')]

    def test_frames_that_nobody_answered_move_no_state(self):
        states = states_of(self.said(0), self.ROWS[1:], T0)
        assert states[1] == (T0 + STEP, 'searching')
