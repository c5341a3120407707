# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""TAM against loops and a numerical search, and on a tiny random Qwen2-VL where there is one."""

import inspect

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from pourit_ros.perception.explain.tam import Answer, rank_gaussian_filter, token_map


def an_answer(seed=0, grid=(4, 5), words=9):
    generator = torch.Generator().manual_seed(seed)
    cells, width, vocabulary = grid[0] * grid[1], 6, 12
    count = 2 + cells + words
    image = torch.zeros(count, dtype=torch.bool)
    image[2 : 2 + cells] = True
    return Answer(
        torch.randn(count, width, generator=generator),
        torch.randint(0, vocabulary, (count,), generator=generator),
        torch.randn(vocabulary, width, generator=generator),
        image,
        grid,
        2 + cells + 4,
    )


@pytest.mark.parametrize('seed', range(5))
def test_the_context_of_earlier_words_is_taken_off(seed):
    answer = an_answer(seed)
    position = len(answer.ids) - 1
    states, head, ids = answer.states.numpy(), answer.head.numpy(), answer.ids.tolist()
    cells = [i for i, inside in enumerate(answer.image) if inside]

    def raw(word):
        return np.array([max(float(states[i] @ head[word]), 0) for i in cells])

    context, total = np.zeros(len(cells)), 0.0
    for j in range(position):
        if j in cells or ids[j] == ids[position]:
            continue
        relevance = max(float(states[j] @ head[ids[position]]), 0)
        context += relevance * raw(ids[j])
        total += relevance
    context /= total + 1e-8
    target = raw(ids[position])
    found = minimize_scalar(lambda s: ((target - s * context) ** 2).sum(), options={'xtol': 1e-12})
    expected = np.maximum(target - found.x * context, 0).reshape(answer.grid)
    assert context.max() > 0
    assert found.x > 0
    ours = token_map(answer, position, filtered=False)
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-5)
    torch.testing.assert_close(token_map(answer, position), rank_gaussian_filter(ours))


def test_a_word_without_context_keeps_its_map():
    answer = an_answer()
    ids = torch.full_like(answer.ids, 3)
    same = Answer(answer.states, ids, answer.head, answer.image, answer.grid, answer.start)
    expected = (answer.states[answer.image] @ answer.head[3]).relu().reshape(answer.grid)
    torch.testing.assert_close(token_map(same, answer.start, filtered=False), expected)
    for position in (answer.start - 1, len(ids)):
        with pytest.raises(ValueError, match=f'position {position} is not in'):
            token_map(answer, position)


def filter_by_hand(values):
    """The paper's filter, a window at a time."""
    padded = np.pad(values, 1, mode='reflect') if min(values.shape) > 1 else None
    out = np.zeros_like(values)
    for y in range(values.shape[0]):
        for x in range(values.shape[1]):
            window = np.sort(padded[y : y + 3, x : x + 3].ravel())
            if window.mean() <= 0:
                continue
            sigma = window.std() / window.mean()
            if sigma < 1e-6:
                out[y, x] = window[4]
                continue
            weights = np.exp(-((np.arange(9) - 4) ** 2) / (2 * sigma**2))
            out[y, x] = weights @ window / weights.sum()
    return out


@given(st.integers(0, 10**6), st.integers(2, 6), st.integers(2, 6), st.floats(0, 0.9))
@settings(max_examples=30)
def test_rank_gaussian_filter_is_its_formula(seed, height, width, zeros):
    rng = np.random.default_rng(seed)
    values = rng.random((height, width)) * (rng.random((height, width)) > zeros)
    ours = rank_gaussian_filter(torch.from_numpy(values))
    np.testing.assert_allclose(ours.numpy(), filter_by_hand(values), atol=1e-6)


@given(st.integers(1, 4), st.integers(1, 4), st.sampled_from([0.0, 1e-20, 0.3, 1e6]))
def test_flat_and_tiny_maps_are_kept(height, width, value):
    flat = torch.full((height, width), value)
    torch.testing.assert_close(rank_gaussian_filter(flat), flat)


def test_thin_lines_are_lost():
    """Why the filter can be left out: a stream is one or two cells wide."""
    line = torch.zeros(9, 9)
    line[:, 4] = 1
    assert float(rank_gaussian_filter(line)[4, 4]) < 0.2
    line[:, 5] = 1
    assert float(rank_gaussian_filter(line)[4, 4]) > 0.9


def test_answers_in_half_precision():
    answer = an_answer(grid=(6, 6))
    half = Answer(
        answer.states.bfloat16(), answer.ids, answer.head.bfloat16(), answer.image, answer.grid,
        answer.start,
    )  # fmt: skip
    position = answer.start + 2
    got, full = (token_map(a, position, filtered=False) for a in (half, answer))
    assert got.dtype == torch.float32
    assert (got - full).abs().max() < 0.05 * full.max() + 0.02


@pytest.fixture(scope='module')
def tiny_qwen():
    transformers = pytest.importorskip('transformers', reason='needs the extra mllm')
    torch.manual_seed(0)
    text = {
        'vocab_size': 64, 'hidden_size': 32, 'intermediate_size': 64, 'num_hidden_layers': 2,
        'num_attention_heads': 4, 'num_key_value_heads': 2, 'max_position_embeddings': 128,
        'rope_scaling': {'type': 'mrope', 'mrope_section': [1, 1, 2]},
    }  # fmt: skip
    vision = {'depth': 1, 'embed_dim': 16, 'hidden_size': 32, 'num_heads': 2, 'mlp_ratio': 2}
    config = transformers.Qwen2VLConfig(
        **text, vision_config=vision, image_token_id=60, video_token_id=61,
        vision_start_token_id=62, vision_end_token_id=63, bos_token_id=1, eos_token_id=2,
        pad_token_id=0,
    )  # fmt: skip
    try:
        return transformers.Qwen2VLForConditionalGeneration(config).eval()
    except Exception as error:
        pytest.skip(f'this version of transformers builds no tiny Qwen2-VL: {error}')


def test_a_tiny_qwen_is_read(tiny_qwen):
    from pourit_ros.errors import InputError
    from pourit_ros.perception.explain.mllm import _lengthened, read_answer

    torch.manual_seed(1)
    rows, columns = 6, 8
    prompt = [5, 62, *[60] * (rows * columns // 4), 63, 7, 8]
    ids = torch.tensor([[*prompt, 9, 10, 11]])
    inputs = {
        'input_ids': ids,
        'attention_mask': torch.ones(1, len(prompt), dtype=torch.long),
        'pixel_values': torch.randn(rows * columns, 3 * 2 * 14 * 14),
        'image_grid_thw': torch.tensor([[1, rows, columns]]),
    }
    if 'mm_token_type_ids' in inspect.signature(tiny_qwen.forward).parameters:
        inputs['mm_token_type_ids'] = (torch.tensor([prompt]) == 60).int()
    answer = read_answer(tiny_qwen, inputs, len(prompt))
    assert answer.grid == (3, 4)
    assert answer.states.shape == (ids.shape[1], 32)
    with torch.no_grad():
        logits = tiny_qwen(**_lengthened(inputs)).logits[0]
    torch.testing.assert_close(answer.states @ answer.head.T, logits, rtol=1e-4, atol=1e-5)
    for position in range(len(prompt), ids.shape[1]):
        found = token_map(answer, position)
        assert found.shape == (3, 4)
        assert found.isfinite().all()
    with pytest.raises(InputError, match='hold no image'):
        read_answer(tiny_qwen, {'input_ids': torch.tensor([[5, 6, 7]])}, 2)
