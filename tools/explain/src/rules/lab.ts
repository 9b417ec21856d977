/** Refusals of the lab itself. */
import type { RuleRows } from '../rule.ts';

export const labRules = {
  'fault.injected': ['The call was made to fail on purpose, by `fail:` of the lab file, by `--fail` or by `fail`.', 'Take the rule away: `fail -c`.', 'lib/fault-inject.c should_fail'],
  'user.signal.caught': ['A signal was caught while the call slept.', 'Call again, or set SA_RESTART.', 'kernel/signal.c get_signal'],
  'umh.exec': ['The kernel can start a program once there is user space.', 'Ask after the boot.', 'kernel/umh.c call_usermodehelper_exec'],
} as const satisfies RuleRows;
