package engine

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"

	"container-workshop/final/bundle"
	"container-workshop/final/flags"
)

// Rename gives the container another name.
func (e *Engine) Rename(c *Container, name string) error {
	name = strings.TrimPrefix(name, "/")
	if !flags.IsName(name) {
		return fmt.Errorf("invalid container name (%s), only "+
			"[a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", name)
	}
	if name == c.Name {
		return errors.New("renaming a container with the same name as its " +
			"current name")
	}
	release, err := e.hold(c)
	if err != nil {
		return err
	}
	defer release()
	if err = e.claimName(name, c.ID); err != nil {
		return err
	}
	old := ""
	err = e.change(c, func() error {
		old, c.Name = c.Name, name
		return nil
	})
	if err != nil {
		os.Remove(e.names() + "/" + name)
		return err
	}
	os.Remove(e.names() + "/" + old)
	if len(c.Networks) > 0 {
		err = e.Networks.Rename(c.ID, name)
	}
	e.Event("container", "rename", c, "oldName", "/"+old)
	return err
}

// Update changes limits and the restart policy, of a container that runs, too.
func (e *Engine) Update(c *Container, limits *bundle.Limits,
	restart string) (warnings []string, err error) {
	if restart != "" {
		if err := checkRestart(restart); err != nil {
			return nil, err
		}
	}
	resources, warnings, err := bundle.Resources(limits)
	if err == nil && c.State.Pid != 0 {
		rt, bad := e.runtime(c)
		if err = bad; err == nil {
			err = rt.Update(resources)
		}
	}
	if err == nil {
		err = e.change(c, func() error {
			merge(&c.Options.Limits, limits)
			c.State.Restart = cmp.Or(restart, c.State.Restart)
			return nil
		})
	}
	if err == nil {
		e.Event("container", "update", c)
	}
	return warnings, err
}

// merge overwrites what is given.
func merge(old, given *bundle.Limits) {
	to, from := reflect.ValueOf(old).Elem(), reflect.ValueOf(given).Elem()
	for i := range from.NumField() {
		if !from.Field(i).IsZero() {
			to.Field(i).Set(from.Field(i))
		}
	}
}
