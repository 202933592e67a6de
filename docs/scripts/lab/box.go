package main

func insideBox([]string) error { return nil }
func gradeAll([]string) error  { return nil }
