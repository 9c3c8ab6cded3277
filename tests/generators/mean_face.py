"""A generator that learns, as small as one can be: the mean of the faces it was shown, laid over each face.

Its source is installed as a package of its own by the tests that need one.
"""

MEAN_FACE = """
import numpy as np
from generators.crops import cut, put_back
from generators.followed import follow
from generators.learned_file import packed, unpacked
from generators.protocol import Card, FakeResult, Learned
from generators.segments import video_segments
from haetae.errors import Rejected, UsageError

class MeanFace:
    card = Card(name="mean_face", version="1", family="diffusion", modalities=("video",), needs=("face",),
                learns=True, description="Lays the mean of all faces over a face.",
                intended_use="Testing how generators are taught.")
    file = None
    def learn(self, faces, lesson):
        import torch
        if len(faces.crops) < 4:
            raise UsageError("mean_face wants at least 4 faces")
        mean = np.zeros(faces.crops.shape[1:], np.float64)
        curve = []
        for n, crop in enumerate(faces.crops, 1):
            mean += (crop - mean) / n
            curve.append({"step": n, "distance": float(np.abs(faces.crops - mean).mean())})
            lesson.tell(n, len(faces.crops), curve[-1])
        drawn = DRAWN
        tensors = {"mean": torch.from_numpy(mean + drawn).float()}
        return Learned(packed(tensors, {"px": len(mean), "seed": lesson.seed}), curve, {"n": float(n)})
    def use(self, weights):
        self.file = weights
    def load(self, device):
        if self.file is None:
            raise UsageError("mean_face@1 has not learned yet: run `haetae generators learn mean_face`")
        tensors, self.build = unpacked(self.file)
        self.mean = np.clip(tensors["mean"].numpy(), 0, 255).astype(np.uint8)
    def generate(self, request):
        face = follow(request.target)
        frames = face.frames.copy()
        masks = np.zeros(frames.shape[:3], np.bool_)
        px = len(self.mean)
        y, x = np.mgrid[:px, :px] / (px - 1) - 0.5
        soft = np.clip(4 - 10 * np.hypot(x, y), 0, 1).astype(np.float32)
        for t in np.flatnonzero(face.usable):
            put_back(frames[t], masks[t], cut(face, t, px), self.mean, soft)
        return FakeResult(video_segments(masks.any(axis=(1, 2))), frames, masks, track_id=face.track_id)
"""


def mean_face(drawn: str = "0.0") -> str:
    """The source; drawn: an expression that is added to what it learns."""
    return MEAN_FACE.replace("DRAWN", drawn)
