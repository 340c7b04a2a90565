#!/usr/bin/env bash
# R with the packages of the statistics stage, and what rpy2 and DeepSpeed need to compile.
# Does nothing when they are there; installs them by apt where it may; says what to install otherwise.
# With --check it only says by its exit status whether they are there.
set -euo pipefail

packages="r-base-core r-cran-glmmtmb r-cran-mgcv r-cran-car g++
  libtirpc-dev liblzma-dev libbz2-dev libicu-dev libpcre2-dev libdeflate-dev libreadline-dev zlib1g-dev"
packages=$(echo $packages)

complete() {
  command -v Rscript >/dev/null && command -v g++ >/dev/null &&
    # rpy2's build links a test program with R's own flags.
    echo 'int main(void) { return 0; }' | gcc -x c - $(R CMD config --ldflags) -o /dev/null 2>/dev/null &&
    Rscript --vanilla -e 'for (name in c("glmmTMB", "mgcv", "car")) loadNamespace(name)' >/dev/null 2>&1
}

complete && exit 0
[ "${1:-}" = --check ] && exit 1
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  echo "Installing R and its packages by apt-get"
  apt-get update -qq
  # Without recommends: with them it is five hundred packages.
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
  complete && exit 0
fi
cat >&2 <<TEXT
R with glmmTMB, mgcv and car, and a C++ compiler, are needed for the statistics, and are not complete on this machine.
  Debian or Ubuntu:  sudo apt-get install --no-install-recommends $packages
  conda:             conda env create -f envs/statistics.yaml, or run snakemake with --sdm conda
  R already there:   Rscript -e 'install.packages(c("glmmTMB", "mgcv", "car"))'
TEXT
exit 1
