// clone.c: a container with limits, by cgroups of version 1 or 2.
//
//	clone [--hostname NAME] [--memory BYTES] [--memory-swap BYTES]
//		[--cpus N] [--pids-limit N] COMMAND [ARG...]
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static sigset_t forwarded, before;
static char *hostname = "container", **command;

static void fail(const char *what, const char *on, int status)
{
	const char *hint = errno == EPERM || errno == EACCES ?
		": limits and namespaces are for root: use sudo" : "";

	fprintf(stderr, "clone: %s %s: %s (%s)%s\n", what, on,
		strerror(errno), strerrorname_np(errno), hint);
	exit(status);
}

#include "cgroup.h"
#include "janitor.h"
#include "limits.h"

static void block(void)
{
	int signals[] = {SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1,
		SIGUSR2};

	sigemptyset(&forwarded);
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		sigaddset(&forwarded, signals[i]);
	sigprocmask(SIG_BLOCK, &forwarded, &before);
}

// supervise passes signals on to child, reaps every process that ends, and
// returns how child ended. PID 1 does so, and its parent.
static int supervise(pid_t child)
{
	int sig, status;
	pid_t pid;

	for (;;) {
		sigwait(&forwarded, &sig);
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
			if (pid == child)
				return WIFSIGNALED(status) ?
					128 + WTERMSIG(status) : WEXITSTATUS(status);
		if (sig != SIGCHLD)
			kill(child, sig);
	}
}

// inside waits at the gate until it is in its cgroups, and makes them the
// roots of what it sees. CLONE_NEWCGROUP in clone would be too early.
static int inside(int gate)
{
	char c;
	pid_t pid;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (read(gate, &c, 1) != 1)
		return 125;
	// Did the parent die before prctl? The gate tells: nobody holds it open.
	if (poll(&(struct pollfd){.fd = gate}, 1, 0))
		return 125;
	close_range(3, ~0U, 0); // the janitor's leash, too
	fprintf(stderr, "Container[%d] - inside the container!\n", getpid());
	if (sethostname(hostname, strlen(hostname)))
		fail("sethostname", hostname, 125);
	if (unshare(CLONE_NEWCGROUP))
		fail("unshare", "cgroup", 125);
	if (mount("", "/", "", MS_REC | MS_PRIVATE, NULL) ||
			mount("proc", "/proc", "proc", 0, NULL))
		fail("mount", "/proc", 125);
	if ((pid = fork()) == 0) {
		sigprocmask(SIG_SETMASK, &before, NULL);
		execvp(command[0], command);
		fail("execve", command[0], errno == ENOENT ? 127 : 126);
	}
	if (pid < 0)
		fail("fork", command[0], 126);
	return supervise(pid);
}

// start is clone3(2), the call that can make a child in a cgroup of version 2.
// Without a stack of its own it returns twice, as fork does.
static pid_t start(void)
{
	struct clone_args args = {.exit_signal = SIGCHLD, .flags = CLONE_NEWPID |
		CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS};

	if (into >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = into;
	}
	return syscall(SYS_clone3, &args, sizeof args);
}

int main(int argc, char **argv)
{
	int gate[2], leash, status;
	pid_t pid;

	parse(argc, argv);
	fprintf(stderr, "Parent[%d] - create a container!\n", getpid());
	block();
	if ((leash = hireJanitor()) < 0 || pipe(gate))
		fail("pipe", "janitor", 125);
	setLimits();
	if ((pid = start()) == 0) {
		close(gate[1]);
		return inside(gate[0]);
	}
	if (pid < 0)
		fail("clone3", "container", 125);
	fprintf(stderr, "Parent[%d] - the container is PID %d\n", getpid(), pid);
	enter(getpid(), pid); // version 2: it is there already
	if (write(gate[1], "g", 1) < 0)
		fail("write", "gate", 125);
	status = supervise(pid);
	fprintf(stderr, "Parent[%d] - container exited!\n", getpid());
	close(leash);
	waitpid(-1, NULL, 0);
	return status;
}
