package cgroups

// Stats is what `events --stats` prints, in runc's JSON. Times are
// nanoseconds, sizes bytes. As in version 1, swap is memory and swap together.
type Stats struct {
	CPU     CPU                    `json:"cpu"`
	Memory  Memory                 `json:"memory"`
	Pids    Pids                   `json:"pids"`
	Blkio   Blkio                  `json:"blkio"`
	Hugetlb map[string]MemoryEntry `json:"hugetlb"`
}

type CPU struct {
	Usage      CPUUsage   `json:"usage"`
	Throttling Throttling `json:"throttling"`
}

type CPUUsage struct {
	Total  uint64   `json:"total"`
	Percpu []uint64 `json:"percpu,omitempty"`
	Kernel uint64   `json:"kernel"`
	User   uint64   `json:"user"`
}

type Throttling struct {
	Periods          uint64 `json:"periods"`
	ThrottledPeriods uint64 `json:"throttledPeriods"`
	ThrottledTime    uint64 `json:"throttledTime"`
}

// Memory: no limit is math.MaxUint64.
type Memory struct {
	Cache  uint64            `json:"cache"`
	Usage  MemoryEntry       `json:"usage"`
	Swap   MemoryEntry       `json:"swap"`
	Kernel MemoryEntry       `json:"kernel"`
	Raw    map[string]uint64 `json:"raw,omitempty"`
}

type MemoryEntry struct {
	Limit   uint64 `json:"limit"`
	Usage   uint64 `json:"usage"`
	Max     uint64 `json:"max"`
	Failcnt uint64 `json:"failcnt"`
}

// Pids: no limit is 0.
type Pids struct {
	Current uint64 `json:"current"`
	Limit   uint64 `json:"limit"`
}

type Blkio struct {
	IoServiceBytesRecursive []BlkioEntry `json:"ioServiceBytesRecursive"`
	IoServicedRecursive     []BlkioEntry `json:"ioServicedRecursive"`
}

type BlkioEntry struct {
	Major uint64 `json:"major"`
	Minor uint64 `json:"minor"`
	Op    string `json:"op"`
	Value uint64 `json:"value"`
}
