"""C2PA: what a signed file forbids is found, nothing is fetched, and a damaged manifest permits nothing."""

from __future__ import annotations

import datetime as dt
import http.server
import json
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import c2pa
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from haetae.media.manifest import _entries, _forbids, read_manifest
from tests.haetae.media.broken import make, picture, sound
from tests.haetae.media.fuzz import MUTATIONS

MIME = {"mp4": "video/mp4", "png": "image/png", "wav": "audio/wav", "jpg": "image/jpeg"}
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
START, END = dt.datetime(2025, 1, 1, tzinfo=dt.UTC), dt.datetime(2045, 1, 1, tzinfo=dt.UTC)


class Signing:
    """A root, a certificate below it, and what is signed with that."""

    def __init__(self) -> None:
        self._root_key, self._key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        root = self._certificate("Root", self._root_key, is_root=True)
        leaf = self._certificate("Newsroom", self._key, is_root=False)
        pem = serialization.Encoding.PEM
        self._chain = leaf.public_bytes(pem) + root.public_bytes(pem)
        self._secret = self._key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def _certificate(self, name: str, key: ec.EllipticCurvePrivateKey, *, is_root: bool) -> x509.Certificate:
        def named(common: str) -> x509.Name:
            parts = {
                NameOID.COMMON_NAME: common,
                NameOID.ORGANIZATION_NAME: common,
                NameOID.COUNTRY_NAME: "KR",
            }
            return x509.Name([x509.NameAttribute(kind, value) for kind, value in parts.items()])

        unused = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
        usage = dict.fromkeys((*unused, "encipher_only", "decipher_only"), False)
        usage |= {"digital_signature": not is_root, "key_cert_sign": is_root, "crl_sign": is_root}
        root_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._root_key.public_key())
        made = (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(named("Root"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(START)
            .not_valid_after(END)
            .add_extension(x509.BasicConstraints(ca=is_root, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(**usage), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(root_id, critical=False)
        )
        if not is_root:
            uses = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
            made = made.add_extension(uses, critical=False)
        return made.sign(self._root_key, hashes.SHA256())

    def sign(
        self,
        source: Path,
        signed: Path,
        assertions: dict[str, Any],
        *,
        parent: Path | None = None,
        remote: str | None = None,
    ) -> Path:
        """Write `signed`: `source` with a manifest that holds these assertions by label."""
        kind = MIME[source.suffix[1:]]
        action: dict[str, Any] = {
            "action": "c2pa.created",
            "digitalSourceType": SOURCE_TYPE + "digitalCapture",
        }
        if parent is not None:
            action = {"action": "c2pa.opened", "parameters": {"ingredientIds": ["parent"]}}
        stated = {"c2pa.actions": {"actions": [action]}, **assertions}
        manifest = {
            "claim_generator_info": [{"name": "haetae-tests", "version": "1"}],
            "title": "한 장면\u202e",
            "assertions": [{"label": label, "data": data} for label, data in stated.items()],
        }
        info = c2pa.C2paSignerInfo(alg=b"es256", sign_cert=self._chain, private_key=self._secret, ta_url=None)
        with c2pa.Signer.from_info(info) as signer, c2pa.Builder(json.dumps(manifest)) as builder:
            if parent is not None:
                told = {"title": "parent", "relationship": "parentOf", "label": "parent"}
                with parent.open("rb") as file:
                    builder.add_ingredient(json.dumps(told), MIME[parent.suffix[1:]], file)
            if remote is not None:
                builder.set_no_embed()
                builder.set_remote_url(remote)
            with source.open("rb") as plain, signed.open("w+b") as out:
                builder.sign(signer, kind, plain, out)
        return signed


def training(**uses: str) -> dict[str, Any]:
    return {"entries": {f"cawg.{name}": {"use": use} for name, use in uses.items()}}


@pytest.fixture(scope="module")
def signing() -> Signing:
    return Signing()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One small unsigned file of each kind."""
    folder = tmp_path_factory.mktemp("plain")
    files = {ending: folder / f"plain.{ending}" for ending in MIME}
    make(files["mp4"], picture("64x64", 1), sound(1), "-pix_fmt", "yuv420p")
    make(files["png"], picture("64x64", 1), "-frames:v", "1")
    make(files["jpg"], picture("64x64", 1), "-frames:v", "1")
    make(files["wav"], sound(1))
    return files


def summary_of(path: Path) -> tuple[dict[str, Any], bool]:
    manifest = read_manifest(path)
    assert manifest is not None
    summary = json.loads(manifest.summary_json)
    canonical = json.dumps(summary, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert canonical == manifest.summary_json
    return summary, manifest.forbids_training


@pytest.mark.parametrize("ending", MIME)
def test_a_file_that_forbids_training_is_found_with_its_evidence(signing, plain, tmp_path, ending):
    assertion = training(ai_generative_training="notAllowed", data_mining="allowed")
    path = signing.sign(plain[ending], tmp_path / f"x.{ending}", {"cawg.training-mining": assertion})
    summary, forbids = summary_of(path)
    assert forbids
    assert summary == {
        "forbids_training": True,
        "state": "valid",
        "title": "한 장면",
        "generator": "haetae-tests 1",
        "signed_by": "Newsroom",
        "actions": [{"action": "c2pa.created", "source_type": "digitalCapture"}],
        "n_manifests": 1,
        "n_ingredients": 0,
        "training": [
            {"entry": "cawg.ai_generative_training", "use": "notAllowed", "manifest": "own"},
            {"entry": "cawg.data_mining", "use": "allowed", "manifest": "own"},
        ],
    }


@pytest.mark.parametrize("ending", MIME)
def test_a_file_without_a_manifest_says_nothing(plain, ending):
    assert read_manifest(plain[ending]) is None


@pytest.mark.parametrize(
    ("label", "entries", "forbids"),
    [
        ("cawg.training-mining", {"cawg.ai_training": {"use": "notAllowed"}}, True),
        ("c2pa.training-mining", {"c2pa.ai_training": {"use": "notAllowed"}}, True),
        ("c2pa.training-mining", {"c2pa.ai_generative_training": {"use": "notAllowed"}}, True),
        (
            "cawg.training-mining",
            {
                "cawg.ai_training": {
                    "use": "constrained",
                    "constraint_info": "ask https://a.example/?k=s3cret",
                }
            },
            True,
        ),
        ("cawg.training-mining", {"com.example.ai_training": {"use": "notAllowed"}}, True),
        ("cawg.training-mining", {"cawg.ai_training": {"use": "allowed"}}, False),
        (
            "cawg.training-mining",
            {"cawg.data_mining": {"use": "notAllowed"}, "cawg.ai_inference": {"use": "notAllowed"}},
            False,
        ),
        ("org.example.training-mining", {"cawg.ai_training": {"use": "notAllowed"}}, False),
    ],
)
def test_only_entries_about_training_forbid_it(signing, plain, tmp_path, label, entries, forbids):
    path = signing.sign(plain["png"], tmp_path / "x.png", {label: {"entries": entries}})
    summary, said = summary_of(path)
    assert said is forbids
    if not label.startswith("org"):
        assert {entry["entry"]: entry["use"] for entry in summary["training"]} == {
            name: entry["use"] for name, entry in entries.items()
        }
    assert "s3cret" not in json.dumps(summary)


@pytest.mark.parametrize(
    "data",
    [None, {}, [], {"entries": []}, {"entries": {}}, {"entries": {"cawg.ai_training": {}}}]
    + [
        {"entries": {"cawg.ai_training": use}}
        for use in (None, 7, {"use": None}, {"use": "Allowed"}, "perhaps")
    ],
)
def test_an_assertion_that_is_not_understood_forbids_training(data):
    assert any(_forbids(entry) for entry in _entries(data))


def test_what_a_file_was_made_from_may_forbid_training_too(signing, plain, tmp_path):
    parent = signing.sign(
        plain["png"], tmp_path / "p.png", {"cawg.training-mining": training(ai_training="notAllowed")}
    )
    edited = signing.sign(plain["png"], tmp_path / "x.png", {}, parent=parent)
    summary, forbids = summary_of(edited)
    assert forbids
    assert summary["n_manifests"] == 2
    assert summary["training"] == [
        {"entry": "cawg.ai_training", "use": "notAllowed", "manifest": "ingredient"}
    ]


def test_a_changed_file_is_invalid_and_still_believed_in_what_it_forbids(signing, plain, tmp_path):
    path = signing.sign(
        plain["mp4"], tmp_path / "x.mp4", {"cawg.training-mining": training(ai_training="notAllowed")}
    )
    content = bytearray(path.read_bytes())
    content[content.index(b"mdat") + 100] ^= 1
    path.write_bytes(content)
    summary, forbids = summary_of(path)
    assert (summary["state"], forbids) == ("invalid", True)
    assert summary["problems"] == ["assertion.bmffHash.mismatch"]


@pytest.mark.parametrize("ending", ["mp4", "png", "wav"])
def test_a_damaged_manifest_permits_nothing(signing, plain, tmp_path, ending):
    path = signing.sign(
        plain[ending], tmp_path / f"x.{ending}", {"cawg.training-mining": training(ai_training="allowed")}
    )
    assert summary_of(path)[1] is False
    content = bytearray(path.read_bytes())
    at = content.index(b"jumdc2pa")
    content[at + 40 : at + 200] = bytes(160)
    path.write_bytes(content)
    summary, forbids = summary_of(path)
    assert (summary["state"], forbids) == ("unreadable", True)
    assert summary["detail"]


def test_a_manifest_in_which_the_word_was_changed_permits_nothing(signing, plain, tmp_path):
    """The assertion is then one that nobody knows; only the hashes tell that it was another."""
    path = signing.sign(
        plain["wav"], tmp_path / "x.wav", {"cawg.training-mining": training(ai_training="notAllowed")}
    )
    path.write_bytes(path.read_bytes().replace(b"cawg.training-mining", b"cawg.training-timing"))
    summary, forbids = summary_of(path)
    assert forbids
    assert "training" not in summary


def test_mutated_manifests_are_read_or_refused_and_never_permit_what_was_forbidden(signing, plain, tmp_path):
    states = set()
    for ending in ("png", "wav"):
        path = signing.sign(
            plain[ending],
            tmp_path / f"x.{ending}",
            {"cawg.training-mining": training(ai_training="notAllowed")},
        )
        whole = path.read_bytes()
        at = whole.index(b"jumdc2pa")
        head, store, tail = whole[: at + 8], whole[at + 8 : at + 6000], whole[at + 6000 :]
        for n in range(60):
            mutation = MUTATIONS[n % 7]
            path.write_bytes(head + mutation(store, store, random.Random(n)) + tail)
            manifest = read_manifest(path)
            if manifest is not None:
                assert manifest.forbids_training, (ending, n)
                states.add(json.loads(manifest.summary_json)["state"])
    assert states >= {"unreadable", "invalid"}


@pytest.fixture
def canary() -> Iterator[tuple[str, list[str]]]:
    """A server that notes every request."""
    seen: list[str] = []

    class Noting(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            return None

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Noting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/m.c2pa?sig=s3cret", seen
        server.shutdown()


@pytest.mark.parametrize("ending", ["png", "mp4"])
def test_a_manifest_kept_elsewhere_is_not_fetched_and_permits_nothing(
    signing, plain, tmp_path, canary, ending
):
    address, seen = canary
    path = signing.sign(plain[ending], tmp_path / f"x.{ending}", {}, remote=address)
    summary, forbids = summary_of(path)
    assert (summary["state"], forbids, seen) == ("remote", True, [])
    assert "s3cret" not in json.dumps(summary)
    with pytest.raises(c2pa.C2paError), path.open("rb") as file:
        c2pa.Reader(MIME[ending], file)
    assert len(seen) == 1, "the library itself would have gone there"


def test_metadata_that_name_some_origin_but_no_manifest_are_none(plain, tmp_path):
    note = b'<x:xmpmeta dcterms:provenance="somewhere in a drawer"/>'
    path = tmp_path / "x.wav"
    path.write_bytes(plain["wav"].read_bytes() + note)
    assert read_manifest(path) is None


def test_a_file_of_another_kind_does_not_reach_the_native_reader(tmp_path, monkeypatch):
    def never(*_: object, **__: object) -> None:
        raise AssertionError("the reader was called")

    monkeypatch.setattr(c2pa, "Reader", never)
    for name, content in (("x.mkv", b"\x1aE\xdf\xa3"), ("x.pdf", b"%PDF"), ("x.mp4", b"PK\x03\x04")):
        (tmp_path / name).write_bytes(content + b"jumdc2pa" * 10)
        assert read_manifest(tmp_path / name) is None


def test_the_mark_of_a_manifest_is_found_across_the_pieces_of_a_large_file(
    signing, plain, tmp_path, monkeypatch
):
    path = signing.sign(
        plain["wav"], tmp_path / "x.wav", {"cawg.training-mining": training(ai_training="notAllowed")}
    )
    at = path.read_bytes().index(b"jumdc2pa")
    for piece in (at + 1, at + 4, at + 7):
        monkeypatch.setattr("haetae.media.manifest._PIECE_BYTES", piece)
        assert summary_of(path)[1]
