# A new MariaDB: made, started and asked, by a unix socket. It does not run as root.
set -eu
mariadb-install-db --no-defaults --datadir="$PWD/data" --auth-root-authentication-method=normal >log 2>&1 ||
    { grep -m 1 -F '[ERROR]' log >&2 || tail -n 1 log >&2; exit 1; }
mariadbd --no-defaults --datadir="$PWD/data" --socket="$PWD/socket" --skip-networking >log 2>&1 &
for _ in $(seq 300); do
    kill -0 $! 2>/dev/null || { grep -m 1 -F '[ERROR]' log >&2; exit 1; }
    [ -S socket ] && break
    sleep 0.1
done
answer=$(mariadb --no-defaults --socket="$PWD/socket" -u root -Ne 'create table test.t (x int); insert into test.t values (6); select x * 7 from test.t' | tail -n 1)
kill $! && wait $! || true
[ "$answer" = 42 ]
