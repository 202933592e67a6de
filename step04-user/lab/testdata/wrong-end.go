// Closed the wrong end of the pipe: run gives the child the end that writes,
// so what it reads there is an error.
//
// bad: maps
// says: TestRootInsideIsCallerOutside
//
// in run: []*os.File{in} ==> []*os.File{gate}
// in run: gate.WriteString("go") ==> in.WriteString("go")
// in run: \tgate.Close()\n\treturn ==> \tin.Close()\n\treturn
// in run: \tsay("Parent", fmt ==> \tgate.Close()\n\tsay("Parent", fmt
package main
