// setns.c: join the namespaces of a process, by setns(2).
//
//	setns PID|FILE COMMAND [ARG...]
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
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
	{"user", CLONE_NEWUSER}, {"net", CLONE_NEWNET}};

static pid_t child;

static void fail(const char *what, const char *on, int status)
{
	const char *hint = "";

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

static void forward(int sig)
{
	if (!isatty(0) || (sig != SIGINT && sig != SIGQUIT))
		kill(child, sig);
}

int main(int argc, char **argv)
{
	int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
	int fd, flags, status;
	sigset_t all, before;

	if (argc < 3) {
		fprintf(stderr, "setns: COMMAND is missing: "
			"use setns PID|FILE COMMAND [ARG...]\n");
		return 125;
	}
	fd = target(argv[1], &flags);
	// A mount namespace comes with its own root and working directory. A
	// user namespace has its own ids: without them we would be nobody, and
	// our groups are those of the host.
	setgroups(0, NULL);
	if (setns(fd, flags))
		fail("setns", argv[1], 125);
	if (setresgid(0, 0, 0) || setresuid(0, 0, 0))
		fail("setuid", "0", 125);
	// A process never changes its PID: setns made us join for our children
	// only, pid_namespaces(7).
	sigfillset(&all); // until we can forward them
	sigprocmask(SIG_BLOCK, &all, &before);
	child = fork();
	if (child < 0)
		fail("fork", argv[2], 126);
	if (child == 0) {
		sigprocmask(SIG_SETMASK, &before, NULL);
		// A directory of the host's that is open leads out of there.
		close_range(3, ~0U, 0);
		execvp(argv[2], argv + 2);
		fail("execve", argv[2], errno == ENOENT ? 127 : 126);
	}
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		signal(signals[i], forward);
	sigprocmask(SIG_SETMASK, &before, NULL);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))
		return 128 + WTERMSIG(status);
	return WEXITSTATUS(status);
}
