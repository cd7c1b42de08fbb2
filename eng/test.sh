#!/bin/bash
# Builds everything and runs every test project, one after the other; ends with "N passed, N failed, N skipped".
# Kept going after a failing project, so that one run tells everything. ATOLL_SOAK=1 asks for the long forms.
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
for project in $projects; do
  [ -f "$project/$(basename "$project").csproj" ] || continue
  name=$(basename "$project")
  echo "== $name"
  log="$out/$name.log"
  sudo=""
  [ "$name" = Atoll.EndToEnd ] && [ "$(id -u)" -ne 0 ] && sudo="sudo --preserve-env"
  $sudo dotnet run --project "$project" -c Release --no-build -- --progress off 2>&1 | tee "$log" | grep -Ev '^(passed|  from )' 
  code=${PIPESTATUS[0]}
  # Where CI is set the runner colours its summary, terminal or not.
  count() { sed -E 's/\x1b\[[0-9;]*m//g' "$log" | sed -nE "s/^ *$1: *([0-9]+).*/\1/p" | tail -1; }
  p=$(count succeeded) f=$(count failed) s=$(count skipped)
  passed=$((passed + ${p:-0})) failed=$((failed + ${f:-0})) skipped=$((skipped + ${s:-0}))
  # A project that ended badly without counting a failure (a crash, no test found) is a failure.
  if [ "$code" -ne 0 ] && [ "${f:-0}" -eq 0 ]; then echo "error: $name ended with exit code $code; see $log"; broken=$((broken + 1)); fi
done
failed=$((failed + broken))
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
