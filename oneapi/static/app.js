// Behaviour of every page. Events are taken at the document, so that swapped content needs no set-up.
// What few pages use is in modules of its own, named in `MODULES`, that come when a page holds what they are for.
export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
export const words = JSON.parse(document.body.dataset.words);
export const on = (event, selector, act, options) =>
  document.addEventListener(event, (e) => {
    const found = e.target.closest?.(selector);
    if (found) act(e, found);
  }, options);

export const make = (tag, name = "", text = null, more = {}) => {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== null) node.textContent = text;
  for (const [key, value] of Object.entries(more)) node.setAttribute(key, value);
  return node;
};
export const button = (name, text, act, more = {}) => {
  const node = make("button", name, text, { type: "button", ...more });
  node.addEventListener("click", act);
  return node;
};
export const icon = (name) => {
  const box = make("template");
  box.innerHTML = `<svg class="i" aria-hidden="true"><use href="${document.body.dataset.icons}#${name}"/></svg>`;
  return box.content.firstChild;
};
export const cookie = (name, value) => {
  document.cookie = `${name}=${encodeURIComponent(value)};path=/;max-age=31536000;samesite=lax`;
};

// The reader's zone, for the next page.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone && !document.cookie.includes("zone=")) cookie("zone", zone);

// Toasts
function toast({ text, kind = "ok", undo = "", target = "", id = "", more = null }) {
  const bad = kind === "bad", note = make("div", `toast ${kind}`, null, bad ? { role: "alert" } : {});
  note.append(icon(bad ? "alert-triangle" : "circle-check"), make("span", "", text));
  if (id) note.lastChild.append(make("code", "", id)); // what to tell an administrator
  let left = bad ? Infinity : undo ? 7000 : 4000;
  if (undo) note.append(button("", words.undo, () => {
    htmx.ajax("POST", undo, target ? { target, swap: "outerHTML" } : { swap: "none" });
    note.remove();
  }));
  if (bad) note.append(button("", words.dismiss, () => note.remove()));
  const box = $(".toasts");
  $$(".bad > span", box).find((said) => said.firstChild?.data === text)?.parentNode.remove(); // a poll fails many times
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
export async function copy(text, button) {
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

export const fetched = async (url) => (await fetch(url, { headers: { "HX-Request": "true" } })).text();
on("click", "[data-copy-url]", async (e, b) => copy(await fetched(b.dataset.copyUrl), b));

// Dialogs
const drawer = () => $("#drawer");
const SHEETS = ["edit", "add", "like", "tests", "balance", "keys"]; // what an address says of an open drawer
let opener = null;
export function show(dialog) {
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
  enhance();
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
  if (b.dataset.open === "palette") palette();
  else show($(`#${b.dataset.open}`));
});
addEventListener("popstate", () => {
  const asked = new URL(location).searchParams;
  if (drawer()?.open && !SHEETS.some((name) => asked.has(name))) drawer().close();
});
on("click", "[popover] a, [popover] form button", (e, link) => link.closest("[popover]")?.hidePopover?.());

// Questions before what cannot be undone
const ask = async (...question) => (await import("./ask.js")).ask(...question);
document.addEventListener("submit", (e) => {
  const form = e.target, button = e.submitter;
  const text = button?.dataset.confirm ?? form.dataset.confirm;
  if (!text || form.dataset.sure) return;
  e.preventDefault();
  e.stopImmediatePropagation();
  ask(text, () => {
    form.dataset.sure = "1";
    form.requestSubmit(button);
    delete form.dataset.sure;
  }, button?.dataset.confirmLabel ?? form.dataset.confirmLabel, text.includes("{n}"));
}, true);

// Unsaved changes
on("input", "form[data-guard]", (e, form) => {
  const note = $("[data-unsaved]", form), count = changed(form);
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
// What was to be filled shows in its place why it was not. What was to be done is told beside the page, and a switch goes back.
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  if (detail.xhr.getResponseHeader("HX-Panel") && !detail.elt.matches("[data-poll]")) Object.assign(detail, { shouldSwap: true, isError: false });
});
function failed({ elt }, text, id) {
  if (elt.matches("form:has(.switch)[hx-trigger]")) elt.reset();
  if (text) toast({ kind: "bad", text, id });
}
document.addEventListener("htmx:responseError", ({ detail }) => {
  const said = (name) => detail.xhr.getResponseHeader(name);
  failed(detail, !said("HX-Redirect") && !said("HX-Trigger")?.includes("toast") && `${words.failed} (${detail.xhr.status})`, said("X-Oneapi-Request-Id"));
});
document.addEventListener("htmx:sendError", ({ detail }) => failed(detail, words.offline));
document.addEventListener("htmx:beforeRequest", (e) => {
  if (document.hidden && e.detail.elt.matches("[data-poll]")) e.preventDefault();
});
document.addEventListener("htmx:afterSettle", (e) => {
  enhance();
  if (e.detail.target?.id === "main") $("#main h1")?.focus({ preventScroll: true });
});
document.addEventListener("htmx:afterSwap", (e) => {
  if (e.detail.xhr?.status === 422) $('[aria-invalid="true"]', e.detail.elt.isConnected ? e.detail.elt : document)?.focus();
});
document.addEventListener("htmx:historyRestore", () => enhance());

// Where we are
function here() {
  $$(".rail .nav a, .tabs-bottom a").forEach((a) => {
    const at = location.pathname;
    if (at === a.pathname || (at.startsWith(`${a.pathname}/`) && at !== "/user/edit")) a.setAttribute("aria-current", "page");
    else a.removeAttribute("aria-current");
  });
}
for (const event of ["htmx:historyRestore", "htmx:pushedIntoHistory"]) document.addEventListener(event, here);

// A row opens wherever it is clicked
on("click", "tbody tr[data-row]", (e, row) => {
  if (e.target.closest("a, button, input, label, select, summary, [popover]") || getSelection().toString()) return;
  $("a", row)?.click();
});

// Keyboard: where one goes on typing at once opens at once, the rest waits for its module.
const typing = (node) => node.matches("input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]");
function palette() {
  const box = $("#palette");
  if (box.open) return box.close();
  show(box);
  $("input", box).select();
  import("./palette.js").then((m) => m.opened());
}
let keys; // one promise, so that keys that were quicker than their module keep their order
addEventListener("keydown", (e) => {
  const finder = e.key === "/" && $(".toolbar .finder input"), command = e.metaKey || e.ctrlKey;
  if (command && e.key === "k" && $("#palette")) palette();
  else if (typing(e.target) || command || e.altKey || $("dialog:modal") || document.cookie.includes("keys=off")) return;
  else if (finder) finder.focus();
  else return (keys ??= import("./keys.js")).then((m) => m.pressed(e));
  e.preventDefault();
});
if (!/Mac|iP(hone|ad|od)/.test(navigator.platform)) $$("kbd").forEach((k) => { k.textContent = k.textContent.replace("⌘", "Ctrl "); });

document.addEventListener("toggle", ({ target, newState }) => {
  if (newState === "open" && target.matches("[popover]")) import("./menus.js").then((m) => m.opened(target));
}, true);

on("click", "[data-print]", () => print());
on("click", "[data-tab]", (e, b) => {
  const box = b.closest("[data-tabs]");
  $$("[data-tab]", box).forEach((t) => t.setAttribute("aria-pressed", t === b));
  $$("[data-panel]", box).forEach((p) => { p.hidden = p.dataset.panel !== b.dataset.tab; });
});

// The notice opens once per text
function noticed() {
  const bell = $("[data-notice]");
  if (!bell || document.cookie.includes(`notice=${bell.dataset.notice}`)) return;
  if (!$("dialog[open]") && !navigator.webdriver) $("#notice").showPopover();
  cookie("notice", bell.dataset.notice);
}

// What of a page its own module is for. Under an open drawer nothing is ticked: that waits until it closes.
const MODULES = {
  lists: "body:not(:has(#drawer:modal)) :is([data-bulk], [data-fresh], [data-column])",
  fields: "[data-reveal], [data-quota], [data-caps], [data-countdown], [data-paste], [data-generate], [data-chips]",
  figures: "[data-prices], [data-balance], [data-dangerous]",
  editors: "select[data-search], textarea[data-mapping]",
  runs: "[data-events], [data-sift]",
  charts: "[data-tip], [data-histogram]",
  playground: "[data-playground]",
};
function enhance() {
  here();
  const strip = $(".strip"), current = strip && $("[aria-current]", strip);
  if (current) strip.scrollLeft = current.offsetLeft - strip.offsetLeft - 40;
  const wanted = Object.keys(MODULES).filter((name) => $(MODULES[name]));
  return Promise.all(wanted.map((name) => import(`./${name}.js`).then((m) => m.enhance?.())));
}
enhance().then(() => { document.documentElement.dataset.ready = ""; });
noticed();
