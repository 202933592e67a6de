// clone.c: a container with a root directory of its own, by clone(2).
//
//	clone [--hostname NAME] [--domainname NAME] [--rootfs DIR] [--chroot]
//		[--volume SRC:DST[:ro]]... COMMAND [ARG...]
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct container {
	char *hostname, *domainname, *rootfs;
	char **volumes, **command;
	int chroot, alive[2];
};

static char stack[1024 * 1024] __attribute__((aligned(16)));

static void fail(const char *what, const char *on, int status)
{
	const char *hint = errno == EPERM ? ": needs root: use sudo" :
		errno == ENOENT && !strcmp(what, "bind mount") ?
		": make rootfs makes a root filesystem" :
		errno == EBUSY ? ": give a --rootfs other than /" : "";

	fprintf(stderr, "clone: %s %s: %s (%s)%s\n", what, on,
		strerror(errno), strerrorname_np(errno), hint);
	exit(status);
}

#include "mount.h"
#include "pid.h"

static int inside(void *arg)
{
	struct container *c = arg;
	pid_t pid;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(c->alive[1]); // the parent alone keeps it, and never writes
	if (orphaned(c->alive[0]))
		return 125;
	// A directory of the host's that is still open leads out of here.
	close_range(3, ~0U, 0);
	fprintf(stderr, "Container[%d] - inside the container!\n", getpid());
	if (sethostname(c->hostname, strlen(c->hostname)))
		fail("sethostname", c->hostname, 125);
	if (c->domainname && setdomainname(c->domainname, strlen(c->domainname)))
		fail("setdomainname", c->domainname, 125);
	setMounts(c->rootfs, c->volumes, c->chroot);
	if ((pid = fork()) == 0) {
		sigprocmask(SIG_SETMASK, &before, NULL);
		execvp(c->command[0], c->command);
		fail("execve", c->command[0], errno == ENOENT ? 127 : 126);
	}
	if (pid < 0)
		fail("fork", c->command[0], 126);
	return supervise(pid);
}

static const struct option options[] = {
	{"hostname", required_argument, NULL, 'h'},
	{"domainname", required_argument, NULL, 'd'},
	{"rootfs", required_argument, NULL, 'r'},
	{"volume", required_argument, NULL, 'v'},
	{"chroot", no_argument, NULL, 'c'},
	{NULL, 0, NULL, 0},
};

static void usage(const char *wrong)
{
	fprintf(stderr, "clone: %s: use clone [OPTION...] COMMAND\n", wrong);
	exit(125);
}

static void parse(int argc, char **argv, struct container *c)
{
	char **last = c->volumes = calloc(argc, sizeof *c->volumes);

	opterr = 0;
	for (int o; (o = getopt_long(argc, argv, "+", options, NULL)) != -1;)
		switch (o) {
		case 'h': c->hostname = optarg; break;
		case 'd': c->domainname = optarg; break;
		case 'r': c->rootfs = optarg; break;
		case 'v': *last++ = optarg; break;
		case 'c': c->chroot = 1; break;
		default: usage(argv[optind - 1]);
		}
	c->command = argv + optind;
	if (optind == argc)
		usage("COMMAND is missing");
}

int main(int argc, char **argv)
{
	struct container c = {.hostname = "container", .rootfs = "/"};
	int status;
	pid_t pid;

	parse(argc, argv, &c);
	fprintf(stderr, "Parent[%d] - create a container!\n", getpid());
	block();
	if (pipe(c.alive))
		fail("pipe", "container", 125);
	pid = clone(inside, stack + sizeof stack, CLONE_NEWPID | CLONE_NEWIPC |
		CLONE_NEWUTS | CLONE_NEWNS | SIGCHLD, &c);
	if (pid < 0)
		fail("clone", "container", 125);
	fprintf(stderr, "Parent[%d] - the container is PID %d\n", getpid(), pid);
	status = supervise(pid);
	fprintf(stderr, "Parent[%d] - container exited!\n", getpid());
	return status;
}
