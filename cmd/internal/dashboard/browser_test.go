package dashboard_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// screenshots is a directory that the browser's test leaves pictures in, for a person to look at.
var screenshots = flag.String("screenshots", "", "leave pictures of the pages in this `DIRECTORY`")

func TestPagesInARealBrowser(t *testing.T) {
	t.Parallel()
	url := serve(t, pageOf(sound("main"), failing(), stale(), near(), unknown()))
	b := startBrowser(t)
	report := "/drills/billing/" + failing().Runs[13].ID
	cases := []struct {
		name, path string
		look       look
		says       []string
	}{
		{"overview", "/", look{width: 1200, height: 900}, []string{"main", "billing", "reporting", "shop", "5 clusters: 1 pass, 1 warn, 1 fail, 2 unproven"}},
		{"overview-dark", "/", look{width: 1200, height: 900, dark: true}, []string{"billing"}},
		{"overview-narrow", "/", look{width: 400, height: 800}, []string{"billing"}},
		{"cluster", "/clusters/billing", look{width: 1200, height: 900}, []string{"timeline", "invoice_positions_archive", "wal_status lost", "Something is wrong"}},
		{"cluster-dark", "/clusters/billing", look{width: 1200, height: 900, dark: true}, []string{"Gaps"}},
		{"cluster-narrow", "/clusters/billing", look{width: 400, height: 800}, []string{"Gaps"}},
		{"sound", "/clusters/main", look{width: 1200, height: 900}, []string{"Proven: it comes back"}},
		{"stale", "/clusters/reporting", look{width: 1200, height: 900}, []string{"It says nothing about now", "i/o timeout"}},
		{"unknown", "/clusters/new", look{width: 400, height: 800}, []string{"Nothing is known of it", "lifeboat init"}},
		{"report", report, look{width: 1200, height: 900}, []string{"restore drill"}},
		{"report-narrow", report, look{width: 400, height: 800}, []string{"restore drill"}},
	}
	for _, c := range cases {
		page := b.open(url+c.path, c.look)
		var text string
		page.eval("document.body.innerText", &text)
		for _, words := range c.says {
			if !strings.Contains(strings.ToLower(text), strings.ToLower(words)) {
				t.Errorf("%s does not say %q:\n%s", c.name, words, text)
			}
		}
		page.fits(t, c.name, c.look)
		page.mindsItsOwnBusiness(t, c.name, url)
		keep(t, c.name, page)
		page.close()
	}
}

// fits looks for overflow to the right, and for whether the colours are those that were asked for.
func (t *tab) fits(test *testing.T, name string, l look) {
	test.Helper()
	var width int
	t.eval("document.documentElement.scrollWidth", &width)
	if width > l.width {
		test.Errorf("%s is %d wide in a window of %d", name, width, l.width)
	}
	var ground string
	t.eval("getComputedStyle(document.body).backgroundColor", &ground)
	want := "rgb(246, 247, 249)"
	if l.dark {
		want = "rgb(16, 21, 27)"
	}
	if ground != want {
		test.Errorf("%s is drawn on %s, not %s: its style is not in force", name, ground, want)
	}
}

// mindsItsOwnBusiness says that the page asked nobody else for anything and that the browser found no fault with it.
func (t *tab) mindsItsOwnBusiness(test *testing.T, name, url string) {
	test.Helper()
	complaints, asked := t.noted()
	if len(complaints) > 0 {
		test.Errorf("%s: the browser complains: %s", name, strings.Join(complaints, "\n"))
	}
	if !slices.ContainsFunc(asked, func(u string) bool { return strings.HasPrefix(u, url) }) {
		test.Errorf("%s: the browser tells nothing of its requests", name)
	}
	for _, u := range asked {
		if !strings.HasPrefix(u, url) && !strings.HasPrefix(u, "data:") {
			test.Errorf("%s asks for %s", name, u)
		}
	}
}

func keep(t *testing.T, name string, page *tab) {
	t.Helper()
	png := page.screenshot()
	if len(png) < 5000 {
		t.Errorf("the picture of %s has %d bytes: it is empty", name, len(png))
	}
	if *screenshots == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(*screenshots, name+".png"), png, 0o644); err != nil {
		t.Fatal(err)
	}
}

