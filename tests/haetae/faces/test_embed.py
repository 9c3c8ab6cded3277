"""The face recogniser: real loading of a real file format, untrained weights."""

from __future__ import annotations

import hashlib
import pickle

import numpy as np
import pytest

from haetae.errors import UsageError
from haetae.faces.embed import FaceEmbedder, check_weights, face_crop


def _kept(path, content: bytes) -> tuple[str, str]:
    path.write_bytes(content)
    return str(path), hashlib.sha256(content).hexdigest()


@pytest.fixture(scope="module")
def embedder(recogniser) -> FaceEmbedder:
    return FaceEmbedder(str(recogniser[0]), recogniser[1].upper())


def test_an_embedding_is_that_of_the_network_for_the_standardised_crop(
    embedder, recogniser, portrait, portrait_mesh
):
    import torch
    from facenet_pytorch import InceptionResnetV1

    crop = face_crop(portrait, portrait_mesh)
    assert crop.shape == (160, 160, 3)
    state = torch.load(recogniser[0], weights_only=True)
    model = InceptionResnetV1(pretrained=None, classify=False).eval()
    model.load_state_dict({k: v for k, v in state.items() if not k.startswith("logits.")})
    with torch.inference_mode():
        picture = torch.from_numpy(crop).permute(2, 0, 1)[None].float()
        expected = model((picture - 127.5) / 128)[0].numpy()
    assert np.allclose(embedder.embed([crop]), expected, atol=1e-5)


def test_several_pictures_give_one_vector_between_theirs(embedder, portrait, portrait_mesh):
    crops = [face_crop(portrait, portrait_mesh), face_crop(255 - portrait, portrait_mesh)]
    one, other, both = (embedder.embed(some) for some in (crops[:1], crops[1:], crops))
    assert np.linalg.norm(both) == pytest.approx(1, abs=1e-5)
    middle = (one + other) / np.linalg.norm(one + other)
    assert np.allclose(both, middle, atol=1e-5)


def test_safetensors_give_the_same_as_the_published_format(
    embedder, recogniser, tmp_path, portrait, portrait_mesh
):
    import torch
    from safetensors.torch import save

    weights = _kept(tmp_path / "recogniser.safetensors", save(torch.load(recogniser[0], weights_only=True)))
    crop = face_crop(portrait, portrait_mesh)
    assert (FaceEmbedder(*weights).embed([crop]) == embedder.embed([crop])).all()


def test_a_file_that_would_run_code_is_refused_and_runs_none(tmp_path):
    canary = tmp_path / "canary"

    class Trap:
        def __reduce__(self):
            return (canary.touch, ())

    weights = _kept(tmp_path / "trap.pt", pickle.dumps({"conv2d_1a.conv.weight": Trap()}, protocol=2))
    with pytest.raises(UsageError, match="cannot be read as weights"):
        FaceEmbedder(*weights).load()
    assert not canary.exists()


def test_what_is_no_recogniser_is_refused_with_what_to_do(tmp_path):
    import io

    import torch

    def saved(value: object) -> bytes:
        out = io.BytesIO()
        torch.save(value, out)
        return out.getvalue()

    cases = {
        "other.pt": (saved({"fc.weight": torch.zeros(3)}), "holds no InceptionResnetV1"),
        "list.pt": (saved([torch.zeros(3)]), "is no state dict"),
        "text.pt": (b"<html>404</html>", "cannot be read as weights"),
        "text.safetensors": (b"<html>404</html>", "cannot be read as weights"),
    }
    for name, (content, why) in cases.items():
        with pytest.raises(UsageError, match=why) as refusal:
            FaceEmbedder(*_kept(tmp_path / name, content)).load()
        assert "tracks.embedding_weights" in str(refusal.value)


def test_weights_and_their_hash_are_checked_before_any_work(recogniser, tmp_path):
    path, sha256 = recogniser
    check_weights(None, None)
    check_weights(str(path), sha256)
    for weights, given, why in (
        (str(path), "0" * 64, "has the SHA-256"),
        (str(path), "abc", "not a SHA-256"),
        (str(path), None, "missing"),
        (None, sha256, "missing"),
        (str(tmp_path / "nowhere.pt"), sha256, "No such file"),
        (str(tmp_path), sha256, "directory"),
    ):
        with pytest.raises(UsageError, match=why):
            check_weights(weights, given)
