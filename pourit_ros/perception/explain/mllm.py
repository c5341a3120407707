# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Multimodal models of transformers, read for TAM; needs pip install 'pourit_ros[mllm]'."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import InputError
from .tam import Answer


def read_answer(model: Any, inputs: Mapping[str, Tensor], prompt: int) -> Answer:
    """Run a model over a prompt with one image and its answer, and keep what TAM needs.

    model: such as `Qwen2VLForConditionalGeneration`. inputs: what its processor made of the
    prompt, with `input_ids` (1, T) lengthened by the answer, as `model.generate` returns them.
    prompt: length of the prompt in tokens. The model is causal, so
    one pass sees the states that generation saw. Raises InputError for a model or inputs that do
    not say where the image is.

    >>> ids = model.generate(**inputs)  # doctest: +SKIP
    >>> answer = read_answer(model, inputs | {'input_ids': ids}, prompt)  # doctest: +SKIP
    >>> token_map(answer, prompt + 3)  # doctest: +SKIP
    """
    ids = inputs['input_ids'][0]
    image = ids == _image_token(model.config)
    count = int(image.sum())
    if not count:
        raise InputError('the inputs hold no image: input_ids has no image token')
    modes = model.training
    model.eval()
    try:
        with torch.no_grad():
            output = model(**_lengthened(inputs), output_hidden_states=True)
    finally:
        model.train(modes)
    head = model.get_output_embeddings().weight.detach()
    grid = _grid(model.config, inputs, count)
    return Answer(output.hidden_states[-1][0], ids, head, image, grid, prompt)


def _lengthened(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Inputs whose other entries, one a token, cover the answer too: it is seen, and is text."""
    length = inputs['input_ids'].shape[1]
    longer = dict(inputs)
    for name, value in (('attention_mask', 1), ('mm_token_type_ids', 0)):
        if name in inputs:
            short = inputs[name]
            longer[name] = F.pad(short, (0, length - short.shape[1]), value=value)
    return longer


def _image_token(config: Any) -> int:
    for name in ('image_token_id', 'image_token_index'):
        if getattr(config, name, None) is not None:
            return int(getattr(config, name))
    raise InputError(f'{type(config).__name__}: does not name its image token')


def _grid(config: Any, inputs: Mapping[str, Tensor], count: int) -> tuple[int, int]:
    """Rows and columns of the image's tokens: as the inputs say, or square."""
    patches = inputs.get('image_grid_thw')
    if patches is not None:
        merged = getattr(config.vision_config, 'spatial_merge_size', 1)
        frames, rows, columns = (int(n) for n in patches[0])
        grid = (frames * rows // merged, columns // merged)
    else:
        grid = (math.isqrt(count), math.isqrt(count))
    if grid[0] * grid[1] != count:
        raise InputError(f'{count} image tokens are not a grid; give one image of one tile')
    return grid
