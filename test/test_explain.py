# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Class activation methods against captum, scikit-learn and loops in float64."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pourit_ros.errors import InputError
from pourit_ros.perception.classifier import LiquidClassifier
from pourit_ros.perception.explain import METHODS, explain, find_layer, list_layers
from pourit_ros.perception.explain.cf_cam import gaussian, quartile
from pourit_ros.perception.explain.dbscan import dbscan
from pourit_ros.perception.explain.smooth_grad_cam_pp import smooth_grad_cam_pp
from pourit_ros.perception.explain.subject import Subject
from pourit_ros.perception.published_network import PublishedNetwork


class Cnn(nn.Module):
    """A user's network: three classes, activations that write in place, any head."""

    def __init__(self, channels=12, head='deep', pool='mean'):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(inplace=True))
        self.last = nn.Conv2d(8, channels, 3, 2, 1)
        self.act = nn.ReLU(inplace=True)
        self.pool = nn.AdaptiveMaxPool2d(1) if pool == 'max' else nn.AdaptiveAvgPool2d(1)
        deep = nn.Sequential(nn.Linear(channels, 16), nn.Tanh(), nn.Linear(16, 3))
        self.head = deep if head == 'deep' else nn.Linear(channels, 3, bias=False)
        self.drop = nn.Dropout(0.5)

    def forward(self, images):
        return self.head(self.drop(self.pool(self.act(self.last(self.stem(images)))).flatten(1)))


class Vit(nn.Module):
    """A class token and patches of 8 px, as ViTs of any library return them."""

    def __init__(self, width=16):
        super().__init__()
        self.embed = nn.Conv2d(3, width, 8, 8)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.block = nn.TransformerEncoderLayer(width, 2, 32, batch_first=True)
        self.norm = nn.LayerNorm(width)
        self.last = nn.TransformerEncoderLayer(width, 2, 32, batch_first=True)
        self.head = nn.Linear(width, 4)

    def forward(self, images):
        tokens = self.embed(images).flatten(2).transpose(1, 2)
        tokens = torch.cat((self.token.expand(len(images), -1, -1), tokens), 1)
        return self.head(self.last(self.norm(self.block(tokens)))[:, 0])


def cnn(**kinds):
    torch.manual_seed(1)
    return Cnn(**kinds).eval()


def some_images(count=2, size=(24, 32)):
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(3))


def evidence(network, images, target, layer):
    """Features and gradients in float64, by plain autograd on everything below."""
    network = network.double()
    kept = []
    hook = network.get_submodule(layer).register_forward_hook(
        lambda _, __, output: kept.append(output) or output.clone()
    )
    with torch.enable_grad():
        score = network(images.double())[:, target].sum()
        gradients = torch.autograd.grad(score, kept[0])[0]
    hook.remove()
    network.float()
    return kept[0].detach(), gradients


def test_grad_cam_is_captums():
    attr = pytest.importorskip('captum.attr')
    network, images = cnn(), some_images(3)
    for layer, target in itertools.product(('act', 'stem'), range(3)):
        theirs = attr.LayerGradCam(network, network.get_submodule(layer)).attribute(
            images, target, relu_attributions=True
        )
        ours = explain('grad_cam', network, images, target, layer)
        assert ours.max() > 1e-4
        torch.testing.assert_close(ours, theirs[:, 0], rtol=0, atol=1e-6)


@pytest.mark.parametrize('pool', ['mean', 'max'])
def test_grad_cam_is_cam_behind_a_pooled_linear_head(pool):
    network, images = cnn(head='linear', pool=pool), some_images(3)
    cam = explain('cam', network, images, 1, 'act')
    grad_cam = explain('grad_cam', network, images, 1, 'act')
    assert (cam < 0).any()
    assert (cam > 0.01).any()
    torch.testing.assert_close(grad_cam * cam[0].numel(), cam.relu(), rtol=1e-5, atol=1e-6)


