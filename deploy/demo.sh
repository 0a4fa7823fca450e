#!/usr/bin/env bash
# Shows Landfast at work on a real control plane: each step is a command and its real answer, which is checked.
#
#   deploy/demo.sh               the whole story, under a minute once everything is built
#   deploy/demo.sh --keep        leaves everything running and prints how to use it and how to end it
#   deploy/demo.sh --help        these words
#
# It installs or builds what is missing first (minutes, once). Nothing leaves this machine's loopback, and nothing
# is left behind. Exit code 0: every answer was as expected.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/tests/testbed/prepare.sh"

keep=
for argument in "$@"; do
    case "$argument" in
    --keep) keep=yes ;;
    -h | --help)
        # The words at the top of this file.
        sed -n '2,/^set /{ /^#/s/^# \{0,1\}//p; }' "${BASH_SOURCE[0]}"
        exit 0
        ;;
    *) stop "unknown argument \`$argument\`" "usage: deploy/demo.sh [--keep | --help]" ;;
    esac
done

bold= dim= red= green= plain=
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m'
fi

# --- what runs ---------------------------------------------------------------------------------------------------

built=${CARGO_TARGET_DIR:-$root/target}/debug
demo= testbed= landfast=

# A watchdog on a pipe ends what this script started, however the script ends.
begin() {
    demo=$(mktemp -d "${TMPDIR:-/tmp}/landfast-demo.XXXXXX")
    exec {leash}> >(exec setsid sh "$root/tests/testbed/watchdog.sh" >/dev/null 2>&1)
    echo "folder $demo" >&"$leash"
}

# Starts a program in the background; the caller reads its id from $!.
start() {
    local log=$1
    shift
    "$@" </dev/null >>"$log" 2>&1 {leash}>&- &
    echo "pid $!" >&"$leash"
}

wait_for() {
    local what=$1 pid=$2 log=$3 tenths=0
    shift 3
    until "$@" >/dev/null 2>&1; do
        if ! kill -0 "$pid" 2>/dev/null || [ "$tenths" -ge 900 ]; then
            tail -n 20 "$log" >&2
            stop "waited in vain for $what"
        fi
        sleep 0.1
        tenths=$((tenths + 1))
    done
}

start_testbed() {
    say "starting etcd, kube-apiserver and kube-controller-manager (about 10 s)"
    start "$demo/testbed.log" "$built/examples/testbed" "$demo/testbed"
    testbed=$!
    wait_for "the control plane" "$testbed" "$demo/testbed.log" test -f "$demo/testbed/ready"
    . "$demo/testbed/ready"
    export HOME=$demo KUBERC=off
    cp "$KUBECONFIG_ALICE" "$demo/alice.kubeconfig"
    cp "$KUBECONFIG_ADMIN" "$demo/admin.kubeconfig"
    cp "$KUBECONFIG_ONCALL" "$demo/oncall.kubeconfig"
    cp "$KUBECONFIG_ARGOCD" "$demo/argocd.kubeconfig"
    local user
    for user in alice admin oncall argocd; do
        KUBECONFIG=$demo/$user.kubeconfig "$TESTBED_KUBECTL" config set-context --current --namespace=shop >/dev/null
    done
    export KUBECONFIG=$demo/alice.kubeconfig
}

kubectl() { "$TESTBED_KUBECTL" "$@"; }
as_admin() { KUBECONFIG=$demo/admin.kubeconfig "$TESTBED_KUBECTL" "$@"; }

start_landfast() {
    local port=$1 status=$2 command
    command=("$built/landfast" serve --config "$demo/landfast.yaml"
        --kubeconfig "$KUBECONFIG_LANDFAST" --listen "127.0.0.1:$port" --status-listen "127.0.0.1:$status"
        --url "https://127.0.0.1:$port" --state-dir "$demo/state")
    printf '%s$ landfast%s%s\n' "$dim" "$(printf ' %s' "${command[@]:1}" | sed "s#$demo#\$DEMO#g")" "$plain"
    start "$demo/landfast.log" "${command[@]}"
    landfast=$!
    wait_for "landfast to be ready" "$landfast" "$demo/landfast.log" curl -fsS "http://127.0.0.1:$status/readyz"
    # The API server honours a new webhook configuration a moment later: probe with a write that must be denied.
    wait_for "the API server to ask landfast" "$landfast" "$demo/landfast.log" probe
}

