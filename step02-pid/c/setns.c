// setns.c: join the namespaces of a process, by setns(2).
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

static pid_t child;

static void fail(const char *what, const char *on, int status)
{
	const char *hint = "";

	if (errno == EPERM)
		hint = ": joining a namespace needs root: use sudo";
	if (errno == EACCES && status == 125)
		hint = ": another user's process: use sudo";
	if ((errno == ENOENT && status == 125) || errno == ESRCH)
		hint = ": no such process: clone prints the PID to use";
	if (errno == ENOMEM)
		hint = ": PID 1 of the PID namespace has died";
	if (errno == EINVAL)
		hint = ": name a PID, or a file like /proc/PID/ns/uts";
	fprintf(stderr, "setns: %s on %s: %s (%s)%s\n", what, on,
		strerror(errno), strerrorname_np(errno), hint);
	exit(status);
}

// differs refuses the namespace that we are in already: its process is in no
// container. Two namespaces are one if their files have the same inode.
static void differs(const char *file, const char *ours, const char *name)
{
	struct stat a, b;

	if (stat(file, &a) || stat(ours, &b))
		fail("stat", file, 125);
	if (a.st_ino == b.st_ino && a.st_dev == b.st_dev) {
		fprintf(stderr, "setns: %s is in our own namespace: "
			"not a container: clone prints the PID to use\n", name);
		exit(125);
	}
}

// joinProcess enters all namespaces that clone.c makes. A pidfd stands for
// the process: nobody else can get its number meanwhile.
static void joinProcess(const char *name)
{
	char file[64];
	int fd;

	snprintf(file, sizeof file, "/proc/%s/ns/pid", name);
	differs(file, "/proc/self/ns/pid", name);
	fd = syscall(SYS_pidfd_open, atoi(name), 0);
	if (fd < 0)
		fail("pidfd_open", name, 125);
	if (setns(fd, CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID))
		fail("setns", name, 125);
	close(fd);
}

// joinFile enters the one namespace that a file stands for.
static void joinFile(const char *file)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		fail("open", file, 125);
	if (setns(fd, 0))
		fail("setns", file, 125);
	close(fd);
}

static void forward(int sig)
{
	kill(child, sig);
}

int main(int argc, char **argv)
{
	int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
	int status;

	if (argc < 3) {
		fprintf(stderr, "setns: COMMAND is missing: "
			"use setns PID|FILE COMMAND [ARG...]\n");
		return 125;
	}
	if (argv[1][strspn(argv[1], "0123456789")] == '\0')
		joinProcess(argv[1]);
	else
		joinFile(argv[1]);
	// A process never changes its PID: setns made us join for our children
	// only, pid_namespaces(7).
	child = fork();
	if (child < 0)
		fail("fork", argv[2], 126);
	if (child == 0) {
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
