# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The volume poured, from flows over stamps."""

import pytest

from pourit_ros.control.poured import LATE, UNKNOWN_FLOW, PouredVolume

MS = 1_000_000
START = 1_700_000_000_000_000_000
FLOW, SIGMA = 40e-6, 10e-6
DRY, LOST = 'dry', 'lost'


def poured(frames, volume=None, step_ms=100, start=START):
    """The results of frames every `step_ms`: a flow, DRY, LOST (unmeasured), None (dropped)."""
    volume = volume or PouredVolume()
    results = []
    for k, frame in enumerate(frames):
        if frame is None:
            continue
        measured = not isinstance(frame, str)
        flow, sigma = (frame, SIGMA) if measured else (None, None)
        results.append(volume.update(start + k * step_ms * MS, frame != DRY, flow, sigma))
    return results


def test_dry_is_zero_for_certain():
    assert all((r.volume, r.sigma) == (0, 0) for r in poured([DRY] * 20))


def test_a_steady_flow_is_flow_times_time_and_its_errors_add_up():
    *_, last = poured([FLOW] * 21)
    assert last.volume == pytest.approx(FLOW * 2.0)
    assert last.sigma == pytest.approx(SIGMA * 2.0)


def test_beginning_and_end_lie_between_their_frames():
    *_, last = poured([DRY, DRY, *[FLOW] * 11, *[DRY] * 10])
    # A second, and half a step at each end.
    assert last.volume == pytest.approx(FLOW * 1.1)
    edges = 2 * (FLOW * 0.1) ** 2 / 12
    assert last.sigma == pytest.approx(((SIGMA * 1.1) ** 2 + edges) ** 0.5)


def test_a_varying_flow_is_integrated_by_trapezia_at_any_rate():
    ramp = [k * 1e-6 for k in range(1, 42)]
    *_, all_of_them = poured(ramp)
    *_, every_other = poured([f if k % 2 == 0 else None for k, f in enumerate(ramp)])
    assert all_of_them.volume == pytest.approx(84e-6)
    assert every_other.volume == pytest.approx(all_of_them.volume)


def test_one_false_dry_frame_is_not_the_end():
    *_, whole = poured([FLOW] * 21)
    results = poured([*[FLOW] * 10, DRY, *[FLOW] * 10])
    assert results[-1].volume == pytest.approx(whole.volume)
    assert results[-1].sigma > whole.sigma
    # At the frame itself nobody knows: it does not count, but it may have flowed.
    assert results[10].volume == results[9].volume
    assert results[10].sigma ** 2 - results[9].sigma ** 2 == pytest.approx((FLOW * 0.1) ** 2)


def test_confirmed_dry_is_the_end_however_long():
    results = poured([*[FLOW] * 10, *[DRY] * 100])
    assert results[-1].volume == pytest.approx(FLOW * 0.95)
    settled = [(r.volume, r.sigma) for r in results[15:]]
    assert len(set(settled)) == 1


def test_dropped_frames_are_bridged_and_counted_in_the_deviation():
    *_, whole = poured([FLOW] * 21)
    *_, holed = poured([*[FLOW] * 8, *[None] * 5, *[FLOW] * 8])
    assert holed.volume == pytest.approx(whole.volume)
    missed = FLOW * 0.6 * 0.6
    assert holed.sigma == pytest.approx((whole.sigma**2 + missed**2) ** 0.5)
    *_, longer = poured([*[FLOW] * 8, *[None] * 25, *[FLOW] * 8])
    assert longer.sigma / longer.volume > holed.sigma / holed.volume


def test_liquid_that_cannot_be_measured_flows_on_with_a_growing_deviation():
    results = poured([*[FLOW] * 5, *[LOST] * 10, FLOW, FLOW])
    volumes = [r.volume for r in results]
    assert volumes == sorted(volumes)
    assert volumes[-1] == pytest.approx(FLOW * 1.6)
    relative = [r.sigma / r.volume for r in results[5:15]]
    assert relative == sorted(relative)
    assert results[-1].sigma > 1.5 * SIGMA * 1.6
    # Measured again, what was missed stays in the deviation.
    assert results[-1].sigma > results[14].sigma


def test_a_flow_never_measured_counts_as_unknown():
    *_, last = poured([LOST] * 21)
    assert last.volume == pytest.approx(UNKNOWN_FLOW * 2)
    assert last.sigma >= UNKNOWN_FLOW * 2
    *_, ended = poured([LOST] * 21 + [DRY] * 5)
    assert ended.volume == pytest.approx(UNKNOWN_FLOW * 2.05)
    assert ended.sigma >= last.sigma


def test_liquid_in_one_frame_only_is_a_false_alarm():
    results = poured([DRY, DRY, FLOW, DRY, DRY, DRY])
    assert all(r.volume == 0 for r in results)
    assert 0 < results[-1].sigma < FLOW * 0.2
    assert results[-1].sigma == results[-2].sigma


def test_a_second_pour_adds_to_the_first():
    once = poured([DRY, *[FLOW] * 10, *[DRY] * 6])[-1]
    twice = poured([DRY, *[FLOW] * 10, *[DRY] * 6, *[FLOW] * 10, *[DRY] * 6])[-1]
    assert twice.volume == pytest.approx(2 * once.volume)


def test_late_and_repeated_frames_change_nothing():
    volume = PouredVolume()
    before = poured([FLOW] * 11, volume)[-1]
    assert volume.update(START + 1000 * MS, True, 9 * FLOW, SIGMA) == before
    assert volume.update(START + 700 * MS, False, None, None) == before
    after = volume.update(START + 1100 * MS, True, FLOW, SIGMA)
    assert after.volume == pytest.approx(FLOW * 1.1)


def test_time_set_back_begins_anew():
    volume = PouredVolume()
    poured([FLOW] * 21, volume)
    again = volume.update(START + 2000 * MS - round(LATE * 1e9) - MS, True, FLOW, SIGMA)
    assert again.volume == 0
    assert poured([FLOW] * 21, volume, start=START + 10_000 * MS)[-1].volume > FLOW * 2


def test_restart():
    volume = PouredVolume()
    poured([FLOW] * 21, volume)
    volume.restart()
    assert poured([FLOW] * 21, volume)[-1].volume == pytest.approx(FLOW * 2)


def test_stamps_from_zero():
    *_, last = poured([FLOW, FLOW, DRY, FLOW, *[DRY] * 6], start=0)
    assert last.volume == pytest.approx(FLOW * 0.35)


def test_an_hour_of_unmeasured_flow_stays_cheap():
    volume = PouredVolume()
    poured([FLOW, *[LOST] * 36_000], volume)
    assert len(volume._wet) <= 3
