package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// inChinese are the pages that must be there in Chinese as well, besides the
// chapters: what a learner and an instructor read.
var inChinese = []string{"README.md", "docs/setup.md", "docs/glossary.md",
	"docs/final.md", "docs/instructor.md"}

// TestChinesePages wants these pages, each with a line below its title that
// leads to the other language.
func TestChinesePages(t *testing.T) {
	wanted := slices.Clone(inChinese)
	for _, step := range steps(repoRoot) {
		wanted = append(wanted, step+"/README.md")
	}
	for _, path := range wanted {
		t.Run(path, func(t *testing.T) {
			for _, problem := range checkPair(repoRoot, path) {
				t.Error(problem)
			}
		})
	}
}

func checkPair(root, path string) (bad []problem) {
	chinese := strings.TrimSuffix(path, ".md") + ".zh.md"
	for file, line := range map[string]string{
		path:    "English · [中文](" + filepath.Base(chinese) + ")",
		chinese: "[English](" + filepath.Base(path) + ") · 中文",
	} {
		p, err := readPage(root, file)
		if err != nil {
			bad = append(bad, problem{file, 1, "missing: " + err.Error()})
		} else if top := p.lines[:min(6, len(p.lines))]; !slices.Contains(top,
			line) {
			bad = append(bad, p.problem(0, "below the title is no %q", line))
		}
	}
	return bad
}

// TestChineseForm checks how Chinese pages are set, and that they leave out
// nothing that can be compared.
func TestChineseForm(t *testing.T) {
	eachPage(t, func(zh *page) []problem {
		if !zh.translated() {
			return nil
		}
		en, err := readPage(zh.root, englishOf(zh.path))
		if err != nil {
			return nil // TestTranslations says so
		}
		return append(checkForm(zh), checkTerms(en, zh)...)
	})
}

// formRules are about a line in which code is "x", and a link its text.
var formRules = []struct {
	wrong *regexp.Regexp
	say   string
}{
	{regexp.MustCompile(`\p{Han}[A-Za-z0-9]|[A-Za-z0-9]\p{Han}`),
		"no blank between Chinese and Latin"},
	{regexp.MustCompile(`\p{Han}[,;:?!()]|[,;:?!()]\p{Han}`),
		"half-width punctuation in Chinese"},
	{regexp.MustCompile(`[，。；：？！、（）“”] [^|]|[^|] [，。；：？！、（）“”]`),
		"a blank beside full-width punctuation"},
	{regexp.MustCompile(`名字空间|名称空间|控制群组|宿主[^机]|写时拷贝|僵死|` +
		`缺省|装载|文件描述字|远程仓库`),
		"another word than the glossary's"},
}

var (
	link     = regexp.MustCompile(`!?\[([^\]]*)\]\([^)]*\)`)
	strong   = regexp.MustCompile(`\*+([^*]+)\*+`)
	endMark  = regexp.MustCompile(`[，。；：？！、）”]$`)
	newBlock = regexp.MustCompile(`^([-|#>]|[0-9]+\. |<!--|$)`)
	linkTo   = regexp.MustCompile(`\]\(([^)#\s]+\.md)(?:#[^)]*)?\)`)
)

func checkForm(zh *page) (bad []problem) {
	for i, line := range zh.lines {
		if zh.inside[i] || noteMark.MatchString(line) {
			continue
		}
		text := link.ReplaceAllString(codeSpan.ReplaceAllString(line, "x"),
			"$1")
		// GitHub closes no ** between punctuation and a letter.
		for _, m := range strong.FindAllStringSubmatch(text, -1) {
			if endMark.MatchString(m[1]) {
				bad = append(bad, zh.problem(i, "%s: punctuation inside "+
					"the emphasis", m[0]))
			}
		}
		plain := strings.ReplaceAll(text, "*", "")
		for _, rule := range formRules {
			if m := rule.wrong.FindString(plain); m != "" {
				bad = append(bad, zh.problem(i, "%q: %s", m, rule.say))
			}
		}
		if i > 0 && !zh.inside[i-1] && !newBlock.MatchString(line) &&
			!newBlock.MatchString(zh.lines[i-1]) {
			bad = append(bad, zh.problem(i, "a line end within a paragraph "+
				"is shown as a blank"))
		}
		bad = append(bad, zh.englishLinks(i, line)...)
	}
	return bad
}

