#!/bin/bash
# demo.sh - real packets through iokerneld to an app on libruntime, once per steering policy, and a table of what
# it cost. In private network namespaces; leaves nothing behind. `demo.sh --help` lists the options.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=lib/experiment.sh
source "$root/scripts/lib/experiment.sh"
experiment demo.py "iokerneld synthetic sluicectl" "$@"
