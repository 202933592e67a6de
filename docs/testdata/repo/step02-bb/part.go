package main

// verb is what the program understands.
type verb struct{ name string }

// Words that part knows.
const (
	bye = "bye" // the last one
	see = "see you"
)

// say is a method.
func (v *verb) say() string { return v.name }

func part() string {
	v := verb{bye}
	return v.say()
}
