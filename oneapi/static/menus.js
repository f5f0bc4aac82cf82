// Menus that are open: arrow keys, narrowing, the appearance, and a place for browsers that cannot anchor them by style.
import { $, $$, cookie, on } from "./app.js";

export function opened(menu) {
  $("[data-narrow]", menu)?.focus();
  if (!CSS.supports("position-area: bottom")) place(menu);
}

function place(menu) {
  const from = $(`[popovertarget="${menu.id}"]`)?.getBoundingClientRect();
  if (!from) return;
  const box = menu.getBoundingClientRect();
  const below = from.bottom + box.height < innerHeight;
  menu.style.position = "fixed";
  menu.style.top = `${below ? from.bottom : Math.max(8, from.top - box.height - 8)}px`;
  menu.style.left = `${Math.max(8, Math.min(from.left, innerWidth - box.width - 8))}px`;
}

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

// Appearance
on("click", "[data-appearance-set]", (e, b) => { e.preventDefault(); dress(b.dataset.appearanceSet); });
export function dress(value) {
  document.documentElement.dataset.appearance = value === "system" ? "" : value;
  cookie("appearance", value);
  $$("[data-appearance-set]").forEach((o) => o.toggleAttribute("aria-current", o.dataset.appearanceSet === value));
  // Kept alive, so that it arrives also when the page is left at once.
  const headers = { ...JSON.parse(document.body.getAttribute("hx-headers")), "HX-Request": "true" };
  fetch("/preferences", { method: "POST", keepalive: true, headers, body: new URLSearchParams({ appearance: value }) });
}