// englishLinks wants the Chinese page where there is one, except in the line
// that switches the language.
func (zh *page) englishLinks(i int, line string) (bad []problem) {
	for _, m := range linkTo.FindAllStringSubmatch(line, -1) {
		if strings.HasSuffix(m[1], ".zh.md") ||
			strings.HasPrefix(line, "[English](") {
			continue
		}
		chinese := strings.TrimSuffix(m[1], ".md") + ".zh.md"
		if _, err := os.Stat(filepath.Join(zh.dir(), chinese)); err == nil {
			bad = append(bad, zh.problem(i, "%s: there is %s", m[1], chinese))
		}
	}
	return bad
}

var (
	manPage = regexp.MustCompile(`\b[a-z_][a-z_0-9]*\([1-8]\)`)
	picture = regexp.MustCompile(`[^("]*\.svg\b`)
)

// checkTerms finds code, man pages and pictures that an English section names
// and the Chinese one does not: a sentence or a row is missing there.
func checkTerms(en, zh *page) (bad []problem) {
	for i := range min(len(en.heads), len(zh.heads)) {
		there := zh.terms(i)
		for term := range en.terms(i) {
			if !there[term] {
				bad = append(bad, zh.problem(zh.heads[i].line, "%s is left "+
					"out of %q", term, zh.heads[i].text))
			}
		}
	}
	return bad
}

func (p *page) terms(i int) map[string]bool {
	last := len(p.lines)
	if i+1 < len(p.heads) {
		last = p.heads[i+1].line
	}
	var text []string
	for n := p.heads[i].line; n < last; n++ {
		if !p.inside[n] {
			text = append(text, strings.TrimSpace(p.lines[n]))
		}
	}
	all := strings.Join(text, " ")
	found := map[string]bool{}
	for _, re := range []*regexp.Regexp{codeSpan, manPage, picture} {
		for _, m := range re.FindAllString(all, -1) {
			found[m] = true
		}
	}
	return found
}

// TestPlantedChinese plants what TestChineseForm and TestChinesePages are for.
func TestPlantedChinese(t *testing.T) {
	root := sampleRepo(t)
	const right = "用 `ls` 看 `/proc` 里的**命名空间**（见 [ls(1)](a.md)）。"
	for text, want := range map[string]string{
		right:                             "",
		"用`ls` 看 `/proc`，ls(1)":           "no blank between",
		"用 `ls` 看这里,见 `/proc`、ls(1)":      "half-width punctuation",
		"用 `ls` 看 `/proc`， ls(1)":         "a blank beside",
		"**看。** `ls`、`/proc`、ls(1)":       "inside the emphasis",
		"`ls`、`/proc` 的名字空间，ls(1)":        "the glossary's",
		"`ls`、`/proc`，\nls(1)":            "within a paragraph",
		"`ls`，ls(1)":                      "`/proc` is left out",
		"`ls`、`/proc`":                    "ls(1) is left out",
		"[`ls`](README.md) `/proc` ls(1)": "there is README.zh.md",
	} {
		en, err := parsePage(root, chapterPage, "# A\n\nSee `ls`, `/proc` "+
			"and ls(1).\n\n![it](a/b.svg)\n")
		if err != nil {
			t.Fatal(err)
		}
		zh, err := parsePage(root, chinesePage, "# 一\n\n![它](a/b.svg)\n\n"+
			text+"\n")
		if err != nil {
			t.Fatal(err)
		}
		bad := append(checkForm(zh), checkTerms(en, zh)...)
		if want == "" && len(bad) > 0 || want != "" && !says(bad, want) {
			t.Errorf("%s: want %q, got %v", text, want, bad)
		}
	}
	en, _ := parsePage(root, chapterPage, "# A\n\n![it](a/b.svg)\n")
	zh, _ := parsePage(root, chinesePage, "# 一\n")
	if bad := checkTerms(en, zh); !says(bad, "a/b.svg is left out") {
		t.Errorf("the missing picture is not noticed: %v", bad)
	}
	if bad := checkPair(root, chapterPage); len(bad) != 2 {
		t.Errorf("want two lines that are missing, got %v", bad)
	}
	os.Remove(filepath.Join(root, chinesePage))
	if bad := checkPair(root, chapterPage); !says(bad, "zh.md:1: missing") {
		t.Errorf("the missing page is not noticed: %v", bad)
	}
}