def test_both_agree_on_the_networks_of_this_package():
    torch.manual_seed(0)
    images = some_images(2, (64, 96))
    published = PublishedNetwork().eval()
    cam = explain('cam', published, images)
    torch.testing.assert_close(cam, published.cam(images)[:, 0].detach(), rtol=0, atol=1e-5)
    grad_cam = explain('grad_cam', published, images)
    torch.testing.assert_close(grad_cam * cam[0].numel(), cam.relu(), rtol=1e-4, atol=1e-5)

    ours = LiquidClassifier().eval()
    ours.presence.scale.data.fill_(0.7)
    cam = explain('cam', ours, images)
    torch.testing.assert_close(cam, ours(images).cam[:, 0].detach(), rtol=0, atol=1e-6)
    grad_cam = explain('grad_cam', ours, images)
    torch.testing.assert_close(grad_cam * cam[0].numel(), 0.7 * cam.relu(), rtol=1e-4, atol=1e-6)


def grad_cam_pp_by_hand(features, first, second, third):
    """The paper's sums, one cell at a time."""
    maps = []
    for a, g1, g2, g3 in zip(features, first, second, third, strict=True):
        total = torch.zeros(a.shape[1:], dtype=torch.float64)
        for k in range(len(a)):
            weight = 0.0
            for i, j in itertools.product(range(a.shape[1]), range(a.shape[2])):
                below = 2 * g2[k, i, j] + a[k].sum() * g3[k, i, j]
                if g2[k, i, j] > 0:
                    weight += g2[k, i, j] / below * max(g1[k, i, j], 0)
            total += weight * a[k]
        maps.append(total.clamp_min(0))
    return torch.stack(maps)


def test_grad_cam_pp_is_the_papers_formula():
    network, images = cnn(), some_images()
    features, g = evidence(network, images, 2, 'act')
    expected = grad_cam_pp_by_hand(features, g, g**2, g**3)
    assert expected.max() > 1e-4
    ours = explain('grad_cam_pp', network, images, 2, 'act')
    torch.testing.assert_close(ours.double(), expected, rtol=1e-4, atol=1e-6)


def test_layer_cam_weights_cell_by_cell():
    network, images = cnn(), some_images()
    features, g = evidence(network, images, 1, 'stem')
    expected = torch.zeros(features[:, 0].shape, dtype=torch.float64)
    for n, k, i, j in itertools.product(*map(range, features.shape)):
        expected[n, i, j] += max(g[n, k, i, j], 0) * features[n, k, i, j]
    ours = explain('layer_cam', network, images, 1, 'stem')
    assert expected.max() > 1e-4
    torch.testing.assert_close(ours.double(), expected.clamp_min(0), rtol=1e-4, atol=1e-6)


