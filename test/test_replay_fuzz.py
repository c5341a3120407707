# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`pourit replay` on bags mutated at random: never a traceback, always an account that adds up."""

import csv
import json
import math
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from live_pour import pour_frame

from pourit_ros.bags.make import TOPICS, write_pour_bag
from pourit_ros.bags.reader import BagReader
from pourit_ros.bags.writer import BagWriter
from pourit_ros.cli.main import main
from pourit_ros.messages.rosbag import typestore
from pourit_ros.report.account import SUMMARY

# More of them: POURIT_FUZZ=1000 python -m pytest test/test_replay_fuzz.py
EXAMPLES = int(os.environ.get('POURIT_FUZZ', '40'))
FRAMES = 6

OPTIONS = (
    (),
    ('--source-frame', 'source'),
    ('--base-frame', 'ba', '--target-frame', 'x'),
    ('--include-inputs',),
)
IMAGES = ('color', 'depth')
POSES = ('source_pose', 'target_pose', 'camera_pose')
numbers = st.one_of(
    st.sampled_from([0.0, -1.0, 1.0, 300.0, 1e-300, 1e300, math.nan, math.inf, -math.inf]),
    st.floats(-1e4, 1e4),
)
whole = st.one_of(st.sampled_from([0, 1, 2, 64, 2**31 - 1, 2**32 - 1]), st.integers(0, 2000))
encodings = st.one_of(
    st.sampled_from(
        ['rgb8', 'bgr8', 'mono8', 'mono16', 'rgba8', 'yuv422', 'bayer_rggb8', '16UC1', '32FC1',
         '8UC3', '64FC7', '', 'RGB8', 'jpeg', '16UC0']
    ),
    st.text(max_size=8),
)  # fmt: skip
names = st.sampled_from(['', '/', 'base', 'cam', '/cam', 'bottle', '<source_pose>', 'ä\n; b'])
places = st.sampled_from(sorted(TOPICS))
stamps = st.one_of(
    st.tuples(st.sampled_from([-(2**31), -1, 0, 1, 2**31 - 1]), st.integers(0, 2**32 - 1)),
    st.tuples(st.integers(1_699_999_990, 1_700_000_020), st.integers(0, 10**9 - 1)),
)


@st.composite
def edits(draw):
    """(what, arguments) of one mutation."""
    which = st.integers(0, FRAMES)
    kind = draw(
        st.sampled_from(
            ['bytes', 'cut', 'drop', 'rename', 'order', 'twice', 'k', 'd', 'p', 'roi', 'size',
             'encoding', 'step', 'stamp', 'frame', 'pose', 'file', 'metadata']
        )
    )  # fmt: skip
    arguments = {
        'bytes': st.tuples(places, which, st.integers(0, 400), st.binary(min_size=1, max_size=9)),
        'cut': st.tuples(places, which, st.integers(0, 300)),
        'drop': st.tuples(places),
        'rename': st.tuples(places, st.sampled_from(['/x', '/other/depth', '/rgb', '/ir/a_pose'])),
        'order': st.randoms(use_true_random=False),
        'twice': st.tuples(places),
        'k': st.lists(numbers, min_size=9, max_size=9),
        'd': st.tuples(
            st.lists(numbers, max_size=14),
            st.sampled_from(['plumb_bob', 'equidistant', 'rational_polynomial', '', 'wide']),
        ),
        'p': st.lists(numbers, min_size=12, max_size=12),
        'roi': st.lists(whole, min_size=6, max_size=6),
        'size': st.tuples(st.sampled_from(['color', 'depth', 'info']), which, whole, whole),
        'encoding': st.tuples(st.sampled_from(IMAGES), which, encodings),
        'step': st.tuples(st.sampled_from(IMAGES), which, whole),
        'stamp': st.tuples(st.sampled_from([*IMAGES, 'info', *POSES]), which, stamps),
        'frame': st.tuples(st.sampled_from([*IMAGES, 'info', *POSES]), which, names),
        'pose': st.tuples(
            st.sampled_from(POSES), which, st.lists(numbers, min_size=7, max_size=7)
        ),
        'file': st.tuples(st.floats(0, 1), st.binary(max_size=12), st.booleans()),
        'metadata': st.tuples(st.floats(0, 1), st.binary(max_size=6)),
    }
    return kind, draw(arguments[kind])


