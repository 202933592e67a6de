package cli

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"container-workshop/final/bundle"
	"container-workshop/final/engine"
	"container-workshop/final/network"
)

// inspectContainer has Docker's words and, where a script may read it, Docker's
// types: https://docs.docker.com/reference/api/engine/, ContainerInspect.
func inspectContainer(e *engine.Engine, name string) (any, error) {
	b, err := e.Find(name)
	if err != nil {
		return nil, err
	}
	mounts := []object{}
	for _, m := range b.Mounts {
		mounts = append(mounts, object{"Type": m.Type, "Name": m.Name,
			"Source": m.Source, "Destination": m.Destination,
			"Driver": m.Driver, "Mode": strings.Join(m.Options, ","),
			"RW": !m.ReadOnly, "Propagation": ""})
	}
	s, dir := b.State, filepath.Dir(b.LogFile())
	layers, root := slices.Clone(b.Layers), ""
	slices.Reverse(layers)
	if s.Pid > 0 { // nobody else sees that mount
		root = fmt.Sprintf("/proc/%d/root", s.Pid)
	}
	return object{"Id": b.ID, "Name": "/" + b.Name, "Created": b.Created,
		"Path": b.Command[0], "Args": b.Command[1:], "Image": b.ImageID,
		"Driver": "overlay2", "Platform": "linux",
		"RestartCount": s.RestartCount, "LogPath": b.LogFile(),
		"HostnamePath": dir + "/hostname", "HostsPath": dir + "/hosts",
		"ResolvConfPath": dir + "/resolv.conf", "Mounts": mounts,
		"AppArmorProfile": "", "MountLabel": "", "ProcessLabel": "",
		"State": object{"Status": s.Status, "Pid": s.Pid, "Dead": false,
			"Running": s.Running(), "Paused": s.Status == "paused",
			"Restarting": s.Status == "restarting", "OOMKilled": s.OOMKilled,
			"ExitCode": s.ExitCode, "Error": s.Error, "StartedAt": s.StartedAt,
			"FinishedAt": s.FinishedAt, "MonitorPid": s.Monitor},
		"GraphDriver": object{"Name": "overlay2", "Data": object{
			"LowerDir": strings.Join(layers, ":"), "UpperDir": b.Upper(),
			"WorkDir": dir + "/work", "MergedDir": root}},
		"Config": configOf(b), "HostConfig": hostConfigOf(b),
		"NetworkSettings": networkSettingsOf(e, b)}, nil
}

// configOf is what the image and the flags say of the process.
func configOf(b *engine.Container) object {
	o, c := b.Options, b.Config
	entrypoint := c.Entrypoint
	if o.Entrypoint != nil {
		entrypoint = b.Command[:len(b.Command)-len(o.Args)]
	}
	env, _ := bundle.Env(c.Env, &o.Options)
	return object{"Image": o.Image, "Labels": b.Labels, "Env": env,
		"Hostname": cmp.Or(o.Hostname, b.Short()), "Domainname": o.Domainname,
		"User":       cmp.Or(o.User, c.User),
		"WorkingDir": cmp.Or(o.Workdir, c.WorkingDir),
		"Entrypoint": entrypoint, "Cmd": b.Command[len(entrypoint):],
		"Tty": o.Tty, "OpenStdin": o.Interactive, "AttachStdout": o.Stdio,
		"AttachStdin":  o.Interactive && o.Stdio,
		"StdinOnce":    o.Interactive && o.Stdio,
		"AttachStderr": o.Stdio, "ExposedPorts": exposed(b),
		"Volumes": c.Volumes, "StopTimeout": o.StopTimeout,
		"StopSignal": cmp.Or(o.StopSignal, c.StopSignal, "SIGTERM")}
}

