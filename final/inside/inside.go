// Package inside is the first process of a container, up to the container's
// own program. Importing it is enough: its init runs before everything else
// when the program is called by one of its names, and never returns.
package inside

// Init and Joined are the names, argv[0], of a container's PID 1 and of a
// process that Exec adds to it.
const (
	Init   = "minidocker-init"
	Joined = "minidocker-joined"
)
