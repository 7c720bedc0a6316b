#!/usr/bin/env bash
# Regenerate every figure: `./run_all.sh`. Needs bash and Python 3.11 or newer; see `./run_all.sh -h`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

fail() { echo "error: $*" >&2; exit 2; }

usage() {
  cat <<'TEXT'
./run_all.sh [NUMBER ...]   run all notebooks (or those with these numbers) and draw their figures
./run_all.sh figures        redraw the figures from their stored numbers, without training
./run_all.sh test [ARG ...] run the whole test suite: pytest (with these arguments), then nbval on the notebooks

  --preset smoke|quick|full|paper   how large (default quick: every figure, in minutes, on two cores)
  --data digits|fsdd                synthetic spoken digits (default), or human ones (needs --data-dir)
  --data-dir PATH                   folder or zip with the recordings of the Free Spoken Digit Dataset
  --device auto|cpu|cuda            where to train (default auto)
  -h, --help                        this text

The active virtual or conda environment is used if it holds the project's packages, else .venv, which is made here.
TEXT
}

one_of() { # one_of OPTION VALUE CHOICE...
  local option=$1 value=$2; shift 2
  for choice in "$@"; do [[ $value == "$choice" ]] && return; done
  fail "$option: '$value' is not known; choose from $*"
}

# Everything is checked before an environment is made or a notebook is run
command=notebooks
arguments=()
if [[ ${1:-} == figures || ${1:-} == test ]]; then command=$1; shift; fi
data=digits data_dir=
while (($#)) && [[ $command != test ]]; do
  case $1 in
    -h | --help) usage; exit ;;
    --preset | --data | --data-dir | --device)
      (($# > 1)) || fail "$1: it needs a value; see ./run_all.sh -h"
      case $1 in
        --preset) one_of "$1" "$2" smoke quick full paper ;;
        --data) one_of "$1" "$2" digits fsdd; data=$2 ;;
        --data-dir) data_dir=$2; [[ -e $2 ]] || fail "--data-dir: $2 does not exist; give a folder or a zip" ;;
        --device) one_of "$1" "$2" auto cpu cuda ;;
      esac
      [[ $command == figures && $1 != --preset && $1 != --data ]] && fail "$1: figures are redrawn without it"
      arguments+=("$1" "$2")
      shift 2 ;;
    [0-9] | [0-9][0-9])
      [[ $command == notebooks ]] || fail "$1: figures takes no notebook numbers"
      compgen -G "notebooks/$(printf %02d "$((10#$1))")_*.ipynb" >/dev/null || fail "$1: there is no notebook with this number"
      arguments+=("$1")
      shift ;;
    *) fail "$1: not a word of this command; see ./run_all.sh -h" ;;
  esac
done
[[ $command == notebooks && $data == fsdd && -z $data_dir ]] && fail "--data-dir: fsdd needs the recordings; give their folder or zip"
[[ $command == test && ${1:-} =~ ^(-h|--help)$ ]] && { usage; exit; }

complete() { # does this Python hold the project's packages?
  "$1" -c 'import sys, importlib.util as u
need = "torch numba h5py sklearn soundfile espeakng_loader seaborn joblib tqdm papermill ipykernel ipywidgets pytest nbval"
sys.exit(sys.version_info < (3, 11) or any(u.find_spec(n) is None for n in need.split()))' 2>/dev/null
}

active=${VIRTUAL_ENV:-${CONDA_PREFIX:-}}
if [[ -n $active ]] && complete "$active/bin/python"; then
  python=$active/bin/python
else
  python=.venv/bin/python
  stamp=.venv/installed-from-lock
  if [[ ! -e $stamp ]] || ! cmp -s requirements.lock "$stamp"; then
    for candidate in python3.11 python3.12 python3.13 python3; do
      "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break || candidate=
    done
    [[ -n $candidate ]] || fail "Python: 3.11 or newer was not found; install it, or activate an environment that has it"
    echo "Making .venv from requirements.lock (once; some minutes) ..."
    "$candidate" -m venv --clear .venv
    $python -m pip install --quiet --disable-pip-version-check -r requirements.lock
    $python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
    cp requirements.lock "$stamp"
  fi
fi

export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
if [[ $command == test ]]; then
  status=0
  "$python" -m pytest "$@" || status=$?
  BRC_PRESET=smoke BRC_HEADLESS=1 "$python" -m pytest --nbval-lax --nbval-cell-timeout 120 notebooks || status=$?
  exit $status
fi
exec "$python" -m lib "$command" ${arguments[@]+"${arguments[@]}"}
