"""`mesh_swap`: the donor's face, warped by the mesh onto the target's, in its colours and light.

Choosing donor frames is `donor_frames`; warping and blending themselves are in `haetae.faces`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from generators.face_swap.donor_frames import Pose, choose, poses
from generators.face_swap.skin import Skin, bare_skin, skin_stats
from generators.followed import Followed, follow, shifted, smoothed_in_time, window
from generators.protocol import Card, FakeRequest, FakeResult, settings
from generators.segments import FPS, changed_frames, video_segments
from haetae.errors import Rejected

Image = NDArray[np.uint8]

GAIN_LIMITS = np.array([[0.7, 0.7, 0.7], [1.3, 1.15, 1.15]])
"""Smallest and largest gain of L, a, b: more would paint the lips and shine the nose."""
MAX_LIGHT = 45.0
"""Largest difference, of 255, that counts as light: brows and nostrils differ by more, and are the face."""


class MeshSwap:
    """Classical face swap: mesh warp, Lab colour transfer, gradient-domain blending; no weights."""

    card = Card(
        name="mesh_swap",
        version="1",
        family="face_swap",
        modalities=("video",),
        needs=("face", "donor_face"),
        params={
            "erode": 0.045,
            "feather": 0.10,
            "light": 0.8,
            "colour_sigma_frames": 8.0,
            "max_turn_deg": 40.0,
        },
        description=(
            "Warps the face of a donor clip onto the target's 468-point mesh, frame by frame, picking the"
            " donor frame by head pose, mouth and eyes; matches colour and light and blends the gradients."
        ),
        intended_use="Training and testing detectors of classical (non-neural) face swaps.",
        paper="Pérez et al., Poisson Image Editing, 2003; Reinhard et al., Color Transfer, 2001",
    )

    def load(self, device: str) -> None:
        """Nothing to load."""

    def generate(self, request: FakeRequest) -> FakeResult:
        """Swap the first face. Frames in which either face is lost stay as they are.

        Raises: Rejected no_donor, no_face, face_lost, face_too_small, pose_too_far.
        """
        if request.donor is None:
            raise Rejected("no_donor", f"{self.card.key} needs a donor face")
        s = settings(self.card, request)
        target, donor = follow(request.target), follow(request.donor, "donor")
        swap = _Swap.of(target, donor, s)
        frames = target.frames.copy()
        masks = np.zeros(frames.shape[:3], np.bool_)
        for t in np.flatnonzero(swap.lender >= 0):
            swap.draw(int(t), frames, masks)
        changed = changed_frames(target.frames, frames)
        if not changed.any():
            raise Rejected("pose_too_far", "no target frame has a donor frame of a similar pose")
        return FakeResult(
            segments=video_segments(changed),
            frames=frames,
            masks=masks,
            track_id=target.track_id,
            metrics=swap.metrics(),
        )


@dataclass(frozen=True)
class _Swap:
    """Everything decided before the first pixel is drawn; per-frame arrays have T entries."""

    target: Followed
    donor: Followed
    settings: dict[str, float | int | str | bool]
    lender: NDArray[np.int64]
    target_pose: Pose
    donor_pose: Pose
    gain: NDArray[np.float64]
    shift: NDArray[np.float64]
    keep_mouth: NDArray[np.float64]
    keep_eyes: NDArray[np.float64]
    target_skin: Skin
    donor_skin: Skin

    @classmethod
    def of(cls, target: Followed, donor: Followed, s: dict[str, float | int | str | bool]) -> _Swap:
        theirs, ours = poses(target), poses(donor)
        lender = choose(theirs, ours)
        taken = lender >= 0
        turn = np.hypot(theirs.yaw_deg - ours.yaw_deg[lender], theirs.pitch_deg - ours.pitch_deg[lender])
        lender = np.where(taken & (turn <= float(s["max_turn_deg"])), lender, -1)
        skins = (
            skin_stats(target, lender >= 0),
            skin_stats(donor, np.isin(np.arange(len(donor.mesh)), lender)),
        )
        gain, shift = _colours(skins[0], skins[1], lender, float(s["colour_sigma_frames"]))
        mouth_gap = theirs.mouth - ours.mouth[lender]
        eyes_gap = theirs.eyes - ours.eyes[lender]
        return cls(
            target,
            donor,
            s,
            lender,
            theirs,
            ours,
            gain,
            shift,
            keep_mouth=_ramp(mouth_gap, 0.10, 0.20, lender),
            keep_eyes=_ramp(np.abs(eyes_gap), 0.45, 0.6, lender),
            target_skin=Skin.of(skins[0]),
            donor_skin=Skin.of(skins[1]),
        )

    def draw(self, t: int, frames: Image, masks: NDArray[np.bool_]) -> None:
        """Swap the face of frame t in place."""
        from haetae.faces import blend, regions

        where = window(self.target.mesh[t, :468], self.target.size, 0.12)
        if where is None:
            return
        mesh = shifted(self.target.mesh[t], where)
        behind = self.target.frames[t][where]
        size = behind.shape[:2]
        face, covered = self._warped(t, mesh, size)
        face_px = float(np.ptp(mesh[:468, 1]))
        inner = regions.face_mask(mesh, size, grow_px=-float(self.settings["erode"]) * face_px)
        inner *= cv2.erode(covered.astype(np.uint8), np.ones((3, 3), np.uint8))
        inner *= bare_skin((behind, self.target_skin), (face, self.donor_skin), mesh)
        if not inner.any():
            return
        face = self._recoloured(face, t)
        face = _lit_alike(face, behind, inner, float(self.settings["light"]), face_px)
        face = blend.seamless(face, behind, inner)
        soft = _feathered(inner > 0.5, float(self.settings["feather"]) * face_px)
        soft *= self._kept(t, mesh, size, face_px)
        out = blend.alpha_blend(face, behind, soft)
        frames[t][where] = out
        masks[t][where] = soft > 0

    def _warped(
        self, t: int, mesh: NDArray[np.float32], size: tuple[int, int]
    ) -> tuple[Image, NDArray[np.bool_]]:
        """The donor's face on the target's mesh; around a cut of the donor, a cross-fade of both sides."""
        from haetae.faces.warp import warp_mesh

        d = int(self.lender[t])
        face, covered = warp_mesh(self.donor.frames[d], self.donor.mesh[d], mesh, size)
        for beside in (t - 1, t + 1):
            other = int(self.lender[beside]) if 0 <= beside < self.lender.size else -1
            if other >= 0 and abs(other - d) > 1:
                second, _ = warp_mesh(self.donor.frames[other], self.donor.mesh[other], mesh, size)
                face = cv2.addWeighted(face, 2 / 3, second, 1 / 3, 0)
        return face, covered

    def _recoloured(self, face: Image, t: int) -> Image:
        lab = cv2.cvtColor(face.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
        gain, shift = self.gain[t].astype(np.float32), self.shift[t].astype(np.float32)
        # Dark pixels have little colour to lose: a full shift would turn shadows and lashes blue.
        bright = np.clip(lab[..., :1] / max(float(self.donor_skin.centre[0]), 1.0), 0, 1)
        lab[..., 1:] += bright * (lab[..., 1:] * (gain[1:] - 1) + shift[1:])
        lab[..., 0] = lab[..., 0] * gain[0] + shift[0]
        lab[..., 0] = np.clip(lab[..., 0], 0, 100)
        rgb = cv2.cvtColor(lab, cv2.COLOR_Lab2RGB)
        return np.asarray(np.clip(np.round(rgb * 255), 0, 255), np.uint8)

    def _kept(
        self, t: int, mesh: NDArray[np.float32], size: tuple[int, int], face_px: float
    ) -> NDArray[np.float32]:
        """1 where the donor shows, less where the target's own inner mouth or eyes stay."""
        from haetae.faces import regions

        shown = np.ones(size, np.float32)
        feather = max(1.0, 0.02 * face_px)
        for weight, outline in (
            (self.keep_mouth[t], regions.LIPS_INNER),
            (self.keep_eyes[t], regions.RIGHT_EYE),
            (self.keep_eyes[t], regions.LEFT_EYE),
        ):
            if weight > 0.01:
                grown = regions.region_mask(mesh, outline, size, grow_px=feather, feather_px=2 * feather)
                shown *= 1 - np.float32(weight) * grown
        return shown

    def metrics(self) -> dict[str, float]:
        """How well the donor fits: cuts of the donor per second, mean turn between the two heads."""
        used = self.lender >= 0
        d = self.lender[used]
        turn = np.hypot(
            self.target_pose.yaw_deg[used] - self.donor_pose.yaw_deg[d],
            self.target_pose.pitch_deg[used] - self.donor_pose.pitch_deg[d],
        )
        cuts = float((np.abs(np.diff(d)) > 1).sum()) / (float(used.sum()) / FPS)
        return {"donor_cuts_per_s": round(cuts, 6), "donor_turn_deg": round(float(turn.mean()), 6)}


