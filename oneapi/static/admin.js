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

const make = (tag, name = "", text = null) => {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== null) node.textContent = text;
  return node;
};
const button = (name, text, act) => {
  const node = make("button", name, text);
  node.type = "button";
  node.addEventListener("click", act);
  return node;
};
const changed = (field, name = "input") => field.dispatchEvent(new Event(name, { bubbles: true }));

// A long select becomes a button with a menu that is searched, in either language.
function searched(select) {
  if (select.nextElementSibling?.classList.contains("picker")) return;
  const label = $(`label[for="${select.id}"]`), now = select.selectedOptions[0];
  const opener = make("button", "input picker", now?.textContent.trim()), menu = make("div", "menu start pick");
  opener.type = "button";
  opener.id = `${select.id}-opener`;
  menu.id = `${select.id}-menu`;
  menu.popover = "auto";
  opener.setAttribute("popovertarget", menu.id);
  opener.setAttribute("aria-label", `${label.textContent.trim()}: ${opener.textContent}`);
  const finder = make("label", "finder"), wish = make("input");
  wish.placeholder = select.dataset.search;
  wish.setAttribute("aria-label", select.dataset.search);
  finder.append(wish);
  const options = [...select.options].map((option) => {
    const node = button("", option.textContent.trim(), () => {
      menu.hidePopover();
      if (select.value === option.value) return;
      select.value = option.value;
      changed(select, "change");
    });
    if (option.selected) node.setAttribute("aria-current", "true");
    node.dataset.words = `${option.textContent} ${option.dataset.also}`.toLowerCase();
    return node;
  });
  wish.addEventListener("input", (e) => {
    e.stopPropagation();
    options.forEach((o) => { o.hidden = !o.dataset.words.includes(wish.value.trim().toLowerCase()); });
  });
  wish.addEventListener("keydown", (e) => {
    if (e.key !== "Enter") return;
    e.preventDefault();
    options.find((o) => !o.hidden)?.click();
  });
  menu.addEventListener("toggle", (e) => { if (e.newState === "open") { $("[aria-current]", menu)?.scrollIntoView({ block: "center" }); wish.focus(); } });
  menu.append(finder, ...options);
  label.htmlFor = opener.id;
  select.hidden = true;
  select.after(opener, menu);
}

// A JSON object of names as rows of two columns; what is sent stays the text.
function paired(area) {
  if (area.nextElementSibling?.classList.contains("pairs")) return;
  const words = JSON.parse(area.dataset.mapping), box = make("div", "pairs"), list = make("div", "pairs-rows");
  const read = () => {
    try {
      const found = JSON.parse(area.value.trim() || "{}");
      return Object.values(found).every((v) => typeof v === "string") ? Object.entries(found) : null;
    } catch { return null; }
  };
  const write = () => {
    const pairs = $$(".pair", list).map((p) => $$("input", p).map((i) => i.value.trim())).filter(([from]) => from);
    area.value = pairs.length ? JSON.stringify(Object.fromEntries(pairs), null, 1) : "";
    changed(area);
  };
  const add = ([from, to] = ["", ""]) => {
    const pair = make("div", "pair");
    for (const [value, name] of [[from, words.from], [to, words.to]]) {
      const input = make("input", "input mono");
      input.value = value;
      input.placeholder = name;
      input.setAttribute("aria-label", name);
      input.setAttribute("list", "test-models");
      input.addEventListener("input", (e) => { e.stopPropagation(); write(); });
      pair.append(input);
    }
    const gone = button("button quiet small square", "×", () => { pair.remove(); write(); });
    gone.setAttribute("aria-label", words.remove);
    pair.append(gone);
    list.append(pair);
    return pair;
  };
  const toggle = button("button quiet small", "", () => draw(!area.hidden));
  const plus = button("button small", words.add, () => $("input", add()).focus());
  const draw = (rows) => {
    const pairs = read();
    area.hidden = list.hidden = plus.hidden = false;
    if (rows && pairs) {
      area.hidden = true;
      list.replaceChildren();
      (pairs.length ? pairs : [["", ""]]).forEach(add);
    } else list.hidden = plus.hidden = true;
    toggle.textContent = area.hidden ? words.json : words.rows;
  };
  const foot = make("div", "presets");
  foot.append(plus, toggle);
  box.append(list, foot);
  area.after(box);
  draw(area.getAttribute("aria-invalid") !== "true");
}

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

// Ratios and dollars of one model: either is typed, the other follows, and all follow the input ratio.
const shown = (number) => (Number.isFinite(number) ? String(+number.toPrecision(8)) : "");
function priced(form, typed = null) {
  const per = Number(form.dataset.prices), field = (name) => form.elements[name];
  const worth = (name) => Number(field(name).value || field(name).placeholder || NaN);
  const base = (name) => (name === "model_ratio" ? per : per * worth("model_ratio"));
  const name = typed?.dataset.dollars;
  if (name) field(name).value = typed.value.trim() === "" ? "" : shown(Number(typed.value) / base(name));
  for (const money of $$("[data-dollars]", form)) {
    const ratio = field(money.dataset.dollars), value = base(money.dataset.dollars) * worth(money.dataset.dollars);
    money.placeholder = ratio.value ? "" : shown(value);
    if (money !== typed) money.value = ratio.value ? shown(value) : "";
  }
}
on("input", "form[data-prices] input", (e, field) => priced(field.form, field));

// What a change of a balance would make of it
function previewed(form) {
  const now = Number(form.dataset.balance), by = Number(form.elements.quota.value || NaN);
  const after = { add: now + by, subtract: Math.max(0, now - by), set: by }[form.elements.how.value];
  const money = (quota) => `$${(quota / form.dataset.unit).toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 6 })}`;
  const note = $("[data-after]", form);
  note.hidden = !Number.isFinite(after);
  note.textContent = note.dataset.after.replace("{a}", money(now)).replace("{b}", money(after));
}
on("input", "form[data-balance] input", (e, field) => previewed(field.form));
// A dangerous switch asks when it is off as the form is sent.
on("change", "[data-dangerous]", (e, field) => {
  if (field.checked) delete field.form.dataset.confirm;
  else field.form.dataset.confirm = field.dataset.dangerous;
});

export function enhance() {
  const strip = $(".strip"), current = strip && $("[aria-current]", strip);
  if (current) strip.scrollLeft = current.offsetLeft - strip.offsetLeft - 40;
  $$("form[data-prices]").forEach((form) => priced(form));
  $$("form[data-balance]").forEach(previewed); // who types fast was quicker than this file
  $$("[data-sift]").forEach(sifted);
  follow();
  tally();
  $$("select[data-search]").forEach(searched);
  $$("textarea[data-mapping]").forEach(paired);
}
