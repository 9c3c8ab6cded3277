"""`latentsync`: a latent diffusion model re-draws the lower face so that it speaks with another voice.

What it draws with is `diffusion`, what it hears `hearing`, how it sees faces `faces`; this is the way from files to
a fake.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from generators.crops import put_back
from generators.followed import Followed, follow
from generators.lip_sync.driving import Driving, driving_voice
from generators.lip_sync.latentsync.faces import cut, drawn_mask, read_mask, soft_region
from generators.lip_sync.latentsync.layout import PUBLISHED, read_layout
from generators.lip_sync.timing import EASE_FRAMES, eased
from generators.pins import Part, Pin, pins, pins_file, require_pinned
from generators.protocol import Card, FakeRequest, FakeResult, settings
from generators.repeatable import repeatable
from generators.segments import changed_frames, runs, video_segments
from haetae.errors import Rejected, UsageError
from haetae.provenance.ids import seed_of
from haetae.provenance.policy import meet

if TYPE_CHECKING:
    from generators.lip_sync.latentsync.diffusion import Drawing
    from generators.lip_sync.latentsync.hearing import Hearing

PINS = "latentsync"
PARTS = {
    "unet": "latentsync_unet.pt",
    "whisper": "whisper/tiny.pt",
    "vae": "diffusion_pytorch_model.safetensors",
}
"""Parts, and the tensors of the published checkpoint, named where none are pinned."""
TENSORS = (".pt", ".pth", ".safetensors")
MAX_STEPS = 200
MAX_GUIDANCE = 10.0


def _parts() -> dict[str, Pin]:
    return pins(PINS, *PARTS)


def _wanted(part: str, pin: Pin) -> tuple[str, ...]:
    """The tensors of a part as they are pinned or else published; of the autoencoder its settings beside them too."""
    if part not in PARTS:
        return ()
    tensors = tuple(name for name in sorted(pin.files) if name.endswith(TENSORS)) or (PARTS[part],)
    return (str(PurePosixPath(tensors[0]).with_name("config.json")), *tensors) if part == "vae" else tensors


def card_of() -> Card:
    """The card, with the weights that are pinned now. Raises: UsageError for a file of pins that cannot be read."""
    parts = _parts()
    return Card(
        name="latentsync",
        version="1",
        family="lip_sync",
        modalities=("video",),
        needs=("face", "donor_voice"),
        profile="full",
        hardware="gpu",
        licence=meet([part.licence for part in parts.values()]),
        weights=tuple(one for name in sorted(parts) for one in parts[name].weights),
        params={"voice": "donor", "steps": 20, "guidance": 1.5},
        description=(
            "Re-draws the lower face with LatentSync, a latent diffusion model that attends to Whisper's states, so"
            " that the mouth follows the voice of another clip (voice=donor) or the clip's own (voice=own); the sound"
            " stays."
        ),
        intended_use="Training and testing detectors of lip sync by diffusion models.",
        paper="Li et al., LatentSync: Taming Audio-Conditioned Latent Diffusion Models for Lip Sync, 2024",
    )


class LatentSync:
    """Lip sync by latent diffusion with a published checkpoint."""

    card = card_of()

    def __init__(self) -> None:
        self._drawing: Drawing | None = None
        self._hearing: Hearing | None = None

    @classmethod
    def weight_parts(cls) -> tuple[Part, ...]:
        """What loading wants. Raises: UsageError for a file of pins that cannot be read, or lacks a part."""
        return tuple(Part(PINS, name, pin, _wanted(name, pin)) for name, pin in _parts().items())

    def load(self, device: str) -> None:
        """Read the checkpoints; half precision on a GPU.

        Raises: UsageError for files that are not pinned, missing, altered, or do not fit each other.
        """
        from generators.weights import located

        require_pinned(self.card, self.weight_parts())
        folder = located(self.card)
        try:
            self._drawing, self._hearing = _loaded(folder, _parts(), device)
        except UsageError as error:
            raise UsageError(f"{self.card.key}: {error}") from error

    def generate(self, request: FakeRequest) -> FakeResult:
        """Let the first face speak with the driving voice, where the target speaks.

        Raises: Rejected no_face, face_lost, face_too_small, and those of `driving_voice` and `Drawing.draw`;
        UsageError for steps or guidance out of range; RuntimeError before `load`.
        """
        import torch

        if self._drawing is None or self._hearing is None:
            raise RuntimeError(f"{self.card.key} is not loaded")
        s = settings(self.card, request)
        steps, guidance = int(s["steps"]), float(s["guidance"])
        if not (1 <= steps <= MAX_STEPS and 1.0 <= guidance <= MAX_GUIDANCE):
            raise UsageError(
                f"{self.card.key}: steps {steps} must be 1 to {MAX_STEPS}, guidance {guidance} 1 to {MAX_GUIDANCE}"
            )
        face = follow(request.target)
        voice = driving_voice(request, str(s["voice"]))
        weight = np.where(face.usable, eased(voice.active, EASE_FRAMES), 0.0)
        if not (weight > 0).any():
            raise Rejected("face_lost", "the face is not followed while the voice lasts")
        frames, masks = face.frames.copy(), np.zeros(face.frames.shape[:3], np.bool_)
        with repeatable(), torch.inference_mode():
            for start, end in runs(weight > 0):
                seed = seed_of("latentsync", request.seed, start)
                self._draw(face, voice, np.arange(start, end), weight, seed, (steps, guidance), frames, masks)
        changed = changed_frames(face.frames, frames)
        if not changed.any():
            raise Rejected("face_lost", "the face is outside the picture while the voice lasts")
        masks[~changed] = False
        return FakeResult(
            segments=video_segments(changed), frames=frames, masks=masks, track_id=face.track_id,
            metrics={"driven_frames": float(np.count_nonzero(weight > 0))},
        )  # fmt: skip

    def _draw(
        self, face: Followed, voice: Driving, moments: NDArray[np.int64], weight: NDArray[np.float64], seed: int,
        how: tuple[int, float], frames: NDArray[np.uint8], masks: NDArray[np.bool_],
    ) -> None:  # fmt: skip
        """Draw one run of frames in place."""
        assert self._drawing is not None
        assert self._hearing is not None
        cuts = [cut(face, int(t), self._drawing.mask.shape[0]) for t in moments]
        heard = self._hearing.listen(voice.audio, moments)
        made = self._drawing.draw(np.stack([one.crop for one in cuts]), heard, seed, *how)
        soft = soft_region(self._drawing.mask)
        for t, at, picture in zip(moments, cuts, made, strict=True):
            put_back(frames[t], masks[t], at, picture, soft * np.float32(weight[t]))


def _loaded(folder: Path, parts: Mapping[str, Pin], device: str) -> tuple[Drawing, Hearing]:
    """The networks of a folder that holds all parts. Raises: UsageError."""
    import torch

    from generators.lip_sync.latentsync.diffusion import Drawing
    from generators.lip_sync.latentsync.hearing import Hearing
    from generators.lip_sync.latentsync.unet import unet_of
    from generators.weights import read_tensors

    tensors = {name: folder / _one(parts[name], name, TENSORS) for name in PARTS}
    told = [name for name in parts["unet"].files if name.endswith((".yaml", ".yml"))]
    layout = read_layout(folder / told[0]) if told else PUBLISHED
    hearing = Hearing(read_tensors(tensors["whisper"]), device)
    if hearing.features != layout.cross_attention_dim:
        raise UsageError(
            f"the network listens to {layout.cross_attention_dim} features, {tensors['whisper'].name} gives"
            f" {hearing.features}: pin the Whisper encoder that belongs to it"
        )
    number = torch.float16 if torch.device(device).type == "cuda" else torch.float32
    unet = unet_of(read_tensors(tensors["unet"]), layout).to(device, number)
    mask = drawn_mask(layout.resolution)
    if "mask" in parts and parts["mask"].files:
        mask = read_mask(folder / _one(parts["mask"], "mask", (".png", ".jpg")), layout.resolution)
    vae = _autoencoder(tensors["vae"].parent).to(device, number)
    return Drawing(unet, vae, mask, device, str(number).removeprefix("torch.")), hearing


def _one(pin: Pin, part: str, endings: tuple[str, ...]) -> str:
    """The one file of a part that ends so."""
    names = [name for name in pin.files if name.endswith(endings)]
    if len(names) != 1:
        raise UsageError(
            f"part {part} of {pins_file(PINS)} pins {len(names)} files {', '.join(endings)}, not one"
        )
    return names[0]


def _autoencoder(folder: Path) -> Any:
    """The autoencoder of a folder with config.json and diffusion_pytorch_model.safetensors."""
    import diffusers

    network: Any = diffusers.AutoencoderKL
    try:
        vae = network.from_pretrained(
            str(folder), local_files_only=True, use_safetensors=True, low_cpu_mem_usage=False
        )
    except Exception as error:  # of diffusers, which raises what its readers raise
        first = " ".join(str(error).split())[:300]
        raise UsageError(f"{folder} holds no autoencoder that can be read: {first}") from error
    if vae.config.latent_channels != 4 or len(vae.config.block_out_channels) != 4:
        raise UsageError(f"{folder}: its autoencoder does not give 4 channels at an eighth of the size")
    vae.requires_grad_(False)
    return vae.eval()
