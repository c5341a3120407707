# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Multi-scale CAM; its numbers are checked in test_perception_encoders.py."""

import pytest
import torch
from torch import nn

from pourit_ros.perception.multiscale import merge_mirror, min_max, multi_scale_cam


@pytest.mark.parametrize('size', [(32, 48), (31, 45)])
def test_cam_turns_with_the_mirrored_image(size):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 5, 4, 2), nn.ReLU(), nn.Conv2d(4, 1, 3))
    images = torch.randn(2, 3, *size)
    with torch.inference_mode():
        cam = multi_scale_cam(network, images)
        mirrored = multi_scale_cam(network, images.flip(-1))
    assert cam.shape == (2, 1, *size)
    torch.testing.assert_close(mirrored, cam.flip(-1), rtol=0, atol=2e-5)
    assert not torch.allclose(mirrored, cam, atol=1e-2)


def test_larger_of_both_mirror_images_wins():
    maps = torch.tensor([[[[1.0, -2.0, 0.0]]], [[[5.0, -3.0, 0.5]]]])
    torch.testing.assert_close(merge_mirror(maps, (1, 3)), torch.tensor([[[[1.0, 0.0, 5.0]]]]))


def test_min_max_is_per_image():
    maps = torch.tensor([[[[2.0, 4.0, 3.0]]], [[[7.0, 7.0, 7.0]]]])
    expected = torch.tensor([[[[0.0, 2.0, 1.0]]], [[[0.0, 0.0, 0.0]]]]) / (2 + 1e-5)
    torch.testing.assert_close(min_max(maps), expected)


def test_scales_add_up():
    """A network that returns its first channel: every scale adds the same smooth map."""
    ramp = torch.linspace(0, 1, 64).view(1, 1, 8, 8)
    one = multi_scale_cam(lambda x: x[:, :1], ramp, (1.0,))
    two = multi_scale_cam(lambda x: x[:, :1], ramp, (1.0, 1.0))
    torch.testing.assert_close(one, two, rtol=0, atol=1e-5)
    torch.testing.assert_close(one, min_max(ramp))
