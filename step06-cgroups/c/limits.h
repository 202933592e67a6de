// limits.h: from options to the files of cgroups, for clone.c.

static double memory, swap, quota, pids; // 0 is no limit
static int into = -1; // the cgroup of version 2 that the child starts in

// number reads 0.5, 4096, 64k, 64m and 1g.
static double number(const char *text)
{
	char *end;
	double n = strtod(text, &end);
	const char *units = "kmg", *unit = *end ? strchr(units, *end | 32) : end;

	if (end == text || !unit || n < 0 || (*end && end[1])) {
		fprintf(stderr, "clone: %s: not a number, or a size such as 64m\n",
			text);
		exit(125);
	}
	for (int i = *end ? unit - units + 1 : 0; i > 0; i--)
		n *= 1024;
	return n;
}

static const char *wanted;     // the controller that has looks for
static char foundDir[2048];    // its tree
static int foundVersion;

static int has(const char *dir, char *names, int version)
{
	for (char *n = strtok(names, ", \n"); n; n = strtok(NULL, ", \n"))
		if (!strcmp(n, wanted)) {
			snprintf(foundDir, sizeof foundDir, "%s", dir);
			foundVersion = version;
			return 1;
		}
	return 0;
}

// limit makes our cgroup in the controller's tree, if need be, and writes a
// limit there. Version 2 has a controller's files where the directory above
// enables it. We leave that on: others may have come to use it.
static void limit(const char *controller, const char *file1,
	const char *value1, const char *file2, const char *value2)
{
	char dir[3072], enable[64];

	wanted = controller;
	if (!trees(has)) {
		fprintf(stderr, "clone: cgroup controller %s: no tree, version 1 "
			"or 2, has it: mount -t cgroup -o %s none "
			"/sys/fs/cgroup/%s\n", wanted, wanted, wanted);
		exit(125);
	}
	snprintf(dir, sizeof dir, "%s/workshop-%d", foundDir, getpid());
	if (mkdir(dir, 0755) && errno != EEXIST)
		fail("mkdir cgroup", dir, 125);
	snprintf(enable, sizeof enable, "+%s", controller);
	if (foundVersion == 2 && put(foundDir, "cgroup.subtree_control", enable))
		fail("set", cgroupPath, 125);
	if (foundVersion == 2 && into < 0)
		into = open(dir, O_PATH | O_CLOEXEC);
	if (put(dir, foundVersion == 2 ? file2 : file1,
			foundVersion == 2 ? value2 : value1))
		fail("set", cgroupPath, 125);
}

// setLimits writes all of them. Version 1 counts memory and swap together,
// version 2 swap alone. The usual period is 100000 microseconds.
static void setLimits(void)
{
	const struct {
		const char *controller, *file1, *file2;
		double value1, value2;
	} all[] = {
		{"memory", "memory.limit_in_bytes", "memory.max", memory, memory},
		{"memory", "memory.memsw.limit_in_bytes", "memory.swap.max",
			swap, swap - memory},
		{"cpu", "cpu.cfs_quota_us", "cpu.max", quota, quota},
		{"pids", "pids.max", "pids.max", pids, pids},
	};

	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		char v1[32], v2[32];

		snprintf(v1, sizeof v1, "%.0f", all[i].value1);
		snprintf(v2, sizeof v2, "%.0f", all[i].value2);
		if (all[i].value1)
			limit(all[i].controller, all[i].file1, v1, all[i].file2, v2);
	}
}

static const struct option options[] = {
	{"hostname", required_argument, NULL, 'h'},
	{"memory", required_argument, NULL, 'm'},
	{"memory-swap", required_argument, NULL, 's'},
	{"cpus", required_argument, NULL, 'c'},
	{"pids-limit", required_argument, NULL, 'p'},
	{NULL, 0, NULL, 0},
};

static void usage(const char *wrong)
{
	fprintf(stderr, "clone: %s: use clone [OPTION...] COMMAND\n", wrong);
	exit(125);
}

static void parse(int argc, char **argv)
{
	opterr = 0;
	for (int o; (o = getopt_long(argc, argv, "+", options, NULL)) != -1;)
		switch (o) {
		case 'h': hostname = optarg; break;
		case 'm': memory = number(optarg); break;
		case 's': swap = number(optarg); break;
		case 'c': quota = number(optarg) * 100000; break;
		case 'p': pids = number(optarg); break;
		default: usage(argv[optind - 1]);
		}
	command = argv + optind;
	if (optind == argc)
		usage("COMMAND is missing");
}
