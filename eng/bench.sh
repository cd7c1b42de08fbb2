#!/bin/bash
# Measures an installation of its own (instance 15, under a temporary folder, always taken down) and writes
# docs/benchmarks/edge.md and edge.json. As root, after `make build`. Takes about five minutes.
set -eu
cd "$(dirname "$0")/.."
atoll=${ATOLL_PROGRAM:-$PWD/artifacts/atoll/atoll} agent=${ATOLL_AGENT:-$PWD/artifacts/agent/atoll-agent} out=$PWD/docs/benchmarks
instance=${ATOLL_BENCH_INSTANCE:-15} settle=${ATOLL_BENCH_SETTLE:-90} idle=${ATOLL_BENCH_IDLE:-90} rounds=${ATOLL_BENCH_PODS:-20} starts=5
site=alpha-$instance ns=atoll-alpha-$instance
exec 9>/tmp/atoll-bench.lock
flock 9
home=$(mktemp -d /tmp/atoll-bench.XXXXXX)
watchers=()
finish() {
  local code=$?
  set +e
  for w in "${watchers[@]}"; do kill "$w" 2>/dev/null; done
  "$atoll" down --instance "$instance" --home "$home/i" --agent "$agent" >/dev/null 2>&1
  rm -rf "$home"
  exit "$code"
}
trap finish EXIT
trap 'exit 130' INT TERM

printf 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: bench\ndata:\n  a: b\n' > "$home/empty.yaml"
"$atoll" up --instance "$instance" --home "$home/i" --agent "$agent" --sample "$home/empty.yaml" > "$home/up.log" 2>&1 || { cat "$home/up.log" >&2; exit 1; }

config=$home/i/kubeconfig
part() { sed -n "s/^ *$1: //p" "$config" | head -1; }
part certificate-authority-data | base64 -d > "$home/ca.pem"
part client-certificate-data | base64 -d > "$home/client.pem"
part client-key-data | base64 -d > "$home/client.key"
server=$(part server)
api() { curl -sS --fail-with-body --cacert "$home/ca.pem" --cert "$home/client.pem" --key "$home/client.key" "$@"; }
pid() { cat "$home/i/run/$1.pid"; }
kib() { sed -nE "s/^$2:[^0-9]*([0-9]+) kB/\1/p" "/proc/$(pid "$1")/status"; }
count() { ip netns exec "$ns" cat "/sys/class/net/uplink/statistics/$1"; }
payload() { api "$server/metrics" | awk -v s="$site" -v d="$1" '/^atoll_link_bytes_total/ && index($0, "site=\"" s "\"") && index($0, "direction=\"" d "\"") { n += $NF } END { printf "%d", n }'; }
microseconds() { local t=${EPOCHREALTIME/[.,]/}; echo "$t"; }
# Percentile of numbers, one a line: the smallest that at least that share does not exceed.
percentile() { sort -n "$2" | awk -v p="$1" '{ v[NR] = $1 } END { i = int(NR * p / 100); if (i < NR * p / 100) i++; if (i < 1) i = 1; printf "%.0f", v[i] }'; }
mib() { awk -v k="$1" 'BEGIN { printf "%.1f", k / 1024 }'; }
pod() { printf '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"%s"},"spec":{"nodeName":%s,"nodeSelector":{"kubernetes.io/hostname":"%s"},"terminationGracePeriodSeconds":0,"containers":[{"name":"c","image":"registry.local:5000/hello:1","command":["/bin/sleep","1000000"]}]}}' "$1" "${2:-null}" "$site"; }
create() { pod "$1" | api -o /dev/null -H 'Content-Type: application/json' --data-binary @- "$server/api/v1/namespaces/default/pods"; }
running() { api "$server/api/v1/namespaces/default/pods" | grep -o '"phase": *"Running"' | wc -l; }
until_running() { local i; for i in $(seq 600); do [ "$(running)" -ge "$1" ] && return; sleep 0.1; done; echo "error: $1 pods did not run within 60 s" >&2; exit 1; }

