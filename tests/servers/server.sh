# shellcheck shell=bash
# Shared by the scripts beside it: words to the user, free ports, the life of one server process.
# A server's directory holds: pid, address, ports, server.log, conf/ and data/.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
checkout=$(cd "$here/../.." && pwd -P)
cache=${KONGFERRY_CACHE:-$checkout/.cache/servers}
# shellcheck disable=SC2034 # used by the scripts
readonly here checkout cache
# The signal that ends a server at once.
abrupt=KILL

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "error: $*"
  exit 1
}

# release SERVER LINE: the release fetched for a line, from the file `versions`.
release() {
  awk -v server="$1" -v line="$2" '$1 == server && $2 == line { print $3 }' "$here/versions"
}

# lines SERVER: the lines there are, for messages.
lines() {
  awk -v server="$1" '$1 == server { printf "%s%s", comma, $2; comma = ", " }' "$here/versions"
}

# find_java: prints a java of version 17 to 23. Cassandra needs the security manager, which later ones no longer have.
find_java() {
  local java version
  for java in "${JAVA_HOME:-/nonexistent}/bin/java" "$(command -v java || true)" /usr/lib/jvm/*17*/bin/java /usr/lib/jvm/*/bin/java; do
    [ -x "$java" ] || continue
    version=$(java_version "$java")
    if [ "${version:-0}" -ge 17 ] && [ "$version" -le 23 ]; then
      printf '%s\n' "$java"
      return 0
    fi
  done
  return 1
}

# java_version JAVA: its feature release, such as 17.
java_version() {
  "$1" -XX:-UsePerfData -version 2>&1 | sed -n 's/^.* version "\([0-9]*\).*$/\1/p;' | head -n 1
}

# answers PORT [ADDRESS]: something listens on that port of this host.
answers() {
  (exec 3<>"/dev/tcp/${2:-127.0.0.1}/$1") 2>/dev/null
}

# free_port: a port nothing listens on, below the range the kernel gives to outgoing connections.
free_port() {
  local port
  while :; do
    port=$((10240 + (RANDOM * 32768 + RANDOM) % 22000))
    answers "$port" || break
  done
  printf '%s\n' "$port"
}

# started_at PID: when that process started, empty if it is gone. Tells a process from a later one with the same number.
started_at() {
  local stat threads
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
  stat=${stat##*) }
  # A process that ended and was not waited for. While it has other threads, its ports and files are still open.
  if [[ $stat == [ZX]* ]]; then
    threads=("/proc/$1/task/"*)
    [ ${#threads[@]} -gt 1 ] || return 0
  fi
  awk '{ print $20 }' <<<"$stat"
}

# remember DIR PID: this process is the server of that directory.
remember() {
  printf '%s %s\n' "$2" "$(started_at "$2")" >"$1/pid"
}

# running DIR: prints the process id of the server of that directory, fails when none runs.
running() {
  local pid start
  [ -f "$1/pid" ] || return 1
  read -r pid start <"$1/pid" || return 1
  [ -n "$start" ] && [ "$(started_at "$pid")" = "$start" ] || return 1
  printf '%s\n' "$pid"
}

# serving DIR: the server of that directory runs and takes clients, so it neither starts nor stops just now.
serving() {
  local port
  running "$1" >/dev/null && [ -f "$1/address" ] && read -r port _ <"$1/ports" && answers "$port"
}

# watch DIR PARENT: ends the server and drops its data once process PARENT is gone; the log stays.
watch() {
  local dir=$1 parent=$2 since pid start
  since=$(started_at "$parent")
  [ -n "$since" ] || fail "--parent $parent: there is no such process"
  read -r pid start <"$dir/pid"
  # shellcheck disable=SC2016 # expands in the watchdog
  setsid bash -c '
    . "$1"
    dir=$2 parent=$3 since=$4 pid=$5 start=$6
    while [ "$(started_at "$parent")" = "$since" ]; do
      [ "$(started_at "$pid")" = "$start" ] || exit 0
      sleep 1
    done
    if [ "$(started_at "$pid")" = "$start" ]; then
      kill "-$7" "$pid"
      while [ "$(started_at "$pid")" = "$start" ]; do sleep 0.1; done
    fi
    [ "$(cat "$dir/pid")" != "$pid $start" ] || rm -rf "$dir/data" "$dir/pid" "$dir/address"
  ' watch "$here/server.sh" "$dir" "$parent" "$since" "$pid" "$start" "$abrupt" </dev/null >/dev/null 2>&1 &
}

# stop DIR SIGNAL SECONDS: asks the server to end, and ends it after that time.
stop() {
  local dir=$1 signal=$2 seconds=$3 pid tries
  if pid=$(running "$dir"); then
    kill "-$signal" "$pid"
    for ((tries = seconds * 10; tries > 0; tries--)); do
      running "$dir" >/dev/null || break
      sleep 0.1
    done
    if running "$dir" >/dev/null; then
      say "still there after $seconds s, killing it"
      kill -KILL "$pid"
      while running "$dir" >/dev/null; do sleep 0.1; done
    fi
  fi
  rm -f "$dir/pid" "$dir/address"
}

# discard DIR: ends the server at once and drops its data; the log stays.
discard() {
  stop "$1" "$abrupt" 10
  rm -rf "$1/data"
}

# interrupted DIR: for a trap while the server of that directory starts.
interrupted() {
  stop "$1" "$abrupt" 10
  fail "interrupted while the server was starting; it is stopped"
}

# await DIR TEXT SECONDS: waits until the log has that text. 1: the server ended; 2: time is up.
await() {
  local dir=$1 text=$2 seconds=$3 deadline
  deadline=$((SECONDS + seconds))
  until grep -q -- "$text" "$dir/server.log"; do
    running "$dir" >/dev/null || return 1
    [ "$SECONDS" -lt "$deadline" ] || return 2
    sleep 0.1
  done
}

# give_up DIR WHAT: shows the end of the log and leaves.
give_up() {
  say "--- the last lines of $1/server.log:"
  tail -n 25 "$1/server.log" >&2 || true
  say "---"
  fail "$2"
}
