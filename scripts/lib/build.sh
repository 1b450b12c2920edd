# build.sh - set up and build from a script. Sourced after children.sh; needs `root`.
# shellcheck shell=bash

# build PRESET [TARGET...]
build() {
  local preset=$1
  shift
  mkdir -p "$root/build"
  with_lock "$root/build" build_locked "$preset" "$@"
}

build_locked() {
  local preset=$1 jobs
  shift
  jobs=$(nproc)
  cd "$root" || return 1
  local -x TMPDIR=$work_dir # a compiler that is killed leaves files there
  run cmake --preset "$preset" >"$work_dir/configure.log" 2>&1 || {
    cat "$work_dir/configure.log" >&2
    return 1
  }
  run cmake --build --preset "$preset" --parallel "$jobs" ${1:+--target "$@"}
}
