#!/usr/bin/env bash
# Separate machines for a driver, its standby, and three workers: network namespaces, joined by a
# bridge. They share the files, as machines with NFS do. The commands are those of README.md,
# "Several machines".
#
#   .ci/network.sh PROGRAM INPUTS [TEST...]      as root; needs iproute2 and tshark
#
# Runs a job with certificates and compares its results with those on loopback; searches the
# captured traffic for the text and the paths, and checks that the same search finds them where
# nothing is encrypted; then checks that every caller without the right credentials is refused.
#
# With TEST, only these tests; a stage of its own is `standby_takes_over_whatever_stops_the_driver`,
# which needs no tshark: drivers are killed and frozen, and standbys take over.
set -euo pipefail

TOP=$(realpath "$(dirname "$0")/..")
mapmill=$(realpath "$1")
inputs=$(realpath "$2")
WORKERS=3
JOB_SECONDS_MAX=60
PORT=50051
HOST=10.77.0.1
STANDBY_HOST=10.77.0.5

# Of the test of standbys. Its jobs must outlast all their takeovers: the workers read slowly.
STANDBY_TASKS=30
STANDBY_THROTTLE=25K
# A killed driver is found dead at once, on the same machine; a frozen one after 10 s.
KILLED_MS_MAX=2000
FROZEN_MS_MAX=12000
BACK_MS_MAX=30000

# ---- The tests. Each begins in an empty folder, with the inputs in `inputs`. ----

job_with_certificates_runs_and_shows_nothing_on_the_wire() {
    documented mapmill certs init --host $HOST
    capture
    documented on driver mapmill driver inputs --listen $HOST:$PORT --tls certs/driver &
    local pids=($!) index
    for ((index = 1; index <= WORKERS; index++)); do
        documented on "w$index" mapmill worker --driver $HOST:$PORT --tls certs/worker &
        pids+=($!)
    done
    all_well "${pids[@]}"
    captured
    compare
    (($(stat -c %s wire) > 10000)) || fail "next to nothing went over the wire"
    local word
    for word in $(secrets); do
        ! grep --quiet --text --fixed-strings -- "$word" wire || fail "on the wire: $word"
    done
    [[ -z $(shown) ]] || fail "on the wire: $(shown)"
    echo "$(stat -c %s wire) bytes on the wire, and none of $(secrets | wc -l) words and paths"
}

