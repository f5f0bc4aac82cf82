// Lists: rows that are ticked, columns, live rows that wait.
import { $, $$, cookie, copy, fetched, on } from "./app.js";

let lastTick = null;
const ticks = () => $$("tbody .check[name=ids]");
function count() {
  const all = ticks(), ticked = all.filter((t) => t.checked);
  all.forEach((t) => t.closest("tr").classList.toggle("selected", t.checked));
  const bar = $("[data-bulk]");
  if (bar) {
    bar.hidden = !ticked.length;
    $("[data-count]", bar).textContent = ticked.length;
  }
  const head = $("[data-tick-all]");
  if (head) {
    head.checked = all.length > 0 && ticked.length === all.length;
    head.indeterminate = ticked.length > 0 && ticked.length < all.length;
  }
}
on("click", "tbody .check[name=ids]", (e, box) => {
  const all = ticks();
  if (e.shiftKey && lastTick) {
    const [a, b] = [all.indexOf(lastTick), all.indexOf(box)].sort((x, y) => x - y);
    all.slice(Math.max(a, 0), b + 1).forEach((t) => { t.checked = box.checked; });
  }
  lastTick = box;
  count();
});
// A list that is read anew keeps its ticks.
let kept = [];
document.addEventListener("htmx:beforeSwap", (e) => {
  kept = e.detail.requestConfig?.triggeringEvent?.type === "list:refresh" ? ticks().filter((t) => t.checked).map((t) => t.value) : [];
});
document.addEventListener("htmx:afterSwap", () => ticks().forEach((t) => { t.checked ||= kept.includes(t.value); }));
on("click", "[data-tick-all]", (e, box) => { ticks().forEach((t) => { t.checked = box.checked; }); count(); });
on("click", "[data-tick-none]", () => { ticks().forEach((t) => { t.checked = false; }); count(); });
on("click", "[data-copy-ticked]", async (e, button) => {
  const ids = ticks().filter((t) => t.checked).map((t) => t.value);
  copy(await fetched(`${button.dataset.copyTicked}?ids=${ids}`), button);
});

// Live rows wait while somebody reads further down or has marked text; a button says how many there are.
document.addEventListener("htmx:beforeSwap", (e) => {
  const note = $("[data-fresh]");
  if (!note || !e.detail.elt.matches("[data-live]")) return;
  const waiting = e.detail.serverResponse.split("data-row").length - 1;
  const reading = scrollY > 240 || getSelection().toString() !== "";
  note.hidden = !(reading && waiting);
  note.textContent = note.dataset.fresh.replace("{n}", waiting);
  if (reading) e.detail.shouldSwap = false;
});
on("click", "[data-fresh]", (e, note) => {
  note.hidden = true;
  getSelection().removeAllRanges();
  scrollTo(0, 0);
});

// Columns of a list and the height of its rows, kept for this browser
on("click", "button[data-density]", () => {
  const root = document.documentElement;
  root.dataset.density = root.dataset.density === "compact" ? "" : "compact";
  cookie("density", root.dataset.density);
});
on("change", "[data-column]", (e, box) => {
  const off = $$("[data-column]", box.closest("[popover]")).filter((b) => !b.checked).map((b) => b.value);
  cookie(`${box.dataset.column}_columns`, off.join("."));
  htmx.trigger(document.body, "list:refresh");
});

// A number in a row
on("keydown", ".inline", (e, field) => {
  if (e.key === "Escape") { field.value = field.defaultValue; field.blur(); }
  if (e.key === "Enter") { e.preventDefault(); field.blur(); }
});

export const enhance = count;