def _ramp(
    gap: NDArray[np.float64], low: float, high: float, lender: NDArray[np.int64]
) -> NDArray[np.float64]:
    """0 below `low`, 1 above `high`, smoothed over time; 0 where nothing is drawn."""
    weight = np.clip((np.where(lender >= 0, gap, np.nan) - low) / (high - low), 0, 1)
    return np.nan_to_num(smoothed_in_time(weight, 1.0))


def _colours(
    theirs: NDArray[np.float64], ours: NDArray[np.float64], lender: NDArray[np.int64], sigma_frames: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Per frame, Lab gain and shift that bring the donor's skin to the target's, smoothed over time.

    theirs, ours: `skin_stats` of target and donor.
    """
    ours = ours[lender]
    ours[lender < 0] = np.nan
    ours, theirs = smoothed_in_time(ours, sigma_frames), smoothed_in_time(theirs, sigma_frames)
    gain = np.clip(theirs[:, 1] / np.maximum(ours[:, 1], 1e-3), *GAIN_LIMITS)
    return gain, theirs[:, 0] - gain * ours[:, 0]


def _lit_alike(
    face: Image, behind: Image, inner: NDArray[np.float32], weight: float, face_px: float
) -> Image:
    """The face with the target's shading: broad differences in each channel are taken over by `weight`."""
    step = max(1, int(face_px / 96))
    small = [
        cv2.resize(img, None, fx=1 / step, fy=1 / step, interpolation=cv2.INTER_AREA)
        for img in (face, behind)
    ]
    mask = cv2.resize(inner, small[0].shape[1::-1], interpolation=cv2.INTER_AREA)[..., None]
    sigma = 0.12 * face_px / step
    difference = np.clip(small[1].astype(np.float32) - small[0], -MAX_LIGHT, MAX_LIGHT) * mask
    broad = cv2.GaussianBlur(difference, (0, 0), sigma)
    weights = np.maximum(cv2.GaussianBlur(mask, (0, 0), sigma), 1e-3)[..., None]
    broad = cv2.resize(broad / weights, face.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.clip(np.round(face + weight * broad), 0, 255), np.uint8)


def _feathered(inside: NDArray[np.bool_], feather_px: float) -> NDArray[np.float32]:
    """0 outside, rising smoothly inwards to 1 over `feather_px`."""
    depth = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 5) / max(feather_px, 1.0)
    rise = np.clip(depth, 0, 1)
    return np.asarray(rise * rise * (3 - 2 * rise), np.float32)
