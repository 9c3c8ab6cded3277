"""Requests and results travel as files, and a stranger's result is read no further than it can be one."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from generators.protocol import Card, FakeRequest, FakeResult, Segment
from generators.runtimes.exchange import (
    BadExchange,
    Exchange,
    Exchanged,
    read_no,
    read_request,
    read_result,
    write_no,
    write_result,
)
from haetae.errors import Rejected

Ask = Callable[..., FakeRequest]
Put = Callable[..., Exchange]


def test_a_request_comes_out_of_its_files_as_it_went_in(
    ask: Ask, exchange_of: Put, example: type[Any]
) -> None:
    donor = replace(ask(5, "clip-d").target, audio=None, words=())
    request = replace(ask(), donor=donor, sentence='말 \u2028 "q"', params={"side": 0.3})
    exchange = exchange_of(example.card, request, twice=True)
    (name,) = exchange.asked()
    found, twice = read_request(exchange, name)
    assert twice
    assert (found.seed, found.language, found.sentence, found.params) == (
        12,
        "ko",
        request.sentence,
        {"side": 0.3},
    )
    assert found.donor is not None
    for one, other in ((found.target, request.target), (found.donor, donor)):
        assert (one.clip_id, one.language, one.speech, one.words) == (
            other.clip_id,
            other.language,
            other.speech,
            other.words,
        )
        for a, b in ((one.frames, other.frames), (one.audio, other.audio)):
            assert (a is None) == (b is None)
            assert a is None or (a.dtype == b.dtype and a.tobytes() == b.tobytes())  # type: ignore[union-attr]
        assert one.faces[0].mesh.tobytes() == other.faces[0].mesh.tobytes()
        assert (one.faces[0].found == other.faces[0].found).all()


def _results(ask: Ask, exchange_of: Put, card: Card) -> tuple[Exchange, FakeRequest, str]:
    request = ask()
    exchange = exchange_of(card, request)
    (name,) = exchange.asked()
    assert request.target.frames is not None
    frames = 255 - request.target.frames
    result = FakeResult((Segment("video", 0.0, 1.2),), frames, np.ones(frames.shape[:3], np.bool_))
    write_result(exchange, name, result)
    return exchange, request, name


def _npz(**arrays: np.ndarray[Any, Any]) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)  # type: ignore[arg-type]
    return out.getvalue()


def test_a_result_whose_statements_cannot_be_is_refused(
    ask: Ask, exchange_of: Put, example: type[Any]
) -> None:
    exchange, request, name = _results(ask, exchange_of, example.card)
    body = exchange.results / f"{name}.json"
    good = json.loads(body.read_text())
    cases: list[tuple[bytes, str]] = [
        (b" " * (5 << 20), "at most 4194304 are expected"),
        (b"[]", "list indices"),
        (b"{}", "arrays"),
        (b"[" * 100_000, "recursion"),
        *(
            (json.dumps({**good, **wrong}).encode(), why)
            for wrong, why in (
                ({"metrics": {"a": float("nan")}}, "nan is no number"),
                ({"metrics": {"a": True}}, "True is no number"),
                ({"metrics": [1]}, "items"),
                ({"text": {"a": 1}}, "is no text"),
                ({"segments": [["video", "0", 1]]}, "'0' is no number"),
                ({"segments": [["video", 1]]}, "not enough values"),
                ({"words": [["a", 0, 1]]}, "not enough values"),
                ({"arrays": ["../requests/x"]}, "is not asked for"),
                ({"arrays": ["mesh"]}, "is not asked for"),
            )
        ),
    ]
    for content, why in cases:
        body.write_bytes(content)
        with pytest.raises(BadExchange, match=why):
            read_result(exchange, name, request.target)


def test_a_result_that_is_no_ordinary_file_is_neither_followed_nor_waited_for(
    tmp_path: Path, ask: Ask, exchange_of: Put, example: type[Any]
) -> None:
    exchange, request, name = _results(ask, exchange_of, example.card)
    for end in ("json", "npz"):
        path, elsewhere = exchange.results / f"{name}.{end}", tmp_path / f"secret.{end}"
        path.rename(elsewhere)
        path.symlink_to(elsewhere)
        with pytest.raises(BadExchange, match="symbolic links"):
            read_result(exchange, name, request.target)
        path.unlink()
        os.mkfifo(path)
        with pytest.raises(BadExchange, match="no ordinary file"):
            read_result(exchange, name, request.target)
        path.unlink()
        path.mkdir()
        with pytest.raises(BadExchange, match="directory"):
            read_result(exchange, name, request.target)
        path.rmdir()
        elsewhere.rename(path)
    read_result(exchange, name, request.target)


def test_a_result_whose_arrays_cannot_be_is_refused_without_being_unpacked(
    tmp_path: Path, ask: Ask, exchange_of: Put, example: type[Any]
) -> None:
    exchange, request, name = _results(ask, exchange_of, example.card)
    arrays = exchange.results / f"{name}.npz"
    whole = arrays.read_bytes()
    shape = request.target.frames.shape  # type: ignore[union-attr]
    frames, masks = np.zeros(shape, np.uint8), np.zeros(shape[:3], np.bool_)
    np.savez_compressed(tmp_path / "packed.npz", frames=frames, masks=masks)
    cases: list[tuple[bytes, str]] = [
        (b"", "not a zip file"),
        (whole[: len(whole) // 2], "not a zip file"),
        ((tmp_path / "packed.npz").read_bytes(), "is packed"),
        (_pickled_npz(shape), "is not what the file holds"),
        (_npz(frames=frames[:, ::2], masks=masks), r"frames uint8 \(30, 24, 64, 3\), target"),
        (_npz(frames=frames.view(np.int8), masks=masks), "frames int8"),
        (_npz(frames=frames), "masks"),
        (whole + b"\0" * (20 << 20), "are expected"),
        (_stating_more(shape), "is not what the file holds"),
    ]
    for content, why in cases:
        arrays.write_bytes(content)
        with pytest.raises(BadExchange, match=why):
            read_result(exchange, name, request.target)
    arrays.write_bytes(whole)
    found = read_result(exchange, name, request.target)
    assert found.frames is not None
    assert (found.frames == 255 - request.target.frames).all()  # type: ignore[operator]


def test_sound_comes_back_as_it_was_and_no_longer_than_a_frame_more(
    ask: Ask, exchange_of: Put, example: type[Any]
) -> None:
    exchange, request, name = _results(ask, exchange_of, example.card)
    audio = request.target.audio
    assert audio is not None
    for made, why in (
        (np.concatenate([audio, np.zeros(640, np.float32)]), None),
        (np.concatenate([audio, np.zeros(641, np.float32)]), "audio float32"),
        (audio.astype(np.float64), "audio float64"),
        (np.full_like(audio, np.nan), "no numbers"),
        (audio.reshape(2, -1), "audio float32"),
    ):
        write_result(exchange, name, FakeResult((Segment("audio", 0.0, 1.0),), audio=made))
        if why is None:
            found = read_result(exchange, name, request.target).audio
            assert found is not None
            assert found.tobytes() == made.tobytes()
        else:
            with pytest.raises(BadExchange, match=why):
                read_result(exchange, name, request.target)


def _pickled_npz(shape: tuple[int, ...]) -> bytes:
    out = io.BytesIO()
    np.savez(out, frames=np.array([{"a": 1}], object), masks=np.zeros(shape[:3], np.bool_), allow_pickle=True)
    return out.getvalue()


def _stating_more(shape: tuple[int, ...]) -> bytes:
    """Headers of the right shape with far fewer bytes behind them."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, kind, its in (("frames", "|u1", shape), ("masks", "|b1", shape[:3])):
            member = io.BytesIO()
            np.lib.format.write_array_header_1_0(
                member, {"descr": kind, "fortran_order": False, "shape": its}
            )
            archive.writestr(f"{name}.npy", member.getvalue() + b"\0" * 10)
    return out.getvalue()


def test_masks_of_odd_bytes_behave_as_masks(ask: Ask, exchange_of: Put, example: type[Any]) -> None:
    exchange, request, name = _results(ask, exchange_of, example.card)
    shape = request.target.frames.shape  # type: ignore[union-attr]
    odd = np.full(shape[:3], 7, np.uint8).view(np.bool_)
    path = exchange.results / f"{name}.npz"
    path.write_bytes(_npz(frames=np.zeros(shape, np.uint8), masks=odd))
    masks = read_result(exchange, name, request.target).masks
    assert masks is not None
    assert set(np.unique(masks.view(np.uint8))) == {1}


def test_a_verdict_of_the_parent_stands_above_what_a_worker_left(
    ask: Ask, exchange_of: Put, example: type[Any]
) -> None:
    exchange, request, name = _results(ask, exchange_of, example.card)
    assert read_no(exchange, name) is None
    write_no(exchange.verdicts, name, "failed", "timeout", "d")
    with pytest.raises(Rejected, match="timeout: d"):
        Exchanged(exchange).generate(request)
