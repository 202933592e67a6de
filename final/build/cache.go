package build

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"container-workshop/final/image"
)

// cached is a step that was done for an image which is still in the store.
type cached struct {
	created time.Time
	layer   *image.Layer // nil: it has changed no file
	dir     string
}

// loadCache finds the steps of all images that were built here; those that came
// from elsewhere say nothing of steps, or anybody could. The newest goes first.
func (b *builder) loadCache() error {
	b.cache = map[string]cached{}
	if b.NoCache {
		return nil
	}
	list, err := b.store.List()
	for _, img := range list {
		if len(img.Steps) == 0 {
			continue
		}
		history := img.Config.History
		first := len(history) - len(img.Steps)
		_, parts, bad := b.store.Parts(img)
		if err = cmp.Or(err, bad); bad != nil {
			continue
		}
		layer := 0
		for n, h := range history {
			c := cached{}
			if h.Created != nil {
				c.created = *h.Created
			}
			if !h.EmptyLayer && layer < len(parts) {
				c.layer, c.dir = parts[layer], img.Layers[layer]
				layer++
			}
			if n < first || first < 0 {
				continue
			}
			key := img.Steps[n-first]
			if _, known := b.cache[key]; !known {
				b.cache[key] = c
			}
		}
	}
	return err
}

// keyOf is what a step is known by: the step before it and all that its result
// depends on.
func keyOf(parts ...any) string {
	text, _ := json.Marshal(parts)
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// id is what the image would have if it were complete now.
func (s *stage) id() string {
	text, _ := json.Marshal(s.config)
	s.size = len(text)
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// maxSize is how large a configuration may become: a short Dockerfile can say
// a lot with variables.
const maxSize = 4 << 20

// commit makes an image of what there is. Images that were only the beginning
// of it, left by a build that failed, go.
func (s *stage) commit() (img *image.Image, err error) {
	if len(s.keys) == 0 {
		if s.parent != nil {
			return s.parent, nil
		}
		return nil, errors.New("no image was generated: a stage FROM scratch " +
			"has no instruction")
	}
	if img, err = s.store.Get(s.id()); err == nil {
		return img, nil
	}
	if err = s.begin(); err != nil {
		return nil, err
	}
	s.work.Steps = s.keys
	if img, err = s.work.Commit(s.config, s.layers); err != nil {
		return nil, fmt.Errorf("keep the image: %w", err)
	}
	list, _ := s.store.List()
	for _, old := range list {
		n := len(old.Steps)
		if n > 0 && n < len(s.keys) && old.Steps[n-1] == s.keys[n-1] &&
			len(old.Refs) == 0 && s.engine.ImageUser(old.ID) == "" {
			s.store.Remove(old.ID, false, s.engine.ImageUser)
		}
	}
	return img, nil
}

// begin makes a place for new layers, once one is needed.
func (s *stage) begin() (err error) {
	if s.work == nil {
		s.work, err = s.store.Begin()
	}
	return err
}
