// Keys outside of fields: rows and pages.
import { $, $$, show } from "./app.js";

const rows = () => $$("#main .table tbody tr");
function move(step) {
  const all = rows(), at = all.findIndex((r) => r.classList.contains("current"));
  all[at]?.classList.remove("current");
  const next = all[Math.max(0, Math.min(all.length - 1, at + step))];
  next?.classList.add("current");
  next?.scrollIntoView({ block: "nearest" });
  if ($(".detail") && next) $("a", next)?.click();
}

let leader = 0;
export function pressed(e) {
  if (Date.now() - leader < 900) {
    const link = $(`[data-go="${CSS.escape(e.key)}"]`);
    leader = 0;
    if (link) return link.click();
  }
  const acts = {
    g: () => { leader = Date.now(); },
    j: () => move(1),
    k: () => move(-1),
    x: () => $("tr.current .check")?.click(),
    e: () => $("tr.current a")?.click(),
    Enter: () => { if (e.target === document.body || e.target.id === "main" || e.target.tagName === "H1") $("tr.current a")?.click(); },
    "?": () => show($("#keys")),
    Escape: () => $(".detail a[data-shut]")?.click(),
  };
  acts[e.key]?.();
}
