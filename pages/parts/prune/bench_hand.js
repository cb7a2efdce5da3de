// What pointer and keys do. A place is a part of the bench, a column and, in the curve, which half of the column; from
// there it is the same everywhere: a place has a block, a block is marked in all parts, clicked, or dragged to a run.

const HINT = "Click a cell, a bar or a point of the curve to drop its block, again to keep it. Drag over columns for a run."
const REMEMBERED = "entviz.bench" // in this tab's storage: which measure the bars show, and whether in full

function take(board) {
  const { plot } = board
  plot.onpointermove = (event) => over(board, event)
  plot.onpointerdown = (event) => press(board, event)
  plot.onpointerup = () => release(board)
  plot.onpointercancel = () => stop(board)
  plot.onpointerleave = () => !board.press && mark(board, focused(board))
  plot.onclick = (event) => {
    const done = board.dragged
    board.dragged = false
    if (done) return
    // A key or a screen reader presses the button itself; a pointer is where it is, whatever was drawn anew under it.
    const block = event.detail === 0 ? event.target.dataset?.block : blockAt(board, event)?.block
    if (!block) return
    click(board, [block])
    mark(board, block)
  }
  plot.onfocusin = (event) => {
    for (const button of board.cells.values()) button.tabIndex = button === event.target ? 0 : -1
    if (event.target.matches(":focus-visible")) show(board, event.target)
    mark(board, event.target.dataset.block)
  }
  plot.onfocusout = () => mark(board, null)
  plot.onkeydown = (event) => move(board, event)
  board.hear = ({ detail }) => {
    if (!board.root.isConnected) ignoreTokens(board)
    else if (!board.press) mark(board, detail.block ?? focused(board))
  }
  document.addEventListener("entviz-token", board.hear) // the pointer is on a token: the block that costs it most
}

function ignoreTokens(board) {
  document.removeEventListener("entviz-token", board.hear)
}

// The text marks the tokens that a block costs most, and answers with them in words.
function tellTokens(board, block) {
  const [kind, layer] = block?.split(".") ?? []
  const names = kind === "layer" ? [block, ...parts(block)] : kind ? [block, `layer.${layer}`] : []
  const asked = { names, dropped: dropped(board), said: "" }
  document.dispatchEvent(new CustomEvent("entviz-block", { detail: asked }))
  return asked.said
}

function focused(board) {
  return board.root.getRootNode().activeElement?.dataset?.block ?? null
}

// Keep a cell that keys moved to from hiding under the titles.
function show(board, button) {
  const { scroll } = board
  const left = button.offsetLeft
  if (left < scroll.scrollLeft) scroll.scrollLeft = left
  const right = AXIS + left + button.offsetWidth
  if (right > scroll.scrollLeft + board.visible) scroll.scrollLeft = right - board.visible
}

function blockAt(board, event) {
  const origin = board.plot.getBoundingClientRect()
  const [x, y] = [event.clientX - origin.left, event.clientY - origin.top]
  const row = board.rows.find((one) => y >= one.top && y < one.top + one.height)
  const column = columnAt(board, x)
  if (row === undefined || column < 1 || column >= board.columns) return null
  const first = x < (edge(board, column) + edge(board, column + 1)) / 2
  const kind = row.kind ?? (first ? "attn" : "mlp")
  return { block: `${kind}.${column - 1}`, kind, layer: column - 1 }
}

function columnAt(board, x) {
  let column = Math.floor((x * board.columns) / board.width)
  if (x < edge(board, column)) column--
  if (x >= edge(board, column + 1)) column++
  return column
}

function press(board, event) {
  board.dragged = false
  if (event.button !== 0 || event.pointerType === "touch") return // a finger scrolls
  const at = blockAt(board, event)
  if (at === null) return
  board.press = at
  board.escape = (key) => key.key === "Escape" && stop(board)
  window.addEventListener("keydown", board.escape, true)
}

function over(board, event) {
  const { press } = board
  if (!press) {
    if (event.pointerType !== "touch") mark(board, blockAt(board, event)?.block ?? focused(board))
    return
  }
  const origin = board.plot.getBoundingClientRect()
  const layer = Math.max(0, Math.min(board.layers - 1, columnAt(board, event.clientX - origin.left) - 1))
  if (!board.run && layer === press.layer) return
  if (!board.run) {
    board.plot.setPointerCapture(event.pointerId)
    board.dragged = true // so that its end is no click
  }
  board.run = [Math.min(press.layer, layer), Math.max(press.layer, layer)]
  mark(board, press.block)
}

// The blocks of the run, and whether they are to be dropped: as the first one was not.
function runOf(board) {
  const { kind, block } = board.press
  const now = dropped(board)
  const drop = !isGone(now, block)
  const [from, to] = board.run
  const blocks = Array.from({ length: to - from + 1 }, (_, step) => `${kind}.${from + step}`)
  return { drop, blocks: blocks.filter((one) => isGone(now, one) !== drop) }
}

function release(board) {
  const blocks = board.run ? runOf(board).blocks : []
  stop(board)
  if (blocks.length) click(board, blocks)
}

function stop(board) {
  window.removeEventListener("keydown", board.escape, true)
  board.press = board.run = null
  mark(board, focused(board))
}

