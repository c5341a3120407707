# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
import json
from collections import Counter
from types import SimpleNamespace

import pytest

from pourit_ros.report.account import SUMMARY, Account, count_reasons, listed


def row(present, valid=False, reason=''):
    return SimpleNamespace(present=present, valid=valid, reason=reason)


def wet(reason):
    return row(True, reason=reason)


@pytest.fixture
def account():
    """Twelve frames: one lost, one dropped, ten answered, of these four wet and one measured."""
    account = Account('replay', 12, lost=Counter({'no camera info': 1}), depth_used=7)
    account.dropped['replaced by a newer image'] += 1
    account.depth_unused['no image within 0.017 s'] += 3
    account.add_rows(
        [row(False)] * 6
        + [row(True, True), wet('only 5 mm seen; no target'), wet('only 7 mm seen'), wet('')]
    )
    return account


def test_the_account_adds_up_and_says_so(account, tmp_path):
    assert account.faults() == []
    assert account.lines() == [
        '12 frames in the input: 10 answered, 4 with liquid, 1 measured',
        'lost 1: no camera info (1)',
        'dropped 1: replaced by a newer image (1)',
        'depth used in 7 of 10 frames',
        'depth unused in 3 of 10 frames: no image within 0.017 s (3)',
        'not measured 3 of 4 with liquid: only 5 to 7 mm seen (2), no target (1), '
        'no reason given (1)',
    ]
    account.facts['mode'] = 'offline'
    account.write(tmp_path)
    assert json.loads((tmp_path / SUMMARY).read_text()) == {
        'command': 'replay', 'status': 1, 'of': 'frames', 'input': 12, 'answered': 10,
        'with_liquid': 4, 'measured': 1, 'partly': 0, 'lost': {'no camera info': 1},
        'dropped': {'replaced by a newer image': 1},
        'depth': {'used': 7, 'of': 10, 'unused': {'no image within 0.017 s': 3}},
        'not_measured': {'only 5 to 7 mm seen': 2, 'no target': 1, 'no reason given': 1},
        'skipped': {}, 'hints': [], 'notes': [], 'mode': 'offline',
    }  # fmt: skip


@pytest.mark.parametrize(
    ('change', 'fault'),
    [
        ({'given': 13}, '13 given, 12 accounted for'),
        ({'given': 11}, '11 given, 12 accounted for'),
        ({'answered': 3, 'given': 5, 'depth_used': 0}, 'liquid in 4 of 3'),
        ({'measured': 5}, 'measured 5 and 0 partly, of 4 with liquid'),
        ({'partly': 4}, 'measured 1 and 4 partly, of 4 with liquid'),
        ({'measured': 3}, '1 not measured, but reasons for'),
        ({'not_measured': Counter(a=2)}, '3 not measured, but reasons for'),
        ({'depth_used': 6}, 'depth of 9 of 10 accounted for'),
        ({'depth_used': 11}, 'depth of 14 of 10 accounted for'),
        ({'lost': Counter(a=-1), 'given': 10}, 'a count is negative'),
    ],
)
def test_what_does_not_add_up_is_never_written(account, change, fault, tmp_path):
    for name, value in change.items():
        setattr(account, name, value)
    with pytest.raises(ArithmeticError, match=fault):
        account.write(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_status_and_banner():
    good = Account('replay', 2)
    good.add_rows([row(True, True), wet('blind')])
    assert (good.status, good.banner) == (0, '')
    blind = Account('replay', 3)
    blind.add_rows([row(False), wet('no source pose'), wet('no source pose; no target')])
    assert blind.status == 1
    assert blind.banner == (
        'Liquid was seen in 2 frames, but none could be measured: '
        'no source pose (2), no target (1)'
    )
    blind.hints.append('frames in the bag: base, cup')
    assert blind.banner.endswith('no target (1). frames in the bag: base, cup')
    assert 'frames in the bag: base, cup' in blind.lines()
    blind.partly = 1
    assert (blind.status, blind.banner, blind.faults()) == (0, '', [])
    assert blind.lines()[0].endswith('2 with liquid, 0 measured, 1 partly')
    dry = Account('replay', 1)
    dry.add_rows([row(False)])
    assert (dry.status, dry.banner) == (0, '')
    # A command that does not measure has nothing to miss.
    seen = Account('segment', 1, answered=1, liquid=1)
    assert (seen.status, seen.banner, seen.faults()) == (0, '', [])
    lost = Account('segment', 2, answered=1, lost=Counter({'unreadable': 1}))
    assert lost.status == 1
    dropped = Account('collect', 2, answered=1, dropped=Counter({'near a change': 1}))
    assert dropped.status == 0
    assert Account('collect', 1, dropped=Counter({'near a change': 1})).status == 1


def test_the_balance_is_made_up_with_a_cause():
    account = Account('replay', 5, answered=3, lost=Counter(broken=1))
    account.settle('cut off')
    assert account.lost == {'broken': 1, 'cut off': 1}
    more = Account('replay', 2, answered=3)
    more.settle('cut off')
    assert (more.given, more.faults()) == (3, [])


def test_reasons_that_differ_in_numbers_are_one():
    assert count_reasons(['a #1 b 2', 'a #1 b 3.5; c', 'a #2 b 9; a #4 b 2']) == {
        'a #1 to 4 b 2 to 9': 3, 'c': 1
    }  # fmt: skip
    # Names out of a bag hold anything.
    assert count_reasons(['frame a\0b 1', 'frame a\0b 2']) == {'frame a\0b 1 to 2': 2}
    assert count_reasons([]) == {}


def test_many_causes_are_one_short_line():
    causes = {f'cause {chr(97 + k)}\n{"x" * 300}': k + 1 for k in range(8)}
    line = listed(causes)
    assert '\n' not in line
    assert line.startswith('cause h xxx')
    assert line.endswith('3 more (6)')
    assert len(line) < 1200


def test_names_that_are_no_utf8_are_written(tmp_path):
    account = Account('segment', 1, lost=Counter({'caf\udce9.png: unreadable': 1}))
    account.write(tmp_path)
    assert 'caf' in (tmp_path / SUMMARY).read_text(encoding='utf-8')


def test_one_is_not_many():
    one = Account('replay', 1)
    one.add_rows([row(True, True)])
    assert one.lines()[0].startswith('1 frame in the input: 1 answered')
    several = Account('segment', 2, answered=2, what='images', done='segmented')
    assert several.lines()[0].startswith('2 images in the input: 2 segmented')
