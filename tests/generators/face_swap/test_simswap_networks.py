"""The networks and losses of SimSwap: shapes, what each loss means, and that each can be lowered."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from generators.face_swap.simswap import losses
from generators.face_swap.simswap.material import Material, altered
from generators.face_swap.simswap.network import Discriminators, IdentityNet, Sizes, SwapNet
from generators.face_swap.simswap.training import plan
from generators.protocol import FaceSet
from generators.repeatable import repeatable
from haetae.errors import UsageError
from tests.generators.face_swap.people import SMALL


def _rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _faces(n: int, size: int = SMALL.crop_px) -> Tensor:
    """Smooth random pictures in [-1, 1]."""
    small = torch.randn(n, 3, 6, 6, generator=_rng())
    return torch.tanh(torch.nn.functional.interpolate(small, size=size, mode="bicubic"))


@pytest.mark.parametrize(
    "sizes",
    [SMALL, Sizes(32, 8, 1, 1, 16, 4), Sizes(96, 4, 2, 3, 24, 4), plan("cpu")[0], plan("cuda")[0]],
    ids=["small", "32 px", "96 px", "of a CPU", "of a GPU"],
)
def test_networks_keep_their_shapes_at_every_size(sizes: Sizes) -> None:
    face, who = _faces(2, sizes.crop_px), torch.randn(2, sizes.id_values, generator=_rng())
    with repeatable(1, "cpu"), torch.no_grad():
        made = SwapNet(sizes)(face, who)
        identity = IdentityNet(sizes).eval()(face)
        features = Discriminators(4)(face)
    assert made.shape == face.shape
    assert float(made.abs().max()) <= 1
    assert identity.shape == (2, sizes.id_values)
    assert torch.allclose(identity.norm(dim=1), torch.ones(2), atol=1e-5)
    assert [len(one) for one in features] == [5, 5]
    assert features[0][-1].shape[1] == 1
    assert features[0][-1].shape[-1] == 2 * features[1][-1].shape[-1]


def test_what_a_face_becomes_hangs_on_its_identity_and_not_on_its_batch() -> None:
    with repeatable(1, "cpu"), torch.no_grad():
        network = SwapNet(SMALL)
        faces, who = (
            _faces(3),
            torch.nn.functional.normalize(torch.randn(3, SMALL.id_values, generator=_rng())),
        )
        together = network(faces, who)
        alone = network(faces[1:2], who[1:2])
        another = network(faces[1:2], who[2:3])
    assert torch.allclose(together[1:2], alone, atol=1e-5)
    assert float((another - alone).abs().mean()) > 1e-3


def test_an_identity_is_blind_to_light_and_colour_and_to_what_is_outside_the_oval() -> None:
    faces = 0.4 * _faces(8)
    tinted = 0.6 * faces[:1] + torch.tensor([0.2, -0.1, 0.1])[None, :, None, None]
    cornered = faces[:1].clone()
    cornered[..., :6, :6] = 1.0
    with repeatable(1, "cpu"), torch.no_grad():
        # As in training, so that untrained layers tell faces apart by what differs between them.
        who = IdentityNet(SMALL).train()(torch.cat([faces, tinted, cornered]))
    assert float(who[0] @ who[8]) > 0.99
    assert float(who[0] @ who[9]) > 0.99
    assert float((who[0] @ who[1:8].T).max()) < 0.9


def test_a_margin_makes_the_same_angles_cost_more() -> None:
    cosine = torch.tensor([[0.8, 0.1], [-0.2, 0.5]])
    person = torch.tensor([0, 1])
    plain = losses.arc_margin(cosine, person, 0.0, 8.0)
    assert float(plain) == pytest.approx(
        float(torch.nn.functional.cross_entropy(8 * cosine, person)), abs=1e-4
    )
    assert float(losses.arc_margin(cosine, person, 0.5, 8.0)) > float(plain)
    away = torch.tensor([[-0.99, 0.0]], requires_grad=True)
    losses.arc_margin(away, torch.tensor([0]), 0.5, 8.0).backward()
    assert away.grad is not None
    assert float(away.grad[0, 0]) < 0, "beyond 180° too, a smaller angle must be better"


def test_losses_have_the_values_that_their_definitions_give() -> None:
    one = torch.nn.functional.normalize(torch.randn(3, 8, generator=_rng()))
    assert float(losses.identity_loss(one, one)) == pytest.approx(0, abs=1e-6)
    assert float(losses.identity_loss(one, -one)) == pytest.approx(2, abs=1e-6)
    a, b = torch.zeros(2, 3, 4, 4), torch.ones(2, 3, 4, 4)
    assert float(losses.reconstruction_loss(a, b * 0.5, torch.tensor([True, False]))) == pytest.approx(0.5)
    assert float(losses.reconstruction_loss(a, b, torch.tensor([False, False]))) == 0
    real, made = [[a, 2 * b]], [[a, -3 * b]]
    assert float(losses.discriminator_loss(real, made)) == 0
    assert float(losses.discriminator_loss(made, real)) == pytest.approx(1 + 3 + 1 + 2)
    assert float(losses.adversarial_loss(made)) == pytest.approx(3)
    features = [[a, a, b], [a, a, b]]
    others = [[b, a, a], [b, a, a]]
    assert float(losses.weak_feature_matching(features, others, 1)) == 0, "the first layer may differ"
    assert float(losses.weak_feature_matching(features, others, 2)) == pytest.approx(0.5)


def test_the_gradient_penalty_is_the_squared_slope_of_the_scores() -> None:
    real = torch.randn(2, 3, 4, 4, generator=_rng(), requires_grad=True)
    scores = [[(0.5 * real).sum(dim=1, keepdim=True)]]
    # A mean over 16 places of half the sum of three values: each of 48 pixels has the slope 0.5 / 16.
    assert float(losses.gradient_penalty(real, scores)) == pytest.approx(48 * (0.5 / 16) ** 2)


def _lowered(loss: Callable[[], Tensor], parameters: list[Tensor], steps: int = 25) -> tuple[float, float]:
    optimiser = torch.optim.Adam(parameters, 2e-3)
    values = []
    for _ in range(steps):
        value = loss()
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        values.append(float(value.detach()))
    return values[0], min(values[-3:])


@pytest.mark.parametrize(
    ("name", "at_least"),
    [
        ("identity", 0.05),
        ("reconstruction", 0.05),
        ("feature_matching", 0.005),
        ("adversarial", 0.05),
        ("discriminator", 0.2),
        ("softmax", 0.3),
    ],
)
def test_each_loss_falls_on_a_batch_of_faces(name: str, at_least: float) -> None:
    with repeatable(3, "cpu"):
        generator, discriminators, encoder = SwapNet(SMALL), Discriminators(8), IdentityNet(SMALL)
        centres = torch.nn.functional.normalize(torch.randn(4, SMALL.id_values))
        faces, same = _faces(4), torch.ones(4, dtype=torch.bool)
        with torch.no_grad():
            for _ in range(30):  # until its norms know what faces look like
                encoder.train()(faces)
        who = encoder.eval()(faces.flip(0)).detach()

        def loss() -> Tensor:
            if name == "softmax":
                return losses.arc_margin(encoder.train()(faces) @ centres.T, torch.arange(4), 0.3, 8.0)
            made = generator(faces, who)
            if name == "identity":
                return losses.identity_loss(encoder(made), who)
            if name == "reconstruction":
                return losses.reconstruction_loss(made, faces, same)
            if name == "feature_matching":
                return losses.weak_feature_matching(discriminators(faces), discriminators(made), 2)
            if name == "adversarial":
                return losses.adversarial_loss(discriminators(made))
            return losses.discriminator_loss(discriminators(faces), discriminators(made.detach()))

        learner = {"softmax": encoder, "discriminator": discriminators}.get(name, generator)
        first, last = _lowered(loss, list(learner.parameters()))
    assert last < first - at_least


def test_faces_that_are_held_back_come_later_than_those_that_are_learned_from() -> None:
    n = 12
    track = np.repeat([0, 1, 2], n)
    person = np.repeat([7, 7, 3], n)
    mesh = np.random.default_rng(0).uniform(8, 24, (3 * n, 478, 2)).astype(np.float32)
    crops = np.zeros((3 * n, 32, 32, 3), np.uint8)
    faces = FaceSet(crops, mesh, person, track, np.tile(np.arange(n), 3))
    material = Material.of(faces, 32, "cpu")
    assert material.n_people == 2
    held = material.held.numpy().reshape(3, n)
    assert held.sum(axis=1).tolist() == [3, 3, 3]
    assert held[:, -3:].all()
    learned = ~material.held
    halves = [int((learned & (material.second == half)).sum()) for half in (False, True)]
    assert abs(halves[0] - halves[1]) <= 2


def test_altered_faces_differ_from_each_other_and_repeat_with_their_seed() -> None:
    faces = _faces(4)
    for turn in (True, False):
        one, other = altered(faces, _rng(1), turn), altered(faces, _rng(2), turn)
        assert torch.equal(one, altered(faces, _rng(1), turn))
        assert float((one - other).abs().mean()) > 0.05
    needs = faces.clone().requires_grad_()
    altered(needs, _rng(1), turn=False).sum().backward()
    assert needs.grad is not None


@pytest.mark.parametrize(
    ("build", "message"),
    [
        ({"crop_px": 48.0}, "crop_px"),
        ({"channels": 10**9}, "channels"),
        ({"blocks": True}, "blocks"),
        ({"crop_px": 50}, "multiple"),
        ({"id_values": None}, "id_values"),
    ],
)
def test_sizes_of_a_file_are_bounded(build: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Sizes.of({**SMALL.as_build(), **build})
    assert Sizes.of(SMALL.as_build()) == SMALL


def test_steadiness_leaves_the_process_as_it_was() -> None:
    torch.manual_seed(5)
    expected, threads = torch.rand(2), torch.get_num_threads()
    torch.manual_seed(5)
    with repeatable(1, "cpu"):
        torch.rand(7)
    assert torch.equal(torch.rand(2), expected)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()
