#!/usr/bin/env bash
# R (install_r.sh) and the Python environment in .venv from the lock file. Does nothing when it is up to date.
# Where R is missing and may not be installed, everything but the statistics stage is set up; it is tried again next time.
set -euo pipefail

stamp=.venv/.complete
current=$(cat envs/requirements.lock.txt pyproject.toml | sha256sum | cut -d' ' -f1)
done_before=$([ -f "$stamp" ] && cat "$stamp" || true)
[ "$done_before" = "$current" ] && exit 0
if [ "$done_before" = "$current without R" ] && ! envs/install_r.sh --check; then
  echo "Set up without R: training and evaluation work, statistics do not (envs/install_r.sh says how to get R)." >&2
  exit 0
fi

python=""
for name in ${PYTHON:-python3.11 python3.12 python3}; do
  if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null; then
    python=$name
    break
  fi
done
[ -n "$python" ] || { echo "Python 3.11 or 3.12 is needed; name it with: make PYTHON=/path/to/python3.11 …" >&2; exit 1; }
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
  if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv python3-dev >/dev/null
  else
    echo "$python cannot make virtual environments; on Debian and Ubuntu: sudo apt-get install python3-venv" >&2
    exit 1
  fi
fi

pin() { grep "^$1==" envs/requirements.lock.txt; }
torch=$(pin torch)
echo "Creating .venv with $torch and the packages of envs/requirements.lock.txt"
[ -x .venv/bin/python ] || "$python" -m venv .venv
pip=".venv/bin/python -m pip --disable-pip-version-check --quiet"
$pip install "setuptools<81" wheel
# R is installed while torch is; whatever happens, apt is not left running alone.
envs/install_r.sh &
r=$!
trap 'wait "$r" || true' EXIT
# torch first: its build (CPU or CUDA) is the machine's choice. TORCH_ARGS is passed on, e.g. another index.
# docs/cluster.md says how to choose it; `plw doctor` compares it with the driver.
# shellcheck disable=SC2086
$pip install ${TORCH_ARGS:-} "$torch"
wait "$r" && with_r=yes || with_r=no
trap - EXIT
if [ "$with_r" = yes ]; then
  # rpy2 looks for R while it is built. Its ABI mode links nothing, and a wheel from pip's cache may have been built where
  # there was no R.
  $pip install --no-deps "$(pin cffi)" "$(pin pycparser)"
  RPY2_CFFI_MODE=ABI $pip install --no-deps --no-build-isolation --no-cache-dir --force-reinstall "$(pin rpy2-rinterface)"
fi
# The lock is complete, so nothing is resolved. DeepSpeed must not build its operators now: that needs a CUDA toolkit, for
# which it looks wherever there is a GPU, unless it is told that this step is for the CPU. Trainings use the GPU as ever.
lock=envs/requirements.lock.txt
[ "$with_r" = yes ] || { lock=.venv/without_r.txt; grep -v '^rpy2' envs/requirements.lock.txt > "$lock"; }
DS_ACCELERATOR=cpu DS_BUILD_OPS=0 $pip install --no-deps --no-build-isolation -r "$lock"
$pip install --no-deps --no-build-isolation --editable .
if [ "$with_r" = yes ]; then
  RPY2_CFFI_MODE=ABI .venv/bin/python -c 'import rpy2.robjects' ||
    { echo "rpy2 cannot start R: see .venv/bin/plw doctor" >&2; exit 1; }
  echo "$current" > "$stamp"
else
  echo "Set up without R: training and evaluation work; the statistics stage will say what it lacks." >&2
  echo "$current without R" > "$stamp"
fi
