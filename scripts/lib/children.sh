# children.sh - run a script's steps so that a signal to the script alone leaves nothing behind. Sourced.
# shellcheck shell=bash
#
# A shell that waits for a foreground command looks at its signals only when that command has ended. So every
# step runs in the background, in a process group of its own, and the shell waits: a signal interrupts the
# wait, and on_exit ends the groups and whatever descends from them.
#
# The script gets: run CMD..., make_work_dir (sets work_dir, a private temporary directory, removed at the
# end), with_lock DIRECTORY CMD..., die WORDS...

work_dir=
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# A background job of a non-interactive shell starts with SIGINT ignored, which no trap can undo: start again
# with the default.
if [[ -z ${SLUICE_SIGNALS_RESET:-} ]]; then
  ignored=$(sed -n 's/^SigIgn:[[:space:]]*//p' "/proc/$$/status")
  if ((16#$ignored & 2)); then
    SLUICE_SIGNALS_RESET=1 exec env --default-signal=INT "$BASH" "$0" "$@"
  fi
fi
unset SLUICE_SIGNALS_RESET

trap on_exit EXIT

die() {
  echo "${0##*/}: $*" >&2
  exit 1
}

# run CMD...: as a child in its own process group, without a terminal to read from; returns its status.
# Job control is what makes the group, and it also undoes "background jobs ignore SIGINT".
run() {
  local status=0
  set -m
  "$@" </dev/null 9>&- &
  set +m
  wait "$!" || status=$?
  return "$status"
}

# Prints the process ids that descend from $@, themselves included.
descendants() {
  local -A parent=()
  local stat pid rest found=("$@") grew=1
  for stat in /proc/[0-9]*/stat; do
    read -r rest <"$stat" 2>/dev/null || continue
    pid=${rest%% *}
    rest=${rest##*) } # the name may hold blanks and brackets
    read -r _ rest _ <<<"$rest"
    parent[$pid]=$rest
  done 2>/dev/null
  local -A seen=()
  for pid in "$@"; do seen[$pid]=1; done
  while ((grew)); do
    grew=0
    for pid in "${!parent[@]}"; do
      if [[ -z ${seen[$pid]:-} && -n ${seen[${parent[$pid]}]:-} ]]; then
        seen[$pid]=1
        found+=("$pid")
        grew=1
      fi
    done
  done
  echo "${found[@]}"
}

# True while one of $@ lives; a process that waits to be reaped is dead.
any_alive() {
  local pid rest
  for pid in "$@"; do
    read -r rest 2>/dev/null <"/proc/$pid/stat" || continue
    rest=${rest##*) }
    [[ ${rest:0:1} == Z ]] || return 0
  done 2>/dev/null
  return 1
}

# Ends the children: TERM to their groups, and after a second KILL to all that is left.
end_children() {
  local groups all pid patience_us
  groups=$(jobs -p)
  [[ -n $groups ]] || return 0
  # shellcheck disable=SC2086 # lists of numbers
  all=$(descendants $groups)
  for pid in $groups; do kill -TERM -- "-$pid" 2>/dev/null || true; done
  # By the clock: on a busy machine a look and a nap take long.
  patience_us=$((${EPOCHREALTIME/[.,]/} + 1000000))
  while ((${EPOCHREALTIME/[.,]/} < patience_us)); do
    # shellcheck disable=SC2086
    any_alive $all || break
    sleep 0.02
  done
  # shellcheck disable=SC2086
  for pid in $all $(descendants $groups); do kill -KILL "$pid" 2>/dev/null || true; done
  for pid in $groups; do kill -KILL -- "-$pid" 2>/dev/null || true; done
  # The shell's own remark on a child that was killed is no news.
  # shellcheck disable=SC2086
  wait $groups 2>/dev/null || true
}

on_exit() {
  local status=$?
  trap '' INT TERM HUP
  end_children
  [[ -z $work_dir ]] || rm -rf -- "$work_dir"
  exit "$status"
}

make_work_dir() { work_dir=$(mktemp -d "${TMPDIR:-/tmp}/sluice.XXXXXX"); }

# with_lock DIRECTORY CMD...: one run at a time; a second one waits here. The lock is on the directory itself,
# so it leaves no file and vanishes with its holder.
with_lock() {
  local directory=$1 status=0
  shift
  exec 9<"$directory"
  flock --nonblock 9 || {
    echo "${0##*/}: waiting for another run in $directory"
    set -m
    flock 9 </dev/null &
    set +m
    wait "$!"
  }
  "$@" || status=$?
  exec 9<&-
  return "$status"
}
