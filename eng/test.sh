#!/bin/bash
# Builds everything and runs every test project; ends with "N passed, N failed, N skipped". The end-to-end tests wait more than
# they work, so they run as three processes: the longest waits beside everything from the start, the tests of sites and the rest
# beside each other at the end, with the simulation, whose time is virtual. Each has installations of its own. Kept going after a
# failure, so that one run tells everything. The analyzers, which take as long as the compiler, run in every other build: make lint.
# ATOLL_SOAK=1 asks for the long forms.
set -u
cd "$(dirname "$0")/.."
out=artifacts/test
mkdir -p "$out"
echo "building the solution and the native programs"
dotnet build Atoll.slnx -c Release -v q --nologo -p:RunAnalyzers=false || { echo "error: the build failed"; echo "0 passed, 1 failed"; exit 1; }
make build || { echo "error: the native programs could not be built"; echo "0 passed, 1 failed"; exit 1; }
[ -x eng/install-kubectl.sh ] && eng/install-kubectl.sh
export ATOLL_AGENT="$PWD/artifacts/agent/atoll-agent" ATOLL_PROGRAM="$PWD/artifacts/atoll/atoll"
passed=0 failed=0 skipped=0 broken=0 names=""
root=""
[ "$(id -u)" -ne 0 ] && root="sudo --preserve-env"
as="" # What a test program is started through.
run() { $as dotnet run --project "tests/$1" -c Release --no-build -- --no-ansi --progress off --output Detailed "${@:2}"; }
# Shows a log without what passed, and adds it up; $1 is its name, $2 the exit code.
tally() {
  echo "== $1"
  grep -Ev '^(passed|  from )' "$out/$1.log"
  count() { sed -nE "s/^ *$1: *([0-9]+).*/\1/p" "$out/$2.log" | tail -1; }
  p=$(count succeeded "$1") f=$(count failed "$1") s=$(count skipped "$1")
  passed=$((passed + ${p:-0})) failed=$((failed + ${f:-0})) skipped=$((skipped + ${s:-0}))
  # What failed is named once more at the end, where a cut log still shows it.
  names+=$(grep -A 20 '^failed ' "$out/$1.log")$'\n'
  # A project that ended badly without counting a failure (a crash, no test found) is a failure.
  if [ "$2" -ne 0 ] && [ "${f:-0}" -eq 0 ]; then echo "error: $1 ended with exit code $2; see $out/$1.log"; broken=$((broken + 1)); fi
}
# A part of the end-to-end tests, in the background; $1 is the log's name, the others say which.
begin() { as=$root run Atoll.EndToEnd "${@:2}" >"$out/$1.log" 2>&1 & }
# Those that wait long, or burn cpu: nothing that is timed runs beside them.
begin Waits --filter-class '*.SoakTests' '*.BudgetTests' '*.CentreKillTests' '*.ColocationTests'
waits=$!
for name in Atoll.UnitTests Atoll.Conformance; do
  echo "running $name"
  run "$name" >"$out/$name.log" 2>&1
  tally "$name" $?
done
echo "running the end-to-end tests"
# It takes what processor time the others leave.
as="nice -n 19" run Atoll.Simulation >"$out/Atoll.Simulation.log" 2>&1 &
simulation=$!
begin Sites --filter-namespace Atoll.EndToEnd.Sites --filter-not-class '*.CentreKillTests'
sites=$!
begin Others --filter-not-namespace Atoll.EndToEnd.Sites --filter-not-class '*.SoakTests' '*.BudgetTests' '*.ColocationTests'
others=$!
wait $simulation
tally Atoll.Simulation $?
wait $waits
tally Waits $?
wait $others
tally Others $?
wait $sites
tally Sites $?
failed=$((failed + broken))
grep . <<<"$names"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
