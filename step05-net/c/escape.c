// escape.c: out of a chroot, as every process with CAP_SYS_CHROOT can. Run it
// inside, where the suite and the chapter put it with --volume.
//
//	escape COMMAND [ARG...]
//
// ".." stops at the root directory and nowhere else. A process that is not
// below its root never meets it on the way up. So we move the root below us,
// walk up to where the tree really ends, and make that our root.
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void fail(const char *what, const char *on, int status)
{
	fprintf(stderr, "escape: %s %s: %s (%s)\n", what, on,
		strerror(errno), strerrorname_np(errno));
	exit(status);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "escape: use escape COMMAND [ARG...]\n");
		return 125;
	}
	if (chdir("/"))
		fail("chdir", "/", 125);
	// chroot(2) does not change the working directory: the root is now
	// /tmp, and we are above it.
	if (chroot("/tmp"))
		fail("chroot", "/tmp", 125);
	// At the very top ".." stays where it is, so too many do no harm.
	for (int i = 0; i < 100; i++)
		if (chdir(".."))
			fail("chdir", "..", 125);
	if (chroot("."))
		fail("chroot", ".", 125);
	execvp(argv[1], argv + 1);
	fail("execve", argv[1], errno == ENOENT ? 127 : 126);
}
