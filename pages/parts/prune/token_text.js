// The text, token by token. A click on a token, or an arrow key, chooses it; the same token again lets it go.
//
// The bench says which block pointer or focus is on, and the tokens that it costs most are marked; the text says which
// block costs most the token that the pointer is on.

const texts = new WeakMap()
const ears = new WeakMap()

export default function ({ data, parentElement, setStateValue }) {
  const box = parentElement.querySelector(".tokens")
  if (texts.get(box) !== data.html) {
    box.innerHTML = data.html // every token in it was escaped where it was made
    texts.set(box, data.html)
  }
  const spans = [...box.querySelectorAll("[data-at]")]
  let chosen = data.chosen
  const mark = () => spans.forEach((span) => span.classList.toggle("chosen", span.dataset.at === chosen))
  const choose = (at) => {
    chosen = at
    mark()
    tell(data.links, at)
    setStateValue("chosen", at)
  }
  mark()
  listen(box, spans, data.links)
  box.onclick = (event) => {
    const span = event.target.closest("[data-at]")
    if (span !== null) choose(span.dataset.at === chosen ? "" : span.dataset.at)
  }
  box.onpointerover = (event) => tell(data.links, event.target.closest("[data-at]")?.dataset.at)
  box.onpointerleave = () => tell(data.links, "")
  box.onkeydown = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key]
    if (step === undefined || spans.length === 0) return
    event.preventDefault()
    const place = spans.findIndex((span) => span.dataset.at === chosen)
    const next = spans[(place === -1 ? (step === 1 ? 0 : -1) : place + step + spans.length) % spans.length] ?? spans.at(-1)
    next.scrollIntoView({ block: "nearest" })
    choose(next.dataset.at)
  }
}

function tell(links, at) {
  document.dispatchEvent(new CustomEvent("entviz-token", { detail: { block: links?.blocks[at] ?? null } }))
}

function listen(box, spans, links) {
  document.removeEventListener("entviz-block", ears.get(box))
  const hear = ({ detail }) => {
    if (!box.isConnected) return document.removeEventListener("entviz-block", hear)
    const name = isOf(links, detail.dropped) ? detail.names.find((one) => one in links.tokens) : undefined
    const found = name === undefined ? [] : links.tokens[name]
    const places = new Set(found.map(([at]) => at))
    spans.forEach((span) => span.classList.toggle("dearest", places.has(span.dataset.at)))
    const words = found.slice(0, links?.said).map(([, token, cost]) => `${token} ${cost}`)
    if (words.length) detail.said = `${name} costs most: ${words.join(", ")} nats`
  }
  document.addEventListener("entviz-block", hear)
  ears.set(box, hear)
}

// Whether the links are those of the blocks that are dropped now.
function isOf(links, dropped) {
  return !!links && links.dropped.length === dropped.size && links.dropped.every((name) => dropped.has(name))
}
