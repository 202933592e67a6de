package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"container-workshop/final/xray"
)

// Picture is what an SVG is made of. All positions are pixels.
type Picture struct {
	Width, Height int
	Boxes         []Box // the large ones first: they must not hide others
	Lines         [][4]int
	Texts         []Label
}

// Box and Label are drawn as their Class says.
type Box struct {
	X, Y, W, H int
	Class      string
}

// Label has its Length given: whatever the font is, it takes no more.
type Label struct {
	X, Y, Length int
	Class, Text  string
}

const (
	width  = 960
	letter = 7  // a letter of the font is as wide
	step   = 26 // from row to row
	room   = 20 // height of a row
	most   = 9  // rows of a list
)

// row is a box with text. Part is how much of it is full.
type row struct {
	text, class string
	part        float64
}

// text puts a label where width pixels are for it. Where the font has no such
// letter another one is used, perhaps twice as wide, so Length is given.
func (p *Picture) text(x, y, width int, class, text string) {
	var short []rune
	n := 0
	for _, r := range plain(text) {
		if unicode.Is(unicode.M, r) {
			continue // it stands above or below others, without end
		}
		w := 1
		if r >= 0x1100 {
			w = 2
		}
		if n += w; n > width/letter-1 {
			short = append(short, '…')
			break
		}
		short = append(short, r)
	}
	p.Texts = append(p.Texts, Label{x, y, min(n, width/letter) * letter, class,
		string(short)})
}

func (p *Picture) box(x, y, w, h int, class string) {
	p.Boxes = append(p.Boxes, Box{x, y, w, h, class})
}

// list draws so many rows below a heading and returns where it ends.
func (p *Picture) list(x, y, w, most int, head string, rows []row) int {
	p.text(x, y+14, w, "head", head)
	if more := len(rows) - most; more > 0 {
		rows = append(rows[:most-1:most-1], row{fmt.Sprintf(
			"and %d more: see below", more+1), "more", 0})
	}
	for _, r := range rows {
		y += step
		p.box(x, y, w, room, r.class)
		if r.part > 0 {
			p.box(x, y, max(2, int(float64(w)*min(r.part, 1))), room, "full")
		}
		p.text(x+6, y+14, w-12, "label", r.text)
	}
	return y + step
}

// Draw shows the host, in it the container, and the cables between.
func Draw(r *xray.Report) *Picture {
	p := &Picture{Width: width}
	p.text(20, 24, width-40, "head", "the host")
	p.text(36, 62, width-72, "title", fmt.Sprintf("container %s, host name %s",
		r.Name, r.Network.Hostname))
	bottom := max(p.list(36, 76, 300, most, "processes", processRows(r)),
		p.list(356, 76, 240, most, "namespaces", spaceRows(r)))
	end := p.list(616, 76, 308, 4, "root", layerRows(r))
	end = p.list(616, end+6, 308, 4, "limits and powers", powerRows(r))
	bottom = max(bottom, end) + 10
	p.Height = p.wires(r, bottom) + 20
	p.Boxes = append([]Box{{1, 1, width - 2, p.Height - 2, "host"}, {20, 40,
		width - 40, bottom + room - 30, "container"}}, p.Boxes...)
	return p
}

func processRows(r *xray.Report) (rows []row) {
	for _, p := range r.Processes {
		rows = append(rows, row{title(p), "own", 0})
	}
	return rows
}

func spaceRows(r *xray.Report) (rows []row) {
	for _, n := range r.Namespaces {
		text, class := who(&n), "own"
		if n.Host {
			text = "the host's"
		}
		if n.Host || len(n.With) > 0 {
			class = "shared"
		}
		rows = append(rows, row{n.Kind + ": " + text, class, 0})
	}
	return rows
}

// layerRows has the end of a directory's path: the beginning is the same.
func layerRows(r *xray.Report) (rows []row) {
	o := r.Mounts.Overlay
	if o == nil {
		return []row{{"no overlay", "shared", 0}}
	}
	for i, l := range append([]xray.Layer{o.Upper}, o.Lower...) {
		name, text := l.Name, row{"upper, to write: ", "own", 0}
		if part := strings.Split(l.Dir, "/"); len(part) > 2 {
			name = fmt.Sprintf("%.12s/%s", part[len(part)-2],
				part[len(part)-1])
		}
		if i > 0 {
			text = row{fmt.Sprintf("lower %d: ", i), "shared", 0}
		}
		if text.text += name; name != "" {
			rows = append(rows, text)
		}
	}
	return rows
}

// powerRows has the limits that both versions of cgroups know.
func powerRows(r *xray.Report) []row {
	values := map[string]xray.Value{}
	for _, c := range r.Cgroups {
		for _, f := range c.Files {
			values[f.Name] = f
		}
	}
	limit := func(what string, files ...string) row {
		for ; len(files) > 0; files = files[2:] {
			used, most := values[files[0]], values[files[1]]
			var a, b float64
			fmt.Sscan(used.Text, &a)
			fmt.Sscan(most.Text, &b)
			text := what + ": " + cmp.Or(meaning(used), used.Text)
			if meaning(most) == "no limit" {
				return row{text + ", no limit", "shared", 0}
			} else if most.Text != "" {
				return row{text + " of " + cmp.Or(meaning(most), most.Text),
					"own", a / max(b, 1)}
			}
		}
		return row{what + ": not limited here", "shared", 0}
	}
	s, caps := r.Security, len(r.Security.Effective.Names())
	return []row{limit("memory", "memory.current", "memory.max",
		"memory.usage_in_bytes", "memory.limit_in_bytes"),
		limit("processes and threads", "pids.current", "pids.max"),
		{fmt.Sprintf("%d capabilities of %d", caps, r.Known), "own",
			float64(caps) / float64(max(r.Known, 1))},
		{fmt.Sprintf("seccomp %s, no_new_privs %t", s.Seccomp, s.NoNewPrivs),
			"own", 0}}
}

// wires draws interfaces on the container's edge, and what they lead to.
func (p *Picture) wires(r *xray.Report, y int) int {
	x, bottom, all := 36, y+room+10, slices.Clone(r.Network.Interfaces)
	if len(all) > 1 {
		all = append(all[1:], all[0]) // lo is the first
	}
	for _, i := range all[:min(len(all), 3)] {
		chain := []string{i.Name + " " + strings.Join(i.Addresses, " ")}
		if i.Peer != "" {
			chain = append(chain, "veth peer "+i.Peer)
		}
		if i.Bridge != "" {
			rules := 0
			for _, rule := range r.Network.Rules {
				if strings.Contains(rule.Table+rule.Text, i.Bridge) {
					rules++
				}
			}
			chain = append(chain, "bridge "+i.Bridge+" "+
				strings.Join(i.BridgeAddresses, " "),
				fmt.Sprintf("nf_tables: %d rules", rules))
		}
		for _, to := range r.Network.Published {
			ip, _, _ := strings.Cut(to.To, ":")
			if slices.ContainsFunc(i.Addresses, func(a string) bool {
				return strings.HasPrefix(a, ip+"/")
			}) {
				chain = append(chain, to.Host+" to "+to.To)
			}
		}
		at := y
		for k, text := range chain[:min(len(chain), most)] {
			if from := at + room; k > 0 {
				at = from + 10
				if k == 1 {
					at += 14 // out of the container
				}
				p.Lines = append(p.Lines, [4]int{x + 20, from, x + 20, at})
			}
			p.box(x, at, 280, room, "wire")
			p.text(x+6, at+14, 268, "label", text)
		}
		x, bottom = x+304, max(bottom, at+room)
	}
	return bottom
}
