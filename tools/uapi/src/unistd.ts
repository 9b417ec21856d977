/** `unistd.h`: what access() asks. */

export const F_OK = 0;
export const X_OK = 1;
export const W_OK = 2;
export const R_OK = 4;
