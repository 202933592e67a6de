package engine

import (
	"math/rand/v2"
	"strings"
)

// People of whom much that runs here comes, and what they may be today.
const (
	adjectives = "able bold brave bright busy calm clever curious daring " +
		"eager fair fond gentle glad happy jolly keen kind lively loyal " +
		"lucky merry modest nimble patient proud quick quiet sharp wise"
	surnames = "allen bartik biederman clarke dijkstra engelbart goldberg " +
		"hamilton hollerith hopper johnson kernighan knuth lamport liskov " +
		"lovelace mcilroy mcnulty moore ossanna perlman pike ritchie shannon " +
		"stallman tanenbaum thompson torvalds turing wirth"
)

// randomName is Docker's kind of name; from the second try on, with a number.
func randomName(try int) string {
	first, last := strings.Fields(adjectives), strings.Fields(surnames)
	name := first[rand.IntN(len(first))] + "_" + last[rand.IntN(len(last))]
	if try > 0 {
		name += string(rune('0' + try%10))
	}
	return name
}
