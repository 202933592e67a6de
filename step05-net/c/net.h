// net.h: the network of a container, for clone.c.
#include <linux/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

// ownNet is what clone(2) needs for a network: a flag for one's own, nothing
// for the host's. veth.c connects one's own to the host.
static int ownNet(const char *mode)
{
	if (!strcmp(mode, "none"))
		return CLONE_NEWNET;
	if (!strcmp(mode, "host"))
		return 0;
	fprintf(stderr, "clone: network %s: not none or host\n", mode);
	exit(125);
}

// setNet sets up what a new network namespace has: a loopback, which is down,
// netdevice(7). It belongs to us, so we may, and may also mount the /sys that
// shows it: the host's /sys shows the host's links.
static void setNet(void)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo))
		fail("ioctl SIOCSIFFLAGS", "lo", 125);
	close(fd);
	if (mount("sysfs", "/sys", "sysfs", MS_RDONLY, NULL))
		fail("mount", "/sys", 125);
}
