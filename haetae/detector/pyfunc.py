"""The detector as MLflow loads it: paths of media files in, one row of scores for each out.

This is a script for MLflow's models-from-code, not a module to import; all it does is done in `detect`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd

from haetae.detector.detect import inspect_file
from haetae.detector.predict import Detector


class DetectorModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Holds one detector; its files are the artifact `detector`."""

    def load_context(self, context: Any) -> None:
        self._detector = Detector.load(Path(context.artifacts["detector"]))

    def predict(
        self,
        context: Any,  # noqa: ARG002 - MLflow gives all three
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> pd.DataFrame:
        """model_input: column `path`, local media files. Raises: UsageError for a file that cannot be judged."""
        rows = []
        for path in model_input["path"]:
            found = inspect_file(self._detector, Path(path))
            s = found.scores
            rows.append((found.verdict, s.score, s.video, s.audio, s.sync))
        columns = ["verdict", "score", "video_score", "audio_score", "sync_score"]
        return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(columns[1:], "float64"))


mlflow.models.set_model(DetectorModel())
