#!/usr/bin/env bash
# Regenerate every figure: `./run_all.sh`. Needs bash and Python 3.11 or newer; see `./run_all.sh -h`.
set -euo pipefail
caller=$PWD
cd -- "$(dirname -- "${BASH_SOURCE[0]}")" >/dev/null

fail() { echo "error: $*" >&2; exit 2; }

usage() {
  cat <<'TEXT'
./run_all.sh [NUMBER ...]   run all notebooks (or those with these numbers) and draw their figures
./run_all.sh figures        redraw the figures from the published results, without training
./run_all.sh site           write all notebooks, figures and claims as web pages, from stored outputs
./run_all.sh test [ARG ...] run the whole test suite: pytest (with ARGs), then nbval on the notebooks
                            (--browser: the web pages and JupyterLab in a browser too;
                            --slow: what takes minutes, and other simulators, in build/oracles)

  --preset smoke|quick|full|paper   how large (default quick: every figure, in minutes, on two cores)
  --data digits|fsdd|shd|ssc        synthetic spoken digits (default), or human ones (needs --data-dir)
  --data-dir PATH                   folder or zip with the recordings of the Free Spoken Digit Dataset
  --device auto|cpu|cuda            where to train (default auto)
  --scheduler tcp://HOST:PORT       train on the workers of a dask cluster that sees this folder
  -h, --help                        this text

The active virtual or conda environment is used if it holds the project's packages, else .venv, made here.
TEXT
}

one_of() { # one_of OPTION VALUE CHOICE...
  local option=$1 value=$2 choice; shift 2
  for choice in "$@"; do [[ $value == "$choice" ]] && return; done
  fail "$option: '$value' is not known; choose from $*"
}

# Everything is checked before an environment is made or a notebook is run
command=notebooks
arguments=()
if [[ ${1:-} =~ ^(figures|site|test)$ ]]; then command=$1; shift; fi
data=digits data_dir=
while (($#)) && [[ $command != test ]]; do
  case $1 in
    -h | --help) usage; exit ;;
    --output | --output=*)
      [[ $command == site ]] || fail "$1: only the site has one; see ./run_all.sh -h"
      [[ $1 == *=* ]] && set -- "${1%%=*}" "${1#*=}" "${@:2}"
      [[ -n ${2:-} ]] || fail "--output: it needs a folder"
      value=$2
      [[ $2 == /* ]] || value=$caller/$2
      arguments+=(--output "$value")
      shift 2 ;;
    --preset=* | --data=* | --data-dir=* | --device=* | --scheduler=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
    --preset | --data | --data-dir | --device | --scheduler)
      (($# > 1)) || fail "$1: it needs a value; see ./run_all.sh -h"
      [[ $command == site ]] && fail "$1: the site is made of what is stored; only --output can be given"
      [[ $command == figures && $1 != --preset && $1 != --data ]] && fail "$1: figures are redrawn without it"
      value=$2
      case $1 in
        --preset) one_of "$1" "$2" smoke quick full paper ;;
        --data) one_of "$1" "$2" digits fsdd shd ssc; data=$2 ;;
        --device) one_of "$1" "$2" auto cpu cuda ;;
        --scheduler) [[ $2 == *://*:* ]] || fail "--scheduler: '$2' is no address; give tcp://host:port" ;;
        --data-dir)
          [[ $2 == /* ]] || value=$caller/$2
          [[ -n $2 && -e $value ]] || fail "--data-dir: '$2' does not exist; give a folder or a zip"
          data_dir=$value ;;
      esac
      arguments+=("$1" "$value")
      shift 2 ;;
    [0-9] | [0-9][0-9])
      [[ $command == notebooks ]] || fail "$1: $command takes no notebook numbers"
      compgen -G "notebooks/$(printf %02d "$((10#$1))")_*.ipynb" >/dev/null ||
        fail "$1: there is no notebook with this number; see the folder notebooks"
      arguments+=("$1")
      shift ;;
    figures | site | test) fail "$1: this word comes first: ./run_all.sh $1 ..." ;;
    *) fail "$1: not a word of this command; see ./run_all.sh -h" ;;
  esac
done
if [[ $command == notebooks ]]; then
  [[ $data == digits || -n $data_dir ]] || fail "--data-dir: $data needs it; give the folder or zip of the data"
  [[ $data != digits || -z $data_dir ]] || fail "--data-dir: digits need none; add --data fsdd, shd or ssc"
fi
[[ $command == test && ${1:-} =~ ^(-h|--help)$ ]] && { usage; exit; }

complete() { # does this Python hold the project's packages?
  "$1" -c 'import sys, importlib.util as u
need = """torch numba scipy h5py sklearn soundfile espeakng_loader seaborn PIL joblib threadpoolctl tqdm yaml ipywidgets
ipykernel papermill nbformat nbconvert latex2mathml pytest playwright nbval hypothesis lauscher tonic"""
sys.exit(sys.version_info < (3, 11) or any(u.find_spec(n) is None for n in need.split()))' 2>/dev/null
}

make_environment() { # .venv from the lock; the stamp comes last, so that an unfinished one is made again
  local candidate quiet=()
  for candidate in python3.11 python3.12 python3.13 python3 ''; do
    [[ -n $candidate ]] || fail "Python: 3.11 or newer was not found; install it, or activate its environment"
    "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break
  done
  [[ -t 1 ]] || quiet=(--quiet)
  echo "Making .venv from requirements.lock: once, some minutes ..."
  "$candidate" -m venv --clear .venv || fail ".venv: $candidate cannot make it; install Python's venv module"
  "$python" -m pip install ${quiet[@]+"${quiet[@]}"} --disable-pip-version-check -r requirements.lock &&
    "$python" -m pip install ${quiet[@]+"${quiet[@]}"} --disable-pip-version-check \
      --no-deps --no-build-isolation --editable . ||
    fail ".venv: requirements.lock could not be installed; mend what pip says above, then start again"
  cp requirements.lock "$stamp"
}

active=${VIRTUAL_ENV:-${CONDA_PREFIX:-}}
if [[ -n $active ]] && complete "$active/bin/python"; then
  python=$active/bin/python
else
  [[ -z $active || $active == "$PWD/.venv" ]] || echo "Using .venv: $active lacks some of the packages."
  python=.venv/bin/python
  stamp=.venv/installed-from-lock # a copy of the lock that .venv was made from
  [[ -x $python && -e $stamp && $(<"$stamp") == "$(<requirements.lock)" ]] || make_environment
fi

export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
if [[ $command == test ]]; then
  trap 'exit 130' INT
  status=0
  echo "Running pytest, then the notebooks at smoke size under nbval: 15 to 20 min."
  "$python" -m pytest "$@" || status=1
  BRC_PRESET=smoke BRC_HEADLESS=1 "$python" -m pytest \
    --nbval-lax --nbval-current-env --nbval-cell-timeout 120 notebooks || status=1
  [[ " $* " != *" --slow "* ]] || "$python" tests/oracles || status=1
  exit $status
fi
exec "$python" -m lib "$command" ${arguments[@]+"${arguments[@]}"}
