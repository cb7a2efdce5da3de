// The bench: curve, bars and cells over one depth axis. A tick answers at once here and is then told to Python, which
// answers with the prune set.
//
// Python may be a while, and people click on: so every click has a number, and each message holds all clicks that
// Python has not said to have seen. None is lost or counted twice, however messages and answers overlap. What is shown
// is Python's prune set with those clicks applied.
//
// bench_plot.js draws, bench_hand.js is what pointer and keys do; the three are put together to one module.

const PATIENCE = 1000 // milliseconds, doubled at each attempt
const boards = new WeakMap()

export default function ({ data, parentElement, setStateValue }) {
  let board = boards.get(parentElement)
  if (board === undefined || board.layers !== data.layers) {
    board?.observer.disconnect()
    if (board !== undefined) ignoreTokens(board)
    board = build(parentElement, data)
    boards.set(parentElement, board)
  }
  board.data = data
  board.send = () => {
    setStateValue("toggles", { attempt: ++board.attempts, clicks: [...board.waiting] })
    // A run that was stopped has not counted them; after a while, ever longer, they are sent again.
    clearTimeout(board.timer)
    board.timer = setTimeout(() => board.waiting.length && board.send(), (board.patience *= 2))
  }
  board.count = Math.max(board.count, data.seen)
  board.waiting = board.waiting.filter((click) => click.number > data.seen)
  if (board.waiting.length === 0) board.patience = PATIENCE
  draw(board)
}

function build(parentElement, data) {
  const root = parentElement.querySelector(".bench")
  const find = (name) => root.querySelector(name)
  const board = {
    layers: data.layers,
    root,
    data,
    said: find(".said"),
    scroll: find(".scroll"),
    inside: find(".inside"),
    titles: find(".titles"),
    legend: find(".curve-legend"),
    choices: find(".measures"),
    plot: find(".plot"),
    drawing: find(".drawing"),
    marks: find(".marks"),
    colours: find(".colours"),
    cells: new Map(),
    boxes: new Map(),
    count: 0, // clicks so far
    waiting: [], // clicks that Python has not said to have counted
    attempts: 0,
    patience: PATIENCE,
    marked: null, // the block that pointer or focus is on
  }
  const grid = find(".cells")
  grid.replaceChildren()
  for (const kind of data.kinds)
    for (let layer = 0; layer < data.layers; layer++) grid.append(cell(board, `${kind}.${layer}`))
  find(".rows").replaceChildren(table(board))
  take(board)
  let width = 0
  board.observer = new ResizeObserver(() => {
    if (board.scroll.clientWidth !== width) draw(board)
    width = board.scroll.clientWidth
  })
  board.observer.observe(board.scroll)
  return board
}

function cell(board, block) {
  const button = element("button", "cell")
  button.type = "button"
  button.dataset.block = block
  button.tabIndex = board.cells.size ? -1 : 0 // one stop for Tab; arrows move inside
  board.cells.set(block, button)
  return button
}

// Toggle blocks, each by a click of its own.
function click(board, blocks) {
  for (const block of blocks) board.waiting.push({ number: ++board.count, block })
  board.send()
  draw(board)
}

// The attentions and MLPs that are dropped, with the clicks that Python has not counted.
function dropped(board) {
  const now = new Set(board.data.dropped)
  for (const { block } of board.waiting) toggle(now, block)
  return now
}

function parts(block) {
  const [kind, layer] = block.split(".")
  return kind === "layer" ? [`attn.${layer}`, `mlp.${layer}`] : [block]
}

function isGone(now, block) {
  return parts(block).every((part) => now.has(part))
}

function toggle(now, block) {
  const gone = isGone(now, block)
  for (const part of parts(block)) gone ? now.delete(part) : now.add(part)
}

// Whether the pruned curve, or the repaired one, is that of the prune set in view.
function isCurrent(board, now, name = "pruned") {
  const line = board.data.curve?.lines.find((one) => one.name === name)
  return line !== undefined && line.dropped.length === now.size && line.dropped.every((name) => now.has(name))
}

// The same as a plain table of checkboxes, a row a layer.
function table(board) {
  const made = element("table")
  const head = made.createTHead().insertRow()
  for (const name of ["layer no.", ...board.data.kinds]) head.append(element("th", "", name))
  const body = made.createTBody()
  for (let layer = 0; layer < board.data.layers; layer++) {
    const row = body.insertRow()
    row.append(element("th", "", layer))
    for (const kind of board.data.kinds) {
      const label = element("label")
      const box = element("input")
      box.type = "checkbox"
      box.dataset.block = `${kind}.${layer}`
      box.onchange = () => click(board, [box.dataset.block])
      label.append(box, element("span"))
      row.insertCell().append(label)
      board.boxes.set(box.dataset.block, box)
    }
  }
  return made
}

// What cells and checkboxes say and look like; where they lie is the plot's.
function paintCells(board, now, measure) {
  const current = isCurrent(board, now)
  for (const { block, colour, score, shielded, said, pruned } of board.data.cells) {
    const gone = isGone(now, block)
    const shown = measure?.colours ? (measure.colours[block] ?? null) : colour
    const button = board.cells.get(block)
    button.classList.toggle("dropped", gone)
    button.classList.toggle("shielded", shielded)
    button.classList.toggle("plain", shown === null)
    button.style.setProperty("--colour", shown ?? "transparent")
    button.setAttribute("aria-pressed", gone)
    button.setAttribute("aria-label", `${block}, ${gone ? "dropped" : "kept"}, ${said.join(", ")}`)
    button.said = [...said]
    if (pruned && current) button.said[said.length - 1] += `, ${pruned}`
    const box = board.boxes.get(block)
    box.checked = gone
    box.ariaLabel = `${block}, ${said.join(", ")}`
    box.nextSibling.textContent = score
  }
}

function element(name, className = "", text = "") {
  const made = document.createElement(name)
  made.className = className
  made.textContent = text
  return made
}
