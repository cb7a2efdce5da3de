// The grid of blocks. A click answers at once here and is then told to Python, which answers with the prune set.
//
// Python may be a while, and people click on: so every click has a number, and each message holds all clicks that
// Python has not said to have seen. None is lost or counted twice, however messages and answers overlap. What is shown
// is Python's prune set with those clicks applied.

const PATIENCE = 1000 // milliseconds, doubled at each attempt
const boards = new WeakMap()

export default function ({ data, parentElement, setStateValue }) {
  let board = boards.get(parentElement)
  if (board === undefined || board.layout !== `${data.layers}/${data.across}`) {
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
  paint(board)
}

function build(parentElement, data) {
  const root = parentElement.querySelector(".board")
  const bands = root.querySelector(".bands")
  bands.replaceChildren()
  const board = {
    layout: `${data.layers}/${data.across}`,
    root,
    data,
    cells: new Map(),
    count: 0, // clicks so far
    waiting: [], // clicks that Python has not said to have counted
    attempts: 0,
    patience: PATIENCE,
    boxes: new Map(),
  }
  for (let first = 0; first < data.layers; first += data.across) {
    const band = element("div", "band")
    band.style.setProperty("--across", data.across)
    band.append(element("span", "corner"))
    for (let layer = first; layer < first + data.across; layer++)
      band.append(element("span", "layer", layer < data.layers ? layer : ""))
    for (const kind of data.kinds) {
      band.append(element("span", "kind", kind))
      for (let layer = first; layer < first + data.across; layer++)
        band.append(layer < data.layers ? cell(board, `${kind}.${layer}`) : element("span"))
    }
    bands.append(band)
  }
  root.querySelector(".rows").replaceChildren(table(board))
  bands.onkeydown = (event) => move(board, event)
  bands.onpointerleave = () => hint(board, null)
  return board
}

function cell(board, block) {
  const button = element("button", "cell")
  button.type = "button"
  button.dataset.block = block
  button.tabIndex = board.cells.size ? -1 : 0 // one stop for Tab; arrows move inside
  button.onclick = () => click(board, block)
  button.onpointerenter = (event) => event.pointerType === "mouse" && hint(board, button)
  button.onfocus = () => {
    for (const other of board.cells.values()) other.tabIndex = other === button ? 0 : -1
    hint(board, button)
  }
  button.onblur = () => hint(board, null)
  board.cells.set(block, button)
  return button
}

function click(board, block) {
  board.waiting.push({ number: ++board.count, block })
  board.send()
  paint(board)
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
      box.onchange = () => click(board, box.dataset.block)
      label.append(box, element("span"))
      row.insertCell().append(label)
      board.boxes.set(box.dataset.block, box)
    }
  }
  return made
}

function paint(board) {
  const dropped = new Set(board.data.dropped)
  for (const { block } of board.waiting) toggle(dropped, block)
  for (const { block, colour, score, shielded, said } of board.data.cells) {
    const button = board.cells.get(block)
    const gone = parts(block).every((part) => dropped.has(part))
    button.classList.toggle("dropped", gone)
    button.classList.toggle("shielded", shielded)
    button.classList.toggle("plain", colour === null)
    button.style.setProperty("--colour", colour ?? "transparent")
    button.setAttribute("aria-pressed", gone)
    button.setAttribute("aria-label", `${block}, ${gone ? "dropped" : "kept"}, ${said.join(", ")}`)
    const box = board.boxes.get(block)
    box.checked = gone
    box.ariaLabel = `${block}, ${said.join(", ")}`
    box.nextSibling.textContent = score
    button.said = [block + (gone ? " · dropped" : ""), ...said]
  }
}

function parts(block) {
  const [kind, layer] = block.split(".")
  return kind === "layer" ? [`attn.${layer}`, `mlp.${layer}`] : [block]
}

function toggle(dropped, block) {
  const gone = parts(block).every((part) => dropped.has(part))
  for (const part of parts(block)) gone ? dropped.delete(part) : dropped.add(part)
}

function move(board, event) {
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key]
  if (step === undefined) return
  event.preventDefault()
  const { kinds, across, layers } = board.data
  const [kind, layer] = event.target.dataset.block.split(".")
  let row = kinds.indexOf(kind) + step[0]
  let to = Number(layer) + step[1]
  if (row < 0) [row, to] = [kinds.length - 1, to - across]
  if (row >= kinds.length) [row, to] = [0, to + across]
  if (to >= 0 && to < layers) board.cells.get(`${kinds[row]}.${to}`).focus()
}

function hint(board, button) {
  const tip = board.root.querySelector(".tip")
  tip.hidden = button === null
  if (button === null) return
  tip.replaceChildren(...button.said.map((line) => element("div", "", line)))
  const room = board.root.clientWidth - tip.offsetWidth
  const place = button.getBoundingClientRect()
  const origin = board.root.getBoundingClientRect()
  tip.style.left = `${Math.max(0, Math.min(room, place.left - origin.left))}px`
  tip.style.top = `${place.bottom - origin.top + 6}px`
}

function element(name, className = "", text = "") {
  const made = document.createElement(name)
  made.className = className
  made.textContent = text
  return made
}
