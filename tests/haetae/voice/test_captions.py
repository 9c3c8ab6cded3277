"""Captions come from strangers: good ones are read in any encoding, bad ones are refused and never crash."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haetae.errors import Rejected
from haetae.voice import captions
from haetae.voice.captions import Caption, parse

SRT = """1
00:00:01,000 --> 00:00:02,500
안녕하세요 여러분

2
00:00:03,000 --> 00:00:04,000
<i>오늘은</i> {\\an8}[음악] 비가
옵니다
"""
READ = [Caption(1.0, 2.5, "안녕하세요 여러분"), Caption(3.0, 4.0, "오늘은 비가 옵니다")]


def written(tmp_path: Path, content: str | bytes, name: str = "a.srt") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp949"])
def test_srt_is_read_in_every_encoding(tmp_path: Path, encoding: str) -> None:
    assert parse(written(tmp_path, SRT.encode(encoding))) == READ
    assert parse(written(tmp_path, SRT.replace("\n", "\r\n").encode(encoding))) == READ


def test_vtt_is_read_without_its_header_notes_settings_and_tags(tmp_path: Path) -> None:
    vtt = (
        "WEBVTT - title\nKind: captions\n\nNOTE nothing\nat all\n\nSTYLE\n::cue { color: red }\n\n"
        "first\n00:01.000 --> 00:02.250 align:start position:0%\n"
        "<v Someone><c.yellow>Selamat</c> <00:01.500>pagi &amp; salam\n\n"
        "01:00:00.000 --> 01:00:01.000\nlater\n"
    )
    read = parse(written(tmp_path, vtt, "a.vtt"))
    assert read == [Caption(1.0, 2.25, "Selamat pagi & salam"), Caption(3600.0, 3601.0, "later")]
    assert parse(written(tmp_path, "WEBVTT\n", "a.vtt")) == []


def test_a_missing_blank_line_does_not_put_the_counter_into_the_text(tmp_path: Path) -> None:
    tight = SRT.replace("\n\n2\n", "\n2\n")
    assert parse(written(tmp_path, tight)) == READ


def test_a_transcript_is_one_caption_over_everything(tmp_path: Path) -> None:
    read = parse(written(tmp_path, "\ufeffவணக்கம்\nநண்பர்களே\n", "a.txt"))
    assert read == [Caption(0.0, math.inf, "வணக்கம் நண்பர்களே")]


def test_hidden_characters_and_impossible_times_are_dropped(tmp_path: Path) -> None:
    srt = (
        "1\n00:00:05,000 --> 00:00:04,000\nbackwards\n\n2\n999:00:00,000 --> 999:00:01,000\nfar\n\n"
        "3\n00:00:01,000 --> 00:00:02,000\n"
        "\u202eevil\u202c\x07 text\u200b <b>&lt;script&gt;x&lt;/script&gt;\n\n"
        "4\n00:00:00,500 --> 00:00:00,900\n[applause] ♪\n"
    )
    assert parse(written(tmp_path, srt)) == [Caption(1.0, 2.0, "evil text x")]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"", "a.srt"),
        (b"<html><body>not found</body></html>", "a.srt"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a.srt"),
        (b"\xff\xfe\x00\xd8\x00\xd8", "a.srt"),
        (b"1\n00:00:01,000 -> 00:00:02,000\nx\n", "a.srt"),
        (b"hello", "a.exe"),
        (b"...", "a.txt"),
        (b"x" * (captions.MAX_BYTES + 1), "a.txt"),
    ],
)
def test_garbage_is_refused(tmp_path: Path, content: bytes, name: str) -> None:
    with pytest.raises(Rejected) as refusal:
        parse(written(tmp_path, content, name))
    assert refusal.value.reason == "bad_captions"


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.srt", tmp_path):
        with pytest.raises(Rejected, match="bad_captions"):
            parse(path)


def test_too_many_captions_are_refused_and_long_ones_cut(tmp_path: Path) -> None:
    cue = "00:00:01,000 --> 00:00:02,000\nx\n\n"
    with pytest.raises(Rejected, match="more than 20000 captions"):
        parse(written(tmp_path, cue * 20_001))
    endless = parse(written(tmp_path, "00:00:01,000 --> 00:00:02,000\n" + "word " * 100_000))
    assert len(endless) == 1
    assert len(endless[0].text) <= captions.MAX_TEXT


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.binary(max_size=300), st.text(alphabet="0123:,.->\n <>{}[]&;a한", max_size=300)))
def test_no_content_makes_anything_but_captions_or_a_refusal(tmp_path_factory, content) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path_factory.getbasetemp()
    for name in ("x.srt", "x.vtt", "x.txt"):
        read: list[Caption] = []
        with suppress(Rejected):
            read = parse(written(folder, content, name))
        for caption in read:
            assert 0 <= caption.start_s < caption.end_s
            assert caption.text.strip() == caption.text != ""
            assert caption.text.isprintable()
