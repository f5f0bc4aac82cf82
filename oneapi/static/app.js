// Behaviour of every page. Events are taken at the document, so that swapped content needs no set-up.
const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const words = JSON.parse(document.body.dataset.words);
const on = (event, selector, act, options) =>
  document.addEventListener(event, (e) => {
    const found = e.target.closest?.(selector);
    if (found) act(e, found);
  }, options);

const make = (tag, name = "", text = null) => {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== null) node.textContent = text;
  return node;
};
const icon = (name) => {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "i");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `${document.body.dataset.icons}#${name}`);
  svg.append(use);
  return svg;
};
const cookie = (name, value) => {
  document.cookie = `${name}=${encodeURIComponent(value)};path=/;max-age=31536000;samesite=lax`;
};

// The reader's zone, for the next page.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone && !document.cookie.includes("zone=")) cookie("zone", zone);

// Toasts
function toast({ text, kind = "ok", undo = "", target = "", id = "", more = null }) {
  const note = make("div", `toast ${kind}`);
  if (kind === "bad") note.setAttribute("role", "alert");
  note.append(icon(kind === "bad" ? "alert-triangle" : "circle-check"), make("span", "", text));
  if (id) note.lastChild.append(make("code", "", id)); // what to tell an administrator
  let left = undo ? 7000 : 4000;
  if (undo) {
    const button = make("button", "", words.undo);
    button.type = "button";
    button.addEventListener("click", () => {
      htmx.ajax("POST", undo, target ? { target, swap: "outerHTML" } : { swap: "none" });
      note.remove();
    });
    note.append(button);
  }
  if (kind === "bad") {
    const close = make("button", "", words.dismiss);
    close.type = "button";
    close.addEventListener("click", () => note.remove());
    note.append(close);
    left = Infinity;
  }
  const box = $(".toasts");
  box.append(note);
  while (box.children.length > 4) box.firstChild.remove();
  const timer = setInterval(() => {
    if (!note.isConnected) return clearInterval(timer);
    if (!note.matches(":hover, :focus-within")) left -= 250;
    if (left <= 0) note.remove();
  }, 250);
  if (more) toast(more);
}
addEventListener("toast", (e) => toast(e.detail));
setTimeout(() => $$(".toasts > .toast:not(.bad)").forEach((t) => t.remove()), 7000);

