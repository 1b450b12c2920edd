#!/bin/bash
# synthetic.sh - the synthetic load over a range of rates and policies: a table, JSON, a plot.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=lib/experiment.sh
source "$root/scripts/lib/experiment.sh"
experiment sweep_synthetic.py "iokerneld synthetic sluicectl batch" "$@"
