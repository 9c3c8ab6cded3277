"""Log-mel features are what they say, and the envelope follows the voice at the right moment."""

from __future__ import annotations

import numpy as np
import pytest

from haetae.voice.envelope import speech_envelope
from haetae.voice.espeak import speak
from haetae.voice.features import HOP, N_MELS, log_mel, mfcc


def test_log_mel_has_a_row_every_ten_milliseconds() -> None:
    for n in (0, 1, 159, 160, 16000, 16001):
        assert log_mel(np.zeros(n, np.float32)).shape == (n // HOP + 1, N_MELS)
    assert log_mel(np.zeros(16000, np.float32)).dtype == np.float32
    assert np.allclose(log_mel(np.zeros(16000, np.float32)), np.log(1e-10))


def test_log_mel_agrees_with_librosa() -> None:
    import librosa

    audio = speak("The weather is fine today.", "en").audio
    power = librosa.feature.melspectrogram(
        y=np.pad(audio, 256).astype(np.float64),
        sr=16000,
        n_fft=512,
        win_length=400,
        hop_length=160,
        n_mels=64,
        fmin=20,
        fmax=7600,
        htk=True,
        norm=None,
        center=False,
        power=2.0,
    )
    theirs = np.log(np.maximum(power, 1e-10)).T
    ours = log_mel(audio)[: len(theirs)]
    assert np.abs(ours - theirs).max() < 1e-3


def test_a_tone_lights_the_band_it_lies_in() -> None:
    bands = [
        int(np.argmax(log_mel(np.sin(np.arange(16000) * 2 * np.pi * hz / 16000).astype(np.float32))[50]))
        for hz in (200, 500, 1000, 2000, 4000, 7000)
    ]
    assert bands == sorted(set(bands))
    mel = 2595 * np.log10(1 + 1000 / 700)
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (20.0, 7600.0))
    assert bands[2] == pytest.approx((mel - low) / (high - low) * 65 - 1, abs=1)


def test_ten_decibels_move_every_band_and_the_first_cepstrum_by_the_same() -> None:
    audio = speak("Apa khabar semua?", "ms").audio
    louder, quieter = log_mel(audio), log_mel(audio * np.float32(10**-0.5))
    heard = quieter > np.log(1e-8)
    assert np.allclose((louder - quieter)[heard], np.log(10.0), atol=1e-2)
    assert mfcc(audio).shape == (len(audio) // HOP + 1, 20)


def test_the_envelope_rises_where_a_word_begins_and_falls_where_it_ends() -> None:
    for at_s in (0.4, 1.0, 1.52):
        audio = np.zeros(48000, np.float32)
        first = round(at_s * 16000)
        audio[first : first + 6400] = np.sin(np.arange(6400) * 2 * np.pi * 500 / 16000)
        envelope = speech_envelope(audio, 25)
        assert envelope.shape == (75,)
        loud = np.flatnonzero(envelope > 0.5 * envelope.max())
        assert loud[0] / 25 == pytest.approx(at_s, abs=0.03)
        assert loud[-1] / 25 == pytest.approx(at_s + 0.4, abs=0.03)


def test_the_envelope_is_deaf_to_rumble_and_hiss() -> None:
    t = np.arange(32000) / 16000
    levels = [
        speech_envelope(np.sin(2 * np.pi * hz * t).astype(np.float32))[10:40].mean()
        for hz in (30, 1000, 7500)
    ]
    assert levels[0] < 0.25 * levels[1]
    assert levels[2] < 0.5 * levels[1]


def test_the_envelope_has_one_value_per_frame() -> None:
    for n in (0, 1, 320, 639, 640, 16000, 80123):
        assert len(speech_envelope(np.zeros(n, np.float32), 25)) == round(n / 640)
