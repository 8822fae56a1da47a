"""The gradient of a step does not depend on passes, processes or workers."""

import open_clip
import pytest
import torch

from featurelens.recipes import data, gradients, networks

pytestmark = pytest.mark.usefixtures("world")  # the tiny models


def fabric():
    from lightning_fabric import Fabric

    one = Fabric(accelerator="cpu", devices=1)
    one.launch()
    return one


def clip_and_batch(model, n=12):
    torch.manual_seed(0)
    clip = networks.blank(model)
    tokens_NL = torch.randint(1, 40_000, (n, 16), generator=torch.Generator().manual_seed(1))
    return clip, data.Batch(torch.randn(n, 3, 32, 32), tokens_NL, [])


def gradient(step, network, batch, passes, dropout=lambda j: None):
    one = fabric()
    network.zero_grad()
    model = one.setup_module(network)
    size = len(batch.x_NCHW) // passes
    parts = [data.Batch(x, t, []) for x, t in zip(batch[0].split(size), batch[1].split(size), strict=True)]
    loss = step(one, model, parts, dropout)
    return loss, {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("passes", [1, 2, 3, 12])
def test_contrastive_passes_give_the_gradient_of_the_whole_batch(passes):
    clip, batch = clip_and_batch("tiny-vit")
    h_ND, t_ND, scale = clip(batch.x_NCHW, batch.target_N)
    logits_NN, y_N = scale * h_ND @ t_ND.T, torch.arange(12)
    cross_entropy = torch.nn.functional.cross_entropy
    expected = (cross_entropy(logits_NN, y_N) + cross_entropy(logits_NN.T, y_N)) / 2
    names = [name for name, _ in clip.named_parameters()]
    grads = torch.autograd.grad(expected, list(clip.parameters()))
    loss, found = gradient(gradients.contrastive, clip, batch, passes)
    torch.testing.assert_close(loss, expected.detach())
    assert set(found) == set(names) and found["logit_scale"].abs() > 1e-6
    for name, grad in zip(names, grads, strict=True):
        torch.testing.assert_close(found[name], grad, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("passes", [1, 4])
def test_label_passes_give_the_gradient_of_the_whole_batch(passes):
    clip, batch = clip_and_batch("tiny-vit")
    network = networks.Classifier(clip.visual, 32, 5, normalised=True)
    batch = batch._replace(target_N=torch.arange(12) % 5)
    expected = torch.nn.functional.cross_entropy(network(batch.x_NCHW), batch.target_N)
    grads = torch.autograd.grad(expected, list(network.parameters()))
    loss, found = gradient(gradients.labels, network, batch, passes)
    torch.testing.assert_close(loss, expected.detach())
    for (name, _), grad in zip(network.named_parameters(), grads, strict=True):
        torch.testing.assert_close(found[name], grad, rtol=1e-4, atol=1e-6, msg=name)


def test_dropout_is_the_same_in_both_passes():
    clip, batch = clip_and_batch("tiny-dropping")
    seeds = {j: 100 + j for j in range(3)}
    loss, found = gradient(
        gradients.contrastive, clip.train(), batch, 3, lambda j: torch.manual_seed(seeds[j])
    )
    features = []
    for j, (x, t) in enumerate(zip(batch[0].split(4), batch[1].split(4), strict=True)):
        torch.manual_seed(seeds[j])
        features.append(clip(x, t))
    h_ND, t_ND = (torch.cat([f[k] for f in features]) for k in (0, 1))
    expected = open_clip.ClipLoss()(h_ND, t_ND, features[0][2])
    torch.testing.assert_close(loss, expected.detach())
    grads = torch.autograd.grad(expected, list(clip.parameters()))
    for (name, _), grad in zip(clip.named_parameters(), grads, strict=True):
        torch.testing.assert_close(found[name], grad, rtol=1e-4, atol=1e-6, msg=name)


def test_running_statistics_see_each_picture_once():
    clip, batch = clip_and_batch("tiny-resnet")
    first = clip.visual.bn1.num_batches_tracked.item()
    gradient(gradients.contrastive, clip.train(), batch, 3)
    assert clip.visual.bn1.num_batches_tracked.item() - first == 3


def steps(planned, world_size, workers=0, first=0, epoch=0, **values):
    plan = planned(kind="contrastive", caption=["title"], devices=world_size, **values)
    items = data.Items(
        plan.train,
        networks.transform(networks.preprocessing(networks.blank("tiny-vit")), plan.recipe),
        networks.tokenizer("tiny-vit"),
        plan.recipe.seed,
    )
    shares = [
        list(data.training_steps(items, epoch, first, 8, plan.recipe.accumulate, rank, world_size, workers))
        for rank in range(world_size)
    ]
    join = [[part for share in shares for part in share[step]] for step in range(len(shares[0]))]
    return [(torch.cat([p.x_NCHW for p in parts]), torch.cat([p.target_N for p in parts])) for parts in join]


def test_processes_passes_workers_and_a_late_start_see_the_same_batches(planned):
    whole = steps(planned, 1)
    assert len(whole) == 4 and len({x.sum().item() for x, _ in whole}) == 4
    torch.manual_seed(77)  # the state of the process does not matter
    others = [steps(planned, 2), steps(planned, 2, accumulate=2), steps(planned, 1, workers=2)]
    for found in [*others, [*whole[:3], *steps(planned, 1, first=3)]]:
        assert all(
            torch.equal(a, b) for x, y in zip(found, whole, strict=True) for a, b in zip(x, y, strict=True)
        )
    again, other = steps(planned, 1, epoch=1), steps(planned, 1, seed=9)
    assert not torch.equal(again[0][0], whole[0][0]) and not torch.equal(other[0][0], whole[0][0])


def test_the_crop_of_a_picture_is_another_in_each_epoch_and_run(planned):
    def crop(run_seed, epoch, item=3):
        image_transform = networks.transform(values, planned(crop_scale=[0.2, 1.0]).recipe)
        return data.Items(planned().train, image_transform, None, run_seed)[epoch, item][0]

    values = networks.preprocessing(networks.blank("tiny-vit"))
    assert crop(0, 0).equal(crop(0, 0))
    assert not crop(0, 0).equal(crop(0, 1)) and not crop(0, 0).equal(crop(1, 0))


def test_every_picture_is_seen_once_an_epoch():
    order_N = data.order(1000, 3, 5)
    assert sorted(order_N.tolist()) == list(range(1000)) and not order_N.equal(data.order(1000, 3, 6))
