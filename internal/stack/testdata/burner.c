/* Burns CPU in functions of known names until its input is closed. With an argument it does so in a
 * child too, which ends after 20 ms and is forked anew, for 10 s of CPU. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef LEAF
#define LEAF burn_leaf
#endif

static volatile unsigned long sink;

static long cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static __attribute__((noinline)) void LEAF(void)
{
	for (int i = 0; i < 100000; i++)
		sink += i;
}

static __attribute__((noinline)) void burn_middle(void)
{
	LEAF();
	sink++;
}

static void *forever(void *unused)
{
	for (;;)
		burn_middle();
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	char byte;

	(void)argv;
	if (argc > 1) {
		write(1, "x", 1);
		while (cpu_ms() < 10000) {
			if (fork() == 0) {
				while (cpu_ms() < 20)
					burn_middle();
				_exit(0);
			}
			while (cpu_ms() % 40 != 39)
				burn_middle();
			burn_middle();
			while (waitpid(-1, 0, WNOHANG) > 0)
				;
		}
		return 0;
	}
	pthread_create(&thread, 0, forever, 0);
	write(1, "x", 1);
	while (read(0, &byte, 1) > 0)
		;
	return 0;
}
