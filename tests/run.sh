#!/usr/bin/env bash
# Runs every test, after installing and building what is missing. Arguments go to `cargo test`.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/tests/testbed/prepare.sh"

prepare "$root"
cd "$root"
exec cargo test "$@"
