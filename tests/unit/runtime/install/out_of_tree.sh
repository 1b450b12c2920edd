#!/bin/bash
# out_of_tree.sh - installs the runtime into a private directory and builds apps/echo from outside of the tree, with
# find_package and with pkg-config, then runs what it built.
# Usage: out_of_tree.sh BUILD_DIRECTORY SOURCE_DIRECTORY COMPILER LIBDIR [COMPILER_FLAGS]
set -euo pipefail
build=$1 source=$2 compiler=$3 libdir=$4 flags=${5:-}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

cmake --install "$build" --component runtime --prefix "$scratch/prefix" >"$scratch/install.log"
if grep -rl '#include "\(iokernel\|runtime\)/' "$scratch/prefix/include"; then
  echo "an installed header includes one that is not installed" >&2
  exit 1
fi

# Without a daemon, echo must say so and how to start one.
try() {
  local status=0
  "$1" --sluice-run-dir "$scratch/nowhere" 2>"$scratch/stderr" || status=$?
  if [[ $status -ne 3 ]] || ! grep -q "no iokerneld can be reached at $scratch/nowhere/control" "$scratch/stderr"; then
    echo "$2: exit $status, expected 3; stderr:" >&2
    cat "$scratch/stderr" >&2
    exit 1
  fi
  echo "$2: builds and runs"
}

mkdir "$scratch/app"
cp "$source/apps/echo/echo.cc" "$scratch/app"
cat >"$scratch/app/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.25)
project(Echo LANGUAGES CXX)
find_package(Sluice REQUIRED)
add_executable(echo echo.cc)
target_link_libraries(echo PRIVATE Sluice::sluice)
CMAKE
cmake -S "$scratch/app" -B "$scratch/app/build" -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_CXX_FLAGS="$flags" \
  -DCMAKE_PREFIX_PATH="$scratch/prefix" >"$scratch/configure.log"
cmake --build "$scratch/app/build" >"$scratch/build.log"
try "$scratch/app/build/echo" find_package

mv "$scratch/prefix" "$scratch/moved"  # the .pc file follows
export PKG_CONFIG_PATH="$scratch/moved/$libdir/pkgconfig"
read -ra pc <<<"$(pkg-config --cflags --libs sluice)"
read -ra extra <<<"$flags"
"$compiler" -std=c++20 "${extra[@]}" "$scratch/app/echo.cc" "${pc[@]}" -o "$scratch/echo"
try "$scratch/echo" pkg-config