def test_smooth_grad_cam_pp_averages_powers_over_noisy_copies():
    network, images = cnn(), some_images()
    subject = Subject(network, images, 2, 'act')
    plain = explain('grad_cam_pp', network, images, 2, 'act')
    torch.testing.assert_close(smooth_grad_cam_pp(subject, copies=1, noise=0.0), plain)

    generator = torch.Generator().manual_seed(0)
    spread = 0.2 * (images.amax((1, 2, 3)) - images.amin((1, 2, 3))).view(-1, 1, 1, 1)
    noisy = [
        images + spread * torch.randn(images.shape[1:], generator=generator) for _ in range(3)
    ]
    gradients = torch.stack([evidence(network, copy, 2, 'act')[1] for copy in noisy])
    features, _ = evidence(network, images, 2, 'act')
    powers = [(gradients**p).mean(0) for p in (1, 2, 3)]
    expected = grad_cam_pp_by_hand(features, *powers)
    ours = smooth_grad_cam_pp(subject, copies=3, noise=0.2)
    torch.testing.assert_close(ours.double(), expected, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(ours, plain, rtol=1e-2)
    assert torch.equal(ours, smooth_grad_cam_pp(subject, copies=3, noise=0.2))


@pytest.mark.parametrize('centre', [False, True])
def test_eigen_cam_is_the_first_singular_vectors_map(centre):
    network, images = cnn(), some_images()
    ours = explain('eigen_cam_centred' if centre else 'eigen_cam', network, images, 0, 'last')
    features, _ = evidence(network, images, 0, 'last')
    for one, a in zip(ours, features, strict=True):
        x = a.flatten(1).T.numpy()
        x = x - x.mean(0) if centre else x
        along = x @ np.linalg.svd(x, full_matrices=False)[2][0]
        along = along * np.sign(along[np.abs(along).argmax()])
        expected = np.maximum(along, 0).reshape(a.shape[1:])
        assert expected.max() > 0.1
        np.testing.assert_allclose(one.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_eigen_cam_keeps_its_sign_when_channels_change_theirs():
    network, images = cnn(), some_images()
    before = explain('eigen_cam_centred', network, images, 0, 'last')
    network.last.weight.data.neg_()
    network.last.bias.data.neg_()
    after = explain('eigen_cam_centred', network, images, 0, 'last')
    torch.testing.assert_close(after.amax((1, 2)), before.amax((1, 2)))


@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 6), st.floats(0.05, 0.6))
@settings(max_examples=60)
def test_dbscan_is_scikit_learns(seed, count, least, radius):
    cluster = pytest.importorskip('sklearn.cluster')
    points = np.random.default_rng(seed).random((count, 2))
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    expected = cluster.DBSCAN(eps=radius, min_samples=least, metric='precomputed').fit(distances)
    ours = dbscan(torch.from_numpy(distances), radius, least)
    assert ours.tolist() == expected.labels_.tolist()


def test_cf_cam_step_by_step():
    cluster = pytest.importorskip('sklearn.cluster')
    ndimage = pytest.importorskip('scipy.ndimage')
    network, images = cnn(channels=40), some_images()
    features, gradients = (x.numpy() for x in evidence(network, images, 1, 'act'))
    ours = explain('cf_cam', network, images, 1, 'act').numpy()
    kinds = set()
    for one, a, g in zip(ours, features, gradients, strict=True):
        flat = a.reshape(len(a), -1)
        norms = np.linalg.norm(flat, axis=1)
        rest = np.flatnonzero(norms < np.percentile(norms, 75))
        distances = np.array([[np.linalg.norm(flat[i] - flat[j]) for j in rest] for i in rest])
        apart = distances[~np.eye(len(rest), dtype=bool)]
        radius = max(np.percentile(apart, 25), 1e-5)
        least = max(2, int(0.05 * len(rest)))
        fit = cluster.DBSCAN(eps=radius, min_samples=least, metric='precomputed').fit(distances)
        weights = {k: g[k].mean() for k in range(len(a)) if k not in rest}
        for label in set(fit.labels_) - {-1}:
            members = rest[fit.labels_ == label]
            mean = sum(g[k] for k in members) / len(members)
            filtered = ndimage.gaussian_filter(mean, 1.0, mode='constant')
            weights |= dict.fromkeys(members, filtered.mean())
        kinds |= {'noise' if -1 in fit.labels_ else '', 'cluster' if 0 in fit.labels_ else ''}
        expected = np.maximum(sum(weight * a[k] for k, weight in weights.items()), 0)
        np.testing.assert_allclose(one, expected, rtol=1e-4, atol=1e-6)
    assert {'noise', 'cluster'} <= kinds


def test_cf_cam_tells_classes_apart_unlike_a_softmax_of_its_weights():
    network, images = cnn(channels=40), some_images(1)
    a, b = (explain('cf_cam', network, images, k, 'act').flatten() for k in (0, 1))
    assert torch.corrcoef(torch.stack((a, b)))[0, 1] < 0.9
    mean = evidence(network, images, 0, 'act')[0].mean(1).float().flatten()
    assert torch.corrcoef(torch.stack((a, mean)))[0, 1] < 0.95


def test_gaussian_keeps_the_mean_inside_and_loses_it_at_the_border():
    values = torch.zeros(21, 21)
    values[10, 10] = 1
    torch.testing.assert_close(gaussian(values).sum(), torch.tensor(1.0))
    assert gaussian(values.roll((10, 10), (0, 1))).sum() < 0.6


