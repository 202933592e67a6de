// cgroup.h: trees of control groups, for clone.c and setns.c, which say what
// fail does.
#include <fcntl.h>
#include <mntent.h>
#include <sys/stat.h>

static char cgroupPath[4096]; // what we worked on last, for messages

// put writes text into a file of a cgroup. The kernel fills these directories
// with files; a file that is not there is a limit that it does not know.
static int put(const char *dir, const char *file, const char *text)
{
	int fd, failed;

	snprintf(cgroupPath, sizeof cgroupPath, "%s/%s", dir, file);
	if ((fd = open(cgroupPath, O_WRONLY | O_CLOEXEC)) < 0)
		return -1;
	failed = write(fd, text, strlen(text)) < 0;
	close(fd);
	return -failed;
}

// trees calls visit for the mount point of each tree of version 1 and 2, with
// the names of its controllers: version 1 has them among the mount's options,
// version 2 in a file. It ends when visit returns 1.
static int trees(int (*visit)(const char *dir, char *names, int version))
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent *m;
	int found = 0;

	while (mounts && !found && (m = getmntent(mounts)))
		if (!strcmp(m->mnt_type, "cgroup"))
			found = visit(m->mnt_dir, m->mnt_opts, 1);
		else if (!strcmp(m->mnt_type, "cgroup2")) {
			char path[4096], names[4096] = "";
			FILE *list;

			snprintf(path, sizeof path, "%s/cgroup.controllers",
				m->mnt_dir);
			if ((list = fopen(path, "re"))) {
				if (!fgets(names, sizeof names, list))
					*names = 0;
				fclose(list);
			}
			found = visit(m->mnt_dir, names, 2);
		}
	if (mounts)
		endmntent(mounts);
	return found;
}

static int cgroupID, movedPID; // whose cgroups, and who moves there

static int enterOne(const char *dir, char *names, int version)
{
	char cgroup[3072], text[16];

	(void)names, (void)version;
	snprintf(cgroup, sizeof cgroup, "%s/workshop-%d", dir, cgroupID);
	snprintf(text, sizeof text, "%d", movedPID);
	if (put(cgroup, "cgroup.procs", text) && errno != ENOENT)
		fail("set", cgroupPath, 125);
	return 0;
}

// enter moves a process into all the cgroups that were made for an ID. The
// kernel moves who is written to cgroup.procs.
static void enter(int id, int pid)
{
	cgroupID = id;
	movedPID = pid;
	trees(enterOne);
}
