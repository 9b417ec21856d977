/*
 * Makes the system calls it is told to, one a line, so that a test can be a real process without being in one:
 *
 *   s NUMBER A B C D E F   make the call; answers "RESULT ERRNO"
 *   f                      fork: the child goes on reading, the parent waits for its end; answers the child's pid
 *   x                      exit
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Unbuffered: a child must not find what its parent has read ahead. */
static int line(char *to, int size)
{
	int n = 0;

	while (n < size - 1 && read(0, to + n, 1) == 1)
		if (to[n++] == '\n')
			break;
	to[n] = 0;
	return n;
}

int main(void)
{
	char text[512];

	dprintf(1, "%d\n", getpid());
	while (line(text, sizeof text) > 0) {
		char *at = text + 1;
		long arg[7], result;
		pid_t child;

		switch (text[0]) {
		case 's':
			for (int i = 0; i < 7; i++)
				arg[i] = strtoull(at, &at, 0);
			errno = 0;
			result = syscall(arg[0], arg[1], arg[2], arg[3], arg[4], arg[5], arg[6]);
			dprintf(1, "%ld %d\n", result, result == -1 ? errno : 0);
			break;
		case 'f':
			child = fork();
			if (child > 0) {
				waitpid(child, NULL, 0);
				dprintf(1, "%d\n", getpid());
			} else {
				dprintf(1, "%d\n", getpid());
			}
			break;
		default:
			return 0;
		}
	}
	return 0;
}
