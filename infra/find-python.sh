#!/usr/bin/env bash
# Prints the path of a Python 3.11 or 3.12 that runs; $PYTHON is tried first.
set -euo pipefail

for candidate in "${PYTHON:-}" python3.11 python3.12 python3 python; do
  [ -n "$candidate" ] || continue
  if found=$("$candidate" -c 'import sys
assert (3, 11) <= sys.version_info < (3, 13)
print(sys.executable)' 2>/dev/null); then
    echo "$found"
    exit 0
  fi
done
cat >&2 <<'END'
haetae: no Python 3.11 or 3.12 was found on PATH.
  Debian 12, Ubuntu 24.04:  apt-get install python3 python3-venv
  macOS:                    brew install python@3.11
  anywhere, with uv:        uv python install 3.11
  installed elsewhere:      make setup PYTHON=/path/to/python3.11
END
exit 1
