// Sleeps for ever, and minds no signal.
package main

import (
	"os/signal"
	"time"
)

func main() {
	signal.Ignore()
	for {
		time.Sleep(time.Hour)
	}
}
