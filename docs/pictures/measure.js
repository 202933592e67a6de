// measure.js looks at pictures as a reader does: which labels overlap, leave
// the picture, are crossed by a line, or can hardly be told from what is
// behind them. pictures_test.go makes the page; the answer is JSON in #report.

// labels returns each run of text that is seen, and where it stands.
function labels(svg) {
  const found = []
  const walk = document.createTreeWalker(svg, NodeFilter.SHOW_TEXT)
  while (walk.nextNode()) {
    const node = walk.currentNode
    const skip = node.parentElement.closest("style, title, desc, script")
    if (skip || !node.textContent.trim()) continue
    const range = document.createRange()
    range.selectNodeContents(node)
    const box = range.getBoundingClientRect()
    if (box.width > 0) {
      found.push({ text: node.textContent.trim(), of: node.parentElement, box })
    }
  }
  return found
}

// Two lines of one label may touch: a font's box is higher than its letters.
const touch = 2

function overlap(a, b) {
  return a.left < b.right && b.left < a.right &&
    a.top + touch < b.bottom && b.top + touch < a.bottom
}

function within(a, b) {
  return a.left >= b.left && a.right <= b.right &&
    a.top >= b.top && a.bottom <= b.bottom
}

// crossed tells whether a stroke runs through the label.
function crossed(svg, box) {
  for (const shape of svg.querySelectorAll("path, rect, line, circle")) {
    const near = shape.getBoundingClientRect() // it knows of no stroke
    if (shape.closest("defs") || getComputedStyle(shape).stroke == "none" ||
      near.left > box.right + 4 || near.right < box.left - 4 ||
      near.top > box.bottom + 4 || near.bottom < box.top - 4) continue
    const back = shape.getScreenCTM().inverse()
    for (let x = box.left; x <= box.right; x += 1) {
      for (let y = box.top + touch; y <= box.bottom - touch; y += 1) {
        const at = new DOMPoint(x, y).matrixTransform(back)
        if (shape.isPointInStroke(at)) return true
      }
    }
  }
  return false
}

// color turns CSS text into red, green, blue (0 to 255) and opacity.
const canvas = document.createElement("canvas").getContext("2d",
  { willReadFrequently: true })
function color(text) {
  canvas.clearRect(0, 0, 1, 1)
  canvas.fillStyle = text
  canvas.fillRect(0, 0, 1, 1)
  const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data
  return [r, g, b, a / 255]
}

// behind mixes the colors of all that lies below a label.
function behind(label) {
  const x = (label.box.left + label.box.right) / 2
  const y = (label.box.top + label.box.bottom) / 2
  let rest = 1, sum = [0, 0, 0]
  for (const e of document.elementsFromPoint(x, y)) {
    const style = getComputedStyle(e)
    if (e instanceof SVGTextContentElement) continue
    const shape = e instanceof SVGGeometryElement
    if (!shape && e instanceof SVGElement && e.tagName != "svg") continue
    const [r, g, b, a] = color(shape ? style.fill : style.backgroundColor)
    const part = rest * a * (shape ? Number(style.fillOpacity) : 1)
    sum = [sum[0] + part * r, sum[1] + part * g, sum[2] + part * b]
    rest -= part
  }
  return sum
}

// luminance and contrast are those of the Web Content Accessibility
// Guidelines, where 4.5 is enough for text of this size. The colors of a
// diagram are Mermaid's, and the least contrast of its dark theme is 4.4.
function luminance(rgb) {
  const [r, g, b] = rgb.map(v => v / 255).map(
    v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  return 0.2126 * r + 0.7152 * g + 0.0722 * b
}

function contrast(label) {
  const style = getComputedStyle(label.of)
  const text = label.of instanceof SVGElement ? style.fill : style.color
  const a = luminance(color(text)), b = luminance(behind(label))
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
}

// look returns what is wrong with a picture that is in the page.
function look(svg, ours) {
  const all = labels(svg), edge = svg.getBoundingClientRect(), bad = []
  all.forEach((a, i) => {
    if (!within(a.box, edge)) bad.push(`"${a.text}" is outside the picture`)
    if (ours && crossed(svg, a.box)) bad.push(`a line crosses "${a.text}"`)
    const ratio = contrast(a)
    if (ratio < (ours ? 4.5 : 4)) {
      bad.push(`"${a.text}" has a contrast of ${ratio.toFixed(1)}`)
    }
    for (const b of all.slice(i + 1)) {
      if (overlap(a.box, b.box)) bad.push(`"${a.text}" overlaps "${b.text}"`)
    }
  })
  // All of it must change with the reader's scheme: a corner tells.
  const corner = behind({ box: new DOMRect(edge.left + 1, edge.top + 1, 1, 1) })
  return { bad, labels: all.length, paper: luminance(corner) }
}

async function main() {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches
  const report = {}
  document.body.style.background = dark ? "#0d1117" : "#ffffff"
  if (window.mermaid) {
    mermaid.initialize({ startOnLoad: false, theme: dark ? "dark" : "default" })
  }
  for (const [name, text] of Object.entries(pictures)) {
    const place = document.getElementById("place")
    try {
      place.innerHTML = text.startsWith("<svg") ? text
        : (await mermaid.render("drawn", text)).svg
      report[name] = look(place.querySelector("svg"), text.startsWith("<svg"))
    } catch (e) {
      report[name] = { bad: [String(e)], labels: 0, paper: 0 }
    }
  }
  document.getElementById("report").textContent =
    JSON.stringify({ dark, report })
}

main()
