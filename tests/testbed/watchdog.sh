#!/bin/sh
# Ends what a test run or a demo started, whatever way its owner goes.
#
# The owner holds the write end of this script's standard input. When the owner is gone (done, panicked or
# killed) the pipe closes, and every process registered here is ended by its id and every folder is removed.
# It never looks for a process by name.
#
# Lines understood: "pid N", "forget N", "folder PATH", "keep" (leave everything as it is and end).

# Ctrl-C in a terminal reaches every process of the group; this one has work to do afterwards.
trap '' INT TERM HUP

pids=
folders=$(mktemp "${TMPDIR:-/tmp}/landfast-watchdog.XXXXXX") || exit 1

while IFS=' ' read -r verb what; do
    case $verb in
    pid) pids="$pids $what " ;;
    forget) pids=$(printf '%s' "$pids" | sed "s/ $what //") ;;
    folder) printf '%s\n' "$what" >>"$folders" ;;
    keep)
        rm -f "$folders"
        exit 0
        ;;
    esac
done

alive() {
    for pid in $pids; do
        # A zombie of an owner that still lives has ended: only its parent can bury it.
        state=$(sed 's/^.*) //; s/ .*//' "/proc/$pid/stat" 2>/dev/null) || continue
        [ -n "$state" ] && [ "$state" != Z ] && return 0
    done
    return 1
}

for pid in $pids; do kill -TERM "$pid" 2>/dev/null; done
tenths=0
# A kube-apiserver takes its time to end its watches, and there is nothing here that it could lose.
while alive && [ "$tenths" -lt 10 ]; do
    sleep 0.1
    tenths=$((tenths + 1))
done
for pid in $pids; do kill -KILL "$pid" 2>/dev/null; done

while read -r folder; do rm -rf -- "$folder"; done <"$folders"
rm -f "$folders"
