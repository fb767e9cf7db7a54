#!/bin/sh
# An engine for tests: containers are plain processes. It lies beside a folder `ctl`, in which a test orders it to be
# slow (VERB.sleep), to wait (once: VERB.hold becomes VERB.held, until that is gone), to fail (VERB.fail holds its words), to print garbage
# (VERB.garbage) or to be killed (VERB.dies); `calls` lists what it was asked.
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
  --console-socket | --preserve-fds | --image-path | --work-path) shift 2 ;;
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
if mv "$ctl/$verb.hold" "$ctl/$verb.held" 2>/dev/null; then
  while [ -e "$ctl/$verb.held" ]; do sleep 0.01; done
fi
if [ -e "$ctl/$verb.garbage" ]; then
  head -c 300000 /dev/urandom
  head -c 3000 /dev/urandom >>"$log"
  exit 1
fi
[ -e "$ctl/$verb.dies" ] && kill -9 $$
if [ -e "$ctl/$verb.fail" ]; then
  printf '{"level":"error","msg":"%s"}\n' "$(cat "$ctl/$verb.fail")" >>"$log"
  exit 1
fi
# Runs a program in the background, as nobody's child here: a shell reaps children of its own when it feels like it.
launch() {
  rm -f "$pid_file"
  setsid -f sh -c 'echo $$ >"$0"; exec sh -c "$1" "$2"' "$pid_file" "$1" "$state" <&3 3<&-
  until [ -s "$pid_file" ]; do sleep 0.01; done
}
if [ -e "$ctl/$verb.killed" ]; then
  # Killed half-way, with a process in the container's groups that nobody knows.
  path=$(sed 's/.*"cgroupsPath":"\([^"]*\)".*/\1/' "$bundle/config.json")
  for hierarchy in $(awk '$3 ~ /^cgroup/ { print $2 }' /proc/mounts); do
    mkdir "$hierarchy$path" && made=$hierarchy$path
  done
  setsid -f sh -c 'echo $$ >"$0/cgroup.procs"; exec sleep 1000' "$made"
  until grep -q . "$made/cgroup.procs"; do sleep 0.01; done
  kill -9 $$
fi
case $verb in
create)
  mkdir -p "$state"
  cp "$bundle/program" "$state/program"
  launch 'until [ -e "$0/go" ]; do sleep 0.01; done; exec sh -c "$(cat "$0/program")"'
  cp "$pid_file" "$state/pid"
  ;;
start) touch "$state/go" ;;
exec)
  launch "$(sed 's/.*"program":"\([^"]*\)".*/\1/' "$process")"
  if [ -e "$ctl/exec.late" ]; then exit 1; fi
  ;;
kill) kill "-$signal" "$(cat "$state/pid")" ;;
delete)
  [ -e "$state/pid" ] && kill -9 "$(cat "$state/pid")" 2>/dev/null
  rm -rf "$state"
  ;;
restore)
  mkdir -p "$state"
  cp "$bundle/program" "$state/program"
  launch "$(cat "$state/program")"
  cp "$pid_file" "$state/pid"
  ;;
pause | resume | update | checkpoint) : ;;
features) echo '{"ociVersionMax":"1.2.0"}' ;;
*) exit 2 ;;
esac
