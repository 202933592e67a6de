// setns.c: join the namespaces of a process, by setns(2), and its cgroups.
//
//	setns PID|FILE COMMAND [ARG...]
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// The namespaces that clone.c makes.
static const struct {
	const char *file;
	int flag;
} namespaces[] = {{"uts", CLONE_NEWUTS}, {"ipc", CLONE_NEWIPC},
	{"pid", CLONE_NEWPID}, {"mnt", CLONE_NEWNS},
	{"cgroup", CLONE_NEWCGROUP}};

static pid_t child;

static void fail(const char *what, const char *on, int status)
{
	const char *hint = "";

	if (errno == EPERM)
		hint = ": needs root: use sudo";
	if (errno == EACCES && !strcmp(what, "stat"))
		hint = ": the process is another user's: use sudo";
	if (errno == ESRCH)
		hint = ": clone prints the PID to use";
	if (errno == EINVAL)
		hint = ": name a PID, or a file such as /proc/PID/ns/uts";
	fprintf(stderr, "setns: %s %s: %s (%s)%s\n", what, on,
		strerror(errno), strerrorname_np(errno), hint);
	exit(status);
}

#include "cgroup.h"

// foreign returns the flags of the namespaces that pid does not share with us:
// two processes share one when their files in /proc are the same.
static int foreign(int pid)
{
	int flags = 0;

	for (size_t i = 0; i < sizeof namespaces / sizeof *namespaces; i++) {
		char ours[64], theirs[64];
		struct stat a, b;

		snprintf(ours, sizeof ours, "/proc/self/ns/%s",
			namespaces[i].file);
		snprintf(theirs, sizeof theirs, "/proc/%d/ns/%s", pid,
			namespaces[i].file);
		if (stat(ours, &a) || stat(theirs, &b))
			fail("stat", theirs, 125);
		if (a.st_ino != b.st_ino || a.st_dev != b.st_dev)
			flags |= namespaces[i].flag;
	}
	return flags;
}

// target opens what we are to join. A pidfd stands for all the namespaces of
// a process, and the flags choose; a file is one, and 0 is whatever it is.
static int target(const char *name, int *flags)
{
	char *end;
	long pid = strtol(name, &end, 10);
	int fd;

	if (end == name || *end || pid != (int)pid) {
		*flags = 0;
		if ((fd = open(name, O_RDONLY | O_CLOEXEC)) < 0)
			fail("open", name, 125);
		return fd;
	}
	if ((fd = syscall(SYS_pidfd_open, (int)pid, 0)) < 0)
		fail("pidfd_open", name, 125);
	*flags = foreign(pid);
	if (!*flags) {
		fprintf(stderr, "setns: PID %ld is in no container: it shares "
			"our namespaces: clone prints the PID to use\n", pid);
		exit(125);
	}
	return fd;
}

// follow takes us into the cgroups of pid. A namespace hides cgroups; it is
// the cgroups that hold a process to their limits.
static void follow(const char *pid)
{
	char path[64], line[4096], *name;
	FILE *list;

	snprintf(path, sizeof path, "/proc/%.20s/cgroup", pid);
	if (!(list = fopen(path, "re")))
		return; // a file that stands for a namespace
	while (fgets(line, sizeof line, list))
		if ((name = strstr(line, ":/workshop-"))) {
			enter(atoi(name + strlen(":/workshop-")), getpid());
			break;
		}
	fclose(list);
}

static void forward(int sig)
{
	if (!isatty(0) || (sig != SIGINT && sig != SIGQUIT))
		kill(child, sig);
}

int main(int argc, char **argv)
{
	int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
	int fd, flags, status;

	if (argc < 3) {
		fprintf(stderr, "setns: COMMAND is missing: "
			"use setns PID|FILE COMMAND [ARG...]\n");
		return 125;
	}
	fd = target(argv[1], &flags);
	follow(argv[1]);
	// A mount namespace comes with its own root and working directory.
	if (setns(fd, flags))
		fail("setns", argv[1], 125);
	// A process never changes its PID: setns made us join for our children
	// only, pid_namespaces(7).
	child = fork();
	if (child < 0)
		fail("fork", argv[2], 126);
	if (child == 0) {
		// A directory of the host's that is open leads out of there.
		close_range(3, ~0U, 0);
		execvp(argv[2], argv + 2);
		fail("execve", argv[2], errno == ENOENT ? 127 : 126);
	}
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		signal(signals[i], forward);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))
		return 128 + WTERMSIG(status);
	return WEXITSTATUS(status);
}
