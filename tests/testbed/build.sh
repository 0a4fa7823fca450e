#!/usr/bin/env bash
# Brings the programs of a real control plane and prints the folder they lie in.
#
#   tests/testbed/build.sh [PROGRAM…]      default: etcd kube-apiserver kube-controller-manager kubectl
#   tests/testbed/build.sh --check         builds nothing: exit code 0 when all of them are there
#
# They are built from their Go modules, pinned by go.mod and go.sum beside this script, into
# ${XDG_CACHE_HOME:-~/.cache}/landfast/testbed/<version>/, once a machine. With KUBEBUILDER_ASSETS set, what
# lies in that folder is used, and only what it lacks is built. Standard output carries the folder alone.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
version=$(awk '$1 == "k8s.io/kubernetes" && $2 ~ /^v/ { print $2; exit }' "$here/go.mod")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/landfast/testbed
folder=$cache/$version

# Without the version in its linker flags a server calls itself v0.0.0.
numbers=${version#v}
minor=${numbers#*.}
stamp=k8s.io/component-base/version
flags=(-trimpath -ldflags "-s -w -X $stamp.gitVersion=$version -X $stamp.gitMajor=${numbers%%.*} -X $stamp.gitMinor=${minor%%.*}")

# Name, Go package, what a first build takes on two cores.
programs() {
    cat <<'TABLE'
etcd                     ./etcd                                         a minute, with its downloads
kube-apiserver           k8s.io/kubernetes/cmd/kube-apiserver           about 8 minutes, with 0.8 GB of downloads
kube-controller-manager  k8s.io/kubernetes/cmd/kube-controller-manager  about 2 minutes
kubectl                  k8s.io/kubernetes/cmd/kubectl                  about a minute
TABLE
}

say() { printf '%s\n' "$*" >&2; }

# What a program is made of: another pin, main package or build flag makes another sum.
sum_of() {
    local package=$1
    {
        echo "${flags[@]}"
        cat "$here/go.mod" "$here/go.sum"
        case $package in ./*) cat "$here/$package"/*.go ;; esac
    } | sha256sum | cut -d' ' -f1
}

built() {
    local name=$1 package=$2
    [ -x "$folder/$name" ] && [ "$(cat "$folder/.$name.sum" 2>/dev/null)" = "$(sum_of "$package")" ]
}

build() {
    local name=$1 package=$2 duration=$3 started=$SECONDS log shown=0
    local building=$folder/.building
    say "building $name $version: $duration the first time"
    rm -rf "$building" # a build that was cut off leaves nothing to go on with
    mkdir -p "$building"
    log=$building/log
    (
        cd "$here"
        CGO_ENABLED=0 exec go build -v -o "$building/$name" "${flags[@]}" "$package"
    ) >"$log" 2>&1 &
    local pid=$!
    trap 'kill "$pid" 2>/dev/null; rm -rf "$building"' EXIT
    while kill -0 "$pid" 2>/dev/null; do
        sleep 1
        if [ $((SECONDS - started - shown)) -ge 15 ]; then
            shown=$((SECONDS - started))
            say "  $name: $shown s, $(grep -c '^go: downloading' "$log" || true) modules downloaded," \
                "$(grep -vc '^go: ' "$log" || true) packages compiled"
        fi
    done
    if ! wait "$pid"; then
        tail -n 20 "$log" >&2
        say "error: $name could not be built"
        exit 1
    fi
    trap - EXIT
    sum_of "$package" >"$building/sum"
    rm -f "$folder/.$name.sum" # from here to the last line the program counts as not built
    mv "$building/$name" "$folder/$name"
    mv "$building/sum" "$folder/.$name.sum"
    rm -rf "$building"
    say "  $name: done in $((SECONDS - started)) s"
}

check=
if [ "${1:-}" = --check ]; then
    check=yes
    shift
fi
wanted=("$@")
[ ${#wanted[@]} -gt 0 ] || wanted=(etcd kube-apiserver kube-controller-manager kubectl)

missing=()
for name in "${wanted[@]}"; do
    if [ -n "${KUBEBUILDER_ASSETS:-}" ] && [ -x "$KUBEBUILDER_ASSETS/$name" ]; then continue; fi
    read -r _ package duration < <(programs | awk -v name="$name" '$1 == name') || {
        say "error: no program is called \`$name\`; there are:" "$(programs | awk '{ printf " %s", $1 }')"
        exit 2
    }
    built "$name" "$package" || missing+=("$name")
done

[ -z "$check" ] || exit $((${#missing[@]} > 0))

if [ ${#missing[@]} -gt 0 ]; then
    if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
        say "KUBEBUILDER_ASSETS ($KUBEBUILDER_ASSETS) lacks ${missing[*]}: built here as $version"
    fi
    command -v go >/dev/null || {
        say "error: building ${missing[*]} needs Go: see https://go.dev/dl/"
        exit 1
    }
    mkdir -p "$folder"
    exec 9>"$cache/.lock"
    if ! flock --nonblock 9; then
        say "another build of the testbed is running: waiting for it"
        flock 9
    fi
    for name in "${missing[@]}"; do
        read -r _ package duration < <(programs | awk -v name="$name" '$1 == name')
        built "$name" "$package" || build "$name" "$package" "$duration"
    done
fi

printf '%s\n' "$folder"