probe() {
    local answer
    answer=$(sed 's/replicas: [0-9]*/replicas: 11/' apps/web/deployment.yaml | kubectl apply --dry-run=server -f - 2>&1) || true
    [[ $answer = *"differs from Git"* ]]
}

free_port() {
    local port=$1
    while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
    echo "$port"
}

# --- what is declared --------------------------------------------------------------------------------------------

git() {
    GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME="Ann Author" GIT_AUTHOR_EMAIL=ann@example.com \
        GIT_COMMITTER_NAME="Ann Author" GIT_COMMITTER_EMAIL=ann@example.com command git "$@"
}

deployment() {
    local name=$1 replicas=$2 namespace=${3:-shop}
    cat <<YAML
apiVersion: apps/v1
kind: Deployment
metadata:
  name: $name
  namespace: $namespace
  labels:
    app: $name
spec:
  replicas: $replicas
  selector:
    matchLabels:
      app: $name
  template:
    metadata:
      labels:
        app: $name
    spec:
      containers:
        - name: $name
          image: registry.example.com/$name:1.4.2
YAML
}

write_repository() {
    mkdir -p "$demo"/repository/apps/{web,worker,ledger,till}
    cd "$demo/repository"
    git init -q -b main
    deployment web 3 >apps/web/deployment.yaml
    deployment worker 2 >apps/worker/deployment.yaml
    deployment ledger 2 bank >apps/ledger/deployment.yaml
    deployment till 2 till >apps/till/deployment.yaml
    cat >apps/web/service.yaml <<'YAML'
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: shop
spec:
  selector:
    app: web
  ports:
    - port: 80
      targetPort: 8080
YAML
    cat >apps/web/settings.yaml <<'YAML'
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  namespace: shop
data:
  banner: Welcome
YAML
    cat >apps/web/budget.yaml <<'YAML'
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: web
  namespace: shop
spec:
  minAvailable: 2
  selector:
    matchLabels:
      app: web
YAML
    printf '*  @shop/platform\n/apps/web/  @shop/backend\n' >CODEOWNERS
    git add .
    git commit -q -m "Run the shop"
}

write_configuration() {
    cat >"$demo/landfast.yaml" <<YAML
apiVersion: landfast.dev/v1alpha1
kind: GitSource
metadata: { name: shop }
spec:
  url: file://$demo/repository
  ref: { branch: main }
  path: apps
  interval: 10m # what follows does not wait for it: a write about to be refused asks Git first
  scope: { namespaces: [shop, bank, till] }
---
apiVersion: landfast.dev/v1alpha1
kind: DriftPolicy
metadata: { name: shop }
spec:
  mode: Enforce
  match: { namespaces: [shop] }
  rulings: { drift: Deny, delete: Deny, undeclaredFields: Allow }
  failurePolicy: Fail
  breakGlass: { maxDuration: 4h, reasonPattern: '^INC-[0-9]+ .+' }
  writers:
    - name: argo-cd
      role: Deployer
      subjects: [{ kind: ServiceAccount, namespace: argocd, name: argocd-application-controller }]
---
apiVersion: landfast.dev/v1alpha1
kind: DriftPolicy
metadata: { name: settings }
spec:
  precedence: 10
  mode: Enforce
  match: { namespaces: [shop], kinds: [ConfigMap] }
  rulings: { drift: Revert, delete: Deny, undeclaredFields: Allow }
---
apiVersion: landfast.dev/v1alpha1
kind: DriftPolicy
metadata: { name: budgets }
spec:
  precedence: 20
  mode: Enforce
  match: { namespaces: [shop], kinds: [PodDisruptionBudget.policy] }
  rulings: { drift: Annotate, delete: Warn, undeclaredFields: Allow }
---
apiVersion: landfast.dev/v1alpha1
kind: DriftPolicy
metadata: { name: bank }
spec:
  mode: Observe # decides everything as if enforced, and touches nothing
  match: { namespaces: [bank] }
---
apiVersion: landfast.dev/v1alpha1
kind: DriftPolicy
metadata: { name: till }
spec:
  mode: Enforce
  match: { namespaces: [till] }
  rulings: { drift: Warn, delete: Warn }
  repair: { mode: Automatic, by: Landfast }
YAML
}

