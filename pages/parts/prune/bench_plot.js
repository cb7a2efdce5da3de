// Drawing. All that stands in a column is placed by edge(), so that curve, bars and cells agree to the pixel.

const AXIS = 68 // pixels at the left for titles and ticks, which stay when the rest scrolls sideways
const NARROWEST = 14 // of a column; below that the bench scrolls
const FOR_FINGERS = 24
const STRIP = 20 // height of a line of words above a part; where there is little room there are three of them
const BARS = 44
const HEADS = 16
const CELL = 22
const GAP = 6

function draw(board) {
  const { data } = board
  const measure = chosen(board)
  const now = dropped(board)
  lay(board, measure)
  const [plot, titles] = [[], []]
  if (data.curve) drawCurve(board, now, plot, titles)
  if (measure) drawBars(board, measure, now, plot, titles)
  drawHeads(board, plot, titles)
  board.drawing.innerHTML = plot.join("")
  board.titles.innerHTML = titles.join("")
  board.drawing.setAttribute("aria-label", data.alt)
  paintCells(board, now, measure)
  for (const [block, button] of board.cells) {
    const { left, top, width, height } = box(board, "cells", block)
    Object.assign(button.style, { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` })
  }
  drawLegend(board, now)
  drawChoices(board, measure)
  drawColours(board, measure)
  mark(board, board.marked)
}

// Where the rows are, from above, and how wide the columns.
function lay(board, measure) {
  const { data, scroll } = board
  const least = matchMedia("(pointer: coarse)").matches ? FOR_FINGERS : NARROWEST
  board.visible = scroll.clientWidth
  board.columns = data.layers + 1
  board.width = Math.max(board.visible - AXIS, least * board.columns)
  board.rows = []
  const strip = board.visible < 700 ? 3 * STRIP : STRIP
  let top = 0
  const row = (part, kind, height) => {
    board.rows.push({ part, kind, top, height })
    top += height
  }
  top += strip
  if (data.curve) row("curve", null, Math.max(140, Math.min(300, innerHeight - 628 - data.above)))
  top += GAP
  board.choices.style.top = `${top}px`
  top += strip
  for (const kind of measure?.kinds ?? []) {
    row("bars", kind, measure.kinds.length > 2 ? BARS - 12 : BARS)
    top += 4
  }
  board.heads = top += 2
  top += HEADS
  for (const kind of data.kinds) row("cells", kind, CELL)
  board.height = top
  board.inside.style.width = `${AXIS + board.width}px`
  board.inside.style.height = `${top}px`
  for (const [svg, width] of [[board.drawing, board.width], [board.marks, board.width], [board.titles, AXIS]]) {
    svg.setAttribute("width", width)
    svg.setAttribute("height", top)
  }
  for (const words of [board.legend, board.choices])
    Object.assign(words.style, { width: `${board.visible}px`, height: `${strip}px` })
  board.choices.classList.toggle("narrow", strip > STRIP)
}

function edge(board, column) {
  return Math.round((column * board.width) / board.columns)
}

function across(board, place) {
  const column = Math.min(Math.floor(place), board.columns - 1)
  return edge(board, column) + (place - column) * (edge(board, column + 1) - edge(board, column))
}

// The rectangle of a block in the part where its kind has a row of its own.
function box(board, part, block) {
  const [kind, layer] = block.split(".")
  const row = board.rows.find((one) => one.part === part && one.kind === kind)
  if (row === undefined) return null
  const [from, to] = [edge(board, Number(layer) + 1), edge(board, Number(layer) + 2)]
  return { left: from + 1, top: row.top + 1, width: to - from - 2, height: row.height - 2 }
}

// The points of a line that stand for a block: that of the site after it.
function pointsOf(line, block) {
  const [kind, layer] = block.split(".")
  const sites = { attn: [`attn.${layer}`], mlp: [`layer.${layer}`], layer: [`attn.${layer}`, `layer.${layer}`] }[kind]
  return line.points.filter((point) => sites.includes(point.site))
}

function scaleOf(row, axis) {
  const clamp = (value) => Math.max(axis.low, Math.min(axis.high, value))
  return (value) => row.top + ((axis.high - clamp(value)) / (axis.high - axis.low)) * row.height
}

function drawCurve(board, now, plot, titles) {
  const { curve } = board.data
  const row = board.rows[0]
  const axis = curveAxis(board)
  const y = scaleOf(row, axis)
  const x = (place) => across(board, place)
  const bottom = row.top + row.height
  for (const { from, to, colour, text } of curve.stages) {
    const [left, right] = [x(from), x(to)]
    plot.push(`<rect x="${left}" y="${row.top}" width="${right - left}" height="${row.height}" fill="${colour}"/>`)
    if (right - left < 130) continue
    const [at, anchor] = from === 0 ? [left + 4, "start"] : [right - 4, "end"]
    plot.push(`<text class="stage" x="${at}" y="${row.top + 11}" text-anchor="${anchor}">${escaped(text)}</text>`)
  }
  ticks(board, row, axis, y, plot, titles)
  for (const line of curve.lines) {
    const stale = line.name !== "dense" && !isCurrent(board, now, line.name)
    plot.push(`<g class="line ${line.name}${stale ? " stale" : ""}" style="--line:${line.colour}">`)
    if (line.band) {
      const there = line.points.map((point) => `${x(point.place)},${y(point.high)}`)
      const back = line.points.map((point) => `${x(point.place)},${y(point.low)}`).reverse()
      plot.push(`<polygon class="band" points="${[...there, ...back].join(" ")}"/>`)
    }
    plot.push(`<polyline points="${line.points.map((point) => `${x(point.place)},${y(point.value)}`).join(" ")}"/>`)
    const small = board.width / board.columns < 20
    for (const { site, place, value } of line.points) {
      const size = site.startsWith("attn") ? (small ? 1.2 : 2) : small ? 1.8 : 3
      const open = site.startsWith("attn") ? " open" : ""
      plot.push(`<circle class="point${open}" data-site="${site}" cx="${x(place)}" cy="${y(value)}" r="${size}"/>`)
    }
    if (line.turn) {
      const [at, height] = [x(line.turn.place), y(line.turn.value)]
      plot.push(`<line class="turning" x1="${at}" x2="${at}" y1="${height + 8}" y2="${bottom}"/>`)
      plot.push(`<path class="turn" d="M${at} ${height - 8}l8 8l-8 8l-8 -8z"/>`)
    }
    plot.push("</g>")
  }
  far(board, row, axis, x, plot)
  // On the pruned curve where it is that of the prune set in view, else on the dense one, at once.
  const newest = curve.lines.findLast(({ name }) => name === "dense" || (name === "pruned" && isCurrent(board, now)))
  for (const block of now)
    for (const { place, value } of pointsOf(newest, block)) plot.push(cross(x(place), y(value), 4.5))
}

// Points past a cut axis: a mark at its end, and the value beside the last of neighbours.
function far(board, row, axis, x, plot) {
  const { points } = board.data.curve.lines[0]
  points.forEach(({ place, value, text }, at) => {
    const down = value < axis.low
    if (!down && value <= axis.high) return
    const height = down ? row.top + row.height : row.top
    plot.push(`<path class="far" d="M${x(place) - 4} ${height + (down ? -6 : 6)}l4 ${down ? 6 : -6}l4 ${down ? -6 : 6}"/>`)
    const next = points[at + 1]
    if (next && (next.value < axis.low || next.value > axis.high)) return
    const right = place < board.columns - 3
    const [start, anchor] = right ? [x(place) + 8, "start"] : [x(place) - 8, "end"]
    plot.push(`<text class="long" x="${start}" y="${height + (down ? -3 : 10)}" text-anchor="${anchor}">${escaped(text)}</text>`)
  })
}

function drawBars(board, measure, now, plot, titles) {
  plot.push(`<g class="${measure.name === "change" && !isCurrent(board, now) ? "stale" : ""}">`)
  for (const row of board.rows.filter((one) => one.part === "bars")) {
    const axis = axisOf(measure, row.kind)
    const y = scaleOf(row, axis)
    ticks(board, row, axis, y, plot, titles)
    titles.push(`<text class="title" x="2" y="${row.top + row.height / 2 + 4}">${row.kind}</text>`)
    for (let layer = 0; layer < board.layers; layer++) {
      const block = `${row.kind}.${layer}`
      const one = measure.values[block]
      if (one === undefined) continue
      const { left, width } = box(board, "bars", block)
      const [from, to] = [y(0), y(one.value)]
      const height = Math.max(1, Math.abs(to - from))
      const long = axis.long.includes(block)
      plot.push(
        `<rect class="bar${isGone(now, block) ? " gone" : ""}" data-block="${block}" x="${left}" width="${width}"`,
        ` y="${Math.min(from, to)}" height="${height}" fill="${measure.colour}"/>`,
      )
      if (isGone(now, block)) plot.push(cross(left + width / 2, from, Math.min(4.5, width / 2)))
      if (long) plot.push(broken(axis, row, layer, board.layers, one, left, width))
    }
  }
  plot.push("</g>")
}

// A bar that runs past the axis: a break near its end, and its value beside it, where only such bars reach. Between two
// such bars there is no room for it.
function broken(axis, row, layer, layers, one, left, width) {
  const up = one.value > 0
  const at = up ? row.top + 7 : row.top + row.height - 7
  const free = (next) => !axis.long.includes(`${row.kind}.${next}`)
  const right = layer + 2 < layers && free(layer + 1)
  const said = right || (layer > 1 && free(layer - 1))
  const x = right ? left + width + 3 : left - 3
  const words = `<text class="long" x="${x}" y="${at + 4}" text-anchor="${right ? "start" : "end"}">${escaped(one.text)}</text>`
  return `<path class="break" d="M${left - 1} ${at + 3}l${width + 2} -4"/>${said ? words : ""}`
}

function drawHeads(board, plot, titles) {
  const wide = board.width / board.columns
  const digits = 6.2 * String(board.layers - 1).length + 4
  const step = [1, 2, 5, 10, 20, 50].find((one) => one * wide >= digits)
  const y = board.heads + 12
  for (let layer = 0; layer < board.layers; layer += step)
    plot.push(`<text class="head" x="${across(board, layer + 1.5)}" y="${y}">${layer}</text>`)
  if (wide >= 36) plot.push(`<text class="head" x="${across(board, 0.5)}" y="${y}">embed</text>`)
  else if (wide >= 10) plot.push(`<text class="head" x="${across(board, 0.5)}" y="${y}">e</text>`)
  titles.push(`<text class="title" x="2" y="${y}">Layer</text>`)
  for (const row of board.rows.filter((one) => one.part === "cells"))
    titles.push(`<text class="title" x="2" y="${row.top + row.height / 2 + 4}">${row.kind}</text>`)
}

function ticks(board, row, axis, y, plot, titles) {
  for (const { at, text } of axis.marks) {
    const height = Math.round(y(at)) + 0.5
    plot.push(`<line class="grid${at === 0 ? " zero" : ""}" x1="0" x2="${board.width}" y1="${height}" y2="${height}"/>`)
    const low = Math.min(Math.max(height + 3.5, row.top + 8), row.top + row.height)
    titles.push(`<text class="tick" x="${AXIS - 5}" y="${low}">${escaped(text)}</text>`)
  }
}

function drawLegend(board, now) {
  const { curve } = board.data
  board.legend.replaceChildren()
  if (!curve) return
  board.legend.append(element("b", "", curve.title))
  for (const line of curve.lines) {
    const stale = line.name !== "dense" && !isCurrent(board, now, line.name)
    const one = element("span", stale ? "key stale" : "key", stale ? `${line.name}: being measured` : line.words)
    one.style.setProperty("--line", line.colour)
    board.legend.append(one)
    if (!line.band) continue
    const band = element("span", "key area", line.band)
    band.style.setProperty("--line", line.colour)
    board.legend.append(band)
  }
}

function drawColours(board, measure) {
  const legend = measure?.legend ?? board.data.legend
  board.colours.replaceChildren()
  if (legend) {
    const bar = element("span", "bar")
    bar.style.background = `linear-gradient(to right, ${legend.stops.join(",")})`
    const [low, , high] = legend.ends
    board.colours.append(element("span", "", `Cells: ${legend.title}`), element("span", "", low), bar)
    board.colours.append(element("span", "", high), element("span", "", legend.note))
  }
  board.colours.append(element("span", "", "✕ dropped"), element("span", "", "● protected"))
  board.colours.append(element("span", "", "dashed: no score"))
}

function cross(x, y, size) {
  return `<path class="cross" d="M${x - size} ${y - size}l${2 * size} ${2 * size}m${-2 * size} 0l${2 * size} ${-2 * size}"/>`
}

function escaped(text) {
  return text.replace(/[&<>"]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[sign])
}