// hostConfigOf is what the flags say of everything else. A limit is 0 where
// there is none, or where this kernel has discarded it.
func hostConfigOf(b *engine.Container) object {
	o := b.Options
	policy, retries, _ := strings.Cut(b.State.Restart, ":")
	most, _ := strconv.Atoi(retries)
	shm, _ := bundle.Bytes(cmp.Or(o.ShmSize, "64m"))
	bindings := map[string][]object{}
	for _, p := range parsed(o.Publish) {
		bindings[key(p)] = append(bindings[key(p)], binding(p))
	}
	logs := map[string]string{}
	for _, option := range o.LogOpt {
		name, value, _ := strings.Cut(option, "=")
		logs[name] = value
	}
	host := object{"NetworkMode": o.Network, "PidMode": o.Pid,
		"IpcMode": cmp.Or(o.Ipc, "private"), "UTSMode": o.Uts,
		"UsernsMode": o.Userns, "CgroupnsMode": cmp.Or(o.Cgroupns, "private"),
		"Binds": o.Volume, "Tmpfs": o.Tmpfs, "ShmSize": shm,
		"PortBindings": bindings, "PublishAllPorts": o.PublishAll,
		"Dns": o.DNS, "ExtraHosts": o.AddHost, "GroupAdd": o.GroupAdd,
		"AutoRemove": o.Remove, "RestartPolicy": object{"Name": policy,
			"MaximumRetryCount": most}, "Init": o.Init,
		"Privileged": o.Privileged, "ReadonlyRootfs": o.ReadOnly,
		"CapAdd": o.CapAdd, "CapDrop": o.CapDrop,
		"SecurityOpt": o.SecurityOpt, "Sysctls": o.Sysctl,
		"Ulimits": o.Ulimit, "Devices": o.Device,
		"OomScoreAdj": o.OomScoreAdj, "Runtime": "minirunc",
		"LogConfig": object{"Type": "json-file", "Config": logs}}
	r, _, err := bundle.Resources(&o.Limits)
	if err != nil { // of this machine: they were right when it was made
		return host
	}
	host["Memory"] = value(r.Memory.Limit)
	host["MemorySwap"] = value(r.Memory.Swap)
	host["MemoryReservation"] = value(r.Memory.Reservation)
	host["MemorySwappiness"] = r.Memory.Swappiness
	host["OomKillDisable"] = o.OomKillDisable
	host["CpuShares"] = value(r.CPU.Shares)
	host["CpuPeriod"] = value(r.CPU.Period)
	host["CpuQuota"] = value(r.CPU.Quota)
	host["CpusetCpus"], host["CpusetMems"] = r.CPU.Cpus, r.CPU.Mems
	if host["NanoCpus"] = 0; o.Cpus != "" {
		host["NanoCpus"] = value(r.CPU.Quota) * 10000 // in periods of 0.1 s
		host["CpuPeriod"], host["CpuQuota"] = 0, 0
	}
	host["BlkioWeight"] = value(r.BlockIO.Weight)
	if host["PidsLimit"] = 0; r.Pids != nil {
		host["PidsLimit"] = value(r.Pids.Limit)
	}
	return host
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// networkSettingsOf has twice what belongs to the first network.
func networkSettingsOf(e *engine.Engine, b *engine.Container) object {
	ports, networks := map[string][]object{}, object{}
	points := e.Endpoints(b)
	for name := range exposed(b) {
		if len(points) > 0 {
			ports[name] = nil
		}
	}
	first := object{"IPAddress": "", "IPPrefixLen": 0, "Gateway": "",
		"MacAddress": ""}
	all := object{"Networks": networks, "Ports": ports, "SandboxKey": ""}
	maps.Copy(all, first)
	for i, a := range b.Networks {
		networks[a.Network] = maps.Clone(first)
		point, n := points[a.Network], object{"Aliases": a.Aliases}
		if known, err := e.Networks.Get(a.Network); err == nil {
			n["NetworkID"] = known.ID
			n["IPPrefixLen"] = known.Subnet.Bits()
		}
		if point != nil {
			n["IPAddress"] = point.IP.String()
			n["Gateway"], n["MacAddress"] = point.Gateway.String(), point.MAC
			n["Aliases"], all["SandboxKey"] = point.Aliases, point.Sandbox
			for _, p := range point.Ports {
				ports[key(p)] = append(ports[key(p)], binding(p))
			}
		}
		maps.Copy(networks[a.Network].(object), n)
		for name := range first {
			if i == 0 && point != nil {
				all[name] = n[name]
			}
		}
	}
	return all
}

// exposed are the ports that the image and the flags name.
func exposed(b *engine.Container) map[string]struct{} {
	all := map[string]struct{}{}
	for _, p := range parsed(slices.Concat(b.Options.Publish, b.Options.Expose,
		slices.Collect(maps.Keys(b.Config.ExposedPorts)))) {
		all[key(p)] = struct{}{}
	}
	return all
}

func parsed(list []string) (all []network.Port) {
	for _, text := range list {
		ports, _ := network.ParsePorts(text)
		all = append(all, ports...)
	}
	return all
}

func key(p network.Port) string { return fmt.Sprintf("%d/%s", p.Port, p.Proto) }

func binding(p network.Port) object {
	host := ""
	if p.HostPort > 0 {
		host = fmt.Sprint(p.HostPort)
	}
	return object{"HostIp": p.HostIP.String(), "HostPort": host}
}
