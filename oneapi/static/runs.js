// Runs told live, and the models of a channel tested in a row.
import { $, $$, on } from "./app.js";

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

// Models of a channel, tested one after another
const lines = () => $$("#model-tests > li[data-model]").filter((li) => !li.hidden);
const names = (filter) => lines().filter(filter).map((li) => li.dataset.model);
let testing = false;
function tally() {
  const all = $("[data-test-all]");
  if (!all) return;
  const good = names((li) => li.dataset.ok === "1"), bad = names((li) => li.dataset.ok === "0");
  const ticked = names((li) => $(".check", li).checked).length, said = JSON.parse(all.dataset.words), note = $("[data-tally]");
  note.textContent = good.length + bad.length ? note.dataset.tally.replace("{ok}", good.length).replace("{bad}", bad.length) : "";
  $("[data-copy-good]").dataset.copy = good.join(",");
  $("[data-copy-good]").hidden = !good.length;
  $("[data-tick-bad]").hidden = !bad.length;
  $("[data-prune]").hidden = !ticked;
  $("span", all).textContent = testing ? said.stop : ticked ? said.some.replace("{n}", ticked) : said.all;
}
on("click", "[data-test-all]", async () => {
  testing = !testing;
  const some = lines().filter((li) => $(".check", li).checked);
  const wanted = (some.length ? some : lines()).map((li) => li.id), ticked = new Set(some.map((li) => li.id));
  for (const id of testing ? wanted : []) {
    const li = document.getElementById(id);
    if (!testing || !li) break;
    tally();
    const form = $("form", li);
    form.classList.add("htmx-request");
    await htmx.ajax("POST", form.getAttribute("hx-post"), { source: form, target: li, swap: "outerHTML" });
    const box = $(`#${id} .check`);
    if (box) box.checked = ticked.has(id);
  }
  testing = false;
  tally();
});
on("click", "[data-tick-bad]", () => { lines().forEach((li) => { $(".check", li).checked = li.dataset.ok === "0"; }); tally(); });
on("change", "#model-tests .check", tally);
on("input", "[data-sift]", (e, field) => sifted(field));
function sifted(field) {
  const wish = field.value.trim().toLowerCase();
  $$(field.dataset.sift).forEach((li) => { li.hidden = !li.textContent.toLowerCase().includes(wish); });
  tally();
}

export function enhance() {
  $$("[data-sift]").forEach(sifted); // who types fast was quicker than this file
  follow();
  tally();
}
