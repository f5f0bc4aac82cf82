// What only administrators' pages do: runs told live, models tested in a row, linked figures, mappings, columns.
const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const on = (event, selector, act) =>
  document.addEventListener(event, (e) => {
    const found = e.target.closest?.(selector);
    if (found) act(e, found);
  });

// A run is told over server-sent events. Where they do not come through, the banner goes on asking by itself.
const PATIENCE = 4000; // ms without news after which the events count as lost
let live = { url: "", source: null, heard: 0 };
function follow() {
  const url = $("[data-events]")?.dataset.events ?? "";
  if (url === live.url) return;
  live.source?.close();
  live = { url, source: url ? new EventSource(url) : null, heard: 0 };
  const hear = (name, act) => live.source?.addEventListener(name, (e) => { live.heard = Date.now(); act(e.data); });
  hear("progress", (html) => put("#run", html));
  hear("row", row);
  hear("done", () => {
    live.source.close();
    live = { url, source: null, heard: 0 };
    if ($("#run[data-events]")) htmx.ajax("GET", $("#run").getAttribute("hx-get"), { target: "#run", swap: "outerHTML" });
  });
}
const put = (target, html) => $(target) && htmx.swap($(target), html, { swapStyle: "outerHTML", settleDelay: 0 });
function row(html) {
  const id = html.match(/id="([\w-]+)"/)?.[1], old = id && document.getElementById(id);
  if (!old || old.contains(document.activeElement) || $(":popover-open", old)) return; // nobody's hands are moved away
  const ticked = $(".check", old)?.checked;
  put(`#${id}`, html);
  const box = $(".check", document.getElementById(id));
  if (box) box.checked = ticked;
}
document.addEventListener("htmx:beforeRequest", (e) => {
  if (e.detail.elt.matches("[data-events]") && Date.now() - live.heard < PATIENCE) e.preventDefault();
});

for (const event of ["htmx:afterSettle", "htmx:historyRestore"]) document.addEventListener(event, follow);

export function enhance() {
  follow();
}
