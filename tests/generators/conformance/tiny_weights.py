"""The project's generators that load published weights, with cards of the tiny ones that HAETAE_PINS names.

A card is read when its module is imported, so this one is imported where the variable is set: in the fixture
that sets it, and by the processes in which generators are tried. `tiny_checkpoints` writes the files.
"""

from __future__ import annotations

from generators.diffusion import sd_img2img, sd_inpaint
from generators.face_swap.faceid import generator as faceid
from generators.lip_sync import wav2lip
from generators.lip_sync.latentsync import generator as latentsync
from generators.pins import pins
from generators.protocol import Card
from generators.speech import mms_tts, neural_vocoder, voice_clone
from generators.text.llm_rewrite import LlmRewrite


def _card(card: Card, **params: int) -> Card:
    """The card with other settings: a tiny network takes as many steps, of pictures as large, as a whole one."""
    assert params.keys() <= card.params.keys()
    return card.model_copy(update={"params": {**card.params, **params}})


class TinyFaceIdSwap(faceid.FaceIdSwap):
    card = _card(faceid.card_of(), steps=2)


class TinyWav2Lip(wav2lip.Wav2Lip):
    card = wav2lip.card_of()


class TinyLatentSync(latentsync.LatentSync):
    card = _card(latentsync.card_of(), steps=2)


class TinySdImg2Img(sd_img2img.SdImg2Img):
    card = _card(sd_img2img.card_of(), steps=5, work_px=64, max_frames=4)


class TinySdInpaint(sd_inpaint.SdInpaint):
    card = _card(sd_inpaint.card_of(), steps=2, work_px=64, max_frames=4)


class TinyVoiceCloneEn(voice_clone.VoiceCloneEn):
    card = voice_clone.card_of("en-SG")


class TinyNeuralVocoder(neural_vocoder.NeuralVocoder):
    card = neural_vocoder._card()


class TinyMmsTtsKo(mms_tts.MmsTtsKo):
    card = mms_tts.card_of("ko")


class TinyMmsTtsEn(mms_tts.MmsTtsEn):
    card = mms_tts.card_of("en-SG")


class TinyMmsTtsMs(mms_tts.MmsTtsMs):
    card = mms_tts.card_of("ms")


class TinyMmsTtsTa(mms_tts.MmsTtsTa):
    card = mms_tts.card_of("ta")


class TinyLlmRewrite(LlmRewrite):
    """Its own card names one checkpoint for good; here that of the pins stands in."""

    card = LlmRewrite.card.model_copy(update={"weights": pins("llm_rewrite")["checkpoint"].weights})
