// janitor.h: who removes our cgroups when we are gone, for clone.c.

static int sweepOne(const char *dir, char *names, int version)
{
	char cgroup[3072], procs[4096];

	(void)names, (void)version;
	snprintf(cgroup, sizeof cgroup, "%s/workshop-%d", dir, cgroupID);
	snprintf(procs, sizeof procs, "%s/cgroup.procs", cgroup);
	// EBUSY: somebody is in there. A container's PID 1 takes the rest along.
	for (int n = 0; rmdir(cgroup) && errno == EBUSY && n < 100; n++) {
		FILE *list = fopen(procs, "re");
		int pid;

		if (list && fscanf(list, "%d", &pid) == 1 && pid > 1)
			kill(pid, SIGKILL);
		if (list)
			fclose(list);
		usleep(50000);
	}
	return 0;
}

// hireJanitor forks a process that outlives us, however we die: the kernel
// closes our end of the pipe then, and it removes our cgroups. It returns that
// end, or -1.
static int hireJanitor(void)
{
	int leash[2];
	char c;

	cgroupID = getpid();
	if (pipe2(leash, O_CLOEXEC))
		return -1;
	if (fork() == 0) {
		setsid(); // the terminal's signals are not for us
		close(leash[1]);
		while (read(leash[0], &c, 1) < 0)
			;
		trees(sweepOne);
		_exit(0);
	}
	close(leash[0]);
	return leash[1];
}
