// A JSON object of names as rows of two columns; what is sent stays the text.
import { $, $$, button, make } from "./app.js";

export function paired(area) {
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
    area.dispatchEvent(new Event("input", { bubbles: true }));
  };
  const add = ([from, to] = ["", ""]) => {
    const pair = make("div", "pair");
    for (const [value, name] of [[from, words.from], [to, words.to]]) {
      const input = make("input", "input mono", null, { placeholder: name, "aria-label": name, list: "test-models" });
      input.value = value;
      input.addEventListener("input", (e) => { e.stopPropagation(); write(); });
      pair.append(input);
    }
    pair.append(button("button quiet small square", "×", () => { pair.remove(); write(); }, { "aria-label": words.remove }));
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
  const here = document.activeElement === area;
  area.after(box);
  draw(area.getAttribute("aria-invalid") !== "true");
  if (here && area.hidden) $("input", list).focus();
}
