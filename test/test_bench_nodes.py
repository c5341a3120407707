# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`pourit bench nodes` as a person runs it: the shipped weights, real processes."""

import contextlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import interruptible
from typer.testing import CliRunner

from pourit_ros.bench import nodes as bench
from pourit_ros.cli.bench import app
from pourit_ros.errors import InputError
from pourit_ros.messages.cdr import restamp, stamp_of

RATE, SECONDS = 10.0, 8.0
NS = 1_000_000_000
NODE_KEYS = [
    'answered', 'dropped', 'unaccounted', 'age_ms', 'age_p50_by_minute_ms', 'within_bound',
    'own_ms_p50', 'parts_ms_p50', 'rss_mb',
]  # fmt: skip


@pytest.fixture(scope='module')
def result():
    pytest.importorskip('rclpy')
    words = ['nodes', '--seconds', SECONDS, '--rate', RATE, '--size', '320x240', '--json']
    done = CliRunner().invoke(app, list(map(str, words)))
    assert done.exit_code == 0, done.output
    return done.output, json.loads(done.stdout)


@pytest.mark.live
class TestLiveRun:
    def test_conditions(self, result):
        _, figures = result
        assert list(figures) == [
            'seconds', 'rate_hz', 'size', 'whole_image', 'weights', 'threads', 'cpus', 'load_1min',
            'sent', 'sent_rate_hz', 'with_liquid', 'with_distance', 'inference_ms_p50', 'bound_ms',
            'perception', 'monitor',
        ]  # fmt: skip
        assert figures['size'] == [320, 240]
        assert figures['sent'] == pytest.approx(RATE * SECONDS, abs=3)
        assert figures['sent_rate_hz'] == pytest.approx(RATE, rel=0.05)

    def test_every_frame_is_accounted_for(self, result):
        _, figures = result
        given = figures['sent']
        for node in (figures['perception'], figures['monitor']):
            assert list(node) == NODE_KEYS
            # What the middleware's queue of one lost, on a machine with other work.
            assert 0 <= node['unaccounted'] <= 0.1 * given
            assert node['answered'] > 0.5 * given
            assert node['answered'] + sum(node['dropped'].values()) + node['unaccounted'] == given
            given = node['answered']

    def test_liquid_was_there_to_be_measured(self, result):
        _, figures = result
        assert figures['with_liquid'] > 0.9 * figures['perception']['answered']
        assert figures['with_distance'] > 0.9 * figures['monitor']['answered']

    def test_ages(self, result):
        _, figures = result
        perception, monitor = figures['perception'], figures['monitor']
        for node in (perception, monitor):
            age = node['age_ms']
            assert 0 < age['p50'] <= age['p95'] <= age['max'] < 3000
            [minute] = node['age_p50_by_minute_ms']
            assert 0 < minute < 1000
            assert node['within_bound'] == (age['p50'] <= figures['bound_ms'])
        # The monitor answers what perception has said.
        assert monitor['age_ms']['p50'] > perception['age_ms']['p50']
        assert perception['age_ms']['p50'] > figures['inference_ms_p50'] > 1

    def test_work_and_memory(self, result):
        _, figures = result
        for name, parts in bench.OWN_PARTS.items():
            node = figures[name.partition('_')[2] if name == 'liquid_perception' else 'monitor']
            assert set(node['parts_ms_p50']) == set(parts)
            assert all(0 <= ms < 200 for ms in node['parts_ms_p50'].values())
            assert node['own_ms_p50'] == pytest.approx(
                sum(node['parts_ms_p50'].values()), abs=0.02
            )
            rss = node['rss_mb']
            assert 20 < rss['warm'] < 4000
            assert 20 < rss['end'] < 4000
            assert 0 <= rss['swing'] < 500
        assert figures['bound_ms'] == pytest.approx(
            1000 / RATE + figures['inference_ms_p50'], abs=0.02
        )

    def test_table(self, result):
        _, figures = result
        output = '\n'.join(bench.table(figures))
        for words in ('frames of 320x240', 'region from poses', *bench.ROWS, 'one period'):
            assert words in output
        assert str(figures['perception']['age_ms']['max']) in output


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--size', '0x480'], 'size is 0x480, but sides must be from 64'),
        (['--size', '640'], '--size 640: expected WIDTHxHEIGHT'),
        (['--size', '-640x480'], '--size -640x480: expected'),
        (['--seconds', '-3'], 'seconds is -3, but must be at least 5'),
        (['--seconds', 'nan'], 'seconds is nan'),
        (['--rate', '0'], 'rate is 0, but must be from 1'),
        (['--rate', 'inf'], 'rate is inf'),
    ],
)
def test_bad_input_is_one_line(arguments, words):
    done = subprocess.run(
        [sys.executable, '-m', 'pourit_ros', 'bench', 'nodes', *arguments],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.startswith('pourit: ')
    assert words in line


def test_without_rclpy(monkeypatch):
    find_spec = __import__('importlib.util').util.find_spec
    monkeypatch.setattr(
        'importlib.util.find_spec', lambda name: None if name == 'rclpy' else find_spec(name)
    )
    done = CliRunner().invoke(app, ['nodes'])
    assert isinstance(done.exception, InputError)
    assert 'source a ROS 2 installation' in str(done.exception)


@pytest.mark.live
def test_ctrl_c_leaves_nothing(tmp_path, monkeypatch):
    pytest.importorskip('rclpy')
    monkeypatch.setenv('TMPDIR', str(tmp_path))
    process = subprocess.Popen(
        [sys.executable, '-m', 'pourit_ros', 'bench', 'nodes', '--size', '64x64'],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=interruptible,
    )
    deadline = time.monotonic() + 60
    while not any(out.stat().st_size for out in tmp_path.glob('pourit_bench.*/camera_feed.out')):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, '')
    assert 'Traceback' not in err
    assert list(tmp_path.iterdir()) == []
    for entry in Path('/proc').glob('[0-9]*/cmdline'):
        with contextlib.suppress(OSError):
            assert str(tmp_path) not in entry.read_text()


