package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// network removes tables, then links, then the bridge. The steps do all this,
// and make it, under a lock. With the lock in hand we see nothing half made,
// but for what a dead one has left.
func network() error {
	if err := lock(); err != nil {
		return err
	}
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	used, err := tables(c)
	if err == nil {
		err = links()
	}
	if err == nil && len(ids) == 0 {
		err = bridge(used)
	}
	return err
}

// lock takes the steps' lock, the network namespace itself, for as long as we
// live. They hold it for milliseconds; a stopped one, for ever.
func lock() error {
	file := "/proc/self/ns/net"
	fd, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	for n := 0; err == nil; n++ {
		err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		if err != unix.EWOULDBLOCK {
			break
		}
		if n == 50 {
			return errors.New("a step holds the lock on the network: " +
				"fuser " + file + " says which")
		}
		time.Sleep(100 * time.Millisecond)
		err = nil
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", file, err)
	}
	return nil
}

// tables removes those of the dead. It returns one that stays, if any does.
func tables(c *nftables.Conn) (used string, err error) {
	list, err := c.ListTables()
	if errors.Is(err, unix.EPERM) {
		fmt.Println("nftables tables: root alone sees them: " +
			"sudo make clean-host")
		return "", nil // with a table comes a bridge: to be removed, or not
	}
	if err != nil {
		return "", fmt.Errorf("list the nftables tables: %w", err)
	}
	for _, t := range list {
		if dead(t.Name, "workshop-") {
			c.DelTable(t)
			removed("nftables table "+t.Name, c.Flush())
		} else if strings.HasPrefix(t.Name, "workshop-") {
			used = "table " + t.Name
		}
	}
	return used, nil
}

// links: cables, and a bridge that has not got its real name yet.
func links() error {
	list, err := netlink.LinkList()
	if err != nil {
		return fmt.Errorf("list the links: %w", err)
	}
	for _, l := range list {
		name, kind := l.Attrs().Name, l.Type()
		if (kind == "veth" || kind == "bridge") && dead(name, "ws") {
			removed("link "+name, netlink.LinkDel(l))
		}
	}
	return nil
}

// The bridge goes when nobody has a cable in it, or a table, which is what the
// steps go by. Its alias is what ip_forward was before the first container.
func bridge(used string) error {
	br, err := netlink.LinkByName("workshop0")
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for workshop0: %w", err)
	}
	list, err := netlink.LinkList()
	if err != nil {
		return fmt.Errorf("list the links: %w", err)
	}
	for _, l := range list {
		if l.Attrs().MasterIndex == br.Attrs().Index {
			used = l.Attrs().Name
		}
	}
	if used != "" {
		fmt.Println("workshop0 stays: it is in use,", used)
		return nil
	}
	err = netlink.LinkDel(br)
	if was := br.Attrs().Alias; err == nil && was != "" {
		err = os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte(was), 0)
	}
	removed("bridge workshop0", err)
	return nil
}
