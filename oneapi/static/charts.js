// Charts: what a bar stands for beside the pointer, and a span of time that is dragged.
import { $, make, on } from "./app.js";

const tip = $(".tip");
on("pointermove", "[data-tip]", (e, bar) => {
  const said = JSON.parse(bar.dataset.tip);
  const head = make("b");
  head.append(make("span", "", said.title), make("span", "", said.total ?? ""));
  tip.replaceChildren(head, ...said.rows.map(([name, value, hue]) => {
    const line = make("div");
    line.append(make("i", `h${hue}`), make("span", "", name), make("span", "", value));
    return line;
  }));
  tip.classList.add("on");
  const x = e.clientX + 16 + tip.offsetWidth > innerWidth ? e.clientX - tip.offsetWidth - 16 : e.clientX + 16;
  tip.style.left = `${x}px`;
  tip.style.top = `${Math.max(8, e.clientY - tip.offsetHeight / 2)}px`;
});
on("pointerout", "[data-tip]", () => tip.classList.remove("on"));
let drag = null;
on("pointerdown", "[data-histogram]", (e, svg) => {
  const box = svg.getBoundingClientRect();
  drag = { svg, from: (e.clientX - box.left) / box.width };
  drag.mark = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  for (const [name, value] of Object.entries({ class: "range", y: 0, height: 100, width: 0 })) drag.mark.setAttribute(name, value);
  svg.append(drag.mark);
});
addEventListener("pointermove", (e) => {
  if (!drag) return;
  const box = drag.svg.getBoundingClientRect();
  drag.to = Math.min(1, Math.max(0, (e.clientX - box.left) / box.width));
  drag.mark.setAttribute("x", 1000 * Math.min(drag.from, drag.to));
  drag.mark.setAttribute("width", 1000 * Math.abs(drag.to - drag.from));
});
addEventListener("pointerup", () => {
  if (!drag) return;
  const { svg, from, to = from, mark } = drag;
  drag = null;
  mark.remove();
  if (Math.abs(to - from) < 0.02) return;
  const start = Number(svg.dataset.from), span = Number(svg.dataset.to) - start;
  const url = new URL(location);
  url.searchParams.set("range", "custom");
  url.searchParams.set("from", Math.round(start + span * Math.min(from, to)));
  url.searchParams.set("to", Math.round(start + span * Math.max(from, to)));
  url.searchParams.delete("before");
  htmx.ajax("GET", url.pathname + url.search, { target: "#main", select: "#main", swap: "outerHTML" }).then(() => history.pushState({ htmx: true }, "", url));
});