class Recording:
    """The messages of a bag, to be spoilt before they are written."""

    def __init__(self, messages):
        self.types = typestore()
        self.messages = list(messages)
        self.file_edits = []

    def copy(self):
        return Recording(self.messages)

    def mutate(self, kind, arguments):
        if kind in ('file', 'metadata'):
            self.file_edits.append((kind, arguments))
            return
        if kind == 'order':
            arguments.shuffle(self.messages)
            times = sorted(m[2] for m in self.messages)
            self.messages = [(*m[:2], t, m[3]) for m, t in zip(self.messages, times, strict=True)]
            return
        if kind in ('drop', 'rename', 'twice'):
            self._topics(kind, TOPICS[arguments[0]], *arguments[1:])
            return
        if kind in ('k', 'd', 'p', 'roi'):
            self._each('info', FRAMES, getattr(self, f'_{kind}'), arguments)
            return
        place, which, *rest = arguments
        self._each(place, which, getattr(self, f'_{kind}'), rest)

    def _topics(self, kind, topic, name=''):
        if kind == 'drop':
            self.messages = [m for m in self.messages if m[0] != topic]
        elif kind == 'rename':
            self.messages = [(name, *m[1:]) if m[0] == topic else m for m in self.messages]
        else:
            self.messages += [m for m in self.messages if m[0] == topic]

    def _each(self, place, which, change, arguments):
        """Change the message of a place that is the `which`-th, or all of them."""
        count = -1
        for k, (topic, kind, stamp, data) in enumerate(self.messages):
            if topic != TOPICS[place]:
                continue
            count += 1
            if which not in (count, FRAMES):
                continue
            if change in (self._bytes, self._cut):
                data = change(data, *arguments)
            else:
                try:
                    message = self.types.deserialize_cdr(data, kind)
                except Exception:
                    # Spoilt by an edit before.
                    continue
                change(message, arguments)
                data = bytes(self.types.serialize_cdr(message, kind))
            self.messages[k] = (topic, kind, stamp, data)

    @staticmethod
    def _bytes(data, offset, new):
        return data[:offset] + new + data[offset + len(new) :]

    @staticmethod
    def _cut(data, length):
        return data[:length]

    @staticmethod
    def _k(message, values):
        message.k = np.array(values)

    @staticmethod
    def _p(message, values):
        message.p = np.array(values)

    @staticmethod
    def _d(message, arguments):
        values, model = arguments
        message.d = np.array(values, dtype=float)
        message.distortion_model = model

    @staticmethod
    def _roi(message, values):
        roi = message.roi
        roi.x_offset, roi.y_offset, roi.width, roi.height = values[:4]
        message.binning_x, message.binning_y = values[4:]

    @staticmethod
    def _size(message, size):
        message.width, message.height = size

    @staticmethod
    def _encoding(message, arguments):
        (message.encoding,) = arguments

    @staticmethod
    def _step(message, arguments):
        (message.step,) = arguments

    @staticmethod
    def _stamp(message, arguments):
        ((message.header.stamp.sec, message.header.stamp.nanosec),) = arguments

    @staticmethod
    def _frame(message, arguments):
        (message.header.frame_id,) = arguments

    @staticmethod
    def _pose(message, arguments):
        (values,) = arguments
        position, turn = message.pose.position, message.pose.orientation
        position.x, position.y, position.z, turn.x, turn.y, turn.z, turn.w = values

    def write(self, path, storage):
        with BagWriter(path, storage) as out:
            for message in self.messages:
                out.write_raw(message[0], message[1], message[3], message[2])
        for kind, (place, new, *cut) in self.file_edits:
            pattern = 'metadata.yaml' if kind == 'metadata' else f'{path.name}.*'
            (file,) = path.glob(pattern)
            data = file.read_bytes()
            at = int(place * len(data))
            file.write_bytes(data[:at] + new + (b'' if any(cut) else data[at + len(new) :]))


@pytest.fixture(scope='module')
def pour(tmp_path_factory):
    path = tmp_path_factory.mktemp('bag') / 'pour'
    write_pour_bag(path, (pour_frame(k, 1 <= k < 5) for k in range(FRAMES)))
    with BagReader(path) as bag:
        return Recording((m.topic, m.type, m.stamp_ns, m.data) for m in bag.messages())


def check_account(folder):
    """The numbers of summary.json add up, and agree with estimates.csv; its exit status."""
    told = json.loads((folder / SUMMARY).read_text(encoding='utf-8'))
    with (folder / 'estimates.csv').open(newline='', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    lost, dropped, unused = (
        sum(counts.values()) for counts in (told['lost'], told['dropped'], told['depth']['unused'])
    )
    assert told['input'] == told['answered'] + lost + dropped
    assert told['answered'] == len(rows) == told['depth']['used'] + unused
    assert told['with_liquid'] == sum(row['present'] == '1' for row in rows)
    assert told['measured'] == sum(row['valid'] == '1' for row in rows)
    blind = told['with_liquid'] - told['measured']
    assert max(told['not_measured'].values(), default=0) <= blind
    assert blind <= sum(told['not_measured'].values())
    for row in rows:
        values = [float(row[name]) for name in list(row)[6:17] if row[name]]
        assert all(math.isfinite(value) for value in values)
    return told['status']


@given(
    changes=st.lists(edits(), min_size=1, max_size=4),
    storage=st.sampled_from(['mcap', 'sqlite3']),
    options=st.sampled_from(OPTIONS),
)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    # A replay takes a tenth of a second, too long for thousands of attempts to shrink an example.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(changes=[('bytes', ('color', 2, 22, b'\0'))], storage='mcap', options=())
def test_replay_of_any_bag_ends_with_an_account_or_one_line(
    pour, stripe_weights, capsys, changes, storage, options
):
    recording = pour.copy()
    for kind, arguments in changes:
        recording.mutate(kind, arguments)
    with tempfile.TemporaryDirectory() as folder:
        bag, out = Path(folder) / 'pour', Path(folder) / 'out'
        recording.write(bag, storage)
        words = ['pourit', 'replay', bag, '--out', out, '--weights', stripe_weights, *options]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, 'argv', [str(word) for word in [*words, '--device', 'cpu']])
            # Anything but SystemExit would be a traceback on the terminal.
            with pytest.raises(SystemExit) as ended:
                main()
        said = [line for line in capsys.readouterr().err.splitlines() if line[:8] == 'pourit: ']
        status = ended.value.code or 0
        if status == 2:
            assert len(said) == 1
            assert not out.exists()
        else:
            assert status == check_account(out)
        assert {item.name for item in Path(folder).iterdir()} <= {'pour', 'out'}