@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=30))
def test_quartile_is_numpys(values):
    assert quartile(torch.tensor(values)) == pytest.approx(np.percentile(values, 25), abs=1e-3)


@pytest.mark.parametrize('size', [(32, 48), (64, 64)])
@pytest.mark.parametrize('method', [name for name in METHODS if name != 'cam'])
def test_vision_transformers_are_explained_on_their_patches(method, size):
    torch.manual_seed(0)
    network, images = Vit(), some_images(2, size)
    maps = explain(method, network, images, 3, 'norm')
    assert maps.shape == (2, size[0] // 8, size[1] // 8)
    assert (maps.amax((1, 2)) > 0).all()


def test_tokens_lie_on_the_grid_row_by_row():
    network, images = Vit(), some_images(2, (32, 48))
    tokens = explain('eigen_cam', network, images, 0, 'norm')
    with torch.no_grad():
        network.eval()
        flat = torch.cat((network.token.expand(2, -1, -1), network.embed(images).flatten(2).mT), 1)
        x = network.norm(network.block(flat))[:, 1:].double()
    v = torch.linalg.svd(x, full_matrices=False)[2][:, 0]
    along = (x @ v[:, :, None])[:, :, 0].abs().reshape(2, 4, 6)
    close = torch.isclose(tokens.double(), along, rtol=1e-4)
    assert (close | (tokens == 0)).all()
    assert close.float().mean() > 0.4


def test_channels_last_are_recognised():
    class Last(nn.Module):
        def forward(self, x):
            return x.permute(0, 2, 3, 1)

    class Swin(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.body, self.head = nn.Conv2d(3, 5, 4, 4), Last(), nn.Linear(5, 2)

        def forward(self, images):
            return self.head(self.body(self.first(images)).mean((1, 2)))

    torch.manual_seed(0)
    network, images = Swin(), some_images(1, (32, 48))
    cam, plain = (explain('cam', network, images, 1, name) for name in ('body', 'first'))
    assert cam.shape == (1, 8, 12)
    torch.testing.assert_close(cam, plain)


@pytest.mark.parametrize('method', METHODS)
def test_bfloat16_agrees_with_float32(method):
    network, images = cnn(head='linear'), some_images(2, (48, 64)).bfloat16().float()
    for parameter in network.parameters():
        parameter.data = parameter.data.bfloat16().float()
    full = explain(method, network, images, 1, 'last')
    half = explain(method, network.bfloat16(), images.bfloat16(), 1, 'last')
    assert half.dtype == torch.float32
    similar = F.cosine_similarity(half.flatten(1), full.flatten(1))
    assert (similar > (0.9 if method == 'cf_cam' else 0.98)).all(), similar


@pytest.mark.parametrize('method', METHODS)
def test_a_batch_is_explained_as_its_images_are(method):
    network, images = cnn(head='linear'), some_images(3)
    together = explain(method, network, images, 0, 'act')
    alone = torch.cat([explain(method, network, one[None], 0, 'act') for one in images])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('method', METHODS)
@given(
    kind=st.sampled_from(['constant', 'zero gradient', 'zero weights', 'negative', 'random']),
    size=st.sampled_from([(1, 1), (1, 9), (4, 4), (13, 7)]),
    value=st.floats(-3, 3, width=32),
)
@settings(max_examples=12)
def test_maps_are_finite_whatever_the_network_sees(method, kind, size, value):
    network = cnn(head='linear')
    images = torch.full((2, 3, *size), value)
    if kind == 'zero gradient':
        network.head.weight.data.zero_()
    elif kind == 'zero weights':
        network.last.weight.data.zero_()
        network.last.bias.data.zero_()
    elif kind == 'negative':
        network.last.bias.data.fill_(-9)
    elif kind == 'random':
        images = some_images(2, size)
    maps = explain(method, network, images, 0, 'last')
    assert maps.shape == (2, *(-(-side // 4) for side in size))
    assert maps.isfinite().all()
    assert method == 'cam' or (maps >= 0).all()


def hooks_of(network):
    return sum(len(m._forward_hooks) + len(m._backward_hooks) for m in network.modules())


def state_of(network):
    return [m.training for m in network.modules()], [p.requires_grad for p in network.parameters()]


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('fails', [False, True])
def test_the_network_comes_back_as_it_was(method, fails):
    network, images = cnn(head='linear').train(), some_images()
    network.stem.eval()
    network.last.requires_grad_(False)
    before = state_of(network)

    def fail(module, inputs):
        raise RuntimeError('no memory')

    if fails:
        broken = network.head.register_forward_pre_hook(fail)
        with pytest.raises(RuntimeError, match='no memory'):
            explain(method, network, images, 0, 'act')
        broken.remove()
    else:
        explain(method, network, images, 0, 'act')
    assert hooks_of(network) == 0
    assert state_of(network) == before
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize('method', METHODS)
def test_frozen_networks_and_disabled_gradients_are_no_obstacle(method):
    network, images = cnn(head='linear'), some_images()
    expected = explain(method, network, images, 0, 'act')
    network.requires_grad_(False)
    with torch.inference_mode():
        assert torch.equal(explain(method, network, images, 0, 'act'), expected)
        inferred = explain(method, network, images * 1, 0, 'act')
    torch.testing.assert_close(inferred, expected)


def test_targets():
    network, images = cnn(), some_images(3)
    network.head[2].bias.data -= network(images).mean(0).detach()
    best = network(images).argmax(1)
    chosen = torch.stack(
        [explain('grad_cam', network, images, int(k), 'act')[i] for i, k in enumerate(best)]
    )
    assert len(set(best.tolist())) > 1
    torch.testing.assert_close(explain('grad_cam', network, images, None, 'act'), chosen)
    by_call = explain('grad_cam', network, images, lambda logits: logits[:, 2], 'act')
    torch.testing.assert_close(by_call, explain('grad_cam', network, images, 2, 'act'))
    torch.testing.assert_close(by_call, explain('grad_cam', network, images, -1, 'act'))


@pytest.mark.parametrize(
    ('arguments', 'line'),
    [
        (('grad_kam', cnn(), None, 'act'), "unknown method 'grad_kam', choose one of cam,"),
        (('grad_cam', cnn(), None, 'layer4'), "no layer 'layer4'"),
        (('grad_cam', cnn(), None, None), 'Cnn: name the layer'),
        (('grad_cam', cnn(), 3, 'act'), 'target 3: the network has 3 classes'),
        (('cam', cnn(head='linear'), lambda x: x[:, 0], 'act'), 'target as an index'),
        (('cam', cnn(), 0, 'act'), 'linear head on the 12 channels of the layer, .* 16 channels'),
        (('grad_cam', cnn(), 0, 'head'), r'gives \(2, 3\), which is no map of patches'),
        (('grad_cam', cnn(), lambda x: x.sum(), 'act'), 'expected one an image'),
        (('grad_cam', LiquidClassifier(), None, 'encoder'), 'returns a list'),
    ],
)
def test_what_cannot_be_explained_is_said_in_a_line(arguments, line):
    method, network, target, layer = arguments
    with pytest.raises(InputError, match=line):
        explain(method, network, some_images(2, (32, 32)), target, layer)
    assert hooks_of(network) == 0


def test_layers_that_can_be_looked_at_are_listed():
    assert list_layers(Vit(), some_images(1, (32, 48)))['norm'] == (16, 4, 6)
    found = list_layers(LiquidClassifier(), some_images(1, (64, 64)))
    assert found['fusion'] == (48, 16, 16)
    assert found['head'] == (1, 16, 16)
    published = PublishedNetwork()
    assert find_layer(published) in list_layers(published, torch.zeros(1, 3, 32, 64))
    network = cnn()
    list_layers(network, some_images())
    assert hooks_of(network) == 0
