#!/usr/bin/env bash
# The validators of what `plw export` writes, in .venv-validators, which sees the packages of .venv behind its own. Does
# nothing when it is up to date.
set -euo pipefail

lock=envs/validators.lock.txt
stamp=.venv-validators/.complete
current=$(sha256sum "$lock" | cut -d' ' -f1)
[ "$([ -f "$stamp" ] && cat "$stamp" || true)" = "$current" ] && exit 0
rm -rf .venv-validators
.venv/bin/python -m venv --without-pip .venv-validators
own=$(.venv-validators/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$own/others.pth"
# The lock is complete. every-eval-ever asks for Python 3.12 and much more; its schema is a file.
.venv/bin/python -m pip --disable-pip-version-check --quiet --python .venv-validators/bin/python install --no-deps \
  --ignore-requires-python -r "$lock"
echo "$current" > "$stamp"
