// veth.c: a veth pair, as rtnetlink(7) makes it: a cable with two ends.
//
//	veth NAME PID
//
// One end is NAME, here; the other is eth0 in the network namespace of PID.
// Both are down and have no address. They go together, with the namespace too.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// A request to the kernel: a header, what it is about, and attributes, which
// have a length and a type each, and may hold others.
static struct {
	struct nlmsghdr header;
	struct ifinfomsg link;
	char attributes[512];
} request = {
	.header = {
		.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)),
		.nlmsg_type = RTM_NEWLINK,
		.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE |
			NLM_F_EXCL,
	},
};

static void fail(const char *what, const char *on)
{
	fprintf(stderr, "veth: %s %s: %s (%s)%s\n", what, on, strerror(errno),
		strerrorname_np(errno), errno == EPERM ? ": use sudo" : "");
	exit(125);
}

// add appends an attribute and returns it. The kernel wants them aligned.
static struct rtattr *add(int type, const void *data, int size)
{
	struct rtattr *a = (void *)&request +
		NLMSG_ALIGN(request.header.nlmsg_len);

	a->rta_type = type;
	a->rta_len = RTA_LENGTH(size);
	memcpy(RTA_DATA(a), data, size);
	request.header.nlmsg_len = NLMSG_ALIGN(request.header.nlmsg_len) +
		RTA_ALIGN(a->rta_len);
	return a;
}

// end closes an attribute that holds all that was added since.
static void end(struct rtattr *a)
{
	a->rta_len = (char *)&request + request.header.nlmsg_len - (char *)a;
}

// ask sends the request and reads the kernel's answer: 0 or -errno.
static int ask(void)
{
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char rest[1024];
	} answer;
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);

	if (fd < 0 || send(fd, &request, request.header.nlmsg_len, 0) < 0 ||
			recv(fd, &answer, sizeof answer, 0) < 0)
		fail("netlink", "socket");
	close(fd);
	return answer.error.error;
}

int main(int argc, char **argv)
{
	struct ifinfomsg peer = {0};
	struct rtattr *info, *data, *other;
	int pid;

	if (argc != 3 || (pid = atoi(argv[2])) <= 0 ||
			strlen(argv[1]) >= IFNAMSIZ) {
		fprintf(stderr, "veth: wrong arguments: use veth NAME PID\n");
		return 125;
	}
	add(IFLA_IFNAME, argv[1], strlen(argv[1]) + 1);
	info = add(IFLA_LINKINFO, NULL, 0);
	add(IFLA_INFO_KIND, "veth", 4);
	data = add(IFLA_INFO_DATA, NULL, 0);
	other = add(VETH_INFO_PEER, &peer, sizeof peer);
	add(IFLA_IFNAME, "eth0", 5);
	add(IFLA_NET_NS_PID, &pid, sizeof pid);
	end(other);
	end(data);
	end(info);
	errno = -ask();
	if (errno)
		fail("RTM_NEWLINK", argv[1]);
	return 0;
}
