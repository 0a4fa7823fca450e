#!/usr/bin/env bash
# Asks a real API server whether the engine answers as it does: tests/oracle.sh [CASES] [SEED]
#
# Prints a row for each kind and ends with `N cases, D disagreements`; exit 1 where D is not 0. ORACLE_KIND=Deployment tries
# only the kinds whose title begins so; ORACLE_WHY=1 tells every refusal.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/tests/testbed/prepare.sh"

prepare "$root"
cd "$root"
exec cargo test --quiet --test oracle -- "$@"
