#!/bin/bash
# netperf.sh - UDP_RR or UDP_STREAM over a range of client threads, sluice against Linux: a table, JSON, a plot.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=lib/experiment.sh
source "$root/scripts/lib/experiment.sh"
experiment sweep_netperf.py "iokerneld netperf memif_netperf sluicectl" "$@"
