#!/bin/sh
# An engine for tests: containers are plain processes. It lies beside a folder `ctl`, in which a test orders it to be
# slow (VERB.sleep), to fail (VERB.fail holds its words) or to print garbage (VERB.garbage); `calls` lists what it was asked.
here=$(dirname "$0")
ctl=$here/ctl
while [ $# -gt 0 ]; do
  case $1 in
  --root) root=$2; shift 2 ;;
  --log) log=$2; shift 2 ;;
  --log-format) shift 2 ;;
  --*) shift ;;
  *) break ;;
  esac
done
verb=$1
shift
while [ $# -gt 0 ]; do
  case $1 in
  --bundle) bundle=$2; shift 2 ;;
  --pid-file) pid_file=$2; shift 2 ;;
  --process) process=$2; shift 2 ;;
  --console-socket | --preserve-fds) shift 2 ;;
  --resources) resources=$(cat); shift 2 ;;
  --*) shift ;;
  *) id=${id:-$1}; signal=$1; shift ;;
  esac
done
echo "$verb $id $resources" >>"$ctl/calls"
state=$root/$id
# A background command of a shell has no input otherwise.
exec 3<&0
[ -e "$ctl/$verb.sleep" ] && sleep "$(cat "$ctl/$verb.sleep")"
if [ -e "$ctl/$verb.garbage" ]; then
  head -c 300000 /dev/urandom
  head -c 3000 /dev/urandom >>"$log"
  exit 1
fi
if [ -e "$ctl/$verb.fail" ]; then
  printf '{"level":"error","msg":"%s"}\n' "$(cat "$ctl/$verb.fail")" >>"$log"
  exit 1
fi
case $verb in
create)
  mkdir -p "$state"
  program=$(cat "$bundle/program")
  # In a shell of its own, which ends at once: this one would reap a container that ends early.
  (
    setsid sh -c 'until [ -e "$0/go" ]; do sleep 0.01; done; exec sh -c "$1"' "$state" "$program" <&3 3<&- &
    echo $! >"$pid_file"
    echo $! >"$state/pid"
  )
  ;;
start) touch "$state/go" ;;
exec)
  program=$(sed 's/.*"program":"\([^"]*\)".*/\1/' "$process")
  (
    setsid sh -c "$program" <&3 3<&- &
    echo $! >"$pid_file"
  )
  ;;
kill) kill "-$signal" "$(cat "$state/pid")" ;;
delete)
  [ -e "$state/pid" ] && kill -9 "$(cat "$state/pid")" 2>/dev/null
  rm -rf "$state"
  ;;
pause | resume | update) : ;;
features) echo '{"ociVersionMax":"1.2.0"}' ;;
*) exit 2 ;;
esac