# One line for each change of a pod: microseconds, name, phase.
stamp() {
  local line
  while IFS= read -r line; do
    [[ $line =~ \"name\":\ ?\"(bench-[0-9a-z-]+)\" ]] || continue
    local name=${BASH_REMATCH[1]} phase=none
    [[ $line =~ \"phase\":\ ?\"([A-Za-z]+)\" ]] && phase=${BASH_REMATCH[1]}
    echo "$(microseconds) $name $phase"
  done
}

echo "settling ($settle s), then $idle s idle without pods"
sleep "$settle"
rss0=$(kib "site-$site" VmRSS) anon0=$(kib "site-$site" RssAnon)
rx=$(count rx_bytes) tx=$(count tx_bytes) rxp=$(count rx_packets) txp=$(count tx_packets) pup=$(payload up) pdown=$(payload down) t0=$(microseconds)
sleep "$idle"
t1=$(microseconds)
rate() { awk -v a="$1" -v b="$2" -v t=$((t1 - t0)) 'BEGIN { printf "%.1f", (b - a) * 1000000 / t }'; }
down=$(rate "$rx" "$(count rx_bytes)") up=$(rate "$tx" "$(count tx_bytes)")
payloadUp=$(rate "$pup" "$(payload up)") payloadDown=$(rate "$pdown" "$(payload down)")
packets=$(rate $((rxp + txp)) $(($(count rx_packets) + $(count tx_packets))))

echo "pods: $rounds, one after the other"
create bench-first
until_running 1 # The image is present from here on.
(api -N "$server/api/v1/namespaces/default/pods?watch=1&resourceVersion=0" | stamp > "$home/centre.txt") & watchers+=($!)
(curl -sS -N --unix-socket "/run/atoll/$site/api.sock" "http://localhost/api/v1/namespaces/default/pods?watch=1&resourceVersion=0" | stamp > "$home/site.txt") & watchers+=($!)
for _ in $(seq 100); do grep -q bench-first "$home/centre.txt" && grep -q bench-first "$home/site.txt" && break; sleep 0.1; done
: > "$home/whole" > "$home/start"
for i in $(seq "$rounds"); do
  begun=$(microseconds)
  create "bench-$i-x"
  for _ in $(seq 600); do grep -q " bench-$i-x Running" "$home/centre.txt" && break; sleep 0.05; done
  seen=$(awk -v n="bench-$i-x" '$2 == n && $3 == "Running" { print $1; exit }' "$home/centre.txt")
  came=$(awk -v n="bench-$i-x" '$2 == n { print $1; exit }' "$home/site.txt") ran=$(awk -v n="bench-$i-x" '$2 == n && $3 == "Running" { print $1; exit }' "$home/site.txt")
  [ -n "$seen" ] && [ -n "$came" ] && [ -n "$ran" ] || { echo "error: pod bench-$i-x did not run" >&2; exit 1; }
  echo $(((seen - begun) / 1000)) >> "$home/whole"
  echo $(((ran - came) / 1000)) >> "$home/start"
  [ "$i" -gt $((rounds - 9)) ] || api -o /dev/null -X DELETE "$server/api/v1/namespaces/default/pods/bench-$i-x"
done

echo "settling ($settle s) with 10 pods"
sleep "$settle"
rss10=$(kib "site-$site" VmRSS) anon10=$(kib "site-$site" RssAnon) centre=$(kib centre VmRSS) centreAnon=$(kib centre RssAnon)

echo "agent: $starts restarts without changes"
: > "$home/restart" > "$home/bytes" > "$home/inside"
log=$home/i/run/site-$site.log
for i in $(seq "$starts"); do
  old=$(pid "site-$site")
  mapfile -d '' -t command < "/proc/$old/cmdline"
  kill "$old"
  while [ -d "/proc/$old" ]; do sleep 0.05; done
  sleep 1 # The old connection's last packets.
  before=$(($(count rx_bytes) + $(count tx_bytes))) ups=$(grep -c 'up; the site' "$log") links=$(grep -c 'Link to .* is up' "$log") begun=$(microseconds)
  start-stop-daemon --start --background --make-pidfile --pidfile "$home/i/run/site-$site.pid" --startas /usr/bin/nsenter --output "$log" --chdir / -- --net=/run/netns/"$ns" "${command[@]}"
  for _ in $(seq 600); do [ "$(grep -c 'Link to .* is up' "$log")" -gt "$links" ] && break; sleep 0.05; done
  [ "$(grep -c 'up; the site' "$log")" -gt "$ups" ] || { echo "error: the agent did not come up" >&2; exit 1; }
  ready=$(date -d "$(grep 'up; the site' "$log" | tail -1 | cut -d' ' -f1)" +%s%6N)
  echo $(((ready - begun) / 1000)) >> "$home/restart"
  sleep 2
  sed -nE 's/.*is up after ([0-9]+) bytes sent and ([0-9]+) received.*/\1 \2/p' "$log" | tail -1 | awk '{ print $1 + $2 }' >> "$home/inside"
  echo $(($(count rx_bytes) + $(count tx_bytes) - before)) >> "$home/bytes"
done

size=$(stat -c %s "$agent")
machine="$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $(nproc) cores, $(awk '/MemTotal/ { printf "%.0f", $2 / 1048576 }' /proc/meminfo) GiB; Linux $(uname -r); load $(cut -d' ' -f1-3 /proc/loadavg) at the end"
mkdir -p "$out"
cat > "$out/edge.json" <<J
{
  "date": "$(date -u +%Y-%m-%d)", "machine": "$machine", "commit": "$(git rev-parse --short HEAD 2>/dev/null || echo unknown)",
  "agentRssKiB": { "pods0": $rss0, "pods10": $rss10 }, "agentAnonymousKiB": { "pods0": $anon0, "pods10": $anon10 },
  "agentBinaryBytes": $size, "agentStartMs": { "median": $(percentile 50 "$home/restart") },
  "containerStartMs": { "p50": $(percentile 50 "$home/start"), "p99": $(percentile 99 "$home/start"), "count": $rounds },
  "createToRunningMs": { "p50": $(percentile 50 "$home/whole"), "p99": $(percentile 99 "$home/whole"), "count": $rounds },
  "idleWireBytesPerSecond": { "up": $up, "down": $down, "packetsBothWays": $packets }, "idlePayloadBytesPerSecond": { "up": $payloadUp, "down": $payloadDown },
  "reconnectWireBytes": { "median": $(percentile 50 "$home/bytes") }, "reconnectInsideTlsBytes": { "median": $(percentile 50 "$home/inside") },
  "centreRssKiB": $centre, "centreAnonymousKiB": $centreAnon
}
J
cat > "$out/edge.md" <<M
# Figures of the edge

Made by \`make bench\` on $(date -u +%Y-%m-%d); the numbers are also in [edge.json](edge.json). Machine: $machine. The
machine may be shared and busy: look at the load before comparing times. Everything (centre, registry, three sites) ran on it.

| figure | Atoll | budget | peers, idle without a pod |
|---|---|---|---|
| agent resident, 0 pods (VmRSS / anonymous) | $(mib "$rss0") / $(mib "$anon0") MiB | | edgecore 85 / 22 MiB + containerd 40; kubelet 66 + containerd 39 |
| agent resident, 10 pods (VmRSS / anonymous) | $(mib "$rss10") / $(mib "$anon10") MiB | 40 MiB | |
| agent binary | $(awk -v b="$size" 'BEGIN { printf "%.1f", b / 1048576 }') MiB | | |
| agent start to its API and first look at what runs (10 pods), median of $starts | $(percentile 50 "$home/restart") ms | | |
| container start, image present, p50 / p99 of $rounds | $(percentile 50 "$home/start") / $(percentile 99 "$home/start") ms | | |
| created at the centre → Running seen there, p50 / p99 of $rounds | $(percentile 50 "$home/whole") / $(percentile 99 "$home/whole") ms | | |
| idle session on the wire, up / down | $up / $down B/s | 30 each way | edgecore 149 / 137 B/s |
| idle session's payload (multiplexer frames), up / down | $payloadUp / $payloadDown B/s | | |
| reconnect without changes, inside TLS, both ways, median of $starts | $(percentile 50 "$home/inside") bytes | | |
| reconnect without changes, on the wire in all, both ways, median of $starts | $(percentile 50 "$home/bytes") bytes | | |
| centre resident, 3 sites (VmRSS / anonymous) | $(mib "$centre") / $(mib "$centreAnon") MiB | | |

## How

- Memory: \`VmRSS\` and \`RssAnon\` of /proc/PID/status, $settle s after the last change. The agent gives memory back 20 s after
  its start and then once a minute: the collector's empty regions, the C library's free pages, and mapped program text,
  which is page cache and comes back as it is used. The containers' own processes and their monitors (conmon) are not in it.
- Container start: from the pod's first appearance in the site's own API to Running there: network, volumes, runtime, status
  write. With $rounds pods, p99 is the slowest.
- Created → Running: from before the request (a new curl with its TLS handshake, about 20 ms) to the change seen by a watch at the centre.
- Idle: byte counters of the site's veth uplink over $idle s without pods; Ethernet headers, TCP, TLS and acknowledgements are in it
  ($packets packets a second, both ways together). Payload: the hub's own counters at /metrics (atoll_link_bytes_total) over the same time.
- Agent start: from starting the process to its log line that says that the store is read, the runtime asked and the API up.
- Reconnect: what passed the uplink from an agent's start until 2 s after its link is up: TCP and mutual TLS handshakes, WebSocket
  upgrade, greeting. Inside TLS: what the agent counted above TLS until its link was up, as its log says.
- Peers' figures are those of KubeEdge 1.23 and the kubelet, measured on such a machine, idle without a pod.
- The transport comparison has its own page, [decision 0001](../decisions/0001-link-transport.md), and program, bench/Transport, which
  is run by hand.
M
cat "$out/edge.md"