def record(ages, drops, resident):
    """A record at 1 Hz; `ages` (ms or None) by frame, the same for both nodes."""
    seen = bench._Record()
    for k, age in enumerate(ages):
        stamp = 50 * NS + k * NS
        seen.add({'sent': stamp})
        for topic in ('liquid/probability', 'liquid/points', 'markers'):
            if age is not None:
                # The cloud comes last of perception's two.
                extra = 0 if topic == 'liquid/probability' else 1_000_000
                arrival = stamp + age * 1_000_000 + extra
                seen.add({'topic': topic, 'stamp': stamp, 'arrival': arrival, 'value': 1.0})
    for k, _ in enumerate(ages):
        values = {f'{part} p50 (ms)': str(10.0 * (k < 30) + 2.0) for part in (
            'receive', 'segment', 'lift', 'measure', 'publish')}  # fmt: skip
        values |= {f'dropped: {cause}': str(count) for cause, count in drops.items()}
        for node in bench.RESULTS:
            seen.add({'node': node, 'time': 50 * NS + k * NS, 'values': values})
    for k, mib in enumerate(resident):
        for node in bench.RESULTS:
            seen.resident[node].append((50 * NS + k * NS, mib))
    return seen


class TestFigures:
    run = bench.NodesRun(seconds=120.0, rate=1.0)

    def test_counts_and_medians_leave_the_warm_up_out(self):
        ages = [500] * 30 + [None] * 4 + [20] * 56 + [40] * 30
        seen = record(ages, {'replaced': 3, 'no_info': 0}, [100.0] * 120)
        figures = bench._figures(self.run, seen)
        perception = figures['perception']
        assert (figures['sent'], perception['answered'], perception['unaccounted']) == (
            120,
            116,
            1,
        )
        assert perception['dropped'] == {'replaced': 3}
        assert perception['age_ms'] == {'p50': 21.0, 'p95': 41.0, 'max': 41.0}
        assert perception['age_p50_by_minute_ms'] == [501.0, 31.0]
        assert figures['inference_ms_p50'] == 2.0
        assert perception['own_ms_p50'] == 6.0
        assert figures['bound_ms'] == 1002.0
        assert perception['within_bound'] is True

    def test_monitor_is_given_what_perception_answered(self):
        seen = record([20] * 120, {}, [100.0] * 120)
        for stamp in seen.sent[:5]:
            del seen.arrivals['liquid/points'][stamp], seen.arrivals['markers'][stamp]
        del seen.arrivals['markers'][seen.sent[50]]
        figures = bench._figures(self.run, seen)
        assert figures['perception']['unaccounted'] == 5
        assert figures['monitor']['answered'] == 114
        assert figures['monitor']['unaccounted'] == 1

    def test_memory_by_windows_of_ten_seconds(self):
        # A leak of 0.5 MiB/s after the warm-up, and a spike that a median does not see.
        resident = [50.0] * 30 + [100 + 0.5 * k for k in range(90)]
        resident[62] = 900.0
        memory = bench._figures(self.run, record([20] * 120, {}, resident))['monitor']['rss_mb']
        assert memory == {'warm': 102.25, 'end': 142.25, 'swing': 40.0}

    def test_a_slow_node_is_not_within_the_bound(self):
        figures = bench._figures(self.run, record([1500] * 120, {}, [100.0] * 120))
        assert figures['perception']['within_bound'] is False

    def test_nothing_known(self):
        seen = bench._Record(sent=[50 * NS, 51 * NS])
        figures = bench._figures(self.run, seen)
        assert figures['perception']['age_ms'] == {'p50': None, 'p95': None, 'max': None}
        assert figures['perception']['rss_mb'] == {'warm': None, 'end': None, 'swing': None}
        assert figures['perception']['within_bound'] is None
        lines = bench.table(
            {'size': [64, 64], 'whole_image': True, 'load_1min': [0, 1], 'cpus': 2} | figures
        )
        assert 'whole image' in lines[0]
        assert lines[-1].endswith('perception unknown, monitor unknown')


@pytest.mark.parametrize('endian', [0, 1])
def test_restamp(endian):
    data = bytearray([0, endian, 0, 0, *range(20)])
    restamp(data, 3 * NS + 7)
    assert stamp_of(bytes(data)) == 3 * NS + 7
    assert bytes(data[12:]) == bytes(range(8, 20))