# The control: the search can find something.
job_without_them_shows_paths_and_the_token() {
    mapmill certs token --output token
    capture
    on driver mapmill driver inputs --listen $HOST:$PORT --insecure --token-file token &
    local pids=($!) index
    for ((index = 1; index <= WORKERS; index++)); do
        on "w$index" mapmill worker --driver $HOST:$PORT --insecure --token-file token &
        pids+=($!)
    done
    all_well "${pids[@]}"
    captured
    compare
    local path found=0
    for path in "$PWD"/inputs/*; do
        ! grep --quiet --text --fixed-strings -- "$path" wire || ((++found))
    done
    ((found > 0)) || fail "no path on the wire: the search does not work"
    (($(shown | wc -l) > WORKERS)) || fail "no token on the wire: the search does not work"
    [[ $(shown | sort -u) == "Bearer $(cat token)" ]] || fail "not the token: $(shown | sort -u)"
    echo "without TLS $found paths are on the wire, and the token $(shown | wc -l) times"
}

driver_without_them_is_not_started() {
    refused driver 2 on driver mapmill driver inputs --listen $HOST:$PORT
    said driver "mapmill certs init --host $HOST"
    said driver "mapmill driver ... --listen $HOST:$PORT --tls certs/driver"
    said driver "mapmill worker --driver $HOST:$PORT --tls certs/worker"
    # Nor with a token, which could be read on the network; nor on the wildcard address.
    mapmill certs token --output token
    refused token 2 on driver mapmill driver inputs --listen $HOST:$PORT --token-file token
    said token "can be reached from other machines"
    refused everywhere 2 on driver mapmill driver inputs --listen 0.0.0.0:$PORT
    said everywhere "can be reached from other machines"
    [[ ! -e files ]] || fail "the refused driver has left files"
}

token_is_not_shown_in_clear() {
    mapmill certs token --output token
    capture
    on driver mapmill driver inputs --listen $HOST:$PORT --insecure --token-file token &
    local driver=$!
    until_open
    refused worker 2 on w1 mapmill worker --driver $HOST:$PORT --token-file token
    said worker "--insecure"
    refused status 2 on w1 mapmill status --driver $HOST:$PORT --token-file token
    said status "--insecure"
    # By its name, which is resolved only when it is called.
    echo "$HOST driver.test" >>"$SCRATCH/hosts"
    refused name 2 on w1 mapmill worker --driver driver.test:$PORT --token-file token
    said name "--insecure"
    refused none 2 on w1 mapmill status --driver $HOST:$PORT
    # The token has not been sent until this call sends it.
    on w1 mapmill status --driver $HOST:$PORT --token-file token --insecure | grep --quiet ^running
    end "$driver"
    captured
    (($(shown | wc -l) == 1)) || fail "shown in clear: $(shown)"
}

unknown_callers_are_refused_with_their_reason() {
    mapmill certs init --host $HOST
    mapmill certs init other --host $HOST
    on driver mapmill driver inputs --listen $HOST:$PORT --tls certs/driver 2>driver.log &
    local driver=$!
    until_open

    # A certificate of another authority, whose owner trusts that of this driver as well.
    cat other/worker/ca.pem certs/worker/ca.pem >both.pem
    refused stranger 2 on w1 mapmill worker --driver $HOST:$PORT --tls-cert other/worker/cert.pem \
        --tls-key other/worker/key.pem --tls-ca both.pem
    said stranger "cannot work for the driver at $HOST:$PORT"
    said stranger "mapmill certs show"
    until_said driver.log '10\.77\.0\.2.*authority\|authority.*10\.77\.0\.2'
    # A caller that does not trust the driver: the caller refuses.
    refused doubter 2 on w2 mapmill worker --driver $HOST:$PORT --tls other/worker
    said doubter "authority"
    said doubter "mapmill certs show"
    # A certificate of this authority, for something else.
    refused viewer 2 on w2 mapmill status --driver $HOST:$PORT --tls-cert certs/worker/cert.pem \
        --tls-key certs/worker/key.pem --tls-ca certs/worker/ca.pem
    said viewer "has role worker (name worker); role viewer is needed"
    # A caller without any certificate.
    refused plain 2 on w2 mapmill status --driver $HOST:$PORT

    documented on w3 mapmill status --driver $HOST:$PORT --tls certs/viewer | grep --quiet ^running
    on w3 mapmill status --driver $HOST:$PORT --tls certs/viewer --json | grep --quiet '"workers":0'
    grep --quiet panicked driver.log && fail "the driver panicked"
    end "$driver"
    cat driver.log stranger.log doubter.log
}

# IPv4 and IPv6, loopback and the network: the host `everywhere.example` has all of them.
driver_listens_at_every_address_of_a_name() {
    local address addresses=("$HOST:$PORT" "127.0.0.1:$PORT" "[::1]:$PORT")
    printf '%s everywhere.example\n' $HOST 127.0.0.1 ::1 >>"$SCRATCH/hosts"
    mapmill certs init --host $HOST --host 127.0.0.1 --host ::1
    on driver mapmill driver inputs --listen everywhere.example:$PORT --tls certs/driver \
        2>driver.log &
    local driver=$!
    until_open
    for address in "${addresses[@]}"; do
        on driver mapmill status --driver "$address" --tls certs/viewer | grep --quiet ^running
        grep --quiet --fixed-strings -e "$address" driver.log ||
            fail "no $address in: $(cat driver.log)"
    done
    end "$driver"
    # Of a name with an address of another machine none is bound.
    echo "$STANDBY_HOST everywhere.example" >>"$SCRATCH/hosts"
    refused elsewhere 2 on driver mapmill driver inputs --listen everywhere.example:$PORT \
        --tls certs/driver
    said elsewhere "cannot listen on $STANDBY_HOST:$PORT, one of the addresses of"
    said elsewhere 'this machine does not have that address'
    cat elsewhere.log
}

# Jobs side by side, with 20 takeovers in all: of each, the active driver is killed, or frozen,
# again and again, and a new standby takes the place of the dead. The workers of two jobs know the
# drivers by one name with both addresses, those of the others by two addresses.
standby_takes_over_whatever_stops_the_driver() {
    documented mapmill certs init --host $HOST --host $STANDBY_HOST --host drivers.example
    printf '%s drivers.example\n' $HOST $STANDBY_HOST >>"$SCRATCH/hosts"
    mapmill run inputs --quiet --files expected --map-tasks $STANDBY_TASKS
    local jobs=() job failed=0
    endure killed-1 KILL 7 60001 drivers.example >killed-1.log 2>&1 & jobs+=($!)
    endure killed-2 KILL 7 60002 $HOST $STANDBY_HOST >killed-2.log 2>&1 & jobs+=($!)
    endure frozen-1 STOP 3 60003 drivers.example >frozen-1.log 2>&1 & jobs+=($!)
    endure frozen-2 STOP 3 60004 $STANDBY_HOST $HOST >frozen-2.log 2>&1 & jobs+=($!)
    for job in "${jobs[@]}"; do
        wait "$job" || ((++failed))
    done
    ((failed == 0)) || fail "$failed of ${#jobs[@]} jobs: $(tail -n 40 ./*.log)"
    (($(cat ./*/takeovers | wc -l) == 20)) || fail "not 20 takeovers: $(cat ./*/takeovers)"
    cat ./*/takeovers | awk '
        { count[$1]++; if ($2 > took[$1]) took[$1] = $2; if ($3 > back[$1]) back[$1] = $3 }
        END {
            text = "standbys took over from %d drivers killed, within %.2f s, and from %d frozen, " \
                "within %.2f s; the next commit came within %.2f s and %.2f s of that\n"
            printf text, count["KILL"], took["KILL"] / 1000, count["STOP"], took["STOP"] / 1000, \
                back["KILL"] / 1000, back["STOP"] / 1000
        }'
}

# One job, in a folder of its own, whose workers call the drivers at HOST... Notes each takeover:
# the signal, the milliseconds until the standby listens, and until something is committed then.
endure() { # NAME SIGNAL TAKEOVERS PORT HOST...
    local signal=$2 takeovers=$3 port=$4 most=$KILLED_MS_MAX
    [[ $signal == KILL ]] || most=$FROZEN_MS_MAX
    mkdir "$1"
    cd "$1"
    cp -r ../inputs .
    local driver log active pid machine other workers=() starts=0 index began took code
    drive driver
    active=$driver active_log=$log machine=driver other=standby
    until_said "$active_log" 'waiting for workers on'
    local calls=()
    for index in "${@:5}"; do
        calls+=(--driver "$index:$port")
    done
    for index in 1 2; do
        ip netns exec "$(named "w$index")" "$mapmill" worker "${calls[@]}" --tls ../certs/worker \
            --throttle $STANDBY_THROTTLE >"w$index.log" 2>&1 &
        workers+=($!)
    done
    for ((index = 1; index <= takeovers; index++)); do
        drive $other --standby
        until_said "$log" 'standing by: another driver'
        until_more_commits 0
        began=$(ms)
        kill "-$signal" "$active"
        until_within "$most" "$log" 'waiting for workers on'
        took=$(($(ms) - began)) began=$(ms)
        until_more_commits "$(commits)"
        echo "$signal $took $(($(ms) - began))" >>takeovers
        [[ $signal == KILL ]] || kill -CONT "$active"
        code=0
        wait "$active" || code=$?
        if [[ $signal == STOP ]]; then
            ((code == 3)) || fail "the frozen driver ended with $code: $(cat "$active_log")"
            until_said "$active_log" 'another driver took over (process [0-9]* on '
        fi
        active=$driver active_log=$log
        pid=$machine machine=$other other=$pid
    done
    drive $other --standby
    until_said "$log" 'standing by: another driver'
    all_well "$active" "$driver" "${workers[@]}"
    until_said "$log" 'another driver has done the job in'
    diff -r ../expected/out files/out
    diff -r "$SCRATCH/expected/out" files/out
    diff -r ../expected/intermediate files/intermediate
    mapmill verify files
}

# Starts a driver of the job in this folder: `driver` is its process, `log` what it says.
drive() { # MACHINE [--standby]
    local address=$HOST
    [[ $1 == driver ]] || address=$STANDBY_HOST
    starts=$((starts + 1))
    log=driver-$starts.log
    ip netns exec "$(named "$1")" "$mapmill" driver inputs --listen "$address:$port" \
        --tls ../certs/driver --map-tasks $STANDBY_TASKS "${@:2}" >"$log" 2>&1 &
    driver=$!
}

# How many tasks the journal of the job in this folder has.
commits() {
    grep --count '"kind":"\(map\|reduce\)"' files/.mapmill/journal.jsonl || true
}

until_more_commits() { # COUNT
    local began
    began=$(ms)
    until (($(commits) > $1)); do
        (($(ms) - began < BACK_MS_MAX)) || fail "no commit within $BACK_MS_MAX ms: $(tail ./*.log)"
        sleep 0.05
    done
}

until_within() { # MILLISECONDS FILE PATTERN
    local began
    began=$(ms)
    until grep --quiet -e "$3" "$2"; do
        (($(ms) - began < $1)) || fail "nothing of \`$3\` within $1 ms in: $(cat "$2")"
        sleep 0.02
    done
}

ms() {
    local now=${EPOCHREALTIME/[.,]/}
    echo "${now%???}"
}

# ---- Shared functions. ----

mapmill() {
    command "$mapmill" "$@"
}

# Runs a command that README.md contains, word for word.
documented() { # [on MACHINE] mapmill ARGUMENT...
    local command=("$@")
    [[ $1 != on ]] || command=("${@:3}")
    grep --quiet --fixed-strings -e "\$ ${command[*]}" "$TOP/README.md" ||
        fail "not in README.md: ${command[*]}"
    "$@"
}

# Runs a command on a machine, with our hosts file.
on() { # MACHINE mapmill ARGUMENT...
    local status=0
    ip netns exec "$(named "$1")" timeout --foreground "$JOB_SECONDS_MAX" "$mapmill" "${@:3}" ||
        status=$?
    ((status != 124)) || fail "did not end within $JOB_SECONDS_MAX s: ${*:2}"
    return "$status"
}

refused() { # NAME CODE COMMAND...
    local code=0
    "${@:3}" >"$1.out" 2>"$1.log" || code=$?
    ((code == $2)) || fail "exit code $code instead of $2: ${*:3}: $(cat "$1.log")"
}

said() { # NAME TEXT
    grep --quiet --fixed-strings -e "$2" "$1.log" || fail "nothing of \`$2\` in: $(cat "$1.log")"
}

until_said() { # FILE PATTERN
    for _ in {1..100}; do
        ! grep --quiet --no-messages -e "$2" "$1" || return 0
        sleep 0.1
    done
    fail "nothing of \`$2\` in: $(cat "$1")"
}

all_well() { # PID...
    local pid
    for pid in "$@"; do
        wait "$pid" || fail "a process ended with exit code $?"
    done
}

# Ends what `on` has started in the background.
end() { # PID
    pkill -INT -P "$1" || true
    wait "$1" || true
}

until_open() {
    for _ in {1..100}; do
        ! ip netns exec "$(named w1)" bash -c ": </dev/tcp/$HOST/$PORT" 2>/dev/null || return 0
        sleep 0.1
    done
    fail "no process listens on $HOST:$PORT"
}

# The tokens that callers have sent unencrypted, one a line. HTTP/2 compresses headers, so tshark
# has to decode them.
shown() {
    tshark -r wire -d "tcp.port==$PORT,http2" -T fields -e http2.headers.authorization \
        -Y http2.headers.authorization 2>tshark.log | tr ',' '\n'
}

# Captures the traffic of the driver's machine, until `captured`.
capture() {
    # Not tshark, which drops root's rights and then cannot write here.
    ip netns exec "$(named driver)" dumpcap -q -i eth0 -w - >wire 2>capture.log &
    capture=$!
    until_said capture.log '^File:'
}

captured() {
    # It has seen the last packets when it has seen one that was sent after them.
    ip netns exec "$(named w1)" bash -c "echo the-end >/dev/udp/$HOST/9"
    for _ in {1..100}; do
        ! grep --quiet --text the-end wire || break
        sleep 0.1
    done
    kill -INT "$capture"
    wait "$capture" || true
    grep --quiet --text the-end wire || fail "not everything was captured: $(cat capture.log)"
}

# What must not be readable on the wire: the ten longest words of the text, and its paths.
secrets() {
    cat inputs/* | tr -cs '[:alpha:]' '\n' | sort -u |
        awk '{ print length, $0 }' | sort -rn | awk 'NR <= 10 { print $2 }'
    printf '%s\n' "$PWD" "$PWD"/inputs/*
}

compare() {
    [[ -d $SCRATCH/expected ]] || fail "nothing to compare with"
    diff -r "$SCRATCH/expected/out" files/out
    diff -r "$SCRATCH/expected/intermediate" files/intermediate
}

named() { # MACHINE
    echo "mapmill-$1-$$"
}

fail() { # TEXT
    echo "$*" >&2
    exit 1
}

# A machine for each, and a network between them: the driver has HOST, the workers the next
# addresses.
build() {
    local index=0 machine
    ip netns add "$(named net)"
    ip -n "$(named net)" link add bridge type bridge
    ip -n "$(named net)" link set bridge up
    for machine in driver w1 w2 w3 standby; do
        index=$((index + 1))
        ip netns add "$(named "$machine")"
        ip -n "$(named "$machine")" link add eth0 type veth peer name "$machine" netns "$(named net)"
        ip -n "$(named net)" link set "$machine" master bridge up
        ip -n "$(named "$machine")" addr add "10.77.0.$index/24" dev eth0
        ip -n "$(named "$machine")" link set eth0 up
        ip -n "$(named "$machine")" link set lo up
        # `ip netns exec` mounts the files in there over /etc.
        mkdir -p "/etc/netns/$(named "$machine")"
        ln -s "$SCRATCH/hosts" "/etc/netns/$(named "$machine")/hosts"
    done
}

tear_down() {
    local machine pids
    for machine in driver w1 w2 w3 standby net; do
        pids=$(ip netns pids "$(named "$machine")" 2>/dev/null) || continue
        # shellcheck disable=SC2086
        [[ -z $pids ]] || kill -KILL $pids || true
        ip netns del "$(named "$machine")" || true
        rm -rf "/etc/netns/$(named "$machine")"
    done
    rm -rf "$SCRATCH"
}

((EUID == 0)) || fail "only root can make network namespaces"
SCRATCH=$(mktemp -d)
cp /etc/hosts "$SCRATCH/hosts"
trap tear_down EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
build || fail "this machine does not allow network namespaces"

cd "$SCRATCH"
cp -r "$inputs" inputs
mapmill run inputs --quiet --files expected
tests=("${@:3}")
((${#tests[@]} > 0)) || tests=(driver_without_them_is_not_started
    job_with_certificates_runs_and_shows_nothing_on_the_wire
    job_without_them_shows_paths_and_the_token
    token_is_not_shown_in_clear
    unknown_callers_are_refused_with_their_reason
    driver_listens_at_every_address_of_a_name)
for it in "${tests[@]}"; do
    mkdir "$SCRATCH/$it"
    cd "$SCRATCH/$it"
    cp -r "$inputs" inputs
    started=$EPOCHREALTIME
    $it
    echo "holds: ${it//_/ } ($(awk -v a="$started" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }') s)"
done
