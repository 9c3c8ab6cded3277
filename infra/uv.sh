#!/usr/bin/env bash
# Runs uv: the one on PATH if it is new enough, else one that is installed into .venv-tools.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

wanted='uv>=0.9,<1'

new_enough() {
  local version major minor
  version=$("$1" --version 2>/dev/null | awk '{print $2}') || return 1
  IFS=. read -r major minor _ <<<"$version"
  [[ $major =~ ^[0-9]+$ && $minor =~ ^[0-9]+$ ]] && ((major == 0 && minor >= 9))
}

if command -v uv >/dev/null && new_enough uv; then
  exec uv "$@"
fi
if ! { [ -x .venv-tools/bin/uv ] && new_enough .venv-tools/bin/uv; }; then
  python=$(bash infra/find-python.sh)
  echo "haetae: installing uv into .venv-tools" >&2
  if ! "$python" -m venv --clear .venv-tools; then
    echo "haetae: $python cannot make a virtual environment; on Debian or Ubuntu: apt-get install python3-venv" >&2
    exit 1
  fi
  .venv-tools/bin/python -m pip install --quiet --disable-pip-version-check "$wanted" >&2
fi
exec .venv-tools/bin/uv "$@"
