#!/bin/bash
# Builds everything and runs every test project, one after the other; ends with "N passed, N failed, N skipped".
# The soak runs beside them from the start: it waits more than it works. Kept going after a failing project, so that one run
# tells everything. ATOLL_SOAK=1 asks for the long forms.
set -u
cd "$(dirname "$0")/.."
projects="tests/Atoll.UnitTests tests/Atoll.Simulation tests/Atoll.Conformance tests/Atoll.EndToEnd"
out=artifacts/test
mkdir -p "$out"
echo "building the solution and the native agent"
dotnet build Atoll.slnx -c Release -v q --nologo || { echo "error: the build failed"; echo "0 passed, 1 failed"; exit 1; }
make build || { echo "error: the native agent could not be built"; echo "0 passed, 1 failed"; exit 1; }
[ -x eng/install-kubectl.sh ] && eng/install-kubectl.sh
export ATOLL_AGENT="$PWD/artifacts/agent/atoll-agent" ATOLL_PROGRAM="$PWD/artifacts/atoll/atoll"
passed=0 failed=0 skipped=0 broken=0
root=""
[ "$(id -u)" -ne 0 ] && root="sudo --preserve-env"
# Adds up a log and an exit code; $1 is the name of both.
tally() {
  # Where CI is set the runner colours its summary, terminal or not.
  count() { sed -E 's/\x1b\[[0-9;]*m//g' "$out/$2.log" | sed -nE "s/^ *$1: *([0-9]+).*/\1/p" | tail -1; }
  p=$(count succeeded "$1") f=$(count failed "$1") s=$(count skipped "$1")
  passed=$((passed + ${p:-0})) failed=$((failed + ${f:-0})) skipped=$((skipped + ${s:-0}))
  # A project that ended badly without counting a failure (a crash, no test found) is a failure.
  if [ "$2" -ne 0 ] && [ "${f:-0}" -eq 0 ]; then echo "error: $1 ended with exit code $2; see $out/$1.log"; broken=$((broken + 1)); fi
}
$root dotnet run --project tests/Atoll.EndToEnd -c Release --no-build -- --progress off --output Detailed --filter-class '*.SoakTests' >"$out/Soak.log" 2>&1 &
soak=$!
for project in $projects; do
  [ -f "$project/$(basename "$project").csproj" ] || continue
  name=$(basename "$project")
  echo "== $name"
  sudo="" filter=""
  [ "$name" = Atoll.EndToEnd ] && sudo="$root" filter="--filter-not-class *.SoakTests"
  # shellcheck disable=SC2086
  (set -f; $sudo dotnet run --project "$project" -c Release --no-build -- --progress off --output Detailed $filter 2>&1) | tee "$out/$name.log" | grep -Ev '^(passed|  from )'
  tally "$name" "${PIPESTATUS[0]}"
done
echo "== Soak"
wait "$soak"
code=$?
grep -Ev '^(passed|  from )' "$out/Soak.log"
tally Soak "$code"
failed=$((failed + broken))
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
