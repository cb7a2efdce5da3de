// The text, token by token. A click on a token, or an arrow key, chooses it; the same token again lets it go.

const texts = new WeakMap()

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
    setStateValue("chosen", at)
  }
  mark()
  box.onclick = (event) => {
    const span = event.target.closest("[data-at]")
    if (span !== null) choose(span.dataset.at === chosen ? "" : span.dataset.at)
  }
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
