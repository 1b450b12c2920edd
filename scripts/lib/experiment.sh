# experiment.sh - set up, build, and hand over to a Python program of scripts/lib. Sourced; needs `root`.
# shellcheck shell=bash

# shellcheck source=children.sh
source "$root/scripts/lib/children.sh"
# shellcheck source=build.sh
source "$root/scripts/lib/build.sh"

python=/usr/bin/python3

# experiment PROGRAM "TARGET..." [the user's arguments]
experiment() {
  local program=$root/scripts/lib/$1 targets=$2
  shift 2
  # Arguments are checked before anything is installed or built, if Python is there already.
  if [[ -x $python ]]; then
    "$python" -B "$program" --check-arguments "$@" || exit $?
    case " $* " in *' --help '* | *' -h '*) exit 0 ;; esac
  fi
  ((EUID == 0)) || die "this needs root: network namespaces (CAP_SYS_ADMIN), interfaces (CAP_NET_ADMIN), AF_XDP (CAP_NET_RAW, CAP_BPF)"
  make_work_dir
  run "$root/scripts/setup.sh"
  "$python" -B "$program" --check-arguments "$@" || exit $?
  local bin=${SLUICE_BIN:-$root/build/release/bin} # SLUICE_BIN: programs that are built already
  if [[ -z ${SLUICE_BIN:-} ]]; then
    echo "building build/release ..."
    # shellcheck disable=SC2086 # a list of words
    build release $targets
  fi
  export MPLCONFIGDIR=$work_dir/matplotlib RUNTIME_DIRECTORY=$work_dir/dpdk
  mkdir -p "$MPLCONFIGDIR" "$RUNTIME_DIRECTORY"
  run "$python" -B "$program" --bin "$bin" --work "$work_dir" "$@"
}
