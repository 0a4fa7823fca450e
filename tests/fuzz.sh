#!/usr/bin/env bash
# Fuzzes what reads from outside, guided by coverage: tests/fuzz.sh [SECONDS] [TARGET…]
#
# Every target (tests/fuzz/targets) runs for SECONDS (600), JOBS side by side (as many as there are processors), with the case
# files of the tests as seeds. Needs a C++ compiler for libFuzzer, no nightly toolchain. What it keeps stands in
# target/fuzz/<target>: corpus, log, findings. Exit 1 where a law was broken: put the finding into
# tests/fuzz/findings/<target>, where `tests/run.sh found` replays it.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

seconds=${1:-600}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(reviews yaml openapi paths quantities)

work="$root/target/fuzz"
triple=$(rustc -vV | sed -n 's/^host: //p')
# What cargo-fuzz passes, without its sanitizers: those need nightly, and this code is free of `unsafe`.
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing"
export CARGO_TARGET_DIR="$work/build"

# The same versions as the product has.
cp Cargo.lock tests/fuzz/Cargo.lock
nice -n 19 cargo build --release --target "$triple" --manifest-path tests/fuzz/Cargo.toml
binary="$CARGO_TARGET_DIR/$triple/release/fuzz"

# The case files that a target begins with, copied: they change while libFuzzer runs.
seeds() {
    case $1 in
    reviews)
        # One a line, with its name around it.
        sed -E 's/^\{"name":"[^"]*","review"://; s/\}$//' tests/data/reviews/*.jsonl | split -a 4 -l 1 - "$2/review-"
        ;;
    yaml) cp tests/cases/yaml/*.{yaml,json} tests/data/*.yaml "$2/" ;;
    openapi) cp tests/fuzz/seeds/openapi.yaml tests/cases/compare/crd.yaml tests/data/*crd*.yaml tests/oracle/crds/*.yaml "$2/" ;;
    paths) split -a 4 -l 1 tests/fuzz/seeds/paths.txt "$2/path-" ;;
    quantities) split -a 4 -l 2 tests/fuzz/seeds/quantities.txt "$2/pair-" ;;
    *)
        echo "no target $1" >&2
        exit 2
        ;;
    esac
    cp "tests/fuzz/findings/$1"/* "$2/" 2>/dev/null || true
}

fuzz() {
    local folder="$work/$1"
    rm -rf "$folder/seeds" "$folder/findings"
    mkdir -p "$folder/corpus" "$folder/seeds" "$folder/findings"
    seeds "$1" "$folder/seeds"
    FUZZ_TARGET=$1 nice -n 19 "$binary" "$folder/corpus" "$folder/seeds" -max_total_time="$seconds" -max_len=65536 -timeout=10 \
        -rss_limit_mb=4096 -use_value_profile=1 -print_final_stats=1 -artifact_prefix="$folder/findings/" >"$folder/log" 2>&1
}

report() {
    local log="$work/$1/log" number executed edges
    executed=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | sed -n '1p;$p' | paste -sd ' ')
    number=$(find "$work/$1/findings" -type f | wc -l)
    echo "$1: ${executed:-?} executions, edges ${edges:-?} (first, last), $number findings in target/fuzz/$1/findings"
    [ "$number" -eq 0 ]
}

for target in "${targets[@]}"; do
    while [ "$(jobs -rp | wc -l)" -ge "${JOBS:-$(nproc)}" ]; do wait -n || true; done
    echo "fuzzing $target for $seconds s" >&2
    fuzz "$target" &
done
wait
failed=0
for target in "${targets[@]}"; do report "$target" || failed=1; done
exit "$failed"
