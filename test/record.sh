#!/bin/bash
# record.sh SCRIPT > TRANSCRIPT: run the '$ ' lines of a script or a transcript in this bash, on this very system, and
# print the transcript. To record a real kernel; `vdpalab record` and `vdpalab record --real` record a lab.
# DMESG=1 adds the kernel's messages after each command, and clears the log: only where the log is the recorded system's own.
# UEVENTS=1 adds the kernel's uevents, by the program `uevents` of recorder/.
# SCRIPT.setup is sourced first, where it is there.
out=$(mktemp) err=$(mktemp)
uevents=$(mktemp)
trap 'rm -f "$out" "$err" "$uevents"*' EXIT
[ -f "$1.setup" ] && source "$1.setup"
if [ -n "$UEVENTS" ]; then
  uevents "$uevents"
  trap 'pkill -x uevents; rm -f "$out" "$err" "$uevents"*' EXIT
fi
[ -n "$DMESG" ] && dmesg -C
__printed=0
__status=0
while IFS= read -r -u 9 __line; do
  case $__line in
    '$ '*) ;;
    '#'* | '') printf '%s\n' "$__line"; continue ;;
    *) continue ;; # what the command did when it was recorded before
  esac
  printf '%s\n' "$__line"
  (exit $__status)
  eval "${__line#\$ }" >"$out" 2>"$err" 9<&-
  __status=$?
  cat "$out"
  [ -n "$(tail -c 1 "$out")" ] && printf '<no newline at end>\n'
  # The shell's own messages begin with the script's name and a line; those of a shell that is typed into do not.
  sed -E "s/^[^ ]*(record\.sh|environment): (eval: )?line [0-9]+: /bash: /; s/^/stderr: /" "$err"
  echo "exit: $__status"
  [ -z "$DMESG$UEVENTS" ] || sleep 0.15 # what the command left to others to do
  [ -n "$DMESG" ] && dmesg -c -t -x | sed 's/^/dmesg: /'
  [ -n "$UEVENTS" ] || continue
  for __try in 1 2 3 4 5 6 7 8; do
    [ "$(cat /sys/kernel/uevent_seqnum)" != "$(cat "$uevents.seq" 2>/dev/null)" ] && sleep 0.05
  done
  tail -n "+$((__printed + 1))" "$uevents"
  __printed=$(wc -l <"$uevents")
done 9<"$1"
