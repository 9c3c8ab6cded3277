"""`wav2lip`: a network re-draws the lower face so that it speaks with another voice, or anew with its own.

The network is `wav2lip_net`, what it hears `wav2lip_mel`, what it is driven by `driving`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from generators.crops import Cut, put_back
from generators.followed import Followed, follow, smoothed_in_time
from generators.lip_sync.driving import driving_voice
from generators.lip_sync.timing import EASE_FRAMES, eased
from generators.lip_sync.wav2lip_mel import mel_spectrogram, windows
from generators.pins import Part, Pin, pins, require_pinned
from generators.protocol import Card, FakeRequest, FakeResult, settings
from generators.repeatable import repeatable
from generators.segments import changed_frames, video_segments
from haetae.errors import Rejected, UsageError

if TYPE_CHECKING:
    from generators.lip_sync.wav2lip_net import Wav2Lip as Network

PINS = "wav2lip"
PUBLISHED = "wav2lip_gan.pth"
MAX_BYTES = 2 << 30
SIZE_PX = 96
CHIN_SHARE = 0.05
"""How much of the face's height is added below the chin, as the authors advise."""
BATCH = 16
_FEATHER = 0.08
_SMOOTH_FRAMES = 1.5


def _pin() -> Pin:
    return pins(PINS, "network")["network"]


def card_of() -> Card:
    """The card, with the weights that are pinned now. Raises: UsageError for a file of pins that cannot be read."""
    pin = _pin()
    return Card(
        name="wav2lip",
        version="1",
        family="lip_sync",
        modalities=("video",),
        needs=("face", "donor_voice"),
        profile="full",
        licence=pin.licence,
        weights=pin.weights,
        params={"voice": "donor"},
        description=(
            "Re-draws the lower half of the face, 96 px, with the Wav2Lip network, so that the mouth follows the"
            " voice of another clip (voice=donor) or the clip's own (voice=own); the sound stays."
        ),
        intended_use="Training and testing detectors of neural lip sync; not for commercial purposes.",
        paper="Prajwal et al., A Lip Sync Expert Is All You Need for Speech to Lip Generation In The Wild, ACM MM 2020",
    )