# --- how a step is shown and checked -----------------------------------------------------------------------------

number=0 code=0 answer=

step() {
    number=$((number + 1))
    printf '\n%s%d. %s%s\n' "$bold" "$number" "$*" "$plain"
}

# Runs a command, shows it with its answer, and keeps both its exit code and its answer.
show() {
    local word words=
    for word in "$@"; do
        # As it would be typed.
        case $word in *[!A-Za-z0-9_./:=,-]*) words+=" '$word'" ;; *) words+=" $word" ;; esac
    done
    printf '   %s$%s%s\n' "$dim" "${words//$demo/\$DEMO}" "$plain"
    code=0
    answer=$("$@" 2>&1) || code=$?
    [ -z "$answer" ] || printf '%s\n' "$answer" | sed "s#$demo#\$DEMO#g; s/^/   /"
}

differs() {
    printf '\n%sexpected %s%s\n' "$red" "$*" "$plain" >&2
    printf 'the command gave exit code %s and this:\n%s\n' "$code" "$answer" >&2
    printf 'the end of the log of landfast:\n' >&2
    tail -n 5 "$demo/landfast.log" >&2
    exit 1
}

expect() {
    local part
    for part in "$@"; do
        case $answer in *"$part"*) ;; *) differs "\"$part\" in the answer" ;; esac
    done
    printf '   %sas expected%s\n' "$green" "$plain"
}

let_in() {
    [ "$code" -eq 0 ] || differs "that this write is let in"
    expect "$@"
}

denied() {
    [ "$code" -ne 0 ] || differs "that this write is denied"
    expect "denied the request" "$@"
}

# Repeats a command that looks for something that arrives by itself, until it prints something.
show_soon() {
    local tenths=0
    until [ -n "$("$@" 2>/dev/null)" ] || [ "$tenths" -ge 100 ]; do
        sleep 0.1
        tenths=$((tenths + 1))
    done
    show "$@"
}

# --- the story ---------------------------------------------------------------------------------------------------

observing() {
    step "Where a policy only observes, everything goes in without a word"
    show kubectl apply -f apps/ledger
    let_in "deployment.apps/ledger created"
    show kubectl scale -n bank deployment ledger --replicas=5
    let_in "deployment.apps/ledger scaled"
    [ "$answer" = "deployment.apps/ledger scaled" ] || differs "no warning"

    step "The report says what would have been denied, and the entry that would settle it"
    until "$built/landfast" report --state-dir "$demo/state" | grep alice >/dev/null; do sleep 0.1; done
    show "$built/landfast" report --state-dir "$demo/state"
    let_in "Would have been denied" "alice" "spec.replicas" "bank/ledger" "- name: deployment-spec-replicas"
}

denials() {
    step "What Git declares goes in"
    show kubectl apply -f apps/web
    let_in "deployment.apps/web created" "service/web created"

    step "kubectl scale is denied, and the answer says where to change it"
    show kubectl scale deployment web --replicas=5
    denied "Deployment shop/web differs from Git in 1 field" "spec.replicas: 3 in Git, 5 in this write" \
        "declared by apps/web/deployment.yaml:9 at" "Ann Author" "owned by @shop/backend" "hint: change that file"
    scale_answer=$answer

    step "An image edit is denied"
    show kubectl set image deployment/web web=registry.example.com/web:1.4.3
    denied 'spec.template.spec.containers[name=web].image' "registry.example.com/web:1.4.2" "declared by apps/web/deployment.yaml:20"

    step "Deleting a declared Service is denied"
    show kubectl delete service web
    denied "Service shop/web" "apps/web/service.yaml"

    step "A label that Git does not declare goes in, because the policy allows that"
    show grep -m 1 undeclaredFields "$demo/landfast.yaml"
    expect "undeclaredFields: Allow"
    show kubectl label deployment web team=blue
    let_in "deployment.apps/web labeled"

    step "A dry-run gets the same denial"
    show kubectl scale deployment web --replicas=5 --dry-run=server
    denied
    [ "$answer" = "$scale_answer" ] || differs "the very answer of the scale above"
}

