# Brings what building and testing needs. To be sourced, by tests/run.sh and deploy/demo.sh.
#
# On Debian and Ubuntu missing packages come with apt; elsewhere, and for a toolchain that apt cannot bring in the
# version needed, it says what to install and stops. Nothing else of the machine is changed.
# shellcheck shell=bash

# Of Go, any version from here on fetches by itself the one that tests/testbed/go.mod names.
LANDFAST_GO_AT_LEAST=1.21

say() { printf '%s\n' "$*" >&2; }

stop() {
    say "error: $1"
    shift
    local line
    for line in "$@"; do say "hint: $line"; done
    exit 1
}

# Whether version $1 is $2 or later.
at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]; }

has_apt() {
    command -v apt-get >/dev/null && command -v dpkg-query >/dev/null &&
        (. /etc/os-release && case " ${ID:-} ${ID_LIKE:-} " in *" debian "* | *" ubuntu "*) true ;; *) false ;; esac)
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        stop "\`$*\` needs root, and there is no sudo" "run it as root once, then start again"
    fi
}

apt_updated=
apt_install() {
    say "installing with apt: $*"
    if [ -z "$apt_updated" ]; then
        as_root apt-get update -q >&2 || say "warning: apt-get update failed; trying with the lists that are there"
        apt_updated=yes
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >&2 ||
        stop "apt could not install $*"
}

# The version that apt would install of a package, without epoch and revision; empty where it has none.
apt_version() {
    LC_ALL=C apt-cache policy "$1" 2>/dev/null |
        sed -n 's/^ *Candidate: *\([0-9]*:\)\{0,1\}\([0-9.]*\).*/\2/p' | grep -v '^$' || true
}

# A C compiler and OpenSSL for libgit2 and ring, git for the repositories, and what these scripts call.
prepare_packages() {
    if has_apt; then
        local package missing=()
        for package in build-essential pkg-config libssl-dev git ca-certificates curl util-linux; do
            dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
        done
        [ ${#missing[@]} -eq 0 ] || apt_install "${missing[@]}"
        return
    fi
    local command missing=()
    for command in cc make pkg-config git curl flock; do
        command -v "$command" >/dev/null || missing+=("$command")
    done
    if command -v pkg-config >/dev/null && ! pkg-config --exists openssl; then missing+=("the headers of OpenSSL"); fi
    [ ${#missing[@]} -eq 0 ] || stop "missing on this machine: $(printf '%s, ' "${missing[@]}" | sed 's/, $//')" \
        "install them with your system's package manager, then start again"
}

# The version of Rust that Cargo.toml asks for.
prepare_rust() {
    local root=$1 needed version
    needed=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")
    [ -d "$HOME/.cargo/bin" ] && PATH=$PATH:$HOME/.cargo/bin
    if ! command -v cargo >/dev/null && ! command -v rustup >/dev/null && has_apt; then
        # Newer Debian and Ubuntu have rustup; their own rustc is too old.
        [ -n "$(apt_version rustup)" ] || { as_root apt-get update -q >&2 || true; apt_updated=yes; }
        [ -z "$(apt_version rustup)" ] || apt_install rustup
    fi
    version=$( (cargo --version 2>/dev/null || true) | awk '{ print $2 }')
    if [ -z "$version" ] || ! at_least "$version" "$needed"; then
        command -v rustup >/dev/null || stop "Rust $needed or later is needed, and there is ${version:-none}" \
            "see https://rustup.rs, then start again"
        say "installing Rust $needed with rustup"
        rustup toolchain install "$needed" --profile minimal --component clippy --component rustfmt >&2 ||
            stop "rustup could not install Rust $needed"
        export RUSTUP_TOOLCHAIN=$needed
    fi
}

# Go, where a program of the control plane has to be built.
prepare_go() {
    local root=$1 needed version
    needed=$(awk '$1 == "go" { print $2 }' "$root/tests/testbed/go.mod")
    [ -d /usr/local/go/bin ] && PATH=$PATH:/usr/local/go/bin
    if ! command -v go >/dev/null && has_apt; then
        [ -n "$apt_updated" ] || { as_root apt-get update -q >&2 || true; apt_updated=yes; }
        version=$(apt_version golang-go)
        if [ -n "$version" ] && at_least "$version" "$LANDFAST_GO_AT_LEAST"; then apt_install golang-go; fi
    fi
    version=$( (go env GOVERSION 2>/dev/null || true) | sed 's/^go//')
    if [ -z "$version" ] || ! at_least "$version" "$LANDFAST_GO_AT_LEAST"; then
        stop "Go $needed is needed to build the control plane, and there is ${version:-none}" \
            "see https://go.dev/dl/, or set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver," \
            "kube-controller-manager and kubectl, then start again"
    fi
    if ! at_least "$version" "$needed" && [ "$(go env GOTOOLCHAIN)" = local ]; then
        stop "Go $needed is needed, there is $version, and GOTOOLCHAIN=local forbids fetching it"
    fi
}

# Everything, up to the programs of the control plane. $1 is the root of the repository.
prepare() {
    local root=$1
    prepare_packages
    prepare_rust "$root"
    if ! "$root/tests/testbed/build.sh" --check; then
        prepare_go "$root"
        "$root/tests/testbed/build.sh" >/dev/null || exit 1
    fi
}
