//go:build !linux

package main

import "errors"

// Skeletons are made anywhere; what they become runs on Linux.
func insideBox([]string) error { return errors.New("a box needs Linux") }