changes() {
    step "Where a policy says Revert, what drifts is put back, and the rest of the write goes in"
    show kubectl patch configmap settings --type=merge -p '{"metadata":{"labels":{"team":"blue"}},"data":{"banner":"Sale"}}'
    let_in "configmap/settings patched" "what drifts from Git is put back" 'data.banner: "Welcome" in Git, "Sale" in this write'
    show kubectl get configmap settings -o 'jsonpath={.data.banner}, team {.metadata.labels.team}'
    let_in "Welcome, team blue"

    step "Where it says Annotate, drift goes in, and a mark stands on the object until it agrees again"
    show kubectl patch poddisruptionbudget web --type=merge -p '{"spec":{"minAvailable":1}}'
    let_in "poddisruptionbudget.policy/web patched" "spec.minAvailable: 2 in Git, 1 in this write"
    show kubectl get poddisruptionbudget web -o 'jsonpath={.metadata.annotations.landfast\.dev/drift}'
    let_in '"writer":"alice"' '"spec.minAvailable"'
    show kubectl apply -f apps/web/budget.yaml
    let_in "poddisruptionbudget.policy/web configured"
    show kubectl get poddisruptionbudget web -o 'jsonpath=mark: {.metadata.annotations.landfast\.dev/drift}'
    [ "$answer" = "mark: " ] || differs "no mark"
}

merge() {
    step "A merge in Git makes the very same scale go in, at once"
    git switch -q -c scale-up
    sed -i 's/replicas: 3/replicas: 5/' apps/web/deployment.yaml
    git commit -q -a -m "Run five of web"
    git switch -q main
    show git merge -q --no-ff -m "Merge: run five of web" scale-up
    show kubectl scale deployment web --replicas=5
    let_in "deployment.apps/web scaled"
}

incident() {
    local oncall="--kubeconfig=$demo/oncall.kubeconfig" argocd="--kubeconfig=$demo/argocd.kubeconfig"
    step "In an incident the glass may be broken, by whom RBAC lets, in the write itself"
    show kubectl patch deployment web -p '{"metadata":{"annotations":{"landfast.dev/break-glass":"INC-1234 the queue is full"}},"spec":{"replicas":9}}'
    denied "alice may not break the glass of policy shop"
    show kubectl "$oncall" patch deployment web -p '{"metadata":{"annotations":{"landfast.dev/break-glass":"INC-1234 the queue is full"}},"spec":{"replicas":9}}'
    let_in 'opens break-glass "INC-1234 the queue is full" until'
    show kubectl "$oncall" get breakglasses
    let_in "INC-1234 the queue is full" "oncall"

    step "It is held against a deployer: what the incident moved stays, and nobody suspends anything"
    show kubectl "$argocd" apply --server-side --force-conflicts -f apps/web/deployment.yaml
    let_in "spec.replicas stays as it is for break-glass"
    show kubectl get deployment web -o 'jsonpath={.spec.replicas} replicas'
    let_in "9 replicas"

    step "Once it is over, the deployer has its way"
    show kubectl "$oncall" annotate deployment web landfast.dev/break-glass-
    let_in 'ends break-glass'
    show_soon kubectl "$oncall" get breakglasses -o 'jsonpath={.items[?(@.status.state=="Ended")].metadata.name}'
    let_in "inc-1234-"
    show kubectl "$argocd" apply --server-side --force-conflicts -f apps/web/deployment.yaml
    show kubectl get deployment web -o 'jsonpath={.spec.replicas} replicas'
    let_in "5 replicas"
}

restoring() {
    step "The worker drifted before Landfast came; whoever restores Git's value may"
    show kubectl get deployment worker -o 'jsonpath=worker: {.spec.replicas} replicas in the cluster, 2 in Git'
    let_in "worker: 1 replicas"
    show kubectl scale deployment worker --replicas=3
    denied "spec.replicas: 2 in Git, 3 in this write"
    show kubectl scale deployment worker --replicas=2
    let_in "deployment.apps/worker scaled"
}

