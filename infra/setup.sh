#!/usr/bin/env bash
# Makes .venv exactly what requirements.lock says, adds this project to it, and sees that ffmpeg runs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=$(bash infra/find-python.sh)
right='import sys; assert (3, 11) <= sys.version_info < (3, 13)'
if ! .venv/bin/python -c "$right" 2>/dev/null; then
  bash infra/uv.sh venv --quiet --clear --no-project --python "$python" .venv
fi
echo "haetae: installing into .venv (about 8 GB on disk; two minutes, and the time of the download)" >&2
# Compiled once, here: many commands and workers start, and where Python may not write, each would compile anew.
bash infra/uv.sh pip sync --quiet --compile-bytecode --python .venv/bin/python --require-hashes requirements.lock
bash infra/uv.sh pip install --quiet --python .venv/bin/python --no-deps --editable .
.venv/bin/python -m compileall -q -j 0 haetae generators assets dagster_project

carried='import imageio_ffmpeg as f, subprocess as s; s.run([f.get_ffmpeg_exe(), "-version"], check=True, stdout=s.DEVNULL)'
if .venv/bin/python -c "$carried" 2>/dev/null || ffmpeg -version >/dev/null 2>&1; then
  exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "haetae: no ffmpeg for this platform in the lock; installing the system package" >&2
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq ffmpeg >/dev/null
  exit 0
fi
cat >&2 <<'END'
haetae: no ffmpeg that runs here: the imageio-ffmpeg package carries none for this platform.
  Debian, Ubuntu:     sudo apt-get install ffmpeg
  macOS:              brew install ffmpeg
  installed elsewhere: export HAETAE_FFMPEG=/path/to/ffmpeg
Then type the same command again.
END
[ -n "${HAETAE_FFMPEG:-}" ] && "$HAETAE_FFMPEG" -version >/dev/null 2>&1
