"""The Wav2Lip network, layer by layer as published, so that the names of a checkpoint's tensors fit.

What it is shown and where its pictures go is decided in `wav2lip`.
After: Prajwal et al., A Lip Sync Expert Is All You Need for Speech to Lip Generation In The Wild, ACM MM 2020.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from haetae.errors import UsageError

SIZE_PX = 96
PUBLISHED_WIDTH = 16
_FIRST = "face_encoder_blocks.0.0.conv_block.0.weight"

_ENCODER = ((1, 2, 2), (2, 4, 3), (4, 8, 2), (8, 16, 2), (16, 32, 1))
"""Channels in and out, over the width, and residual layers of each block that halves the picture."""
_DECODER = ((64, 32, 2), (48, 24, 2), (32, 16, 2), (20, 8, 2), (10, 4, 2))
"""The same of each block that doubles it."""


class _Conv(nn.Module):
    """Convolution, batch norm, optional skip, ReLU."""

    def __init__(
        self, n_in: int, n_out: int, size: int, stride: int | tuple[int, int], pad: int, skip: bool = False
    ) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(nn.Conv2d(n_in, n_out, size, stride, pad), nn.BatchNorm2d(n_out))
        self.skip = skip

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv_block(x)
        return torch.relu(out + x if self.skip else out)


class _Up(nn.Module):
    """Transposed convolution, batch norm, ReLU."""

    def __init__(self, n_in: int, n_out: int, stride: int, pad: int, pad_out: int = 0) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ConvTranspose2d(n_in, n_out, 3, stride, pad, pad_out), nn.BatchNorm2d(n_out)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv_block(x))


def _skips(n: int, count: int) -> list[nn.Module]:
    return [_Conv(n, n, 3, 1, 1, skip=True) for _ in range(count)]


class Wav2Lip(nn.Module):
    """Sound and a face to the same face speaking.

    width: channels of the first layer; 16 in the published checkpoints, and all others follow from it.
    """

    def __init__(self, width: int = PUBLISHED_WIDTH) -> None:
        super().__init__()
        w = width
        self.face_encoder_blocks = nn.ModuleList(
            [
                nn.Sequential(_Conv(6, w, 7, 1, 3)),
                *(
                    nn.Sequential(_Conv(a * w, b * w, 3, 2, 1), *_skips(b * w, count))
                    for a, b, count in _ENCODER
                ),
                nn.Sequential(_Conv(32 * w, 32 * w, 3, 1, 0), _Conv(32 * w, 32 * w, 1, 1, 0)),
            ]
        )
        self.audio_encoder = nn.Sequential(
            _Conv(1, 2 * w, 3, 1, 1),
            *_skips(2 * w, 2),
            _Conv(2 * w, 4 * w, 3, (3, 1), 1),
            *_skips(4 * w, 2),
            _Conv(4 * w, 8 * w, 3, 3, 1),
            *_skips(8 * w, 2),
            _Conv(8 * w, 16 * w, 3, (3, 2), 1),
            *_skips(16 * w, 1),
            _Conv(16 * w, 32 * w, 3, 1, 0),
            _Conv(32 * w, 32 * w, 1, 1, 0),
        )
        self.face_decoder_blocks = nn.ModuleList(
            [
                nn.Sequential(_Conv(32 * w, 32 * w, 1, 1, 0)),
                nn.Sequential(_Up(64 * w, 32 * w, 1, 0), *_skips(32 * w, 1)),
                *(
                    nn.Sequential(_Up(a * w, b * w, 2, 1, 1), *_skips(b * w, count))
                    for a, b, count in _DECODER
                ),
            ]
        )
        self.output_block = nn.Sequential(_Conv(5 * w, 2 * w, 3, 1, 1), nn.Conv2d(2 * w, 3, 1), nn.Sigmoid())

    def forward(self, sound: Tensor, faces: Tensor) -> Tensor:
        """sound: [N, 1, 80, 16] mel levels; faces: [N, 6, 96, 96] in [0, 1], BGR, first with its lower half black,
        then as it is. Returns the faces speaking: [N, 3, 96, 96] in [0, 1], BGR."""
        seen, x = [], faces
        for block in self.face_encoder_blocks:
            x = block(x)
            seen.append(x)
        x = self.audio_encoder(sound)
        for block in self.face_decoder_blocks:
            x = torch.cat([block(x), seen.pop()], dim=1)
        return torch.as_tensor(self.output_block(x))


def network_of(tensors: Mapping[str, Tensor]) -> Wav2Lip:
    """The network of a checkpoint, ready to use; its names may begin with `module.`, as parallel training leaves them.

    Raises: UsageError for tensors of another network.
    """
    plain = {name.removeprefix("module."): value for name, value in tensors.items()}
    first = plain.get(_FIRST)
    if first is None or first.ndim != 4 or not 1 <= first.shape[0] <= 4 * PUBLISHED_WIDTH:
        raise UsageError(f"the checkpoint has no {_FIRST}: it is not one of Wav2Lip")
    network = Wav2Lip(int(first.shape[0]))
    try:
        network.load_state_dict({name: value.float() for name, value in plain.items()})
    except RuntimeError as error:
        why = " ".join(str(error).split())[:300]
        raise UsageError(f"the checkpoint is not one of Wav2Lip: {why}") from error
    network.eval()
    return network
