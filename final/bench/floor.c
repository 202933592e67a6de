/*
 * floor LOWER DIR COMMAND [ARG...]: the least that a container costs. One
 * clone with the namespaces that Docker's default has, the same mounts,
 * pivot_root, exec; no cgroup, no capability, no filter, no state, no check.
 * LOWER is a root file system, DIR an empty directory for the other three of an
 * overlay. What minidocker takes longer is what an engine does.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define FLAGS (MS_NOSUID | MS_NODEV | MS_NOEXEC)

static char root[4096];

static const char *in(const char *path)
{
	static char full[8192];
	snprintf(full, sizeof full, "%s%s", root, path);
	return full;
}

static void put(const char *type, const char *path, unsigned long flags,
	const char *data)
{
	mkdir(in(path), 0755);
	if (mount(type, in(path), type, flags, data))
		err(1, "mount %s", in(path));
}

/* What is not there needs no mask. */
static void over(const char *source, const char *path, unsigned long flags)
{
	if (mount(source, in(path), NULL, MS_BIND, NULL) == 0 && flags)
		mount(NULL, in(path), NULL, MS_REMOUNT | MS_BIND | flags, NULL);
}

static void devices(void)
{
	static const struct { const char *path; int minor, major; } list[] = {
		{ "/dev/null", 3, 1 }, { "/dev/zero", 5, 1 }, { "/dev/full", 7, 1 },
		{ "/dev/random", 8, 1 }, { "/dev/urandom", 9, 1 }, { "/dev/tty", 0, 5 },
	};
	for (size_t i = 0; i < sizeof list / sizeof *list; i++)
		if (mknod(in(list[i].path), S_IFCHR | 0666,
			makedev(list[i].major, list[i].minor)))
			err(1, "mknod %s", in(list[i].path));
	if (symlink("/proc/self/fd", in("/dev/fd")) ||
		symlink("/proc/self/fd/0", in("/dev/stdin")) ||
		symlink("/proc/self/fd/1", in("/dev/stdout")) ||
		symlink("/proc/self/fd/2", in("/dev/stderr")) ||
		symlink("pts/ptmx", in("/dev/ptmx")))
		err(1, "symlink");
}

/* Version 2 is one mount, version 1 one for each hierarchy, in a tmpfs. */
static void cgroups(void)
{
	char line[4096], *name, *end;
	FILE *f = fopen("/proc/self/cgroup", "r");
	int first = 1;

	while (f && fgets(line, sizeof line, f)) {
		if (first && !strncmp(line, "0::", 3))
			put("cgroup2", "/sys/fs/cgroup", FLAGS | MS_RDONLY, NULL);
		name = strchr(line, ':') + 1;
		end = strchr(name, ':');
		*end = 0;
		if (!*name)
			continue;
		if (first)
			put("tmpfs", "/sys/fs/cgroup", FLAGS, "mode=755");
		first = 0;
		char path[4200];
		snprintf(path, sizeof path, "/sys/fs/cgroup/%s",
			strncmp(name, "name=", 5) ? name : name + 5);
		put("cgroup", path, FLAGS | MS_RDONLY, name);
	}
	if (f)
		fclose(f);
}

int main(int argc, char **argv)
{
	char upper[4096], work[4096], data[16384];
	static const char *masked[] = { "/proc/asound", "/proc/acpi",
		"/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap" };
	static const char *hidden[] = { "/proc/interrupts", "/proc/kcore",
		"/proc/keys", "/proc/latency_stats", "/proc/timer_list",
		"/proc/sched_debug" };
	static const char *fixed[] = { "/proc/bus", "/proc/fs", "/proc/irq",
		"/proc/sys", "/proc/sysrq-trigger" };

	if (argc < 4)
		errx(2, "usage: floor LOWER DIR COMMAND [ARG...]");
	snprintf(root, sizeof root, "%s/merged", argv[2]);
	snprintf(upper, sizeof upper, "%s/upper", argv[2]);
	snprintf(work, sizeof work, "%s/work", argv[2]);
	mkdir(root, 0755), mkdir(upper, 0755), mkdir(work, 0755);

	pid_t pid = syscall(SYS_clone, SIGCHLD | CLONE_NEWNS | CLONE_NEWPID |
		CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP,
		NULL, NULL, NULL, NULL);
	if (pid < 0)
		err(1, "clone");
	if (pid > 0) {
		int status;
		waitpid(pid, &status, 0);
		return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
	}
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL))
		err(1, "make / private");
	snprintf(data, sizeof data, "lowerdir=%s,upperdir=%s,workdir=%s", argv[1],
		upper, work);
	if (mount("overlay", root, "overlay", 0, data))
		err(1, "mount overlay");
	put("proc", "/proc", FLAGS, NULL);
	put("tmpfs", "/dev", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k");
	put("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC,
		"newinstance,ptmxmode=0666,mode=0620,gid=5");
	put("sysfs", "/sys", FLAGS | MS_RDONLY, NULL);
	cgroups();
	put("mqueue", "/dev/mqueue", FLAGS, NULL);
	put("tmpfs", "/dev/shm", FLAGS, "mode=1777,size=65536k");
	devices();
	for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
		over(in(fixed[i]), fixed[i], MS_RDONLY | FLAGS);
	for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
		over("/dev/null", hidden[i], 0);
	for (size_t i = 0; i < sizeof masked / sizeof *masked; i++)
		mount("tmpfs", in(masked[i]), "tmpfs", MS_RDONLY, NULL);
	if (sethostname("floor", 5) || chdir(root) ||
		syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) ||
		chdir("/"))
		err(1, "pivot_root");
	execvp(argv[3], argv + 3);
	err(127, "exec %s", argv[3]);
}
