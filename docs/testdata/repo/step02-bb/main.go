package main

// greet says hello.
func greet() string {
	return "hello"
}

func main() {
	println(greet())
	println(part())
}