repairs() {
    step "With repair, and no deployer, Landfast itself brings what Git declares"
    show_soon kubectl get -n till deployment till -o 'jsonpath={.spec.replicas} replicas'
    let_in "2 replicas"

    step "While Landfast is away, writes go in unseen, unless the policy says failurePolicy: Fail"
    show kill "$landfast"
    tail --pid="$landfast" -f /dev/null
    show kubectl scale -n till deployment till --replicas=9
    let_in "deployment.apps/till scaled"

    step "Once it is back, so is what Git declares"
    start_landfast "$port" "$status"
    until_repaired
    show kubectl get -n till deployment till -o 'jsonpath={.spec.replicas} replicas'
    let_in "2 replicas"
    show_soon kubectl get -n till events --field-selector reason=DriftSlippedPast -o 'jsonpath={.items[*].message}'
    let_in "spec.replicas: 2 in Git, 9 live, moved by kubectl"

    step "Who moves a field again and again is told by name, and not fought"
    until [ -n "$(fights)" ]; do
        show kubectl scale -n till deployment till --replicas=7
        let_in "deployment.apps/till scaled"
        until_repaired
    done
    show kubectl get -n till events --field-selector reason=FightDetected -o 'jsonpath={.items[*].message}'
    let_in "is moved again each time that it is brought back" "moved by alice"
}

fights() { kubectl get -n till events --field-selector reason=FightDetected -o 'jsonpath={.items[*].message}'; }

# Returns when what Git declares is back, or is fought over.
until_repaired() {
    until [ "$(kubectl get -n till deployment till -o 'jsonpath={.spec.replicas}')" = 2 ] || [ -n "$(fights)" ]; do sleep 0.1; done
}

records() {
    step "What was left: events on the objects"
    show_soon kubectl get events --field-selector reason=DriftDenied
    let_in "deployment/web" "service/web" "DriftDenied"

    step "What was left: one line of JSON for each write that was denied"
    show grep -m 1 '"ruling":"Deny","enforced":true' "$demo/landfast.log"
    let_in "spec.replicas" "alice"

    step "What was left: annotations in the audit log of the API server"
    # The first scale, not the dry-runs by which this script waited for Landfast.
    awk '/"subresource":"scale"/ && /"code":403/ && !/dryRun/ { print; exit }' "$demo"/testbed/control-plane-0/audit.log >"$demo/audit.json"
    show grep -E -o '"[a-z]*\.landfast\.dev/[a-z-]*":"([^"\\]|\\.)*"' "$demo/audit.json"
    let_in '.landfast.dev/ruling":"Deny"'
}

leave() {
    if [ -z "$keep" ]; then return; fi
    echo keep >&"$leash"
    printf '\nEverything is left running.\n'
    printf '  to use it:  export KUBECONFIG=%s   (alice; admin.kubeconfig beside it)\n' "$KUBECONFIG"
    printf '  kubectl:    %s\n' "$TESTBED_KUBECTL"
    printf '  Git:        %s\n' "$demo/repository"
    printf '  log:        %s\n' "$demo/landfast.log"
    printf '  to end it:  kill %s %s && sleep 3 && rm -r %s\n' "$landfast" "$testbed" "$demo"
}

say "preparing: what is missing is installed or built"
prepare "$root"
(cd "$root" && cargo build --locked --bin landfast --example testbed >&2)
started=$SECONDS
begin
start_testbed
write_repository
write_configuration
as_admin create namespace shop >/dev/null
as_admin create namespace bank >/dev/null
as_admin apply -f "$root/deploy/crds.yaml" >/dev/null
as_admin wait --for=condition=Established crd --all --timeout=60s >/dev/null
# One object that has drifted before anybody watched.
deployment worker 1 | as_admin apply -f - >/dev/null
as_admin create namespace till >/dev/null
port=$(free_port 18443) status=$(free_port 18080)
start_landfast "$port" "$status"
observing
denials
changes
merge
incident
restoring
repairs
records
printf '\n%sEvery answer was as expected%s (%d steps, %d s).\n' "$green" "$plain" "$number" "$((SECONDS - started))"
leave
