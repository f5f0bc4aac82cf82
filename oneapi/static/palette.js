// The command palette, loaded when it is first opened.
import { $, $$, icon, make, on } from "./app.js";
import { dress } from "./menus.js";

export const opened = () => htmx.trigger($("#palette input"), "palette:open");

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
  const id = "found-recent", head = make("div", "caption", found.dataset.recent, { id }), list = make("ul", "", null, { "aria-labelledby": id });
  list.append(...recent().map(({ href, words: text, icon: name }) => {
    const item = make("li"), link = make("a", "", null, { href });
    link.append(icon(name), make("span", "cut", text), make("small"));
    item.append(link);
    return item;
  }));
  $("a.on", found)?.classList.remove("on");
  $("a", list).classList.add("on");
  found.prepend(head, list);
});
