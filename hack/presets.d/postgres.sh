# A new PostgreSQL: made, started and asked, by a unix socket. It does not run as root.
set -eu
bin=$(dirname "$(ls -d /usr/lib/postgresql/*/bin/initdb | tail -n 1)")
"$bin/initdb" -D data -A trust --no-sync >log 2>&1 || { grep -m 1 -E 'FATAL|error' log >&2 || tail -n 1 log >&2; exit 1; }
"$bin/postgres" -D data -k "$PWD" -h '' >log 2>&1 &
for _ in $(seq 300); do
    kill -0 $! 2>/dev/null || { grep -m 1 FATAL log >&2; exit 1; }
    "$bin/pg_isready" -q -h "$PWD" && break
    sleep 0.1
done
answer=$("$bin/psql" -h "$PWD" -Atc 'create table t (x int); insert into t values (6); select x * 7 from t' postgres | tail -n 1)
kill $! && wait $! || true
[ "$answer" = 42 ]
