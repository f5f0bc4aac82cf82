// The question before what cannot be undone; a great number must be typed.
import { $, $$, make, words } from "./app.js";

const MANY = 20; // above which a number must be typed
const chosen = () => Number($("#bulk [name=all]:checked")?.dataset.total ?? $$("tbody .check[name=ids]:checked").length);

export function ask(text, act, label = "", counted = false) {
  const many = counted ? chosen() : 0;
  const box = $("#ask");
  $("p", box).textContent = text.replace("{n}", many);
  const yes = $("[data-yes]", box);
  yes.textContent = label || words.sure.replace("?", "");
  const hint = words.typed.replace("{n}", many), typed = make("input", "input", null, { "aria-label": hint, placeholder: hint });
  typed.addEventListener("input", () => { yes.disabled = typed.value.trim() !== String(many); });
  yes.disabled = many > MANY;
  if (many > MANY) $("p", box).after(typed);
  const go = () => { box.close(); act(); };
  yes.addEventListener("click", go, { once: true });
  box.addEventListener("close", () => { yes.removeEventListener("click", go); yes.disabled = false; typed.remove(); }, { once: true });
  box.showModal();
}
