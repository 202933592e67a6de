/*
 * ab RUNS FILE: each line of FILE is a command, words between blanks, nothing
 * quoted. They are run in turn, A B C A B C ..., so that what else the machine
 * does meets all of them alike. Prints the median of each in microseconds from
 * the spawn to the end, a line each, or "failed" for one whose exit status was
 * ever other than 0. AB_VERBOSE=1 shows what they write to stderr.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static double run(char **argv)
{
	posix_spawn_file_actions_t files;
	double start = now();
	int status;
	pid_t pid;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
	if (!getenv("AB_VERBOSE"))
		posix_spawn_file_actions_adddup2(&files, 1, 2);
	if (posix_spawnp(&pid, argv[0], &files, NULL, argv, environ))
		return -1;
	posix_spawn_file_actions_destroy(&files);
	waitpid(pid, &status, 0);
	return status == 0 ? now() - start : -1;
}

int main(int argc, char **argv)
{
	static char line[64][8192], *words[64][128];
	static double times[64][10000];
	int n = 0, runs, failed[64] = { 0 };
	FILE *f;

	if (argc != 3 || (runs = atoi(argv[1])) < 1 || runs > 10000)
		errx(2, "usage: ab RUNS FILE");
	if (!(f = fopen(argv[2], "r")))
		err(2, "%s", argv[2]);
	while (n < 64 && fgets(line[n], sizeof line[n], f)) {
		int w = 0;
		for (char *s = strtok(line[n], " \n"); s && w < 127;
			s = strtok(NULL, " \n"))
			words[n][w++] = s;
		n += w > 0;
	}
	for (int r = -1; r < runs; r++) /* the first is to warm up */
		for (int i = 0; i < n; i++) {
			double t = failed[i] ? -1 : run(words[i]);
			if (t < 0)
				failed[i] = 1;
			else if (r >= 0)
				times[i][r] = t;
		}
	for (int i = 0; i < n; i++) {
		qsort(times[i], runs, sizeof times[i][0], compare);
		if (failed[i])
			puts("failed");
		else
			printf("%.0f\n", times[i][runs / 2]);
	}
}
