// Limits after execve: waits until the command runs, and moves PID 1 alone.
// The command is its child already, and stays outside.
//
// bad: enter
// says: TestKilledAtTheMemoryLimit
//
// in run: if err = cmp.Or(err, enter(os.Getpid(), cmd.Process.Pid)); err ==> \
// if err
// in run: \tgate.Close()\n ==> \tgate.Close()\n\ttime.Sleep(time.Second)\n\
// \terr = cmp.Or(err, enter(os.Getpid(), cmd.Process.Pid))\n
package main

import "time"
