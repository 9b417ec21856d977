#!/bin/bash
# record.sh SCRIPT > TRANSCRIPT: run the '$ ' lines of a script or a transcript in this bash, on this very system, and
# print the transcript. To record a real kernel; `vdpalab record` and `vdpalab record --real` record a lab.
# DMESG=1 adds the kernel's messages after each command, and clears the log: only where the log is the recorded system's own.
# SCRIPT.setup is sourced first, where it is there.
out=$(mktemp) err=$(mktemp)
trap 'rm -f "$out" "$err"' EXIT
[ -f "$1.setup" ] && source "$1.setup"
[ -n "$DMESG" ] && dmesg -C
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
  [ -n "$DMESG" ] && dmesg -c -t -x | sed 's/^/dmesg: /'
done 9<"$1"
