#!/usr/bin/env bash
# The system packages that some tests drive: a browser and a PostgreSQL server. Installs what is missing
# where it may (root and apt); otherwise, and with --report, says what will be skipped and how to mend it.
set -euo pipefail

missing=()
skipped=()

if ! command -v chromium >/dev/null && ! command -v chromium-browser >/dev/null && ! command -v google-chrome >/dev/null; then
  missing+=(chromium)
  skipped+=("the browser tests of the report page")
fi
if ! compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && ! command -v initdb >/dev/null; then
  missing+=(postgresql)
  skipped+=("the tests of the PostgreSQL profile")
fi

[ ${#missing[@]} -gt 0 ] || exit 0

if [ "${1:-}" != --report ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "haetae: installing ${missing[*]}" >&2
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  exit 0
fi

printf 'haetae: will be skipped: %s\n' "${skipped[@]}" >&2
echo "haetae: to run them too: apt-get install ${missing[*]}" >&2
