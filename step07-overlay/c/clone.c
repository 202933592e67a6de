// clone.c: a container with a root directory made of layers, by clone(2).
//
//	clone [--hostname NAME] [--domainname NAME] [--rootfs DIR] [--chroot]
//		[--volume SRC:DST[:ro]]... [--uid-map INSIDE:HOST:N]...
//		[--gid-map INSIDE:HOST:N]... [--layer DIR]... [--commit DIR]
//		COMMAND [ARG...]
#define _GNU_SOURCE
#include <sched.h>
#include <unistd.h>

static char stack[1024 * 1024] __attribute__((aligned(16)));

#include "options.h"
#include "mount.h"
#include "pid.h"
#include "user.h"
#include "overlay.h"

static int inside(void *arg)
{
	struct container *c = arg;
	char go;
	pid_t pid;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	// Wait at the gate: until the maps are written we are nobody. A parent
	// that fails or dies closes the gate without a word.
	close(c->gate[1]);
	close(leash[1]);
	if (read(c->gate[0], &go, 1) != 1)
		return 125;
	becomeRoot(c->gate[0]);
	// A directory of the host's that is still open leads out of here.
	close_range(3, ~0U, 0);
	fprintf(stderr, "Container[%d] - inside the container!\n", getpid());
	if (sethostname(c->hostname, strlen(c->hostname)))
		fail("sethostname", c->hostname, 125);
	if (c->domainname && setdomainname(c->domainname, strlen(c->domainname)))
		fail("setdomainname", c->domainname, 125);
	if (*scratch)
		c->rootfs = setLayers(c->layers);
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

int main(int argc, char **argv)
{
	struct container c = {.hostname = "container", .rootfs = "/"};
	int status;
	pid_t pid;

	parse(argc, argv, &c);
	fprintf(stderr, "Parent[%d] - create a container!\n", getpid());
	block();
	if (*c.layers || c.commit)
		newLayers(&c);
	if (pipe2(c.gate, O_CLOEXEC))
		fail("pipe", "gate", 125);
	pid = clone(inside, stack + sizeof stack, CLONE_NEWPID | CLONE_NEWIPC |
		CLONE_NEWUTS | CLONE_NEWNS | CLONE_NEWUSER | SIGCHLD, &c);
	if (pid < 0)
		fail("clone", "container", 125);
	fprintf(stderr, "Parent[%d] - the container is PID %d\n", getpid(), pid);
	writeMaps(pid, c.uids, c.gids);
	if (write(c.gate[1], "g", 1) < 0)
		fail("write", "gate", 125);
	status = supervise(pid);
	// What was written becomes a layer for the next run, if the command
	// ran at all.
	if (c.commit && status != 125 && rename(below("upper"), c.commit))
		fail("rename", c.commit, 125);
	fprintf(stderr, "Parent[%d] - container exited!\n", getpid());
	return status;
}