class Wav2Lip:
    """Neural lip sync with a published checkpoint."""

    card = card_of()

    def __init__(self) -> None:
        self._network: Network | None = None
        self._device = "cpu"

    @classmethod
    def weight_parts(cls) -> tuple[Part, ...]:
        """What loading wants. Raises: UsageError for a file of pins that cannot be read, or lacks the part."""
        pin = _pin()
        return (Part(PINS, "network", pin, tuple(sorted(pin.files)) or (PUBLISHED,)),)

    def load(self, device: str) -> None:
        """Read the checkpoint.

        Raises: UsageError for a file that is not pinned, missing, altered or of another network.
        """
        from generators.lip_sync.wav2lip_net import network_of
        from generators.weights import located, read_tensors

        require_pinned(self.card, self.weight_parts())
        names = [one.filename for one in self.card.weights if one.filename.endswith((".pth", ".safetensors"))]
        if len(names) != 1 or len(self.card.weights) != 1:
            raise UsageError(
                f"{self.card.key}: {len(self.card.weights)} files are pinned; pin one checkpoint, .pth or .safetensors"
            )
        path = located(self.card) / names[0]
        try:
            network = network_of(read_tensors(path, MAX_BYTES))
        except UsageError as error:
            raise UsageError(f"{self.card.key}: {path}: {error}") from error
        self._network, self._device = network.to(device), device

    def generate(self, request: FakeRequest) -> FakeResult:
        """Let the first face speak with the driving voice, where the target speaks.

        Raises: Rejected no_face, face_lost, face_too_small, and those of `driving_voice`; RuntimeError before `load`.
        """
        if self._network is None:
            raise RuntimeError(f"{self.card.key} is not loaded")
        s = settings(self.card, request)
        face = follow(request.target)
        voice = driving_voice(request, str(s["voice"]))
        weight = np.where(face.usable, eased(voice.active, EASE_FRAMES), 0.0)
        moments = np.flatnonzero(weight > 0)
        if not moments.size:
            raise Rejected("face_lost", "the face is not followed while the voice lasts")
        heard = windows(mel_spectrogram(voice.audio), moments)
        boxes = _boxes(face)
        frames, masks = face.frames.copy(), np.zeros(face.frames.shape[:3], np.bool_)
        for start in range(0, len(moments), BATCH):
            part = moments[start : start + BATCH]
            cuts = [_cut(face, int(t), boxes[t]) for t in part]
            made = self._speaking(heard[start : start + BATCH], np.stack([one.crop for one in cuts]))
            for t, at, picture in zip(part, cuts, made, strict=True):
                put_back(frames[t], masks[t], at, picture, lower_face(at.mesh) * np.float32(weight[t]))
        changed = changed_frames(face.frames, frames)
        if not changed.any():
            raise Rejected("face_lost", "the face is outside the picture while the voice lasts")
        masks[~changed] = False
        return FakeResult(
            segments=video_segments(changed), frames=frames, masks=masks, track_id=face.track_id,
            metrics={"driven_frames": float(len(moments))},
        )  # fmt: skip

    def _speaking(self, heard: NDArray[np.float32], crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """What the network makes of crops uint8 [N, 96, 96, 3] RGB, likewise."""
        import torch

        assert self._network is not None
        whole = crops[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32) / 255  # it was trained on BGR
        hidden = whole.copy()
        hidden[:, :, SIZE_PX // 2 :] = 0
        with repeatable(), torch.inference_mode():
            faces = torch.from_numpy(np.concatenate([hidden, whole], axis=1))
            sound = torch.from_numpy(heard)
            made = self._network(sound.to(self._device), faces.to(self._device)).float().cpu().numpy()
        if not np.isfinite(made).all():
            raise Rejected("picture_unusable", "the network gave pictures that are no numbers")
        rgb = np.clip(made * 255, 0, 255).transpose(0, 2, 3, 1)[..., ::-1]
        return np.ascontiguousarray(rgb.astype(np.uint8))


def _boxes(face: Followed) -> NDArray[np.float64]:
    """Boxes as the network was trained on, forehead to just below the chin: float64 [T, 4] xyxy px, NaN where lost."""
    low, high = face.mesh[:, :468, :2].min(axis=1), face.mesh[:, :468, :2].max(axis=1)
    boxes = np.concatenate([low, high], axis=1).astype(np.float64)
    boxes[:, 3] += CHIN_SHARE * (boxes[:, 3] - boxes[:, 1])
    return smoothed_in_time(boxes, _SMOOTH_FRAMES)


def _cut(face: Followed, t: int, box: NDArray[np.float64]) -> Cut:
    """The box of frame t as a square crop, whatever its shape, and the map from frame to crop pixels."""
    height, width = face.size
    x1, y1 = (int(np.clip(round(v), 0, most - 2)) for v, most in zip(box[:2], (width, height), strict=True))
    x2 = int(np.clip(round(box[2]), x1 + 2, width))
    y2 = int(np.clip(round(box[3]), y1 + 2, height))
    crop = cv2.resize(face.frames[t][y1:y2, x1:x2], (SIZE_PX, SIZE_PX))
    across, down = SIZE_PX / (x2 - x1), SIZE_PX / (y2 - y1)
    matrix = np.array(
        [[across, 0, (0.5 - x1) * across - 0.5], [0, down, (0.5 - y1) * down - 0.5]], np.float64
    )
    mesh = face.mesh[t, :, :2].astype(np.float64) @ matrix[:, :2].T + matrix[:, 2]
    return Cut(np.asarray(crop, np.uint8), mesh.astype(np.float32), matrix)


def lower_face(mesh: NDArray[np.float32], size_px: int = SIZE_PX, below: float = 0.5) -> NDArray[np.float32]:
    """Soft mask of the lower face in a crop, nothing above `below` of its height: float32 [S, S].

    mesh: float32 [478, 2+], pixels of the crop.
    """
    from haetae.faces.regions import lower_face_mask

    soft = lower_face_mask(mesh, (size_px, size_px), feather_px=_FEATHER * size_px)
    rows = (np.arange(size_px) - below * size_px) / (_FEATHER * size_px)
    soft *= np.clip(rows, 0, 1).astype(np.float32)[:, None]
    edge = np.minimum(np.arange(size_px) + 1, size_px - np.arange(size_px)) / (0.04 * size_px)
    soft *= np.clip(edge, 0, 1).astype(np.float32)[None]
    return np.asarray(soft, np.float32)
