// unshare.c: leave the namespaces we are in for new ones, by unshare(2).
//
//	unshare [-uipmUn] [--kill-child SIGNAL] [--no-fork] COMMAND
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t child;
static int flags, killChild, noFork;

static void fail(const char *what, const char *on, int status)
{
	const char *hint = "";

	if (errno == EPERM && flags & CLONE_NEWUSER)
		hint = ": sysctl, chroot or seccomp forbids it: make doctor";
	else if (errno == EPERM)
		hint = ": add -U, or use sudo";
	else if (errno == ENOSPC)
		hint = ": raise sysctl user.max_user_namespaces";
	fprintf(stderr, "unshare: %s %s: %s (%s)%s\n", what, on,
		strerror(errno), strerrorname_np(errno), hint);
	exit(status);
}

static void usage(const char *wrong)
{
	fprintf(stderr, "unshare: %s: use unshare [-uipmUn] "
		"[--kill-child SIGNAL] [--no-fork] COMMAND [ARG...]\n", wrong);
	exit(125);
}

// number returns the signal that name (KILL or SIGKILL) stands for.
static int number(const char *name)
{
	const char *word = strncmp(name, "SIG", 3) ? name : name + 3;

	for (int i = 1; i < NSIG; i++)
		if (sigabbrev_np(i) && !strcmp(word, sigabbrev_np(i)))
			return i;
	fprintf(stderr, "unshare: no signal %s: use a name such as KILL\n",
		word);
	exit(125);
}

static void become(char **command)
{
	execvp(command[0], command);
	fail("execve", command[0], errno == ENOENT ? 127 : 126);
}

static const struct option options[] = {
	{"kill-child", required_argument, NULL, 'k'},
	{"no-fork", no_argument, NULL, 'f'},
	{NULL, 0, NULL, 0},
};

static void parse(int argc, char **argv)
{
	int o;

	opterr = 0;
	while ((o = getopt_long(argc, argv, "+uipmUn", options, NULL)) != -1)
		switch (o) {
		case 'u': flags |= CLONE_NEWUTS; break;
		case 'i': flags |= CLONE_NEWIPC; break;
		case 'p': flags |= CLONE_NEWPID; break;
		case 'm': flags |= CLONE_NEWNS; break;
		case 'U': flags |= CLONE_NEWUSER; break;
		case 'k': killChild = number(optarg); break;
		case 'n': flags |= CLONE_NEWNET; break;
		case 'f': noFork = 1; break;
		default: usage("wrong option");
		}
	if (optind == argc)
		usage("COMMAND is missing");
}

static void forward(int sig)
{
	if (!isatty(0) || (sig != SIGINT && sig != SIGQUIT))
		kill(child, sig);
}

static void writeFile(const char *file, const char *format, int id)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || dprintf(fd, format, id) < 0)
		fail("write", file, 125);
	close(fd);
}

int main(int argc, char **argv)
{
	int uid = getuid(), gid = getgid();
	int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
	sigset_t all, before;
	int status;

	parse(argc, argv);
	if (unshare(flags))
		fail("unshare", "namespaces", 125);
	// Here the process that is in the namespace maps itself: root inside is
	// who we were outside.
	if (flags & CLONE_NEWUSER) {
		writeFile("/proc/self/setgroups", "deny", 0);
		writeFile("/proc/self/uid_map", "0 %d 1", uid);
		writeFile("/proc/self/gid_map", "0 %d 1", gid);
	}
	// Our mounts are a copy, but shared ones stay shared: what we mount
	// would appear on the host. See mount_namespaces(7).
	if (flags & CLONE_NEWNS &&
			mount("", "/", "", MS_REC | MS_PRIVATE, NULL))
		fail("mount", "/", 125);
	// A new PID namespace is for our children: its first one is PID 1.
	// When that one ends, the namespace is over, and the next fork fails
	// with ENOMEM: pid_namespaces(7). Hence we fork, and fork once.
	if (noFork)
		become(argv + optind);
	sigfillset(&all); // until we can forward them
	sigprocmask(SIG_BLOCK, &all, &before);
	child = fork();
	if (child < 0)
		fail("fork", argv[optind], 126);
	if (child == 0) {
		sigprocmask(SIG_SETMASK, &before, NULL);
		if (killChild)
			prctl(PR_SET_PDEATHSIG, killChild);
		become(argv + optind);
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
