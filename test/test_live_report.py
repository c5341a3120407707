# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A live replay as its files tell it, beside an offline one of the same bag."""

import json
from dataclasses import replace

import pytest
import torch
from live_pour import BOTTLE, CUP, PERIOD, T0, pour_frame

from pourit_ros.bags.errors import BagError
from pourit_ros.bags.make import write_pour_bag
from pourit_ros.bags.reader import BagReader, ReaderOptions
from pourit_ros.bags.replay import replay
from pourit_ros.bags.writer import BagWriter
from pourit_ros.files import MANIFEST
from pourit_ros.live.report import report_live
from pourit_ros.messages import encode
from pourit_ros.perception import Segmenter
from pourit_ros.pipeline import PourPipeline
from pourit_ros.report.account import SUMMARY
from pourit_ros.sync.assembler import AssemblerOptions

pytestmark = pytest.mark.live

FRAMES = 24
# The recorder's clock is not the camera's.
BEHIND = 3_600_000_000_000


def wet(k):
    return 4 <= k < 12


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    """Recorded an hour after its stamps; one image cannot be read, two have no depth."""
    folder = tmp_path_factory.mktemp('bag')
    frames = [pour_frame(k, wet(k)) for k in range(FRAMES)]
    frames[5:7] = [replace(frame, depth=None) for frame in frames[5:7]]
    write_pour_bag(folder / 'stamped', frames)
    with BagReader(folder / 'stamped') as source, BagWriter(folder / 'pour') as out:
        for m in source.messages():
            time = m.stamp_ns + BEHIND
            if m.topic == source.camera.color and m.stamp_ns == T0 + 20 * PERIOD:
                fields = encode.image(m.stamp_ns, 'cam', frames[20].color) | {'encoding': '64FC7'}
                out.write(m.topic, m.type, fields, time)
            else:
                out.write_raw(m.topic, m.type, m.data, time)
    return folder / 'pour'


@pytest.fixture(scope='module')
def offline(bag, stripe_weights, tmp_path_factory):
    torch.set_num_threads(1)
    pipeline = PourPipeline(Segmenter(stripe_weights, 'cpu'), BOTTLE, CUP)
    return replay(bag, tmp_path_factory.mktemp('offline') / 'out', pipeline)


@pytest.fixture(scope='module')
def live(bag, stripe_weights, tmp_path_factory):
    out = tmp_path_factory.mktemp('live') / 'out'
    return report_live(
        bag, out, stripe_weights, rate=0, device='cpu', threads=1, include_inputs=True
    )


def test_account_equals_that_of_an_offline_replay(live, offline):
    account = live.account
    assert account.faults() == []
    assert (account.given, account.answered, account.liquid) == (FRAMES, FRAMES - 1, 8)
    for name in ('given', 'answered', 'liquid', 'measured', 'lost', 'dropped', 'skipped',
                 'depth_used', 'depth_unused', 'not_measured', 'status'):  # fmt: skip
        assert getattr(account, name) == getattr(offline.account, name), name
    assert account.lost.total() == account.status == 1
    assert (account.depth_used, account.depth_unused.total()) == (FRAMES - 3, 2)
    told = json.loads((live.folder / SUMMARY).read_text())
    assert told == json.loads(json.dumps(account.as_dict()))
    files = sorted(item.name for item in live.folder.iterdir())
    assert files == [
        'bag', 'estimates.csv', 'overlay.mp4', MANIFEST, 'report.html', 'summary.json'
    ]  # fmt: skip


def test_states_begin_with_the_recording_and_equal_those_offline(live, offline):
    assert live.states[0] == (T0, 'idle')
    assert live.states[1:] == offline.states
    assert [name for _, name in offline.states] == ['searching', 'flowing', 'stopped']


def test_the_recording_lies_over_its_source(live, bag):
    images = {T0 + k * PERIOD + BEHIND for k in range(FRAMES)}
    with BagReader(bag) as source, BagReader(live.bag) as recorded:
        stamped = [t for t in recorded.topics if t.startswith('/pourit/liquid')]
        assert len(stamped) == 11
        for m in recorded.messages(stamped):
            stamp = recorded.decode(m).header.stamp
            assert stamp.sec * 10**9 + stamp.nanosec + BEHIND == m.stamp_ns
        # States and diagnostics, which have no image's stamp, lie at an image's time too.
        assert {m.stamp_ns for m in recorded.messages()} == images
        assert '/diagnostics' in recorded.topics
        for topic in source.camera.names():
            there = [(m.stamp_ns, m.data) for m in source.messages([topic])]
            assert [(m.stamp_ns, m.data) for m in recorded.messages([topic])] == there
        states = [
            (m.stamp_ns - BEHIND, recorded.decode(m).data)
            for m in recorded.messages(['/pourit/pour_state'])
        ]
    assert states == list(live.states)


def test_a_frame_that_the_bag_lacks_is_refused_with_those_that_it_has(
    bag, stripe_weights, tmp_path
):
    options = ReaderOptions(frames=AssemblerOptions(source_frame='soruce'))
    with pytest.raises(BagError, match=r"'soruce' is not in its TF, which has: .*source"):
        report_live(
            bag, tmp_path / 'out', stripe_weights, rate=0, device='cpu', threads=1,
            reader_options=options,
        )  # fmt: skip
    assert not (tmp_path / 'out').exists()
