package engine

import "container-workshop/final/journal"

// Event records that something happened to a container, a network, a volume or
// an image; extra are more attributes, key and value in turn.
func (e *Engine) Event(kind, action string, on any, extra ...string) {
	event := journal.Event{Type: kind, Action: action}
	event.Actor.Attributes = map[string]string{}
	switch on := on.(type) {
	case *Container:
		event.Actor.ID, event.Actor.Attributes = on.ID, on.attributes()
	case string:
		event.Actor.ID = on
	}
	for i := 0; i+1 < len(extra); i += 2 {
		event.Actor.Attributes[extra[i]] = extra[i+1]
	}
	event.Append(e.Run)
}

func (c *Container) attributes() map[string]string {
	all := map[string]string{"name": c.Name, "image": c.Options.Image}
	for key, value := range c.Labels {
		all[key] = value
	}
	return all
}