// Copy
async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = make("textarea");
    area.value = text;
    (button?.closest("dialog") ?? document.body).append(area);
    area.select();
    const worked = document.execCommand("copy");
    area.remove();
    if (!worked) return toast({ kind: "bad", text: words.uncopied });
  }
  const use = button && $("use", button);
  if (use) {
    const before = use.getAttribute("href");
    use.setAttribute("href", before.replace(/#.*/, "#check"));
    setTimeout(() => use.setAttribute("href", before), 1200);
  }
  toast({ text: words.copied });
}
on("click", "[data-copy], [data-copy-from]", (e, b) => {
  e.preventDefault();
  e.stopPropagation();
  copy(b.dataset.copy ?? $(b.dataset.copyFrom)?.textContent ?? "", b);
});

on("click", "[data-copy-here]", (e, b) => copy(location.href, b));

const fetched = async (url) => (await fetch(url, { headers: { "HX-Request": "true" } })).text();
on("click", "[data-copy-url]", async (e, b) => copy(await fetched(b.dataset.copyUrl), b));

// Dialogs
const drawer = () => $("#drawer");
const SHEETS = ["edit", "add", "like", "tests", "balance"]; // what an address says of an open drawer
let opener = null;
function show(dialog) {
  if (!dialog || dialog.matches(":modal")) return;
  if (dialog.open) dialog.close();
  dialog.showModal();
}
function changed(form) {
  return $$("input, select, textarea", form).filter((f) =>
    f.type === "checkbox" || f.type === "radio" ? f.checked !== f.defaultChecked
      : f.tagName === "SELECT" ? [...f.options].some((o) => o.selected !== o.defaultSelected) && f.value !== (f.querySelector("[selected]") ?? f.options[0])?.value
        : f.name && f.value !== f.defaultValue).length;
}
function shut(dialog, asked = false) {
  const form = $("form[data-guard]", dialog);
  if (!asked && form && changed(form)) return ask(words.leave, () => shut(dialog, true));
  dialog.close();
}
if (drawer()?.open) show(drawer());
document.addEventListener("htmx:afterSwap", (e) => {
  if (e.detail.target?.id !== "drawer" || e.detail.requestConfig?.verb !== "get") return;
  opener = document.activeElement;
  show(drawer());
  $("h2[tabindex]", drawer())?.focus();
});
document.addEventListener("htmx:beforeHistoryUpdate", (e) => { // a form opens over its list, and the address keeps both
  if (e.detail.target?.id !== "drawer") return;
  const opened = new URL(e.detail.history.path, location.href), kept = new URL(location).searchParams;
  if (opened.pathname !== location.pathname) return;
  for (const name of SHEETS) kept.delete(name);
  for (const [name, value] of opened.searchParams) kept.set(name, value);
  e.detail.history.path = `${opened.pathname}?${kept}`;
});
addEventListener("drawer:close", () => drawer()?.close());
document.addEventListener("close", (e) => {
  if (e.target.id !== "drawer" || e.target.open) return;
  const url = new URL(location);
  for (const name of SHEETS) url.searchParams.delete(name);
  if (url.href !== location.href) history.replaceState(history.state, "", url);
  drawer().replaceChildren();
  if (opener?.isConnected) opener.focus();
}, true);
document.addEventListener("cancel", (e) => {
  if (e.target.id !== "drawer") return;
  e.preventDefault();
  shut(e.target);
}, true);
on("click", "[data-close]", (e, b) => shut(b.closest("dialog")));
on("mousedown", "dialog", (e, d) => { if (e.target === d) shut(d); });
on("click", "[data-open]", (e, b) => {
  e.preventDefault();
  show($(`#${b.dataset.open}`));
  if (b.dataset.open === "palette") openPalette();
});
addEventListener("popstate", () => {
  const asked = new URL(location).searchParams;
  if (drawer()?.open && !SHEETS.some((name) => asked.has(name))) drawer().close();
});
on("click", "[popover] a, [popover] form button", (e, link) => link.closest("[popover]")?.hidePopover?.());

// Questions before what cannot be undone
const MANY = 20; // above which a number must be typed
const chosen = () => Number($("#bulk [name=all]:checked")?.dataset.total ?? ticks().filter((t) => t.checked).length);
function ask(text, act, label = "", many = 0) {
  const box = $("#ask");
  $("p", box).textContent = text.replace("{n}", many);
  const yes = $("[data-yes]", box);
  yes.textContent = label || words.sure.replace("?", "");
  const typed = make("input", "input");
  typed.setAttribute("aria-label", typed.placeholder = words.typed.replace("{n}", many));
  typed.addEventListener("input", () => { yes.disabled = typed.value.trim() !== String(many); });
  yes.disabled = many > MANY;
  if (many > MANY) $("p", box).after(typed);
  const go = () => { box.close(); act(); };
  yes.addEventListener("click", go, { once: true });
  box.addEventListener("close", () => { yes.removeEventListener("click", go); yes.disabled = false; typed.remove(); }, { once: true });
  box.showModal();
}
document.addEventListener("submit", (e) => {
  const form = e.target;
  const button = e.submitter;
  const text = button?.dataset.confirm ?? form.dataset.confirm;
  if (!text || form.dataset.sure) return;
  e.preventDefault();
  e.stopImmediatePropagation();
  ask(text, () => {
    form.dataset.sure = "1";
    form.requestSubmit(button);
    delete form.dataset.sure;
  }, button?.dataset.confirmLabel ?? form.dataset.confirmLabel, text.includes("{n}") ? chosen() : 0);
}, true);

// Unsaved changes
on("input", "form[data-guard]", (e, form) => {
  const note = $("[data-unsaved]", form);
  const count = changed(form);
  if (note) note.textContent = count ? `${count} ${words.unsaved}` : "";
});
addEventListener("beforeunload", (e) => {
  if ($$("#main form[data-guard]").some((f) => !f.dataset.sent && changed(f))) e.preventDefault();
});
on("submit", "form[data-guard]", (e, form) => { form.dataset.sent = "1"; });
document.addEventListener("htmx:confirm", (e) => {
  const link = e.detail.elt;
  if (link.tagName !== "A" || !link.closest('[hx-boost="true"]')) return;
  if (!$$("#main form[data-guard]").some((f) => !f.dataset.sent && changed(f))) return;
  e.preventDefault();
  ask(words.leave, () => e.detail.issueRequest(true));
});

// Requests
document.addEventListener("htmx:beforeRequest", () => document.documentElement.classList.add("busy"));
document.addEventListener("htmx:afterRequest", () => document.documentElement.classList.remove("busy"));
document.addEventListener("htmx:responseError", (e) => {
  const answer = e.detail.xhr;
  if (answer.getResponseHeader("HX-Redirect") || answer.getResponseHeader("HX-Trigger")?.includes("toast")) return;
  toast({ kind: "bad", text: `${words.failed} (${answer.status})` });
});
document.addEventListener("htmx:sendError", () => toast({ kind: "bad", text: words.offline }));
document.addEventListener("htmx:beforeRequest", (e) => {
  if (document.hidden && e.detail.elt.matches("[data-poll]")) e.preventDefault();
});
document.addEventListener("htmx:afterSettle", (e) => {
  enhance(document);
  if (e.detail.target?.id === "main") $("#main h1")?.focus({ preventScroll: true });
});
document.addEventListener("htmx:afterSwap", (e) => {
  if (e.detail.xhr?.status === 422) $('[aria-invalid="true"]', e.detail.elt.isConnected ? e.detail.elt : document)?.focus();
});
document.addEventListener("htmx:historyRestore", () => enhance(document));

// Where we are
function here() {
  $$(".rail .nav a, .tabs-bottom a").forEach((a) => {
    const path = new URL(a.href).pathname;
    if (location.pathname === path || (location.pathname.startsWith(`${path}/`) && location.pathname !== "/user/edit")) a.setAttribute("aria-current", "page");
    else a.removeAttribute("aria-current");
  });
}
for (const event of ["htmx:historyRestore", "htmx:pushedIntoHistory"]) document.addEventListener(event, here);

// Rows: select, move, open
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
on("click", "tbody tr[data-row]", (e, row) => {
  if (e.target.closest("a, button, input, label, select, summary, [popover]") || getSelection().toString()) return;
  $("a", row)?.click();
});
on("click", "[data-copy-ticked]", async (e, button) => {
  const ids = ticks().filter((t) => t.checked).map((t) => t.value);
  copy(await fetched(`${button.dataset.copyTicked}?ids=${ids}`), button);
});
const rows = () => $$("#main .table tbody tr");
function move(step) {
  const all = rows(), at = all.findIndex((r) => r.classList.contains("current"));
  all[at]?.classList.remove("current");
  const next = all[Math.max(0, Math.min(all.length - 1, at + step))];
  next?.classList.add("current");
  next?.scrollIntoView({ block: "nearest" });
  if ($(".detail") && next) $("a", next)?.click();
}

// Keyboard
let leader = 0;
const typing = (node) => node.matches("input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]");
addEventListener("keydown", (e) => {
  if ((e.metaKey || e.ctrlKey) && e.key === "k" && $("#palette")) {
    e.preventDefault();
    if ($("#palette").open) return $("#palette").close();
    show($("#palette"));
    return openPalette();
  }
  if (typing(e.target) || e.metaKey || e.ctrlKey || e.altKey || document.cookie.includes("keys=off")) return;
  if ($("dialog:modal")) return;
  if (Date.now() - leader < 900) {
    const link = $(`[data-go="${CSS.escape(e.key)}"]`);
    leader = 0;
    if (link) return link.click();
  }
  const acts = {
    g: () => { leader = Date.now(); },
    "/": () => { const box = $(".toolbar .finder input"); if (box) { e.preventDefault(); box.focus(); } },
    j: () => move(1),
    k: () => move(-1),
    x: () => $("tr.current .check")?.click(),
    e: () => $("tr.current a")?.click(),
    Enter: () => { if (e.target === document.body || e.target.id === "main" || e.target.tagName === "H1") $("tr.current a")?.click(); },
    "?": () => show($("#keys")),
    Escape: () => $(".detail a[data-shut]")?.click(),
  };
  acts[e.key]?.();
});

// Palette
function openPalette() {
  const input = $("#palette input");
  input.select();
  htmx.trigger(input, "palette:open");
}
document.addEventListener("keydown", (e) => {
  const box = e.target.closest?.("#palette");
  if (!box) return;
  const links = $$(".found a", box), at = links.findIndex((a) => a.classList.contains("on"));
  if (e.key === "ArrowDown" || e.key === "ArrowUp") {
    e.preventDefault();
    links[at]?.classList.remove("on");
    const next = links[(at + (e.key === "ArrowDown" ? 1 : -1) + links.length) % links.length];
    next?.classList.add("on");
    next?.scrollIntoView({ block: "nearest" });
  }
  if (e.key === "Enter" && (links[at] ?? links[0])) {
    e.preventDefault();
    const link = links[at] ?? links[0];
    if (e.metaKey || e.ctrlKey) open(link.href, "_blank", "noopener");
    else link.click();
  }
});
// Acts are posted; what was opened last stands first next time.
on("click", "#palette .found a", (e, link) => {
  $("#palette").close();
  if (link.dataset.post) {
    e.preventDefault();
    const values = JSON.parse(link.dataset.values), { appearance } = values;
    if (appearance) return dress(appearance);
    htmx.ajax("POST", link.dataset.post, { values, swap: "none" }).then(() => { if (link.getAttribute("href") !== "#") location.assign(link.href); });
    return;
  }
  const item = { href: link.getAttribute("href"), words: $(".cut", link).textContent, icon: $("use", link).getAttribute("href").split("#")[1] };
  localStorage.setItem("recent", JSON.stringify([item, ...recent().filter((r) => r.href !== item.href)].slice(0, 5)));
});
function recent() {
  try { return JSON.parse(localStorage.getItem("recent")) ?? []; } catch { return []; }
}
document.addEventListener("htmx:afterSwap", (e) => {
  const found = e.detail.target;
  if (found?.id !== "found" || $("#palette input").value || !recent().length) return;
  const head = make("div", "caption", found.dataset.recent), list = make("ul");
  head.id = "found-recent";
  list.setAttribute("aria-labelledby", head.id);
  list.append(...recent().map(({ href, words: text, icon: name }) => {
    const item = make("li"), link = make("a");
    link.href = href;
    link.append(icon(name), make("span", "cut", text), make("small"));
    item.append(link);
    return item;
  }));
  $("a.on", found)?.classList.remove("on");
  $("a", list).classList.add("on");
  found.prepend(head, list);
});
if (!/Mac|iP(hone|ad|od)/.test(navigator.platform)) $$("kbd").forEach((k) => { k.textContent = k.textContent.replace("⌘", "Ctrl "); });

// Menus: arrow keys, narrowing, places for browsers without anchors
document.addEventListener("toggle", (e) => {
  const menu = e.target;
  if (!menu.matches?.("[popover]") || e.newState !== "open") return;
  $("[data-narrow]", menu)?.focus();
  if (CSS.supports("position-area: bottom")) return;
  const from = $(`[popovertarget="${menu.id}"]`)?.getBoundingClientRect();
  if (!from) return;
  const box = menu.getBoundingClientRect();
  const below = from.bottom + box.height < innerHeight;
  menu.style.position = "fixed";
  menu.style.top = `${below ? from.bottom : Math.max(8, from.top - box.height - 8)}px`;
  menu.style.left = `${Math.max(8, Math.min(from.left, innerWidth - box.width - 8))}px`;
}, true);
on("keydown", "[popover].menu", (e, menu) => {
  if (e.key !== "ArrowDown" && e.key !== "ArrowUp") return;
  const items = $$("a, button", menu).filter((i) => i.offsetParent);
  const at = items.indexOf(document.activeElement);
  e.preventDefault();
  items[(at + (e.key === "ArrowDown" ? 1 : -1) + items.length) % items.length]?.focus();
});
on("input", "[data-narrow]", (e, input) => {
  const wish = input.value.toLowerCase();
  $$("a", input.closest(".menu")).forEach((a) => { a.hidden = !a.textContent.toLowerCase().includes(wish); });
});

// Fields
on("click", "[data-reveal]", (e, b) => {
  const field = document.getElementById(b.dataset.reveal);
  field.type = field.type === "password" ? "text" : "password";
});
on("input", "[data-quota]", (e, field) => {
  const money = $(`[data-usd="${field.id}"]`);
  if (money) money.value = field.value === "" ? "" : +(Number(field.value) / field.dataset.quota).toFixed(6);
});
on("input", "[data-usd]", (e, money) => {
  const field = document.getElementById(money.dataset.usd);
  field.value = money.value === "" ? "" : Math.round(Number(money.value) * field.dataset.quota);
});
on("click", "[data-preset]", (e, b) => {
  const field = document.getElementById(b.dataset.preset);
  field.value = b.dataset.value;
  field.dispatchEvent(new Event("input", { bubbles: true }));
});
on("click", "[data-generate]", (e, b) => {
  const field = document.getElementById(b.dataset.generate);
  const letters = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
  field.value = [...crypto.getRandomValues(new Uint32Array(16))].map((n) => letters[n % letters.length]).join("");
  field.type = "text";
  field.dispatchEvent(new Event("input", { bubbles: true }));
});
on("click", "[data-paste]", async (e, b) => {
  const field = document.getElementById(b.dataset.paste);
  try { field.value = (await navigator.clipboard.readText()).trim(); } catch { field.focus(); }
});
on("input", "[data-measure]", (e, field) => {
  const kinds = [/[a-z]/, /[A-Z]/, /\d/, /[^\w]/].filter((k) => k.test(field.value)).length;
  const score = Math.min(3, Math.floor(field.value.length / 6) + (kinds > 2 ? 1 : 0));
  const meter = document.getElementById(field.dataset.measure);
  meter.value = field.value ? Math.max(1, score) : 0;
  meter.className = `meter thin ${["bad", "bad", "warn", "ok"][score]}`;
  meter.nextElementSibling.textContent = field.value ? [words.weak, words.weak, words.fair, words.strong][score] : "";
});
on("keyup", "input[type=password]", (e, field) => {
  const note = field.closest(".field")?.querySelector("[data-caps]");
  if (note) note.textContent = e.getModifierState?.("CapsLock") ? words.caps : "";
});
on("click", "[data-append]", (e, b) => {
  const field = document.getElementById(b.dataset.append);
  field.value = [field.value.trim(), b.dataset.value].filter(Boolean).join("\n");
  field.dispatchEvent(new Event("chips:read", { bubbles: true }));
});
on("click", "[data-fill]", (e, b) => {
  const field = document.getElementById(b.dataset.fill);
  field.value = b.dataset.value;
  field.dispatchEvent(new Event("chips:read", { bubbles: true }));
  field.dispatchEvent(new Event("input", { bubbles: true }));
});
on("keydown", ".inline", (e, field) => {
  if (e.key === "Escape") { field.value = field.defaultValue; field.blur(); }
  if (e.key === "Enter") { e.preventDefault(); field.blur(); }
});
on("click", "[data-countdown]", (e, b) => {
  let left = Number(b.dataset.countdown);
  const before = b.textContent;
  setTimeout(() => {
    b.disabled = true;
    const timer = setInterval(() => {
      b.textContent = `${--left} s`;
      if (left > 0) return;
      clearInterval(timer);
      b.disabled = false;
      b.textContent = before;
    }, 1000);
  });
});
on("click", "[data-print]", () => print());
on("click", "[data-click-all]", async (e, b) => {
  for (const button of $$(b.dataset.clickAll)) {
    const line = button.closest("li");
    if (!line?.isConnected) continue;
    button.click();
    await new Promise((done) => document.addEventListener("htmx:afterRequest", done, { once: true }));
  }
});
on("click", "[data-tab]", (e, b) => {
  const box = b.closest("[data-tabs]");
  $$("[data-tab]", box).forEach((t) => t.setAttribute("aria-pressed", t === b));
  $$("[data-panel]", box).forEach((p) => { p.hidden = p.dataset.panel !== b.dataset.tab; });
});
on("click", ".contents a", (e, link) => {
  e.preventDefault();
  $$("a", link.parentNode).forEach((a) => a.toggleAttribute("aria-current", a === link));
  document.getElementById(link.hash.slice(1))?.scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
});
document.addEventListener("scroll", (e) => {
  const body = e.target;
  if (!body.matches?.(".sheet > .inside")) return;
  const parts = $$(".part[id]", body), links = $$(".contents a", body.parentNode);
  const now = parts.findLast((p) => p.getBoundingClientRect().top - body.getBoundingClientRect().top < 80) ?? parts[0];
  links.forEach((a) => a.toggleAttribute("aria-current", a.hash === `#${now?.id}`));
}, true);

// Charts
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

// Columns of a list, kept for this browser
on("change", "[data-column]", (e, box) => {
  const off = $$("[data-column]", box.closest("[popover]")).filter((b) => !b.checked).map((b) => b.value);
  cookie(`${box.dataset.column}_columns`, off.join("."));
  htmx.trigger(document.body, "list:refresh");
});

// Appearance
on("click", "[data-appearance-set]", (e, b) => { e.preventDefault(); dress(b.dataset.appearanceSet); });
function dress(value) {
  document.documentElement.dataset.appearance = value === "system" ? "" : value;
  cookie("appearance", value);
  $$("[data-appearance-set]").forEach((o) => o.toggleAttribute("aria-current", o.dataset.appearanceSet === value));
  // Kept alive, so that it arrives also when the page is left at once.
  const headers = { ...JSON.parse(document.body.getAttribute("hx-headers")), "HX-Request": "true" };
  fetch("/preferences", { method: "POST", keepalive: true, headers, body: new URLSearchParams({ appearance: value }) });
}
on("click", "button[data-density]", () => {
  const root = document.documentElement;
  root.dataset.density = root.dataset.density === "compact" ? "" : "compact";
  cookie("density", root.dataset.density);
});

// The notice opens once per text
function noticed() {
  const bell = $("[data-notice]");
  if (!bell || document.cookie.includes(`notice=${bell.dataset.notice}`)) return;
  if (!$("dialog[open]") && !navigator.webdriver) $("#notice").showPopover();
  cookie("notice", bell.dataset.notice);
}

// What only some pages need comes when they need it.
const parts = { chips: "textarea[data-chips]", admin: "[data-events], [data-admin]", playground: "[data-playground]" };

function enhance(root) {
  here();
  count();
  const wanted = Object.keys(parts).filter((name) => $(parts[name], root));
  const come = wanted.map((name) => import(`./${name}.js`).then((part) => part.enhance(root)));
  for (const field of $$("[data-quota]", root)) {
    const money = $(`[data-usd="${field.id}"]`);
    if (money && !money.value && field.value) money.value = +(Number(field.value) / field.dataset.quota).toFixed(6);
  }
  return Promise.all(come);
}
enhance(document).then(() => { document.documentElement.dataset.ready = ""; });
noticed();
