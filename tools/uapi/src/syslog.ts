/** `sys/syslog.h`: facilities of log records; a priority is one of them and a level of 0 to 7. */

export const LOG_KERN = 0 << 3;
export const LOG_USER = 1 << 3;
export const LOG_MAIL = 2 << 3;
export const LOG_DAEMON = 3 << 3;
export const LOG_AUTH = 4 << 3;
export const LOG_SYSLOG = 5 << 3;
export const LOG_LPR = 6 << 3;
export const LOG_NEWS = 7 << 3;
export const LOG_UUCP = 8 << 3;
export const LOG_CRON = 9 << 3;
export const LOG_AUTHPRIV = 10 << 3;
export const LOG_FTP = 11 << 3;

/** Bits of a priority that are the level. */
export const LOG_PRIMASK = 0x07;
/** Bits of a priority that are the facility. */
export const LOG_FACMASK = 0x3f8;
