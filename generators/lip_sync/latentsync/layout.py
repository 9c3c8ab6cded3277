"""How large the parts of a LatentSync network are: the published layout, or one that a YAML file tells.

The network is built from it in `unet`.
After: Li et al., LatentSync: Taming Audio-Conditioned Latent Diffusion Models for Lip Sync, 2024.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from haetae.errors import UsageError

MAX_CONFIG_BYTES = 1 << 16
Channels = Annotated[int, Field(ge=1, le=4096)]


class Motion(BaseModel):
    """The layers that attend over time, after each block's layers. After: Guo et al., AnimateDiff, 2023."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    num_attention_heads: int = Field(8, ge=1, le=64)
    num_transformer_block: int = Field(1, ge=1, le=8)
    attention_block_types: tuple[Literal["Temporal_Self"], ...] = ("Temporal_Self", "Temporal_Self")
    temporal_position_encoding: bool = True
    temporal_position_encoding_max_len: int = Field(24, ge=1, le=512)
    temporal_attention_dim_div: Literal[1] = 1


class Layout(BaseModel):
    """The `model` section of the authors' file, as far as it says anything; defaults are those of version 1.5.

    attention_head_dim is, as in older versions of diffusers, the number of heads. resolution, num_frames: pixels and
    frames that the network was trained on, of the file's `data` section.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    resolution: int = Field(256, ge=64, le=1024, multiple_of=64)
    num_frames: int = Field(16, ge=1, le=64)
    in_channels: Literal[13] = 13
    out_channels: Literal[4] = 4
    block_out_channels: tuple[Channels, ...] = Field((320, 640, 1280, 1280), min_length=2, max_length=6)
    down_block_types: tuple[Literal["CrossAttnDownBlock3D", "DownBlock3D"], ...] = (
        "CrossAttnDownBlock3D",
        "CrossAttnDownBlock3D",
        "CrossAttnDownBlock3D",
        "DownBlock3D",
    )
    up_block_types: tuple[Literal["CrossAttnUpBlock3D", "UpBlock3D"], ...] = (
        "UpBlock3D",
        "CrossAttnUpBlock3D",
        "CrossAttnUpBlock3D",
        "CrossAttnUpBlock3D",
    )
    mid_block_type: Literal["UNetMidBlock3DCrossAttn"] = "UNetMidBlock3DCrossAttn"
    layers_per_block: int = Field(2, ge=1, le=4)
    attention_head_dim: int = Field(8, ge=1, le=64)
    cross_attention_dim: Channels = 384
    norm_num_groups: int = Field(32, ge=1, le=256)
    norm_eps: float = Field(1e-5, gt=0)
    act_fn: Literal["silu"] = "silu"
    downsample_padding: Literal[1] = 1
    mid_block_scale_factor: float = Field(1.0, gt=0)
    center_input_sample: Literal[False] = False
    flip_sin_to_cos: bool = True
    freq_shift: int = 0
    resnet_time_scale_shift: Literal["default"] = "default"
    use_inflated_groupnorm: bool = False
    add_audio_layer: Literal[True] = True
    use_motion_module: bool = True
    motion_module_resolutions: tuple[int, ...] = (1, 2, 4, 8)
    motion_module_mid_block: bool = False
    motion_module_decoder_only: bool = False
    motion_module_type: Literal["Vanilla"] = "Vanilla"
    motion_module_kwargs: Motion = Motion()

    @model_validator(mode="after")
    def _fits(self) -> Layout:
        n = len(self.block_out_channels)
        if len(self.down_block_types) != n or len(self.up_block_types) != n:
            raise ValueError(f"{n} block_out_channels need as many down_block_types and up_block_types")
        heads = (self.attention_head_dim, self.motion_module_kwargs.num_attention_heads)
        for channels in self.block_out_channels:
            if any(channels % by for by in (*heads, self.norm_num_groups)):
                raise ValueError(f"{channels} channels cannot be parted into {heads} heads and groups")
        if (
            self.use_motion_module
            and self.motion_module_kwargs.temporal_position_encoding_max_len < self.num_frames
        ):
            raise ValueError(f"positions in time are fewer than the {self.num_frames} frames")
        return self


PUBLISHED = Layout()
"""Version 1.5, 256 px: what `configs/unet/stage2.yaml` of its authors says."""


def read_layout(path: Path) -> Layout:
    """The layout that a YAML file tells, in the authors' format. Raises: UsageError for one that is not understood."""
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise ValueError(f"it has more than {MAX_CONFIG_BYTES} bytes")
        content = yaml.safe_load(path.read_text("utf-8"))
        if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
            raise ValueError("it has no section `model`")
        data = content.get("data")
        about = (
            {name: data[name] for name in ("resolution", "num_frames") if name in data}
            if isinstance(data, dict)
            else {}
        )
        # YAML 1.1 reads 1e-5 as a text.
        return Layout.model_validate({**content["model"], **about})
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError, ValueError) as error:
        first = " ".join(str(error).split())[:300]
        raise UsageError(f"{path} is no layout of a LatentSync network: {first}") from error