// The way that a person takes: from the overview to a cluster, to the report of its last drill.
func TestLinksLeadToTheReport(t *testing.T) {
	t.Parallel()
	url := serve(t, pageOf(sound("main"), failing()))
	page := startBrowser(t).open(url+"/", look{width: 1200, height: 900})
	follow := func(selector, want string) {
		t.Helper()
		var leads string
		page.eval("(() => { const a = document.querySelector("+quote(selector)+"); if (a) a.click(); return a ? a.href : '' })()", &leads)
		if leads == "" {
			t.Fatalf("there is no %s", selector)
		}
		page.wait(leads)
		var text string
		page.eval("document.title + '\\n' + document.body.innerText", &text)
		if !strings.Contains(text, want) {
			t.Fatalf("%s leads to:\n%s", selector, text)
		}
	}
	follow(`section.cluster h2 a[href="/clusters/billing"]`, "fail: billing")
	follow(`tbody a[href^="/drills/billing/"]`, "Restore drill: were the backups")
	page.mindsItsOwnBusiness(t, "the way to the report", url)
}

// Without this the other tests might pass because the browser tells nothing.
func TestTheBrowserTellsOfForeignRequestsAndBrokenPolicy(t *testing.T) {
	t.Parallel()
	p := pageOf(sound("main"))
	url := serve(t, p)
	page := startBrowser(t).open(url+"/", look{width: 400, height: 800})
	var done bool
	page.eval(`(() => {
		const style = document.createElement("style"); style.textContent = "body { width: 900px }"; document.head.append(style);
		const img = document.createElement("img"); img.src = "http://elsewhere.example/x.png"; document.body.append(img);
		const wide = document.createElement("p"); wide.append("x".repeat(500)); document.body.append(wide);
		return true })()`, &done)
	var width int
	page.eval("document.documentElement.scrollWidth", &width)
	if width <= 400 {
		t.Errorf("the browser has seen nothing wrong: %d wide", width)
	}
	page.b.eventually("the browser has not told what is wrong", func() bool { // it tells in its own time
		complaints, _ := page.noted()
		all := strings.Join(complaints, "\n")
		return strings.Contains(all, "style-src") && strings.Contains(all, "elsewhere.example")
	})
}

func TestEveryPageIsMadeForScreenReaders(t *testing.T) {
	t.Parallel()
	url := serve(t, pageOf(sound("main"), failing(), stale()))
	b := startBrowser(t)
	for _, path := range []string{"/", "/clusters/billing", "/clusters/reporting"} {
		page := b.open(url+path, look{width: 1200, height: 900})
		for what, expression := range map[string]string{
			"a language":                     "document.documentElement.lang == 'en'",
			"one first heading":              "document.querySelectorAll('h1').length == 1",
			"no heading level left out":      "[...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].every((h, i, all) => i == 0 || h.tagName[1] - all[i-1].tagName[1] <= 1)",
			"headers with a scope":           "[...document.querySelectorAll('th')].every(th => th.scope)",
			"captions":                       "[...document.querySelectorAll('table')].every(t => t.caption)",
			"drawings with words":            "[...document.querySelectorAll('svg')].every(s => s.getAttribute('role') == 'img' && s.getAttribute('aria-label'))",
			"badges with words":              "[...document.querySelectorAll('.badge')].every(b => /[a-z]{4}/.test(b.innerText))",
			"tables that keys can scroll":    "[...document.querySelectorAll('.scroll')].every(s => s.tabIndex == 0 && s.getAttribute('aria-label'))",
			"enough contrast in its badges":  contrast(".badge"),
			"enough contrast in small words": contrast(".soft"),
		} {
			var ok bool
			page.eval(expression, &ok)
			if !ok {
				t.Errorf("%s does not have %s", path, what)
			}
		}
		page.close()
	}
}

// contrast is an expression that says whether all elements stand out by 4.5 to 1, as WCAG 2 asks (1.4.3, level AA).
func contrast(selector string) string {
	return `[...document.querySelectorAll(` + quote(selector) + `)].every(e => {
		const rgb = c => c.match(/[\d.]+/g).map(Number);
		const bright = c => { const [r, g, b] = rgb(c).map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b };
		const ground = e => { const c = getComputedStyle(e).backgroundColor; return rgb(c)[3] === 0 && e.parentElement ? ground(e.parentElement) : c };
		const [dark, light] = [bright(getComputedStyle(e).color), bright(ground(e))].sort((a, b) => a - b);
		return (light + 0.05) / (dark + 0.05) >= 4.5 })`
}

func quote(s string) string { return "`" + s + "`" }

// The picture of the documentation is one of these; see -screenshots.
func TestPictureOfTheDocumentation(t *testing.T) {
	t.Parallel()
	page := startBrowser(t).open(serve(t, pageOf(sound("shop"), failing(), stale()))+"/", look{width: 960, height: 600})
	keep(t, "dashboard", page)
}
