// setns.c: join the namespace of a process, by setns(2).
//
//	setns PID|FILE COMMAND [ARG...]
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void fail(const char *what, const char *on, int status)
{
	const char *hint = "";

	if (errno == EPERM)
		hint = ": joining a namespace needs root: use sudo";
	if (errno == EACCES)
		hint = ": another user's process: use sudo";
	if (errno == ENOENT && status == 125)
		hint = ": no such process: clone prints the PID to use";
	if (errno == EINVAL)
		hint = ": name a PID, or a file like /proc/PID/ns/uts";
	fprintf(stderr, "setns: %s on %s: %s (%s)%s\n", what, on,
		strerror(errno), strerrorname_np(errno), hint);
	exit(status);
}

// find returns the namespace file that name stands for: a PID stands for its
// file in /proc.
static const char *find(const char *name)
{
	static char path[64];

	if (name[strspn(name, "0123456789")] != '\0')
		return name;
	snprintf(path, sizeof path, "/proc/%s/ns/uts", name);
	return path;
}

int main(int argc, char **argv)
{
	const char *file;
	int fd;

	if (argc < 3) {
		fprintf(stderr, "setns: COMMAND is missing: "
			"use setns PID|FILE COMMAND [ARG...]\n");
		return 125;
	}
	file = find(argv[1]);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail("open", file, 125);
	// 0: any kind of namespace will do.
	if (setns(fd, 0))
		fail("setns", file, 125);
	execvp(argv[2], argv + 2);
	fail("execve", argv[2], errno == ENOENT ? 127 : 126);
}
