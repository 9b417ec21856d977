/* The anchor of frame rates: what copying a frame costs in C, over more memory than a small cache holds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SPAN (8u << 20)

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

int main(int argc, char **argv) {
    size_t length = argc > 1 ? strtoul(argv[1], NULL, 10) : 64;
    size_t room = (length + 63) & ~(size_t)63;
    size_t count = SPAN / room;
    char *from = malloc(SPAN), *to = malloc(SPAN);
    double best = 1e18;
    memset(from, 1, SPAN);
    memset(to, 2, SPAN);
    for (int slice = 0; slice < 60; slice++) {
        double start = now();
        for (size_t i = 0; i < count; i++) {
            memcpy(to + i * room, from + i * room, length);
            __asm__ volatile("" : : "r"(to) : "memory");
        }
        double ns = (now() - start) / count;
        if (ns < best) best = ns;
    }
    printf("%.3f\n", best);
    return 0;
}