function move(board, event) {
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key]
  const end = { Home: 0, End: board.layers - 1 }[event.key]
  if (step === undefined && end === undefined) return
  event.preventDefault()
  const { kinds } = board.data
  const [kind, layer] = event.target.dataset.block.split(".")
  const row = kinds.indexOf(kind) + (step?.[0] ?? 0)
  const to = end ?? Number(layer) + step[1]
  board.cells.get(`${kinds[row]}.${to}`)?.focus()
}

// Mark a block, or the run that is being dragged, in the curve, the bars and the cells, and say its numbers.
function mark(board, block) {
  board.marked = block
  const drawn = []
  const layer = block && Number(block.split(".")[1])
  const [from, to] = board.run ?? [layer, layer]
  if (block) {
    const [left, right] = [edge(board, from + 1), edge(board, to + 2)]
    const shade = board.run ? "column run" : "column"
    drawn.push(`<rect class="${shade}" x="${left}" y="${STRIP}" width="${right - left}" height="${board.height - STRIP}"/>`)
  }
  const marked = new Set()
  for (let at = from; block && at <= to; at++) marked.add(`${block.split(".")[0]}.${at}`)
  for (const one of marked) {
    const curve = board.data.curve
    for (const line of curve?.lines ?? []) {
      const y = scaleOf(board.rows[0], curveAxis(board))
      for (const { place, value } of pointsOf(line, one))
        drawn.push(`<circle class="ring" cx="${across(board, place)}" cy="${y(value)}" r="6"/>`)
    }
    for (const part of one.startsWith("layer") ? [one, ...parts(one)] : [one]) {
      const bar = box(board, "bars", part)
      if (bar) drawn.push(`<rect class="frame" x="${bar.left}" y="${bar.top}" width="${bar.width}" height="${bar.height}"/>`)
    }
  }
  board.marks.innerHTML = drawn.join("")
  for (const [name, button] of board.cells) button.classList.toggle("marked", marked.has(name))
  say(board, block)
}

function say(board, block) {
  const { said } = board
  const tokens = tellTokens(board, board.run ? null : block)
  if (!block) {
    const more = AXIS + board.width > board.visible ? ` Scroll sideways: the layers go on to ${board.layers - 1}.` : ""
    return said.replaceChildren(element("div", "", board.data.alt), element("div", "hint", HINT + more))
  }
  if (board.run) {
    const { drop, blocks } = runOf(board)
    const what = `${drop ? "Drops" : "Keeps"} ${blocks.length} of ${board.run[1] - board.run[0] + 1} blocks`
    const names = [`${board.press.kind}.${board.run[0]}`, `${board.press.kind}.${board.run[1]}`]
    return said.replaceChildren(element("b", "", `${names.join(" to ")} `), element("span", "", `${what}. Escape: none.`))
  }
  const gone = isGone(dropped(board), block)
  said.replaceChildren(
    element("b", "", `${block} · ${gone ? "dropped" : "kept"} `),
    element("span", "", [...board.cells.get(block).said, ...(tokens ? [tokens] : [])].join(" · ")),
  )
}

// What the bars show: what was chosen in this tab, else what the criterion ranks by.
function chosen(board) {
  const { bars } = board.data
  const wanted = remembered().measure
  return bars.find((one) => one.name === wanted) ?? bars.find((one) => one.scored) ?? bars[0]
}

function axisOf(measure, kind) {
  const { cut, full } = measure.axes[kind]
  return (remembered().full ? null : cut) ?? full
}

function curveAxis(board) {
  const { curve } = board.data
  return (remembered().full ? null : curve.cut) ?? curve.full
}

function drawChoices(board, measure) {
  const { choices } = board
  const cut = !!board.data.curve?.cut || Object.values(measure?.axes ?? {}).some((one) => one.cut)
  const key = JSON.stringify([board.data.bars.map((one) => [one.name, one.title]), measure?.name, measure?.axis, cut])
  if (choices.key === key) return // not made anew under the pointer
  choices.key = key
  choices.replaceChildren()
  for (const one of board.data.bars) {
    const label = element("label", one === measure ? "on" : "")
    const radio = element("input")
    Object.assign(radio, { type: "radio", name: "measure", value: one.name, checked: one === measure })
    radio.onchange = () => choose(board, { measure: one.name })
    label.title = one.axis
    label.append(radio, element("span", "", one.title))
    choices.append(label)
  }
  if (!measure) return
  choices.append(element("span", "axis", measure.axis))
  if (!cut) return
  const label = element("label", "full")
  const full = element("input")
  Object.assign(full, { type: "checkbox", checked: !!remembered().full })
  full.onchange = () => choose(board, { full: full.checked })
  label.append(full, element("span", "", "full scale"))
  choices.append(label)
}

function choose(board, change) {
  sessionStorage.setItem(REMEMBERED, JSON.stringify({ ...remembered(), ...change }))
  draw(board)
  board.choices.querySelector("input:checked")?.focus()
}

function remembered() {
  try {
    return JSON.parse(sessionStorage.getItem(REMEMBERED)) ?? {}
  } catch {
    return {}
  }
}
