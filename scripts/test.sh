#!/bin/bash
# test.sh - set up, build, check the formatting and run all tests; ends with ctest's summary.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

usage() {
  cat <<'TEXT'
usage: scripts/test.sh [--sanitizers] [--full] [--help]

Installs what is missing, builds build/release, checks the formatting and runs all tests.
  --sanitizers  first run the unit and simulation tests under ASan+UBSan and under TSan
  --full        also run clang-tidy, the network tests under ASan, and the long counts (SLUICE_TEST_FULL=1)
Exit status: 0 if all passed.
TEXT
}

sanitizers=0
full=0
for argument in "$@"; do
  case $argument in
    --sanitizers) sanitizers=1 ;;
    --full) full=1 ;;
    --help | -h) usage && exit 0 ;;
    *) echo "test.sh: unknown argument '$argument', allowed: --sanitizers --full --help" >&2 && exit 2 ;;
  esac
done

# shellcheck source=lib/children.sh
source "$root/scripts/lib/children.sh"
# shellcheck source=lib/build.sh
source "$root/scripts/lib/build.sh"
make_work_dir
cd "$root"
jobs=$(nproc)

sources() { find apps iokernel policies runtime tests -name '*.h' -o -name '*.cc' | sort; }

check_format() {
  local files
  mapfile -t files < <(sources)
  run clang-format --dry-run -Werror "${files[@]}" || die "the formatting differs; mend it with: clang-format -i FILES"
}

check_lint() {
  sources | grep '\.cc$' >"$work_dir/files"
  run xargs --arg-file="$work_dir/files" -n 4 -P "$jobs" clang-tidy --quiet --extra-arg=-Wno-unknown-warning-option -p build/release
}

# test_preset PRESET [ctest arguments]
test_preset() {
  local preset=$1
  shift
  echo "== $preset"
  build "$preset"
  run ctest --preset "$preset" --parallel "$jobs" "$@"
}

run scripts/setup.sh
check_format
if ((full)); then export SLUICE_TEST_FULL=1; fi
if ((sanitizers || full)); then
  if ((full)); then test_preset asan; else test_preset asan --label-exclude net; fi
  # TSan's shadow has fixed addresses, which full address randomisation can collide with.
  build tsan
  echo "== tsan"
  run setarch --addr-no-randomize ctest --preset tsan --parallel "$jobs" --label-exclude net
fi
if ((full)); then
  build release
  check_lint
fi
test_preset release
